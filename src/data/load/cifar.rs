//! The binary version of CIFAR-10: records of a label and a picture, red, green, blue.

use super::{Array, Values, open};
use crate::{Error, Result, memory::afford};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
const CLASSES: u8 = 10;

/// Whether the file can be nothing else: it is called `.bin`, and of whole records whose labels are classes.
pub(super) fn recognises(path: &Path) -> Result<bool> {
    let mut first = [0];
    let is_label = open(path)?.read_exact(&mut first).is_ok() && first[0] < CLASSES;
    let (is_bin, length) =
        (super::extension(&path.to_string_lossy()) == "bin", path.metadata().map_err(Error::io(path))?.len());
    // An IDX file may be called so, too; what is neither is called damaged.
    let is_idx = super::idx::recognises(path)? && !length.is_multiple_of(RECORD as u64);
    Ok(is_label && is_bin && !is_idx)
}

/// The files `data_batch_1.bin` and so on of a folder, in order; none where it has none.
pub(super) fn batches(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(Error::io(folder))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("data_batch_") && name.ends_with(".bin")
        })
        .collect();
    files.sort();
    Ok(files)
}

/// The pictures of some files, `(pictures, 3, 32, 32)`.
pub(super) fn load(origin: &Path, files: &[PathBuf]) -> Result<Array> {
    let mut pixels = Vec::new();
    for path in files {
        let bytes = path.metadata().map_err(Error::io(path))?.len() as usize;
        afford(Some(pixels.len() + bytes), 3, "its pictures", "take fewer files").map_err(|e| Error::file(path, e))?;
        let mut from = open(path)?;
        let mut record = Vec::with_capacity(RECORD);
        for number in 0.. {
            record.clear();
            let found = from.by_ref().take(RECORD as u64).read_to_end(&mut record).map_err(|e| Error::file(path, e))?;
            match (found, record.first()) {
                (0, _) => break,
                (RECORD, Some(label)) if *label < CLASSES => pixels.extend_from_slice(&record[1..]),
                (RECORD, Some(label)) => {
                    let problem = format!("label {label}, where CIFAR-10 has classes 0 to 9");
                    return Err(Error::at(path, format!("record {number}"), problem));
                }
                _ => {
                    let problem = format!("truncated: {found} bytes of a record of {RECORD}");
                    return Err(Error::at(path, format!("record {number}"), problem));
                }
            }
        }
    }
    if pixels.is_empty() {
        return Err(Error::file(origin, "no picture"));
    }
    let shape = vec![pixels.len() / PIXELS, 3, 32, 32];
    Ok(Array { origin: origin.display().to_string(), shape, values: Values::Bytes(pixels) })
}

#[cfg(test)]
mod tests {
    use crate::data::load::{Loaded, Values, load};

    #[test]
    fn records_are_pictures_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8, level: u8| {
            let mut record = vec![level; super::RECORD];
            record[0] = label;
            record
        };
        let write = |name: &str, bytes: Vec<u8>| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let one = write("data_batch_1.bin", [record(3, 10), record(9, 20)].concat());
        write("data_batch_2.bin", record(0, 30));
        write("test_batch.bin", record(0, 40));
        let pictures = |loaded: Loaded| match loaded {
            Loaded::Array(array) => match array.values {
                Values::Bytes(bytes) => (array.shape, bytes),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let (shape, bytes) = pictures(load(&one).unwrap());
        assert_eq!((shape, bytes[0], bytes[3072]), (vec![2, 3, 32, 32], 10, 20));
        let (shape, bytes) = pictures(load(folder.path()).unwrap());
        assert_eq!((shape, bytes[2 * 3072]), (vec![3, 3, 32, 32], 30));
        let says = |name: &str, bytes: Vec<u8>, what: &str| {
            let error = load(write(name, bytes)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        says("cut.bin", record(1, 1)[..3000].to_vec(), "record 0: truncated: 3000 bytes of a record of 3073");
        says("label.bin", [record(1, 1), record(10, 1)].concat(), "record 1: label 10");
        says("other.bin", vec![200; 50], "not a format that is read here");
    }
}
