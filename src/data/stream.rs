//! Rows read from disk as they are needed: a data set that does not fit in memory.

use super::{
    Coding, Dataset, MISSING, Reading, Rows, Schema, Unseen,
    load::{Array, Element, Pictures, Values},
};
use crate::{Error, Result};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

/// The most categories that codes tell apart.
const MOST: usize = MISSING as usize - 1;

/// The rows of an uncompressed, row-major `.npy` array, or pictures written to a temporary file, never all in memory.
#[derive(Debug)]
pub struct NpyRows {
    path: PathBuf,
    file: File,
    start: u64,
    element: Element,
    rows: usize,
    schema: Schema,
    unseen: Unseen,
}

impl NpyRows {
    /// Opens an array of shape `(rows, …)` whose values are categories `0..categories`.
    ///
    /// # Errors
    /// When the file is not such an array, or shorter than its header says. Values are checked as they are read.
    pub fn open(path: impl AsRef<Path>, categories: usize) -> Result<Self> {
        let path = path.as_ref();
        if !(1..=MOST).contains(&categories) {
            let problem = format!("{categories} categories; 1 to {MOST} are read: bin larger numbers first");
            return Err(Error::file(path, problem));
        }
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
        let (path, file, unseen) = (path.to_path_buf(), file, Unseen::Error);
        Ok(Self { path, file, start, element, rows: *rows, schema, unseen })
    }

    /// Pictures of `categories` levels, or of as many as they are found to have, decoded once into a temporary file without a name.
    ///
    /// # Errors
    /// When one is damaged or of another size than the first, or the disk is full.
    fn of_pictures(origin: &Path, pictures: &Pictures, categories: Option<usize>) -> Result<Self> {
        let folder = std::env::temp_dir();
        let mut file = tempfile::tempfile().map_err(Error::io(&folder))?;
        let (mut bytes, mut largest) = (0, 0);
        let shape = pictures.for_each(|pixels| {
            bytes += pixels.len();
            largest = pixels.iter().copied().fold(largest, u8::max);
            file.write_all(&pixels).map_err(Error::io(&folder))
        })?;
        let schema = Schema::uniform(&shape, categories.unwrap_or(usize::from(largest) + 1));
        let (path, rows) = (origin.to_path_buf(), bytes / schema.len());
        Ok(Self { path, file, start: 0, element: Element::BYTE, rows, schema, unseen: Unseen::Error })
    }

    /// The bytes of these rows; consecutive ones are read together.
    fn read_rows(&self, rows: &[usize]) -> Result<Vec<u8>> {
        let width = self.schema.len() * self.element.size;
        let mut bytes = vec![0; rows.len() * width];
        let mut left = &mut bytes[..];
        for run in rows.chunk_by(|a, b| a + 1 == *b) {
            let (now, after) = left.split_at_mut(run.len() * width);
            read_at(&self.file, now, self.start + (run[0] * width) as u64).map_err(Error::io(&self.path))?;
            left = after;
        }
        Ok(bytes)
    }
}

/// Fills `bytes` from that place of a file on.
#[cfg(unix)]
pub(super) fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, place)
}

/// The same where a file is read from where it stands.
#[cfg(not(unix))]
pub(super) fn read_at(mut file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    use io::Read;
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(io::SeekFrom::Start(place))?;
    file.read_exact(bytes)
}

/// Rows of a batch that one task reads: what it decodes stays in the cache.
const AT_ONCE: usize = 32;

impl Rows for NpyRows {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.rows
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        let width = self.schema.len();
        into.resize(rows.len() * width, MISSING);
        let parts = rows.par_chunks(AT_ONCE).zip(into.par_chunks_mut(AT_ONCE * width)).map(|(rows, into)| {
            let values = self.element.decode(&self.path, self.read_rows(rows)?)?;
            let (origin, shape) = (self.path.display().to_string(), vec![rows.len(), width]);
            Array { origin, shape, values }.codes(&self.schema, self.unseen, |row| rows[row], into)
        });
        // The first error in the order of the rows, whichever thread was the first.
        parts.collect::<Vec<_>>().into_iter().collect()
    }
}

