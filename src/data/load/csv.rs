//! CSV with a header line.

use super::open;
use crate::{Error, Result};
use std::path::Path;

/// One column of a CSV file.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Every cell is a number or empty (NaN).
    Numbers(Vec<f64>),
    /// Some cell is not a number; an empty cell is `None`.
    Words(Vec<Option<String>>),
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

pub(super) fn load(path: &Path) -> Result<Frame> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(open(path)?);
    let header = reader.headers().map_err(|e| problem(path, &e))?.clone();
    let names: Vec<String> = header.iter().map(str::to_string).collect();
    if names.is_empty() {
        return Err(Error::file(path, "empty: a header line with the names of the columns is needed"));
    }
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err(Error::at(path, "line 1", "all numbers: a header line with the names of the columns is needed"));
    }
    if let Some(i) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
        return Err(Error::at(path, "line 1", format!("two columns are called {}", names[i])));
    }
    if let [only] = &names[..]
        && only.contains([';', '\t'])
    {
        return Err(Error::at(path, "line 1", "one column, and no comma: separate the cells by commas"));
    }
    let mut cells: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(|e| problem(path, &e))?;
        for (column, cell) in cells.iter_mut().zip(record.iter()) {
            if cell.contains('\n') {
                let at = record.position().map_or(0, csv::Position::line);
                return Err(Error::at(path, format!("line {at}"), "a quote that is not closed on its line"));
            }
            column.push((!cell.is_empty()).then(|| cell.to_string()));
        }
    }
    let rows = cells[0].len();
    if rows == 0 {
        return Err(Error::file(path, "a header line and no row"));
    }
    Ok(Frame { origin: path.display().to_string(), names, columns: cells.into_iter().map(typed).collect(), rows })
}

fn typed(cells: Vec<Option<String>>) -> Column {
    let number = |cell: &Option<String>| cell.as_ref().map_or(Some(f64::NAN), |text| text.parse().ok());
    match cells.iter().map(number).collect() {
        Some(numbers) => Column::Numbers(numbers),
        None => Column::Words(cells),
    }
}

fn problem(path: &Path, error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let row = pos.as_ref().map_or(0, csv::Position::line);
            Error::at(path, format!("line {row}"), format!("{len} cells where the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { pos, err } => {
            let row = pos.as_ref().map_or(0, csv::Position::line);
            Error::at(path, format!("line {row}, column {}", err.field() + 1), "not UTF-8 text")
        }
        _ => Error::file(path, error),
    }
}
