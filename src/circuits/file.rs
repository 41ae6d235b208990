//! Circuits in files.

use super::{Circuit, Graph, Kind, Layout, Leaf, Scalar, leaf::Frame, pass::weights::Matrix};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Rows, Schema},
    model::{Model, ModelFile, Origin},
    random::Seed,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the family in files.
pub(super) const NAME: &str = "circuit";

/// What a file says of a circuit beside its columns and its arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// The kind of leaves of each variable.
    leaves: Vec<Leaf>,
    graph: Graph,
}

impl<T: Scalar> Circuit<T> {
    pub(super) fn put_weights(&self, archive: &mut Archive) {
        for (set, parts) in self.weights.iter().enumerate() {
            for (part, matrix) in parts.iter().enumerate() {
                let name = format!("weights/{set}/{part}");
                let (rows, columns) = (matrix.rows(), matrix.columns());
                if matrix.layout() == Layout::Full {
                    archive.put(&name, &[rows, columns], &matrix.values);
                    continue;
                }
                let edges = (0..rows).flat_map(|row| {
                    let weights = &matrix.values[matrix.row(row)];
                    matrix.row_columns(row).zip(weights).map(move |(column, w)| (row * columns + column, *w))
                });
                let (places, values): (Vec<u64>, Vec<T>) =
                    edges.filter(|(_, w)| *w > T::ZERO).map(|(at, w)| (at as u64, w)).unzip();
                archive.put(&format!("{name}/places"), &[places.len()], &places);
                archive.put(&format!("{name}/values"), &[values.len()], &values);
            }
        }
        for (set, leaves) in self.leaves.iter().enumerate() {
            let (k, units) = (leaves.categories(), leaves.units);
            archive.put(&format!("leaves/{set}"), &[k, units], &leaves.table[..k * units]);
            archive.put(&format!("leaves/{set}/numbers"), &[leaves.numbers.len()], &leaves.numbers);
            let Frame { shift, scale, floor } = leaves.frame;
            archive.put(&format!("leaves/{set}/frame"), &[3], &[shift, scale, floor]);
        }
    }

    pub(super) fn take_weights(&mut self, archive: &Archive) -> Result<()> {
        let damaged = || Error::invalid("parameters that are not distributions: the file is damaged");
        let mut weights = self.weights.clone();
        for (set, parts) in weights.iter_mut().enumerate() {
            for (part, matrix) in parts.iter_mut().enumerate() {
                *matrix = take_matrix(archive, &format!("weights/{set}/{part}"), matrix.rows(), matrix.columns())?;
            }
            for row in 0..parts[0].rows() {
                let values = || parts.iter().flat_map(|matrix| &matrix.values[matrix.row(row)]);
                let total: f64 = values().map(|w| w.f64()).sum();
                if !values().all(|w| *w >= T::ZERO) || (total - 1.0).abs() > 1e-3 {
                    return Err(damaged());
                }
            }
        }
        let mut all_leaves = self.leaves.clone();
        for (set, leaves) in all_leaves.iter_mut().enumerate() {
            let (k, units) = (leaves.categories(), leaves.units);
            let table: Vec<T> = archive.get(&format!("leaves/{set}"), &[k, units])?;
            leaves.table[..k * units].copy_from_slice(&table);
            leaves.numbers = archive.get(&format!("leaves/{set}/numbers"), &[leaves.numbers.len()])?;
            let frame: Vec<f64> = archive.get(&format!("leaves/{set}/frame"), &[3])?;
            leaves.frame = Frame { shift: frame[0], scale: frame[1], floor: frame[2] };
            leaves.tabulate();
            if !leaves.is_valid() {
                return Err(damaged());
            }
        }
        (self.weights, self.leaves) = (weights, all_leaves);
        Ok(())
    }
}

