//! Circuits over columns of real numbers, with Gaussian leaves.

use super::{Circuit, EmLearner, FitCircuit, Leaf, Moments, Structure, Summary, pass::upward::Notes};
use crate::{
    Error, Result,
    data::{Rows, Schema, Table, fingerprint},
    evidence::{Evidence, Exact, Space},
    random::Seed,
    train::{Checkpoint, History, Progress},
};
use std::{fmt, ops::ControlFlow, path::Path};

/// A circuit whose leaves are Gaussians: a deep mixture of normal distributions, of which every marginal and every
/// conditional is exact. Likelihoods are densities in the units of the data.
///
/// What needs categories ([`Circuit::conditionals`] as tables, compression, most probable rows) it does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct RealCircuit(pub(super) Circuit);

/// Bins a column is cut into where a structure is learned from mutual information.
const BINS: usize = 8;

impl RealCircuit {
    /// Log-density of each row, nats. A missing value is integrated over.
    ///
    /// # Errors
    /// When the rows have another number of columns.
    pub fn log_prob(&self, rows: &Table) -> Result<Vec<f64>> {
        Ok(self.0.score(rows, Notes::default())?.0)
    }

    /// The densities of the rows as exact evidence, in the units of the data.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when no value is known.
    pub fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>> {
        let (log_probs, known) = self.0.score(rows, Notes::default())?;
        Ok(Evidence::new(log_probs, Space::Continuous, self.0.vars())?.of_known(known)?.of_rows(fingerprint(rows)?))
    }

    /// Mean and variance of every column of every row given what the row knows, row after row.
    ///
    /// # Errors
    /// As [`Self::log_prob`].
    pub fn moments(&self, rows: &Table) -> Result<Vec<Moments>> {
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
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Table> {
        let width = self.0.vars();
        self.complete(&self.table(vec![f64::NAN; n * width])?, seed)
    }

    /// Draws every missing value, those of a row jointly, given the values that are known.
    ///
    /// # Errors
    /// As [`Self::log_prob`].
    pub fn complete(&self, rows: &Table, seed: Seed) -> Result<Table> {
        let drawn = self.0.complete_rows(rows, 0, seed)?;
        self.table(drawn.into_iter().flat_map(|row| row.reals).collect())
    }

    fn table(&self, values: Vec<f64>) -> Result<Table> {
        let names = self.schema().variables.iter().map(|v| v.name.clone()).collect();
        Table::new(names, values)?.shaped(&self.schema().shape)
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

    /// Writes the circuit with its structure, its schema, and the hash of the `data` it was fitted to.
    ///
    /// # Errors
    /// As [`Circuit::save`].
    pub fn save(&self, path: impl AsRef<Path>, data: &Table) -> Result<()> {
        self.0.save(path, data)
    }

    /// Reads a circuit.
    ///
    /// # Errors
    /// As [`Circuit::load`]; also for one over categories.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let circuit = Circuit::load_any(path.as_ref())?;
        if !circuit.is_real() {
            return Err(Error::file(path.as_ref(), "a circuit over categories: Circuit::load reads it"));
        }
        Ok(Self(circuit))
    }
}

impl fmt::Display for RealCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FitCircuit {
    /// The same for columns of real numbers, whose leaves are Gaussian.
    ///
    /// A structure that is learned is learned from the columns cut into eight bins.
    ///
    /// # Errors
    /// As [`Self::fit`]; also for a structure that makes values nodes, `naive-bayes` and `chow-liu`.
    pub fn fit_reals(&self, rows: &Table, valid: Option<&Table>, seed: Seed) -> Result<(RealCircuit, History)> {
        self.fit_reals_with(rows, valid, seed, None, &mut crate::train::quiet)
    }

    /// As [`Self::fit_reals`], with a checkpoint and a watcher as in [`Self::fit_with`].
    ///
    /// # Errors
    /// As [`Self::fit_reals`].
    pub fn fit_reals_with(
        &self,
        rows: &Table,
        valid: Option<&Table>,
        seed: Seed,
        checkpoint: Option<Checkpoint>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(RealCircuit, History)> {
        if let Structure::ChowLiu | Structure::NaiveBayes { .. } = self.structure {
            let name = self.structure.name();
            return Err(Error::invalid(format!("{name} makes every value a node: it needs categories")));
        }
        let graph = self.structure.graph(&rows.binned(BINS)?, seed)?;
        let kinds = vec![Leaf::Gaussian; rows.schema().len()];
        let circuit = self.begin(graph, rows, &kinds, seed)?;
        let valid = valid.map(|rows| rows as &dyn Rows);
        let learner = EmLearner::new(circuit, rows, valid, self.em)?;
        self.train(learner, rows.len(), seed, checkpoint, watch)
            .map(|(circuit, history)| (RealCircuit(circuit), history))
    }
}
