//! CSV with a header line, and its like with other delimiters.

use super::{Reading, open};
use crate::{Error, Result};
use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// One column of a CSV file, as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The cells one after the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
    /// Whether every cell is a number or empty.
    numeric: bool,
}

impl Column {
    fn new() -> Self {
        Self { bytes: vec![], ends: vec![], numeric: true }
    }

    /// Adds a cell, without the blanks around it; of a single blank nothing is taken away: [`Self::blank`].
    fn push(&mut self, cell: &str) -> Option<()> {
        let text = cell.trim();
        self.numeric &= text.is_empty() || text.parse::<f64>().is_ok();
        let is_one = text.is_empty() && cell.chars().count() == 1;
        self.bytes.extend_from_slice(if is_one { cell } else { text }.as_bytes());
        self.ends.push(u32::try_from(self.bytes.len()).ok()?);
        Some(())
    }

    /// Whether every cell is a number or empty.
    pub fn is_numeric(&self) -> bool {
        self.numeric
    }

    fn cell(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        std::str::from_utf8(&self.bytes[start..self.ends[row] as usize]).expect("cells are cut from text")
    }

    /// The text of a cell; none where it is empty or blank.
    pub fn text(&self, row: usize) -> Option<&str> {
        Some(self.cell(row)).filter(|cell| !cell.trim().is_empty())
    }

    /// A cell of a single blank, which is a letter where rows are text.
    pub fn blank(&self, row: usize) -> Option<&str> {
        Some(self.cell(row)).filter(|cell| !cell.is_empty() && cell.trim().is_empty())
    }

    /// The number in a cell; NaN where it is empty or none.
    pub fn number(&self, row: usize) -> f64 {
        self.text(row).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }
}

/// Named columns of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The file it came from, for messages.
    pub origin: String,
    /// One name a column.
    pub names: Vec<String>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
}

/// What may separate cells where nothing is said.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(super) fn load(path: &Path, reading: &Reading) -> Result<Frame> {
    let mut from = BufReader::with_capacity(1 << 16, open(path)?);
    let first = from.fill_buf().map_err(|e| Error::file(path, e))?;
    let delimiter = reading.delimiter.unwrap_or_else(|| delimiter(first));
    let single = !header_has(first, delimiter);
    let from: Box<dyn Read> = if single { Box::new(BlankLines::new(from)) } else { Box::new(from) };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::Headers).from_reader(from);
    let header = reader.headers().map_err(|e| problem(path, &e, false))?.clone();
    let names: Vec<String> = header.iter().map(str::to_string).collect();
    check_names(path, &names)?;
    let kept = reading.kept(path, &names)?;
    let mut columns: Vec<Column> = kept.iter().map(|_| Column::new()).collect();
    let mut broken = false;
    for record in reader.records() {
        let record = record.map_err(|e| problem(path, &e, broken))?;
        broken = record.iter().any(|cell| cell.contains('\n'));
        for (column, place) in columns.iter_mut().zip(&kept) {
            let too_large = || Error::file(path, "a column of more than 4 GiB of text");
            column.push(record.get(*place).unwrap_or_default()).ok_or_else(too_large)?;
        }
    }
    let rows = columns.first().map_or(0, |column| column.ends.len());
    if rows == 0 {
        return Err(Error::file(path, "a header line and no row"));
    }
    let names = kept.iter().map(|place| names[*place].clone()).collect();
    Ok(Frame { origin: path.display().to_string(), names, columns, rows })
}

fn check_names(path: &Path, names: &[String]) -> Result<()> {
    if names.is_empty() || names.iter().all(String::is_empty) {
        return Err(Error::file(path, "empty: a header line with the names of the columns is needed"));
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err(Error::at(path, "line 1", "all numbers: a header line with the names of the columns is needed"));
    }
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(Error::at(path, "line 1", format!("two columns are called {twice}"))),
        None => Ok(()),
    }
}

impl Reading {
    /// Which columns are kept, in the order of the file.
    pub(super) fn kept(&self, path: &Path, names: &[String]) -> Result<Vec<usize>> {
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let find = |name: &String| {
            let more = if names.len() > 8 { ", …" } else { "" };
            let known = || names.iter().take(8).cloned().collect::<Vec<_>>().join(", ") + more;
            let missing = || Error::file(path, format!("no column called {name}; there are {}", known()));
            places.get(name.as_str()).copied().ok_or_else(missing)
        };
        let chosen: HashSet<usize> = self.columns.iter().map(find).collect::<Result<_>>()?;
        let dropped: HashSet<usize> = self.drop.iter().map(find).collect::<Result<_>>()?;
        let keeps = |i: &usize| (chosen.is_empty() || chosen.contains(i)) && !dropped.contains(i);
        let kept: Vec<usize> = (0..names.len()).filter(keeps).collect();
        match kept.is_empty() {
            true => Err(Error::file(path, "no column is left of those there are")),
            false => Ok(kept),
        }
    }
}

