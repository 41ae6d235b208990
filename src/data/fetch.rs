//! Full data sets that do not ship with the repository, installed from files the user has.

use super::load::{Loaded, load};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The four files of Fashion-MNIST, and their shapes.
const FASHION_MNIST: [(&str, &[usize]); 4] = [
    ("train-images-idx3-ubyte", &[60_000, 28, 28]),
    ("train-labels-idx1-ubyte", &[60_000]),
    ("t10k-images-idx3-ubyte", &[10_000, 28, 28]),
    ("t10k-labels-idx1-ubyte", &[10_000]),
];
/// Where Debian's package `dataset-fashion-mnist` puts them.
const DEBIAN: &str = "/usr/share/datasets/fashion-mnist";

/// Where fetched data is kept: `LIMBECK_DATA`, else `limbeck` in the user's data folder.
///
/// # Errors
/// When neither `LIMBECK_DATA`, `XDG_DATA_HOME` nor `HOME` is set.
pub fn data_home() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    variable("LIMBECK_DATA")
        .or_else(|| variable("XDG_DATA_HOME").map(|d| d.join("limbeck")))
        .or_else(|| variable("HOME").map(|d| d.join(".local/share/limbeck")))
        .ok_or_else(|| Error::invalid("set LIMBECK_DATA to the folder that data is to be kept in"))
}

/// Installs the 60,000 + 10,000 images of Fashion-MNIST from a folder with its four IDX files (plain or `.gz`), checked first.
///
/// Returns the folder they were installed into.
///
/// # Errors
/// When a file is missing or is not what it should be; nothing is installed then.
pub fn fetch_fashion_mnist(from: Option<&Path>) -> Result<PathBuf> {
    let source = from.unwrap_or(Path::new(DEBIAN));
    let mut files = Vec::new();
    for (name, shape) in FASHION_MNIST {
        let candidates = [source.join(format!("{name}.gz")), source.join(name)];
        let Some(path) = candidates.into_iter().find(|p| p.is_file()) else {
            let remedy =
                "install Debian's package dataset-fashion-mnist, or give the folder of its four IDX files with --from";
            return Err(Error::file(source, format!("no {name}(.gz) here; {remedy}")));
        };
        match load(&path)? {
            Loaded::Array(array) if array.shape == *shape => files.push(path),
            Loaded::Array(array) => {
                return Err(Error::file(path, format!("shape {:?}; Fashion-MNIST has {shape:?}", array.shape)));
            }
            Loaded::Columns(_) | Loaded::Text(_) => return Err(Error::file(path, "not an IDX file")),
        }
    }
    let target = data_home()?.join("fashion-mnist");
    std::fs::create_dir_all(&target).map_err(Error::io(&target))?;
    for path in files {
        let to = target.join(path.file_name().unwrap_or_default());
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        crate::archive::write_atomically(&to, |file| std::io::Write::write_all(file, &bytes))?;
    }
    Ok(target)
}
