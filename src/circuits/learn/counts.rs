//! Flows as counts, for the rules that remember them while the parameters change.

use crate::{
    Result,
    archive::Archive,
    circuits::{Circuit, Scalar, pass::downward::Flows, pass::weights::Matrix},
};
use rayon::prelude::*;

/// How often each edge and each category was used, a missing value counting as what its leaf expects.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// `F(n, c)`; lies as the weights do.
    pub(super) edges: Vec<Vec<Vec<f64>>>,
    /// `F(x_v = a, unit)`: `(categories + 1, units)`, or the statistics of gaussians; nothing in the last row.
    pub(super) leaves: Vec<Vec<f64>>,
}

impl Counts {
    pub(super) fn zeros<T: Scalar>(circuit: &Circuit<T>) -> Self {
        Self {
            edges: circuit.weights.iter().map(|p| p.iter().map(|m| vec![0.0; m.values.len()]).collect()).collect(),
            leaves: circuit.leaves.iter().map(|leaves| vec![0.0; leaves.statistics()]).collect(),
        }
    }

    pub(super) fn scale(&mut self, by: f64) {
        self.edges.par_iter_mut().flatten().chain(&mut self.leaves).for_each(|a| a.iter_mut().for_each(|f| *f *= by));
    }

    /// Adds `scale` times the flows, which went over the circuit as it is.
    pub(super) fn add<T: Scalar>(&mut self, circuit: &Circuit<T>, flows: &Flows<T>, scale: f64) {
        let weights = circuit.weights.par_iter().zip(&flows.sums.edges);
        self.edges.par_iter_mut().zip(weights).for_each(|(counts, (parts, flows))| {
            for ((counts, matrix), flows) in counts.iter_mut().zip(parts).zip(flows) {
                for ((count, weight), flow) in counts.iter_mut().zip(&matrix.values).zip(flows) {
                    *count += scale * weight.f64() * flow.f64();
                }
            }
        });
        let leaves = circuit.leaves.par_iter().zip(&flows.sums.leaves);
        self.leaves.par_iter_mut().zip(leaves).for_each(|(counts, (leaves, flows))| {
            let units = leaves.units;
            if let Some(density) = leaves.density() {
                let flows: Vec<f64> = flows.iter().map(|f| f.f64()).collect();
                let expected = density.expected(leaves, &flows);
                return counts.iter_mut().zip(expected).for_each(|(count, flow)| *count += scale * flow);
            }
            let (known, missing) = flows.split_at(leaves.categories() * units);
            let rows = leaves.table.chunks_exact(units).zip(known.chunks_exact(units));
            for (counts, (table, known)) in counts.chunks_exact_mut(units).zip(rows) {
                for (unit, count) in counts.iter_mut().enumerate() {
                    *count += scale * (known[unit].f64() + missing[unit].f64() * table[unit].f64());
                }
            }
        });
    }

    /// Makes the parameters what the counts say.
    pub(super) fn maximise<T: Scalar>(&self, circuit: &mut Circuit<T>, pseudocount: f64) {
        circuit.weights.par_iter_mut().zip(&self.edges).for_each(|(parts, counts)| {
            for row in 0..parts[0].rows() {
                let counted = |part: usize, i: usize, _: f64| counts[part][i];
                set_row(parts, row, pseudocount, counted);
            }
        });
        circuit.leaves.par_iter_mut().zip(&self.leaves).for_each(|(leaves, counts)| {
            leaves.maximise_expected(counts, pseudocount, 1.0);
        });
    }

    pub(super) fn put(&self, archive: &mut Archive) {
        let arrays = self.edges.iter().flatten().chain(&self.leaves);
        arrays.enumerate().for_each(|(i, array)| archive.put(&format!("memory/{i}"), &[array.len()], array));
    }

    pub(super) fn take(&mut self, archive: &Archive) -> Result<()> {
        for (i, array) in self.edges.iter_mut().flatten().chain(&mut self.leaves).enumerate() {
            *array = archive.get(&format!("memory/{i}"), &[array.len()])?;
        }
        Ok(())
    }
}

/// Sets the edges of a sum node to `count(part, place, weight) + α / edges`, normalised. A node without counts stays.
pub(super) fn set_row<T: Scalar>(
    parts: &mut [Matrix<T>],
    row: usize,
    pseudocount: f64,
    count: impl Fn(usize, usize, f64) -> f64,
) {
    let places = |matrix: &Matrix<T>| matrix.row(row).filter(|i| matrix.values[*i] > T::ZERO).collect::<Vec<_>>();
    let places: Vec<Vec<usize>> = parts.iter().map(places).collect();
    let edges: usize = places.iter().map(Vec::len).sum();
    if edges == 0 {
        return;
    }
    let share = pseudocount / edges as f64;
    let new: Vec<Vec<f64>> = places
        .iter()
        .enumerate()
        .map(|(part, at)| at.iter().map(|i| count(part, *i, parts[part].values[*i].f64()) + share).collect())
        .collect();
    let total: f64 = new.iter().flatten().sum();
    if total > 0.0 {
        for ((matrix, at), new) in parts.iter_mut().zip(places).zip(new) {
            at.into_iter().zip(new).for_each(|(i, value)| matrix.values[i] = T::of(value / total));
        }
    }
}
