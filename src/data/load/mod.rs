//! Files in, arrays and columns out. A hostile file is an error before any large allocation.

mod cifar;
mod code;
mod csv;
mod idx;
mod image;
mod npy;
mod pictures;
mod reals;
mod text;
mod weights;

pub use csv::{Column, Frame};
pub(crate) use image::load_image;
pub(crate) use npy::{Element, read_header};
pub use npy::{stream_npy, write_npy, write_npz};
pub(in crate::data) use pictures::Pictures;
pub use text::{LENGTH, Passage, TextForm};
pub use weights::load_arrays;

use super::Unseen;
use crate::{Error, Result};
use std::{fs::File, io::Read, path::Path};

/// The numbers of an array in the narrowest of three kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Unsigned bytes; none is missing.
    Bytes(Vec<u8>),
    /// Signed integers; −1 is a missing value.
    Integers(Vec<i64>),
    /// Real numbers; NaN is a missing value.
    Reals(Vec<f64>),
}

/// An array as a file held it, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The file it came from, for messages.
    pub origin: String,
    /// Its shape; the first axis counts the rows.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub values: Values,
}

/// What a data file held.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// An array: `.npy`, `.npz`, IDX, CIFAR-10, ImageNet, an image, or a folder of images.
    Array(Array),
    /// Named columns: CSV.
    Columns(Frame),
    /// Text, to be cut into rows.
    Text(Passage),
}

/// How a file is read where it can be read in more than one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What separates the cells of a text file; what its first line says where not given.
    pub delimiter: Option<u8>,
    /// The columns of a text file to keep; all where none is named.
    pub columns: Vec<String>,
    /// The columns to leave out.
    pub drop: Vec<String>,
    /// What becomes of a category that a model does not know.
    pub unseen: Unseen,
    /// What a text is read as; where not given, `.txt` as it is, and other files are no text.
    pub text: Option<TextForm>,
    /// Characters of a row of a text, [`LENGTH`] where not given.
    pub length: Option<usize>,
}

impl Reading {
    /// Refuses what is said of cells and their columns where a file has none with names.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        if matches!(extension(&path.to_string_lossy()).as_str(), "csv" | "tsv") {
            return Ok(());
        }
        if !self.columns.is_empty() || !self.drop.is_empty() {
            return Err(Error::file(path, "columns are chosen by name in text files with a header line alone"));
        }
        match self.delimiter {
            None => Ok(()),
            Some(_) => Err(Error::file(path, "no cells are separated there: a delimiter is for text files")),
        }
    }
}

/// As [`load_with`], in the usual way.
///
/// # Errors
/// As [`load_with`].
pub fn load(path: impl AsRef<Path>) -> Result<Loaded> {
    load_with(path, &Reading::default())
}

/// Reads `.npy`, `.npz`, `.csv` (cells separated by commas, semicolons, tabs or bars), IDX, `.bin` of CIFAR-10 (each also `.gz`, but
/// the archives), `.npz` of down-sampled ImageNet; `.txt`, or any file as text where that is asked for; a PNG or JPEG image, a folder of
/// such images of one size, or of the training batches of CIFAR-10 or of ImageNet. Of an image, eight bits a channel are read, and no
/// transparency.
///
/// A missing value is NaN in a float array, −1 in an integer array, an empty cell in CSV.
/// Of an `.npz` with several arrays, `path.npz:name` takes the one called `name`.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is truncated, of another format, or malformed.
pub fn load_with(path: impl AsRef<Path>, reading: &Reading) -> Result<Loaded> {
    let path = path.as_ref();
    let text = path.to_string_lossy();
    if let Some((file, member)) = text.rsplit_once(".npz:") {
        return npy::load_npz(Path::new(&format!("{file}.npz")), Some(member)).map(Loaded::Array);
    }
    let extension = extension(&text);
    let form = reading.text.or((extension == "txt").then_some(TextForm::AsIs));
    if let (None, Some(_)) = (form, reading.length) {
        return Err(Error::file(
            path,
            "not text, of which rows have a length: leave out --length, or say what it is with --text",
        ));
    }
    reading.check(path)?;
    if let Some(form) = form {
        return text::load(path, form, reading);
    }
    if let Some(pictures) = Pictures::at(path)? {
        return pictures.load().map(Loaded::Array);
    }
    match extension.as_str() {
        "npy" => npy::load_npy(path).map(Loaded::Array),
        "npz" => npy::load_npz(path, None).map(Loaded::Array),
        "csv" | "tsv" => csv::load(path, reading).map(Loaded::Columns),
        "parquet" => Err(Error::file(
            path,
            "Parquet is not read here, as its reader would double the build: save it as .csv or .npy",
        )),
        _ if idx::recognises(path)? => idx::load(path).map(Loaded::Array),
        _ => Err(Error::file(
            path,
            "not a format that is read here: .npy, .npz, .csv, .txt, IDX, CIFAR-10's .bin, an image, or a folder of images",
        )),
    }
}

/// The extension in lower case, a final `.gz` left aside.
fn extension(name: &str) -> String {
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Path::new(name).extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Opens a file, through gzip where its first two bytes say so.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path.metadata().map_err(Error::io(path))?.file_type().is_dir() {
        return Err(Error::file(path, "a folder"));
    }
    if !path.is_file() {
        return Err(Error::file(path, "a pipe or a device, which cannot be read twice: save it to a file first"));
    }
    let file = || File::open(path).map_err(Error::io(path));
    let mut magic = [0; 2];
    let is_gzip = file()?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let reader = std::io::BufReader::new(file()?);
    Ok(if is_gzip { Box::new(flate2::read::MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}

/// Number of elements of `shape`, or an error where it overflows.
pub(crate) fn elements(path: &Path, shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1_usize, |n, d| n.checked_mul(*d))
        .filter(|n| *n <= isize::MAX as usize / 8)
        .ok_or_else(|| Error::file(path, format!("an array of shape {shape:?} cannot exist")))
}

/// Reads exactly `length` bytes without allocating more than the file really holds.
fn read_exactly(path: &Path, mut from: impl Read, length: usize) -> Result<Vec<u8>> {
    crate::memory::afford(Some(length), 2, "its values", "cut the file into parts")
        .map_err(|e| Error::file(path, e))?;
    let mut bytes = Vec::new();
    let found = from.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(|e| Error::file(path, e))?;
    if found < length {
        return Err(Error::file(path, format!("truncated: its header promises {length} bytes, {found} are there")));
    }
    let mut extra = [0];
    if from.read(&mut extra).map_err(|e| Error::file(path, e))? > 0 {
        return Err(Error::file(path, format!("longer than its header says: more than {length} bytes")));
    }
    Ok(bytes)
}
