//! Rows that single precision does not reach, in double: by tiles, as the others, most of what would be left to log space row by row.

use super::{
    downward::Flows,
    inputs::Inputs,
    kernels::TILE,
    plan::Plan,
    upward::{Purpose, Tile},
    weights::Matrix,
};
use crate::{
    circuits::{Circuit, Scalar, leaf::Leaves},
    simd::vectorised,
};
use std::sync::Arc;

/// Some rows of a tile, computed again in double precision.
#[derive(Debug)]
pub(crate) struct Wide {
    /// The circuit in double precision.
    circuit: Arc<Circuit<f64>>,
    tile: Tile<f64>,
    /// Which rows of the tile they are.
    rows: Vec<usize>,
}

impl Wide {
    /// Where row `b` of the narrow tile is, if it is here.
    fn place(&self, b: usize) -> Option<usize> {
        self.rows.binary_search(&b).ok()
    }
}

impl<T: Scalar> Tile<T> {
    /// Computes again what this tile has no digits for. `twin` gives the circuit in double precision.
    pub(super) fn reach_beyond(
        &mut self,
        circuit: &Circuit<T>,
        purpose: Purpose,
        twin: &dyn Fn() -> Arc<Circuit<f64>>,
    ) {
        let of_heads = |tile: &Self, b: usize| purpose == Purpose::Heads && tile.has_tiny_head(circuit, b);
        let mut rows: Vec<usize> = (0..self.n).filter(|b| self.underflowed[*b] || of_heads(self, *b)).collect();
        if T::SINGLE && matches!(purpose, Purpose::Likelihoods | Purpose::Heads | Purpose::Sums) && !rows.is_empty() {
            let circuit = twin();
            let wide = self.wide.get_or_insert_with(|| {
                let tile = Tile::new(&circuit, purpose);
                Box::new(Wide { circuit: circuit.clone(), tile, rows: vec![] })
            });
            (wide.circuit, wide.rows) = (circuit, std::mem::take(&mut rows));
            let Wide { circuit, tile, rows } = &mut **wide;
            tile.n = rows.len();
            tile.inputs.choose(&self.inputs, rows);
            for (to, b) in rows.iter().enumerate() {
                tile.weights[to] = self.weights[*b].f64();
                let heads = self.heads.chunks_exact(TILE).zip(tile.heads.chunks_exact_mut(TILE));
                heads.for_each(|(from, into)| into[to] = from[*b].f64());
            }
            vectorised!(Circuit::evaluate_all(circuit, &mut *tile));
            tile.reach_beyond(circuit, purpose, &|| unreachable!("double precision has no twin"));
            for (from, b) in rows.iter().enumerate().filter(|(_, b)| self.underflowed[**b]) {
                self.log_probs[*b] = tile.log_probs[from];
            }
            return;
        }
        if let Some(wide) = &mut self.wide {
            wide.rows.clear();
        }
        for b in rows.into_iter().filter(|b| self.underflowed[*b]) {
            self.log_probs[b] = circuit.log_values(&self.row(b)).log_prob(circuit, &self.row_heads(b));
        }
    }

    /// Log-likelihoods of row `b` under each head, where it was computed in double precision.
    pub(super) fn wide_by_head(&self, b: usize, into: &mut [f64]) -> bool {
        let wide = self.wide.as_ref().and_then(|wide| Some((wide, wide.place(b)?)));
        if let Some((wide, place)) = wide {
            wide.tile.log_probs_by_head(&wide.circuit, place, into);
        }
        wide.is_some()
    }

    /// Whether row `b` was computed in double precision.
    pub(super) fn is_wide(&self, b: usize) -> bool {
        self.wide.as_ref().is_some_and(|wide| wide.place(b).is_some())
    }
}

impl<T: Scalar> Flows<T> {
    /// Adds the flows of rows that were computed in double precision.
    pub(super) fn add_wide(&mut self, tiles: &mut [Tile<T>]) {
        let taken = tiles.iter_mut().enumerate();
        let taken = taken.filter_map(|(i, tile)| Some((i, *tile.wide.take_if(|wide| !wide.rows.is_empty())?)));
        let (mut places, mut wide, mut circuits) = (Vec::new(), Vec::new(), Vec::new());
        for (i, Wide { circuit, tile, rows }) in taken {
            places.push((i, rows));
            wide.push(tile);
            circuits.push(circuit);
        }
        let Some(circuit) = circuits.first() else { return };
        let flows = self.wide.get_or_insert_with(|| Box::new(Flows::new(circuit)));
        flows.clear();
        flows.add(circuit, &mut wide);
        self.impossible += flows.impossible;
        for (sums, more) in self.sums.arrays_mut().zip(flows.sums.arrays()) {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += T::of(*more));
        }
        for (((i, rows), tile), circuit) in places.into_iter().zip(wide).zip(circuits) {
            tiles[i].wide = Some(Box::new(Wide { circuit, tile, rows }));
        }
    }
}

impl<T: Scalar> Circuit<T> {
    /// The same circuit in double precision.
    pub(crate) fn widened(&self) -> Circuit<f64> {
        let weights = self.weights.iter().map(|parts| parts.iter().map(Matrix::widened).collect()).collect();
        let leaves = self.leaves.iter().map(Leaves::widened).collect();
        let (name, schema, graph) = (self.name.clone(), self.schema.clone(), self.graph.clone());
        Circuit { name, schema, graph, weights, leaves, plan: Plan::clone(&self.plan), uses: self.uses.clone() }
    }
}

impl<T: Scalar> Inputs<T> {
    /// Takes these rows of other inputs.
    fn choose<U: Scalar>(&mut self, other: &Inputs<U>, rows: &[usize]) {
        fn columns<A: Copy>(from: &[A], to: &mut Vec<A>, rows: &[usize], none: A) {
            to.resize(from.len(), none);
            for (from, to) in from.chunks_exact(TILE).zip(to.chunks_exact_mut(TILE)) {
                rows.iter().zip(to).for_each(|(b, to)| *to = from[*b]);
            }
        }
        columns(&other.codes, &mut self.codes, rows, 0);
        columns(&other.reals, &mut self.reals, rows, f64::NAN);
        columns(&other.log_soft, &mut self.log_soft, rows, 0.0);
        self.soften(rows.len());
    }
}