/// Files larger than this are read from disk batch by batch, bytes.
const LARGE: u64 = 1 << 30;

/// The rows of any file that [`load`](super::load()) reads, as categories: in memory; or from disk where an `.npy` is larger than
/// 1 GiB, or pictures are, which are decoded into a temporary file then.
///
/// # Errors
/// As [`load`](super::load()) and [`Loaded::discrete`](super::Loaded::discrete).
pub fn open_rows(path: impl AsRef<Path>, reading: &Reading, coding: Coding) -> Result<Box<dyn Rows>> {
    let path = path.as_ref();
    reading.check(path)?;
    match streamed(path, coding, LARGE)? {
        Some(rows) => Ok(Box::new(rows)),
        None => Ok(Box::new(super::load_with(path, reading)?.discrete(coding)?)),
    }
}

/// The rows of any file as a model with these columns reads them, by their names where the file has names; with notes for the
/// user: columns that the model does not use.
///
/// # Errors
/// As [`open_rows`] and [`Loaded::continuous`](super::Loaded::continuous).
pub fn open_for(path: impl AsRef<Path>, reading: &Reading, schema: &Schema) -> Result<(Box<dyn Rows>, Vec<String>)> {
    let path = path.as_ref();
    reading.check(path)?;
    if !schema.is_continuous()
        && let Some(rows) = streamed(path, Coding::Use(schema, reading.unseen), LARGE)?
    {
        return Ok((Box::new(rows), vec![]));
    }
    let (rows, notes) = Dataset::load(path, reading, schema)?;
    Ok((Box::new(rows), notes))
}

/// The rows of a file that is read batch by batch; none where it has no more than `large` bytes, or is of another kind.
fn streamed(path: &Path, coding: Coding, large: u64) -> Result<Option<NpyRows>> {
    let (known, unseen) = match coding {
        Coding::Use(schema, unseen) => (Some(schema.variables.iter().map(|v| v.categories).max().unwrap_or(1)), unseen),
        Coding::Learn(categories) => (categories, Unseen::Error),
    };
    let is_npy = path.extension().is_some_and(|e| e == "npy");
    let rows = if is_npy && path.metadata().is_ok_and(|m| m.is_file() && m.len() > large) {
        let categories = known.map_or_else(|| Ok(largest_category(path)?.saturating_add(1)), Ok)?;
        NpyRows::open(path, categories)?
    } else {
        match (path.exists() && !is_npy).then(|| Pictures::at(path)).transpose()?.flatten() {
            Some(pictures) if pictures.size()? > large => NpyRows::of_pictures(path, &pictures, known)?,
            _ => return Ok(None),
        }
    };
    // The columns of a model may differ in their categories.
    let schema = match coding {
        Coding::Use(schema, _) if schema.len() == rows.schema.len() => {
            schema.check_shape(&rows.schema.shape).map_err(|e| Error::file(path, e))?;
            schema.clone()
        }
        Coding::Use(schema, _) => {
            let (expected, found, shape) = (schema.len(), rows.schema.len(), &rows.schema.shape);
            let problem = format!("rows of {found} values (shape {shape:?}); the model has {expected}");
            return Err(Error::file(path, problem));
        }
        Coding::Learn(_) => rows.schema.clone(),
    };
    Ok(Some(NpyRows { unseen, schema, ..rows }))
}