/// A matrix as it was saved, in the layout that its zeros ask for.
fn take_matrix<T: Scalar>(archive: &Archive, name: &str, rows: usize, columns: usize) -> Result<Matrix<T>> {
    if archive.shape(&format!("{name}/places")).is_none() {
        return Ok(Matrix::dense(rows, columns, archive.get(name, &[rows, columns])?));
    }
    let places: Vec<u64> = archive.get_all(&format!("{name}/places"))?;
    let stored: Vec<T> = archive.get(&format!("{name}/values"), &[places.len()])?;
    let mut values = vec![T::ZERO; rows * columns];
    for (at, value) in places.into_iter().zip(stored) {
        let place = usize::try_from(at).ok().and_then(|at| values.get_mut(at));
        *place.ok_or_else(|| Error::invalid(format!("{name}: an edge at {at} of {}", rows * columns)))? = value;
    }
    Ok(Matrix::dense(rows, columns, values).packed())
}

/// The most weights that are made for a number that the file holds; a circuit is never so sparse.
const SPARSEST: usize = 1 << 12;

/// Checks what the header says of sizes against the arrays, before anything of that size is made.
fn check_sizes(graph: &Graph, schema: &Schema, archive: &Archive) -> Result<()> {
    let wrong = |name: &str| Err(Error::invalid(format!("array {name} is not of the size that its graph says")));
    let (blocks, mut sparse) = (graph.blocks(), 0_usize);
    for block in blocks {
        match &block.kind {
            Kind::Input { variable, leaf } => {
                let name = format!("leaves/{leaf}");
                let shape = schema.variables.get(*variable).map(|v| [v.categories, block.units]);
                if shape.is_none_or(|shape| archive.shape(&name) != Some(&shape)) {
                    return wrong(&name);
                }
            }
            Kind::Sum { children, weights } => {
                for (part, child) in children.iter().enumerate() {
                    let name = format!("weights/{weights}/{part}");
                    let shape = [block.units, blocks[*child].units];
                    match archive.shape(&format!("{name}/places")) {
                        None if archive.shape(&name) == Some(&shape) => {}
                        // Every node keeps an edge, if not among these.
                        Some(_) => sparse = sparse.saturating_add(shape[0].saturating_mul(shape[1])),
                        None => return wrong(&name),
                    }
                }
            }
            _ => {}
        }
    }
    let held = archive.elements();
    if sparse > held.saturating_mul(SPARSEST) {
        return Err(Error::invalid(format!("{sparse} weights, most of them absent, in a file of {held} numbers")));
    }
    Ok(())
}

impl Circuit {
    /// Writes the circuit with its columns, and the hash of the `data` it was fitted to.
    ///
    /// # Errors
    /// When the data cannot be read or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, data: &dyn Rows) -> Result<()> {
        (self as &dyn Model).save(path, &Origin::of(data)?)
    }

    /// Reads a circuit.
    ///
    /// # Errors
    /// When the file is not a circuit, or is damaged: the message says what differs.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let circuit = Self::of_file(&ModelFile::open(path)?).map_err(|e| Error::file(path, e))?;
        match circuit.is_real() {
            true => Err(Error::file(path, "a circuit over real numbers: RealCircuit::load reads it")),
            false => Ok(circuit),
        }
    }

    /// What a file needs beside the columns; the parameters go into its arrays.
    pub(super) fn put_into(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        self.put_weights(arrays);
        let body = Body { leaves: self.leaf_kinds(), graph: self.graph.clone() };
        serde_json::to_value(body).map_err(Error::invalid)
    }

    /// A circuit over columns of either kind.
    pub(super) fn of_file(file: &ModelFile) -> Result<Self> {
        let Body { leaves, graph } = file.body(NAME)?;
        check_sizes(&graph, &file.schema, &file.arrays)?;
        let mut circuit = Self::randomised(&file.kind, graph, file.schema.clone(), &leaves, Seed(0))?;
        circuit.take_weights(&file.arrays)?;
        Ok(circuit)
    }
}
