//! The pass downward: how much of each row's likelihood goes over every edge, and its sum over rows.

use super::{
    Hclt, Real,
    evaluate::{TILE, Tile},
    kernels::{Strides, divide, product, scatter, vectorised},
};
use crate::data::MISSING;
use rayon::prelude::*;

/// Flows summed over rows, in the form the M-step needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flows<T> {
    /// `Σ F(z_root = h)`: `(states,)`.
    pub(super) root: Vec<T>,
    /// `Σ F(edge) / p(edge)`: `(states of the parent, states)` for each variable; empty for the root.
    pub(super) edges: Vec<Vec<T>>,
    /// `Σ F(x_v = a, h)`: `(categories + 1, states)` for each variable; the last row counts missing values.
    pub(super) leaves: Vec<Vec<T>>,
    /// Rows counted.
    pub(super) rows: f64,
    /// Rows of probability zero, which have no flow.
    pub(super) impossible: f64,
}

impl<T: Real> Flows<T> {
    pub(super) fn new(circuit: &Hclt<T>) -> Self {
        let h = circuit.states;
        Self {
            root: vec![T::ZERO; h],
            edges: circuit.weights.edges.iter().map(|w| vec![T::ZERO; w.len()]).collect(),
            leaves: (0..circuit.vars()).map(|v| vec![T::ZERO; (circuit.categories(v) + 1) * h]).collect(),
            rows: 0.0,
            impossible: 0.0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.root.fill(T::ZERO);
        self.edges.iter_mut().chain(&mut self.leaves).for_each(|values| values.fill(T::ZERO));
        (self.rows, self.impossible) = (0.0, 0.0);
    }

    /// Adds the flows of a block of rows whose values are in the tiles.
    pub(super) fn add(&mut self, circuit: &Hclt<T>, tiles: &mut [Tile<T>]) {
        tiles.par_iter_mut().for_each(|tile| vectorised(|| circuit.downward(tile)));
        let tiles = &*tiles;
        let h = circuit.states;
        let root = circuit.block(circuit.tree.root(), TILE);
        for tile in tiles {
            for (sum, flows) in self.root.iter_mut().zip(tile.flows[root.clone()].chunks_exact(TILE)) {
                flows[..tile.n].iter().for_each(|flow| *sum += *flow);
            }
            self.rows += tile.n as f64;
        }
        self.edges.par_iter_mut().zip(self.leaves.par_iter_mut()).enumerate().for_each(|(v, (edge, leaf))| {
            let block = circuit.block(v, TILE);
            for tile in tiles {
                let row = |code: &u16| if *code == MISSING { circuit.categories(v) } else { *code as usize };
                let rows = tile.codes[v * TILE..v * TILE + tile.n].iter().map(row);
                vectorised(|| scatter(leaf, &tile.flows[block.clone()], TILE, rows));
                if !edge.is_empty() {
                    product(
                        [h, h, tile.n],
                        edge,
                        Strides(h as isize, 1),
                        true,
                        (&tile.sums[block.clone()], Strides(TILE as isize, 1)),
                        (&tile.products[block.clone()], Strides(1, TILE as isize)),
                    );
                }
            }
        });
        for tile in tiles {
            (0..tile.n).filter(|b| tile.faint[*b]).for_each(|b| self.add_in_log_space(circuit, &tile.row(b)));
        }
    }

    fn add_in_log_space(&mut self, circuit: &Hclt<T>, codes: &[u16]) {
        let h = circuit.states;
        let values = circuit.log_values(codes);
        if values.log_prob == f64::NEG_INFINITY {
            self.impossible += 1.0;
            return;
        }
        let edges = &mut self.edges;
        let flows = circuit.row_flows(&values, |child, from, to, flow| {
            let i = from * h + to;
            let weight = circuit.weights.edges[child][i].f64();
            if weight > 0.0 {
                edges[child][i] += T::of(flow / weight);
            }
        });
        for (v, code) in codes.iter().enumerate() {
            let row = if *code == MISSING { circuit.categories(v) } else { *code as usize };
            for (sum, flow) in self.leaves[v][row * h..(row + 1) * h].iter_mut().zip(&flows[v * h..]) {
                *sum += T::of(*flow);
            }
        }
        let root = circuit.tree.root() * h;
        self.root.iter_mut().zip(&flows[root..]).for_each(|(sum, flow)| *sum += T::of(*flow));
    }
}

impl<T: Real> Hclt<T> {
    /// Fills the flows of a tile whose values are there, and turns its sums into flows over them, `F / S`.
    ///
    /// Rows that were computed in log space get zero flow here.
    #[inline(always)]
    pub(super) fn downward(&self, tile: &mut Tile<T>) {
        let (n, h) = (tile.n, self.states);
        let root = self.block(self.tree.root(), TILE);
        let (flows, values) = (&mut tile.flows[root.clone()], &tile.products[root]);
        for b in 0..n {
            let terms = self.weights.root.iter().zip(values[b..].iter().step_by(TILE)).map(|(w, p)| *w * *p);
            let total: f64 = terms.clone().map(Real::f64).sum();
            let share = if tile.faint[b] { T::ZERO } else { T::of(1.0 / total) };
            flows[b..].iter_mut().step_by(TILE).zip(terms).for_each(|(flow, term)| *flow = term * share);
        }
        for &v in self.tree.downward() {
            for &c in self.tree.children(v) {
                let child = self.block(c, TILE);
                divide(&mut tile.sums[child.clone()], &tile.flows[self.block(v, TILE)], TILE, n);
                product(
                    [h, n, h],
                    &mut tile.flows[child.clone()],
                    Strides(TILE as isize, 1),
                    false,
                    (&self.weights.edges[c], Strides(1, h as isize)),
                    (&tile.sums[child.clone()], Strides(TILE as isize, 1)),
                );
                tile.flows[child.clone()]
                    .iter_mut()
                    .zip(&tile.products[child])
                    .for_each(|(flow, value)| *flow *= *value);
            }
        }
    }
}