/// The largest value of an array, read block by block.
fn largest_category(path: &Path) -> Result<usize> {
    let rows = NpyRows::open(path, MOST)?;
    let mut largest = 0;
    let block = (1 << 20) / rows.schema.len() + 1;
    for first in (0..rows.rows).step_by(block) {
        let bytes = rows.read_rows(&(first..rows.rows.min(first + block)).collect::<Vec<_>>())?;
        largest = largest.max(match rows.element.decode(path, bytes)? {
            Values::Bytes(v) => v.into_iter().max().unwrap_or(0) as usize,
            Values::Integers(v) => v.into_iter().max().unwrap_or(0).max(0) as usize,
            Values::Reals(v) => v.into_iter().fold(0.0, f64::max) as usize,
        });
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load::write_npy;

    #[test]
    fn rows_on_disk_are_the_rows_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        let values: Vec<i32> = (0..5 * 3).map(|i| if i == 7 { -1 } else { i % 6 }).collect();
        write_npy(&path, &[5, 3], &values).unwrap();
        assert_eq!(largest_category(&path).unwrap(), 5);
        let disk = NpyRows::open(&path, 6).unwrap();
        let memory = super::super::load(&path).unwrap().discrete(Coding::Learn(None)).unwrap();
        let mut codes = Vec::new();
        disk.read(&[4, 0, 1, 2], &mut codes).unwrap();
        assert_eq!(codes, memory.select(&[4, 0, 1, 2]).codes());
        assert_eq!((disk.len(), disk.schema()), (memory.len(), memory.schema()));
        let error = NpyRows::open(&path, 4).unwrap().read(&[0, 1], &mut codes).unwrap_err().to_string();
        assert!(error.contains("row 1 (from 0), column x1: category 4 is outside 0..=3"), "{error}");
        for none in [0, usize::from(u16::MAX), 70_000] {
            assert!(NpyRows::open(&path, none).unwrap_err().to_string().contains("1 to 65534 are read"));
        }
        // Whether in memory or not, they are the same rows.
        let streamed = streamed(&path, Coding::Learn(None), 1).unwrap().unwrap();
        assert_eq!((streamed.len(), streamed.schema()), (5, memory.schema()));
        assert!(super::streamed(&path, Coding::Learn(None), LARGE).unwrap().is_none());
        let other = Schema::uniform(&[4], 6);
        let error = super::streamed(&path, Coding::Use(&other, Unseen::Error), 1).unwrap_err().to_string();
        assert!(error.contains("rows of 3 values (shape [3]); the model has 4"), "{error}");
        let large = folder.path().join("large.npy");
        write_npy(&large, &[2, 1], &[3, 65_536]).unwrap();
        let error = NpyRows::open(&large, MOST).unwrap().read(&[0, 1], &mut codes).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("too large"), "{error}");
        std::fs::write(&path, &std::fs::read(&path).unwrap()[..150]).unwrap();
        assert!(NpyRows::open(&path, 6).unwrap_err().to_string().contains("22 are there"));
    }

    #[test]
    fn pictures_on_disk_are_the_pictures_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let batch = |name: &str, first: u8| {
            let record = |i: u8| (0..3073).map(move |k: u16| if k == 0 { i % 10 } else { (k as u8) / 2 + i });
            std::fs::write(folder.path().join(name), (first..first + 3).flat_map(record).collect::<Vec<u8>>()).unwrap();
        };
        batch("data_batch_1.bin", 0);
        batch("data_batch_2.bin", 3);
        let memory = super::super::load(folder.path()).unwrap().discrete(Coding::Learn(None)).unwrap();
        let disk = streamed(folder.path(), Coding::Learn(None), 1000).unwrap().unwrap();
        assert_eq!((disk.len(), disk.schema()), (6, memory.schema()));
        let mut codes = Vec::new();
        disk.read(&[5, 0, 3], &mut codes).unwrap();
        assert_eq!(codes, memory.select(&[5, 0, 3]).codes());
        assert!(streamed(folder.path(), Coding::Learn(None), 1 << 20).unwrap().is_none());
        let few = Schema::uniform(&[3, 32, 32], 100);
        let disk = streamed(folder.path(), Coding::Use(&few, Unseen::Error), 1000).unwrap().unwrap();
        assert!(disk.read(&[0], &mut codes).unwrap_err().to_string().contains("is outside 0..=99"));
        std::fs::write(folder.path().join("data_batch_3.bin"), [0; 10]).unwrap();
        assert!(streamed(folder.path(), Coding::Learn(None), 1000).unwrap_err().to_string().contains("truncated"));
    }
}
