//! Circuits in files.

use super::{Hclt, Real, Tree};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Rows, Schema, hash_rows},
    random::Seed,
};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// What a model file says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    model: String,
    limbeck: String,
    states: usize,
    schema: Schema,
    tree: Tree,
    /// [`hash_rows`] of the training data.
    data: String,
}

impl<T: Real> Hclt<T> {
    pub(super) fn put_weights(&self, archive: &mut Archive) {
        let h = self.states;
        archive.put("root", &[h], &self.weights.root);
        for (v, (edge, leaf)) in self.weights.edges.iter().zip(&self.weights.leaves).enumerate() {
            if !edge.is_empty() {
                archive.put(&format!("edge/{v}"), &[h, h], edge);
            }
            archive.put(&format!("leaf/{v}"), &[h, self.categories(v)], leaf);
        }
    }

    pub(super) fn take_weights(&mut self, archive: &Archive) -> Result<()> {
        let h = self.states;
        let mut weights = self.weights.clone();
        weights.root = archive.get("root", &[h])?;
        for v in 0..self.vars() {
            if v != self.tree.root() {
                weights.edges[v] = archive.get(&format!("edge/{v}"), &[h, h])?;
            }
            weights.leaves[v] = archive.get(&format!("leaf/{v}"), &[h, self.categories(v)])?;
        }
        let rows = std::iter::once(weights.root.as_slice())
            .chain(weights.edges.iter().flat_map(|e| e.chunks_exact(h)))
            .chain(weights.leaves.iter().flat_map(|l| l.chunks_exact((l.len() / h).max(1))));
        for row in rows {
            let total: f64 = row.iter().map(|w| w.f64()).sum();
            if !row.iter().all(|w| *w >= T::ZERO) || (total - 1.0).abs() > 1e-3 {
                return Err(Error::invalid("parameters that are not distributions: the file is damaged"));
            }
        }
        self.weights = weights;
        Ok(())
    }
}

impl Hclt {
    /// The name of this model in files and on the command line.
    pub const NAME: &'static str = "hclt";

    /// Writes the circuit with its structure, its schema, and the hash of the `data` it was fitted to.
    ///
    /// # Errors
    /// When the data cannot be read or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, data: &dyn Rows) -> Result<()> {
        let mut archive = Archive::new(&Header {
            model: Self::NAME.into(),
            limbeck: env!("CARGO_PKG_VERSION").into(),
            states: self.states,
            schema: self.schema.clone(),
            tree: self.tree.clone(),
            data: hash_rows(data)?,
        })?;
        self.put_weights(&mut archive);
        archive.save(path)
    }

    /// Reads a circuit.
    ///
    /// # Errors
    /// When the file is not a model of this kind, or is damaged: the message says what differs.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let archive = Archive::load(path)?;
        let header: Header = archive.header()?;
        if header.model != Self::NAME {
            return Err(Error::file(path, format!("a model of kind {}; {} is expected", header.model, Self::NAME)));
        }
        // The sizes are checked against the arrays before anything of that size is made.
        archive.get::<f32>("root", &[header.states])?;
        if let Some(v) = header.schema.variables.iter().position(|v| v.categories == 0) {
            return Err(Error::file(path, format!("variable {v} without categories")));
        }
        for (v, variable) in header.schema.variables.iter().enumerate() {
            archive.get::<f32>(&format!("leaf/{v}"), &[header.states, variable.categories])?;
            if v != header.tree.root() {
                archive.get::<f32>(&format!("edge/{v}"), &[header.states, header.states])?;
            }
        }
        let mut circuit =
            Self::random(header.schema, header.tree, header.states, Seed(0)).map_err(|e| Error::file(path, e))?;
        circuit.take_weights(&archive).map_err(|e| Error::file(path, e))?;
        Ok(circuit)
    }
}

impl<T: Real> fmt::Display for Hclt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vars, states, parameters) = (self.vars(), self.states, self.parameters());
        write!(f, "hidden Chow-Liu tree: {vars} variables, {states} states each, {parameters} parameters")
    }
}
