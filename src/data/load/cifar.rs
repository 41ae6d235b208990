//! The binary version of CIFAR-10: records of a label and a picture, red, green, blue.

use super::open;
use crate::{Error, Result, memory::afford};
use std::{io::Read, path::Path};

const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
const CLASSES: u8 = 10;

/// Whether the file is meant to be such records: it is called `.bin`, and is no IDX file of that name.
pub(super) fn recognises(path: &Path) -> Result<bool> {
    Ok(super::extension(&path.to_string_lossy()) == "bin" && !super::idx::is_certainly(path)?)
}

/// The pictures of a batch: `(3, 32, 32)`, and their pixels.
pub(super) fn read(path: &Path) -> Result<([usize; 3], Vec<u8>)> {
    let (mut from, mut pixels) = (open(path)?, Vec::new());
    let mut record = Vec::with_capacity(RECORD);
    for number in 0.. {
        if pixels.capacity() - pixels.len() < PIXELS {
            // A compressed file does not say how much it holds.
            let more = (2 * pixels.len()).max(RECORD << 6);
            afford(Some(more), 3, "its pictures", "take fewer files").map_err(|e| Error::file(path, e))?;
            pixels.reserve(more - pixels.len());
        }
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
    if pixels.is_empty() {
        return Err(Error::file(path, "no picture"));
    }
    Ok(([3, 32, 32], pixels))
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
        says("first.bin", record(200, 1), "record 0: label 200");
        says("empty.bin", vec![], "no picture");
        // Label and first pixel 0 look like the beginning of an IDX file, and are none.
        let dark = write("dark.bin", [record(0, 0), record(0, 0)].concat());
        assert_eq!(pictures(load(&dark).unwrap()).0, [2, 3, 32, 32]);
        // An IDX file as long as a record.
        let idx = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 3, 251][..], &[7; 3 * 1019]].concat();
        assert_eq!(pictures(load(write("idx.bin", idx)).unwrap()).0, [3, 1, 1019]);
        write("a.png", vec![]);
        assert!(
            load(folder.path()).unwrap_err().to_string().contains("a.png: beside CIFAR-10's batches: which are meant?")
        );
    }
}
