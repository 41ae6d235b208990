//! Rows read from disk as they are needed: a data set that does not fit in memory.

use super::{Discrete, MISSING, Rows, Schema, load::Values};
use crate::{Error, Result, data::load::Element};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The rows of an uncompressed, row-major `.npy` array, never all in memory.
#[derive(Debug)]
pub struct NpyRows {
    path: PathBuf,
    file: Mutex<File>,
    start: u64,
    element: Element,
    rows: usize,
    schema: Schema,
}

impl NpyRows {
    /// Opens an array of shape `(rows, …)` whose values are categories `0..categories`.
    ///
    /// # Errors
    /// When the file is not such an array, or shorter than its header says. Values are checked as they are read.
    pub fn open(path: impl AsRef<Path>, categories: usize) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(Error::io(path))?;
        let (element, layout, shape) = super::load::read_header(path, &mut file)?;
        let start = file.stream_position().map_err(Error::io(path))?;
        let [rows, row @ ..] = shape.as_slice() else { return Err(Error::file(path, "an array without rows")) };
        if layout.is_fortran() && !row.is_empty() {
            return Err(Error::file(path, "column-major; save it with numpy.ascontiguousarray first"));
        }
        let row = if row.is_empty() { &[1][..] } else { row };
        let length = super::load::elements(path, &shape)? as u64 * element.size as u64;
        let available = file.metadata().map_err(Error::io(path))?.len() - start;
        if *rows == 0 || length == 0 || available < length {
            return Err(Error::file(path, format!("shape {shape:?} needs {length} bytes, {available} are there")));
        }
        let schema = Schema::uniform(row, categories);
        Ok(Self { path: path.to_path_buf(), file: Mutex::new(file), start, element, rows: *rows, schema })
    }

    fn read_rows(&self, first: usize, count: usize) -> Result<Vec<u8>> {
        let width = self.schema.len() * self.element.size;
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut bytes = vec![0; count * width];
        file.seek(SeekFrom::Start(self.start + (first * width) as u64)).map_err(Error::io(&self.path))?;
        BufReader::with_capacity(bytes.len().min(1 << 16), &mut *file)
            .read_exact(&mut bytes)
            .map_err(Error::io(&self.path))?;
        Ok(bytes)
    }
}

impl Rows for NpyRows {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        // Consecutive rows are read together.
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let values = self.element.decode(&self.path, self.read_rows(run[0], run.len())?)?;
            let array = super::load::Array {
                origin: format!("{} (from row {})", self.path.display(), run[0]),
                shape: vec![run.len(), self.schema.len()],
                values,
            };
            let block = super::Loaded::Array(array).discrete(super::Coding::Use(&self.schema))?;
            into.extend_from_slice(block.codes());
        }
        Ok(())
    }
}

impl NpyRows {
    /// Reads everything, for data that fits after all.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn into_memory(self) -> Result<Discrete> {
        let mut codes = Vec::new();
        self.read(&(0..self.rows).collect::<Vec<_>>(), &mut codes)?;
        Discrete::new(self.schema, codes)
    }
}

/// The largest category of an array of bytes or integers, read block by block.
///
/// # Errors
/// As [`Rows::read`].
pub fn largest_category(path: &Path) -> Result<usize> {
    let rows = NpyRows::open(path, MISSING as usize - 1)?;
    let mut largest = 0;
    let block = (1 << 20) / rows.schema.len().max(1) + 1;
    for first in (0..rows.rows).step_by(block) {
        let bytes = rows.read_rows(first, block.min(rows.rows - first))?;
        largest = largest.max(match rows.element.decode(path, bytes)? {
            Values::Bytes(v) => v.into_iter().max().unwrap_or(0) as usize,
            Values::Integers(v) => v.into_iter().max().unwrap_or(0).max(0) as usize,
            Values::Reals(v) => v.into_iter().fold(0.0, f64::max) as usize,
        });
    }
    Ok(largest)
}
