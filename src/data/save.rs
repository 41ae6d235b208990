//! Categories out to files.

use super::{Discrete, MISSING, Rows, load::write_npy};
use crate::{Error, Result, archive::write_atomically};
use std::{io, path::Path};

/// Writes rows as `.npy` (`uint8`, or `int32` where a value is missing or above 255) or as `.csv` with names and words; of text as
/// `.txt`, a row a line.
///
/// # Errors
/// When the extension is another, or the file cannot be written.
pub fn save_discrete(path: impl AsRef<Path>, rows: &Discrete) -> Result<()> {
    let path = path.as_ref();
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("npy") => {
            let shape: Vec<usize> = std::iter::once(rows.len()).chain(rows.schema().shape.iter().copied()).collect();
            let bytes: Option<Vec<u8>> = rows.codes().iter().map(|code| u8::try_from(*code).ok()).collect();
            match bytes {
                Some(bytes) => write_npy(path, &shape, &bytes),
                None => {
                    let number = |code: &u16| if *code == MISSING { -1 } else { i32::from(*code) };
                    write_npy(path, &shape, &rows.codes().iter().map(number).collect::<Vec<_>>())
                }
            }
        }
        Some("txt") if rows.schema().alphabet().is_some() => {
            let lines = (0..rows.len()).map(|row| rows.text(row).unwrap_or_default() + "\n");
            let text: String = lines.collect();
            write_atomically(path, |file| io::Write::write_all(file, text.as_bytes()))
        }
        Some("csv") => write_atomically(path, |file| io::Write::write_all(file, &csv_bytes(rows))),
        _ => {
            let text = if rows.schema().alphabet().is_some() { ", .txt" } else { "" };
            Err(Error::file(path, format!("rows are written as .npy or .csv{text}: give one of these extensions")))
        }
    }
}

/// The rows as CSV with names and words.
pub(crate) fn csv_bytes(rows: &Discrete) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let variables = &rows.schema().variables;
    let mut write = |record: Vec<String>| writer.write_record(record).expect("memory can be written to");
    write(variables.iter().map(|v| v.name.clone()).collect());
    for row in 0..rows.len() {
        let cell = |(code, variable): (&u16, &super::Variable)| match (*code, &variable.words) {
            (MISSING, _) => String::new(),
            (code, Some(words)) => words[code as usize].clone(),
            (code, None) => code.to_string(),
        };
        write(rows.row(row).iter().zip(variables).map(cell).collect());
    }
    writer.into_inner().expect("memory can be written to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Coding, Schema, Unseen, load};

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let mut schema = Schema::uniform(&[2], 3);
        schema.variables[1].words = Some(["ash", "elm", "oak"].map(String::from).to_vec());
        let rows = Discrete::new(schema.clone(), vec![0, 2, MISSING, 1, 2, MISSING]).unwrap();
        for name in ["rows.npy", "rows.csv"] {
            let path = folder.path().join(name);
            save_discrete(&path, &rows).unwrap();
            assert_eq!(load(&path).unwrap().discrete(Coding::Use(&schema, Unseen::Error)).unwrap(), rows, "{name}");
        }
        assert!(save_discrete(folder.path().join("rows.txt"), &rows).is_err());
    }
}
