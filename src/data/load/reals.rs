//! From what a file held to real numbers.

use super::{Array, Frame, Loaded, code::line};
use crate::{
    Error, Result,
    data::{Continuous, Schema},
};

impl Loaded {
    /// The rows as real numbers: of the columns that a model knows, by their names where the file has names; or of all columns.
    ///
    /// # Errors
    /// When a column is missing, or one of words, or a value is infinite: the message names its row and column.
    pub fn continuous(&self, columns: Option<&Schema>) -> Result<Continuous> {
        match self {
            Self::Array(array) => array.continuous(columns),
            Self::Columns(frame) => frame.continuous(columns),
            Self::Text(passage) => Err(Error::file(&passage.origin, "a text, and no columns of real numbers")),
        }
    }
}

fn finite(origin: &str, value: f64, place: impl Fn() -> String) -> Result<f64> {
    match value.is_infinite() {
        true => Err(Error::at(
            origin,
            place(),
            format!("{value}; a missing value is an empty cell in CSV, NaN in an array"),
        )),
        false => Ok(value),
    }
}

impl Array {
    fn continuous(&self, columns: Option<&Schema>) -> Result<Continuous> {
        let [rows, row @ ..] = self.shape.as_slice() else { return Err(Error::file(&self.origin, "no rows")) };
        let shape = if row.is_empty() { vec![1] } else { row.to_vec() };
        let width = shape.iter().product::<usize>();
        if *rows == 0 || width == 0 {
            return Err(Error::file(&self.origin, format!("shape {:?} holds no value", self.shape)));
        }
        let schema = match columns {
            Some(schema) if schema.len() == width => schema.clone(),
            Some(schema) => {
                let (expected, found) = (schema.len(), &self.shape);
                let problem = format!("rows of {width} values (shape {found:?}); the model has {expected}");
                return Err(Error::file(&self.origin, problem));
            }
            None => Schema { shape, ..Schema::reals(&(0..width).map(|i| format!("x{i}")).collect::<Vec<_>>()) },
        };
        let place = |i: usize| format!("row {} (from 0), column {}", i / width, schema.variables[i % width].name);
        let values = (0..rows * width).map(|i| finite(&self.origin, self.value(i), || place(i)));
        Continuous::of(&schema, values.collect::<Result<_>>()?).map_err(|e| Error::file(&self.origin, e))
    }
}

impl Frame {
    fn continuous(&self, columns: Option<&Schema>) -> Result<Continuous> {
        let schema = columns.map_or_else(|| Schema::reals(&self.names), Clone::clone);
        let width = schema.len();
        let mut values = vec![0.0; self.rows * width];
        for (v, c) in self.order(&schema)?.into_iter().enumerate() {
            let name = &self.names[c];
            let column = &self.columns[c];
            let is_word = |row: &usize| column.text(*row).is_some_and(|text| text.parse::<f64>().is_err());
            let wrong = if column.is_numeric() { None } else { (0..self.rows).find(is_word) };
            if let Some(row) = wrong {
                let word = column.text(row).unwrap_or_default();
                let remedy =
                    "words where numbers are needed; an empty cell is a missing value, `--drop` leaves the column out";
                return Err(Error::at(&self.origin, line(row, name), format!("{word:?}: {remedy}")));
            }
            for row in 0..self.rows {
                values[row * width + v] = finite(&self.origin, column.number(row), || line(row, name))?;
            }
        }
        Continuous::of(&schema, values).map_err(|e| Error::file(&self.origin, e))
    }
}
