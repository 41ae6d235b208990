//! Circuits over columns of real numbers, with Gaussian leaves.

use super::{Circuit, Moments, Summary, pass::heads::RowWeights};
use crate::{
    Error, Result,
    data::{Continuous, Rows, Schema, fingerprint},
    evidence::{Evidence, Exact, Space},
    model::{Model, ModelFile, Origin},
    random::Seed,
};
use std::{fmt, path::Path};

/// A circuit whose leaves are Gaussians: a deep mixture of normal distributions, of which every marginal and every
/// conditional is exact. Likelihoods are densities in the units of the data.
///
/// What needs categories ([`Circuit::conditionals`] as tables, compression, most probable rows) it does not have.
#[derive(Clone, PartialEq)]
pub struct RealCircuit(pub(super) Circuit);

impl std::fmt::Debug for RealCircuit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl RealCircuit {
    /// Log-density of each row, nats. A missing value is integrated over.
    ///
    /// # Errors
    /// When the rows have another number of columns.
    pub fn log_prob(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        Ok(self.0.score(rows, RowWeights::default())?.0)
    }

    /// The densities of the rows as exact evidence, in the units of the data.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when no value is known.
    pub fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        let (log_probs, known) = self.0.score(rows, RowWeights::default())?;
        Ok(Evidence::new(log_probs, Space::Continuous, self.0.vars())?.of_known(known)?.of_rows(fingerprint(rows)?))
    }

    /// Mean and variance of every column of every row given what the row knows, row after row.
    ///
    /// # Errors
    /// As [`Self::log_prob`].
    pub fn moments(&self, rows: &dyn Rows) -> Result<Vec<Moments>> {
        let found = self.0.all_conditionals(rows)?;
        let cells = (0..rows.len()).flat_map(|row| (0..self.0.vars()).map(move |v| (row, v)));
        Ok(cells
            .map(|(row, v)| {
                let [mean, square] = found.of_real(row, v);
                Moments { mean, variance: (square - mean * mean).max(0.0) }
            })
            .collect())
    }

    /// `n` independent rows.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Continuous> {
        let width = self.0.vars();
        self.complete(&self.table(vec![f64::NAN; n * width])?, seed)
    }

    /// Draws every missing value, those of a row jointly, given the values that are known.
    ///
    /// # Errors
    /// As [`Self::log_prob`].
    pub fn complete(&self, rows: &dyn Rows, seed: Seed) -> Result<Continuous> {
        let drawn = self.0.complete_rows(rows, 0, seed)?;
        self.table(drawn.into_iter().flat_map(|row| row.reals).collect())
    }

    fn table(&self, values: Vec<f64>) -> Result<Continuous> {
        let names = self.schema().variables.iter().map(|v| v.name.clone()).collect();
        Continuous::new(names, values)?.shaped(&self.schema().shape)
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        self.0.schema()
    }

    /// Number of parameters, of which each distribution determines its last.
    pub fn parameters(&self) -> usize {
        self.0.parameters()
    }

    /// What it is made of.
    pub fn summary(&self) -> Summary {
        self.0.summary()
    }

    /// Writes the circuit with its columns, and the hash of the `data` it was fitted to.
    ///
    /// # Errors
    /// As [`Circuit::save`].
    pub fn save(&self, path: impl AsRef<Path>, data: &dyn Rows) -> Result<()> {
        (self as &dyn Model).save(path, &Origin::of(data)?)
    }

    /// Reads a circuit.
    ///
    /// # Errors
    /// As [`Circuit::load`]; also for one over categories.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let circuit = Circuit::of_file(&ModelFile::open(path)?).map_err(|e| Error::file(path, e))?;
        match circuit.is_real() {
            true => Ok(Self(circuit)),
            false => Err(Error::file(path, "a circuit over categories: Circuit::load reads it")),
        }
    }
}

impl fmt::Display for RealCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
