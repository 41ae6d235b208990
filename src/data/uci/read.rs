//! The files in their formats.

use super::Matrix;
use crate::{
    Error, Result,
    data::load::{Loaded, Values, load},
};
use std::path::Path;

pub(super) fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "npy")
}

pub(super) fn array(path: &Path) -> Result<Matrix> {
    match load(path)? {
        Loaded::Array(array) if array.shape.len() == 2 => match array.values {
            Values::Reals(values) => Ok(Matrix { width: array.shape[1], values }),
            _ => Err(Error::file(path, "real numbers are expected")),
        },
        Loaded::Array(array) => {
            Err(Error::file(path, format!("shape {:?}; rows of numbers are expected", array.shape)))
        }
        Loaded::Columns(_) | Loaded::Text(_) => Err(Error::file(path, "an array is expected")),
    }
}

/// Sensors of a CSV file.
pub(super) fn sensors(path: &Path) -> Result<Matrix> {
    let Loaded::Columns(frame) = load(path)? else { return Err(Error::file(path, "columns are expected")) };
    let named = frame.names.iter().zip(&frame.columns);
    let columns: Vec<_> = named.filter(|(name, _)| !["Time", "Meth", "Eth"].contains(&name.as_str())).collect();
    if let Some((name, _)) = columns.iter().find(|(_, column)| !column.is_numeric()) {
        return Err(Error::at(path, format!("column {name}"), "words where numbers are needed"));
    }
    if columns.is_empty() {
        return Err(Error::file(path, "no column of a sensor"));
    }
    let rows = (0..frame.rows).flat_map(|i| columns.iter().map(move |(_, column)| column.number(i)));
    Ok(Matrix { width: columns.len(), values: rows.collect() })
}

/// Lines of numbers after `header` others, with `separator` between them. Cells beyond those of the first line are left out.
pub(super) fn text(path: &Path, header: usize, separator: impl Fn(char) -> bool + Copy) -> Result<Matrix> {
    lines(path, header, |line| {
        let cells = line.split(separator).map(str::trim).filter(|cell| !cell.is_empty());
        Some(cells.map(|cell| cell.parse().map_err(|_| format!("`{cell}` is not a number"))).collect())
    })
}

/// What `cells` makes of every line after the first `header`; nothing to leave a line out.
fn lines(
    path: &Path,
    header: usize,
    cells: impl Fn(&str) -> Option<std::result::Result<Vec<f64>, String>>,
) -> Result<Matrix> {
    use std::io::BufRead;
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let (mut width, mut values) = (0, Vec::new());
    for (i, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| Error::at(path, format!("line {}", i + 1), e))?;
        if i < header || line.trim().is_empty() {
            continue;
        }
        let Some(row) = cells(&line) else { continue };
        let row = row.map_err(|problem| Error::at(path, format!("line {}", i + 1), problem))?;
        if width == 0 {
            width = row.len();
        }
        if row.len() < width || width == 0 {
            let problem = format!("{} cells where the line before has {width}", row.len());
            return Err(Error::at(path, format!("line {}", i + 1), problem));
        }
        values.extend_from_slice(&row[..width]);
    }
    if width == 0 {
        return Err(Error::file(path, "no row of numbers"));
    }
    Ok(Matrix { width, values })
}

/// UCI's household file: `Date;Time;` and seven numbers, a question mark where one is missing.
pub(super) fn household(path: &Path) -> Result<Matrix> {
    lines(path, 1, |line| {
        let cells: Vec<&str> = line.split(';').map(str::trim).collect();
        if cells.iter().any(|cell| *cell == "?" || cell.is_empty()) {
            return None;
        }
        let time = cells.get(1).copied().unwrap_or_default();
        let minutes = || {
            let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
            Some(60.0 * parts.next()?? + parts.next()??)
        };
        let row = cells.iter().skip(2).map(|cell| cell.parse().map_err(|_| format!("`{cell}` is not a number")));
        Some(row.collect::<std::result::Result<Vec<f64>, String>>().and_then(|mut row| {
            row.push(minutes().ok_or_else(|| format!("`{time}` is not a time"))?);
            Ok(row)
        }))
    })
}

/// The number of signal events, which the first line tells, and all rows.
pub(super) fn events(path: &Path) -> Result<(usize, Matrix)> {
    use std::io::BufRead;
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut first = String::new();
    std::io::BufReader::new(file).read_line(&mut first).map_err(|e| Error::at(path, "line 1", e))?;
    let counts: Vec<usize> = first.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let [signal, _] = counts[..] else {
        return Err(Error::at(path, "line 1", "the numbers of signal and background events are expected"));
    };
    Ok((signal, text(path, 1, char::is_whitespace)?))
}
