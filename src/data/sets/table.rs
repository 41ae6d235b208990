//! Tables of real numbers.

use crate::{
    Error, Result,
    data::load::{Column, Loaded, Values, load},
};
use std::path::Path;

/// Named columns of real numbers, NaN where a value is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    names: Vec<String>,
    values: Vec<f64>,
}

impl Table {
    /// `values` row after row.
    ///
    /// # Errors
    /// When there is no column, no row, or no whole number of rows; also for an infinite value.
    pub fn new(names: Vec<String>, values: Vec<f64>) -> Result<Self> {
        if names.is_empty() || values.is_empty() || !values.len().is_multiple_of(names.len()) {
            return Err(Error::invalid(format!("{} values are not whole rows of {}", values.len(), names.len())));
        }
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            let place = format!("row {}, column {}", i / names.len(), names[i % names.len()]);
            return Err(Error::invalid(format!("{place}: an infinite value")));
        }
        Ok(Self { names, values })
    }

    /// Reads a table from any file that [`load`] reads.
    ///
    /// # Errors
    /// As [`load`]; also for a column of words.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match load(path)? {
            Loaded::Array(array) => {
                let [_, row @ ..] = array.shape.as_slice() else { return Err(Error::file(path, "no rows")) };
                let names = (0..row.iter().product()).map(|i| format!("x{i}")).collect();
                let values = match array.values {
                    Values::Bytes(v) => v.into_iter().map(f64::from).collect(),
                    Values::Integers(v) => v.into_iter().map(|i| if i == -1 { f64::NAN } else { i as f64 }).collect(),
                    Values::Reals(v) => v,
                };
                Self::new(names, values).map_err(|e| Error::file(path, e))
            }
            Loaded::Columns(frame) => {
                let mut values = vec![0.0; frame.rows * frame.names.len()];
                for (c, column) in frame.columns.iter().enumerate() {
                    let Column::Numbers(numbers) = column else {
                        return Err(Error::at(
                            path,
                            format!("column {}", frame.names[c]),
                            "words where numbers are needed",
                        ));
                    };
                    numbers.iter().enumerate().for_each(|(row, v)| values[row * frame.names.len() + c] = *v);
                }
                Self::new(frame.names, values).map_err(|e| Error::file(path, e))
            }
        }
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len()
    }

    /// Never true: a table without rows cannot be made.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.names.len()..(row + 1) * self.names.len()]
    }

    /// The rows with these indices, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self { names: self.names.clone(), values: rows.iter().flat_map(|r| self.row(*r)).copied().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_value_is_named() {
        let names = vec!["a".to_string(), "b".to_string()];
        let error = Table::new(names.clone(), vec![0.0, 1.0, 2.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error.to_string(), "row 1, column b: an infinite value");
        let table = Table::new(names, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((table.len(), table.row(1)), (2, &[2.0, 3.0][..]));
    }
}
