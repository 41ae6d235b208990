//! Rows of real numbers that are made here and kept on disk.

use super::{Rows, Schema, stream::read_at};
use crate::{Error, Result};
use std::{fs::File, io::Write, path::PathBuf};

/// Rows of real numbers in single precision, in a temporary file without a name: whatever ends the program, nothing is left of it.
#[derive(Debug)]
pub struct Spilled {
    schema: Schema,
    file: File,
    rows: usize,
}

const NUMBER: usize = size_of::<f32>();

impl Spilled {
    /// No rows yet, in the folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(schema: Schema) -> Result<Self> {
        let file = tempfile::tempfile().map_err(Error::io(folder()))?;
        Ok(Self { schema, file, rows: 0 })
    }

    /// Adds whole rows.
    ///
    /// # Errors
    /// When the disk is full.
    ///
    /// # Panics
    /// When the numbers are no whole rows.
    pub fn push(&mut self, numbers: &[f32]) -> Result<()> {
        assert!(numbers.len().is_multiple_of(self.schema.len()), "whole rows");
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(Error::io(folder()))?;
        self.rows += numbers.len() / self.schema.len();
        Ok(())
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir()
}

impl Rows for Spilled {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn read(&self, _rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        Ok(())
    }

    fn read_reals(&self, rows: &[usize], into: &mut Vec<f64>) -> Result<()> {
        let width = self.schema.len() * NUMBER;
        into.clear();
        let mut bytes = Vec::new();
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            bytes.resize(run.len() * width, 0);
            read_at(&self.file, &mut bytes, (run[0] * width) as u64).map_err(Error::io(folder()))?;
            into.extend(bytes.chunks_exact(NUMBER).map(|x| f64::from(f32::from_le_bytes(x.try_into().expect("four")))));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_any_order() {
        let mut spilled = Spilled::new(Schema::reals(&["a".into(), "b".into()])).unwrap();
        spilled.push(&[]).unwrap();
        for block in [&[0.5, -1.0, 2.0, 3.0][..], &[4.0, f32::MAX]] {
            spilled.push(block).unwrap();
        }
        let mut read = vec![9.0];
        spilled.read_reals(&[2, 0, 1, 1], &mut read).unwrap();
        assert_eq!(read, [4.0, f64::from(f32::MAX), 0.5, -1.0, 2.0, 3.0, 2.0, 3.0]);
        assert_eq!(spilled.len(), 3);
        assert!(spilled.read_reals(&[3], &mut read).is_err(), "beyond the end");
    }
}