/// The first line, outside of quotes.
fn header(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut quoted = false;
    let mut outside = move |byte: &u8| {
        quoted ^= *byte == b'"';
        Some((!quoted).then_some(*byte))
    };
    text.iter().scan((), move |(), byte| outside(byte)).take_while(|byte| *byte != Some(b'\n')).flatten()
}

fn header_has(text: &[u8], delimiter: u8) -> bool {
    header(text).any(|byte| byte == delimiter)
}

/// What separates the names in the header: the most frequent of the usual ones.
fn delimiter(text: &[u8]) -> u8 {
    let count = |delimiter: &u8| header(text).filter(|byte| byte == delimiter).count();
    // The first of equals, as there are mostly none of the others.
    DELIMITERS.into_iter().rev().max_by_key(count).unwrap_or(b',')
}

/// A line without a cell, where there is a single column, is an empty cell: it becomes `""`, which the reader does not pass over.
struct BlankLines<R> {
    from: R,
    at_start: bool,
    quoted: bool,
    /// Bytes that were made and not yet given.
    ready: Vec<u8>,
}

impl<R: BufRead> BlankLines<R> {
    fn new(from: R) -> Self {
        Self { from, at_start: false, quoted: false, ready: vec![] }
    }
}

impl<R: BufRead> Read for BlankLines<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.ready.is_empty() {
            let bytes = self.from.fill_buf()?;
            for byte in bytes {
                if self.at_start && !self.quoted && matches!(byte, b'\n' | b'\r') {
                    self.ready.extend_from_slice(b"\"\"");
                }
                self.quoted ^= *byte == b'"';
                self.at_start = *byte == b'\n';
                self.ready.push(*byte);
            }
            let length = bytes.len();
            self.from.consume(length);
        }
        let n = into.len().min(self.ready.len());
        into[..n].copy_from_slice(&self.ready[..n]);
        self.ready.drain(..n);
        Ok(n)
    }
}

/// `broken` where the record before has a line break within quotes, as one has that is not closed.
fn problem(path: &Path, error: &csv::Error, broken: bool) -> Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let row = pos.as_ref().map_or(0, csv::Position::line);
            let quote = if broken { " (is a quote before it not closed?)" } else { "" };
            Error::at(path, format!("line {row}"), format!("{len} cells where the header has {expected_len}{quote}"))
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let row = pos.as_ref().map_or(0, csv::Position::line);
            Error::at(path, format!("line {row}, column {}", err.field() + 1), "not UTF-8 text")
        }
        _ => Error::file(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Result<Frame> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, text).unwrap();
        load(&path, &Reading::default())
    }

    #[test]
    fn delimiters_are_recognised() {
        for (text, names) in [
            ("a,b\n1,2\n", ["a", "b"]),
            ("a;b\n1,5;2\n", ["a", "b"]),
            ("a\tb\n1\t2\n", ["a", "b"]),
            ("\"a,x\";b\n1;2\n", ["a,x", "b"]),
        ] {
            assert_eq!(frame(text).unwrap().names, names, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_cell_may_hold_a_line_break_and_a_single_column_an_empty_line() {
        let two = frame("a,b\n\"x\ny\",2\nz,3\n").unwrap();
        assert_eq!((two.rows, two.columns[0].text(0)), (2, Some("x\ny")));
        let one = frame("a\n1\n\n3\r\n\r\n\"\n\n\"\n").unwrap();
        let texts: Vec<_> = (0..one.rows).map(|row| one.columns[0].text(row)).collect();
        assert_eq!(texts, [Some("1"), None, Some("3"), None, None]);
        let error = frame("a,b\n1,2\n\"3,4\n5,6\n").unwrap_err().to_string();
        assert!(error.contains("cells where the header has 2"), "{error}");
    }

    #[test]
    fn columns_are_kept_and_dropped_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, "a,b,c\n1,2,3\n").unwrap();
        let names = |columns: &[&str], drop: &[&str]| {
            let of = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
            load(&path, &Reading { columns: of(columns), drop: of(drop), ..Reading::default() }).map(|f| f.names)
        };
        assert_eq!(names(&["c", "a"], &[]).unwrap(), ["a", "c"]);
        assert_eq!(names(&[], &["b"]).unwrap(), ["a", "c"]);
        assert!(names(&["d"], &[]).unwrap_err().to_string().contains("no column called d; there are a, b, c"));
        assert!(names(&["a"], &["a"]).unwrap_err().to_string().contains("no column is left"));
    }
}
