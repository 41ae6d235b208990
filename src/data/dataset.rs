//! Rows in memory, of whatever kind.

use super::{Coding, Continuous, Discrete, Reading, Rows, Schema, load_with, save_discrete};
use crate::{Error, Result};
use std::path::Path;

/// Rows of categories or of real numbers: what a model is asked about, or draws, whose family is not known.
#[derive(Clone, Debug, PartialEq)]
pub enum Dataset {
    /// Rows of categories.
    Discrete(Discrete),
    /// Rows of real numbers.
    Continuous(Continuous),
}

impl Dataset {
    /// Reads rows as a model with these columns does: by their names, where the file has names; with notes for the user: columns
    /// that the model does not use.
    ///
    /// # Errors
    /// As [`load_with`]; also when a column is missing, or a value does not fit its column.
    pub fn load(path: impl AsRef<Path>, reading: &Reading, schema: &Schema) -> Result<(Self, Vec<String>)> {
        let path = path.as_ref();
        let loaded = load_with(path, reading)?;
        let rows = match schema.is_continuous() {
            true => loaded.continuous(Some(schema)).map(Self::Continuous)?,
            false => loaded.discrete(Coding::Use(schema, reading.unseen)).map(Self::Discrete)?,
        };
        let notes = match loaded.unused(schema).as_slice() {
            [] => vec![],
            unused => {
                vec![format!("{}: not used, as the model has no such column: {}", path.display(), unused.join(", "))]
            }
        };
        Ok((rows, notes))
    }

    /// `n` rows in which every value is missing.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn all_missing(schema: &Schema, n: usize) -> Result<Self> {
        match schema.is_continuous() {
            true => Continuous::of(schema, vec![f64::NAN; n * schema.len()]).map(Self::Continuous),
            false if n == 0 => Err(Error::out_of_range("rows", n, "1 ≤ rows")),
            false => Ok(Self::Discrete(Discrete::all_missing(schema.clone(), n))),
        }
    }

    /// Whether a value is missing.
    pub fn is_missing(&self, row: usize, variable: usize) -> bool {
        match self {
            Self::Discrete(rows) => rows.row(row)[variable] == super::MISSING,
            Self::Continuous(rows) => rows.row(row)[variable].is_nan(),
        }
    }

    /// The rows with these indices, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Discrete(of) => Self::Discrete(of.select(rows)),
            Self::Continuous(of) => Self::Continuous(of.select(rows)),
        }
    }

    /// The categories.
    ///
    /// # Errors
    /// When they are real numbers.
    pub fn discrete(&self) -> Result<&Discrete> {
        match self {
            Self::Discrete(rows) => Ok(rows),
            Self::Continuous(_) => Err(Error::invalid("real numbers where categories are needed")),
        }
    }

    /// The real numbers.
    ///
    /// # Errors
    /// When they are categories.
    pub fn continuous(&self) -> Result<&Continuous> {
        match self {
            Self::Continuous(rows) => Ok(rows),
            Self::Discrete(_) => Err(Error::invalid("categories where real numbers are needed")),
        }
    }

    /// Writes the rows as `.npy` or `.csv`.
    ///
    /// # Errors
    /// As [`save_discrete`] and [`Continuous::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        match self {
            Self::Discrete(rows) => save_discrete(path, rows),
            Self::Continuous(rows) => rows.save(path),
        }
    }

    fn rows(&self) -> &dyn Rows {
        match self {
            Self::Discrete(rows) => rows,
            Self::Continuous(rows) => rows,
        }
    }
}

impl From<Discrete> for Dataset {
    fn from(rows: Discrete) -> Self {
        Self::Discrete(rows)
    }
}

impl From<Continuous> for Dataset {
    fn from(rows: Continuous) -> Self {
        Self::Continuous(rows)
    }
}

impl Rows for Dataset {
    fn schema(&self) -> &Schema {
        self.rows().schema()
    }

    fn len(&self) -> usize {
        self.rows().len()
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        self.rows().read(rows, into)
    }

    fn read_reals(&self, rows: &[usize], into: &mut Vec<f64>) -> Result<()> {
        self.rows().read_reals(rows, into)
    }
}
