//! The pass downward: how much of each row's likelihood goes over every edge, and its sum over rows.

use super::{
    Circuit, Real,
    evaluate::Tile,
    graph::Kind,
    kernels::{TILE, divide, scatter, vectorised},
    plan::{fused, shares_flow},
};
use rayon::prelude::*;
use std::ops::Range;

/// Flows summed over rows, in the form the M-step needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flows<T> {
    /// `Σ F(edge) / θ(edge)` of each matrix of each set of weights; lies as the matrix does.
    pub(super) edges: Vec<Vec<Vec<T>>>,
    /// `Σ F(x_v = a, unit)`: `(categories + 1, units)` of each set of leaves; the last row counts missing values.
    pub(super) leaves: Vec<Vec<T>>,
    /// Rows counted, by their weights.
    pub(super) rows: f64,
    /// Rows of probability zero, which have no flow.
    pub(super) impossible: f64,
}

impl<T: Real> Flows<T> {
    pub(super) fn new(circuit: &Circuit<T>) -> Self {
        let zeros = |values: &Vec<T>| vec![T::ZERO; values.len()];
        Self {
            edges: circuit.weights.iter().map(|parts| parts.iter().map(|m| zeros(&m.values)).collect()).collect(),
            leaves: circuit.leaves.iter().map(|leaves| zeros(&leaves.table)).collect(),
            rows: 0.0,
            impossible: 0.0,
        }
    }

    /// All arrays of flows, in order.
    pub(super) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Vec<T>> {
        self.edges.iter_mut().flatten().chain(&mut self.leaves)
    }

    pub(super) fn clear(&mut self) {
        self.arrays_mut().for_each(|values| values.fill(T::ZERO));
        (self.rows, self.impossible) = (0.0, 0.0);
    }

    /// Adds the flows of a block of rows whose values are in the tiles.
    pub(super) fn add(&mut self, circuit: &Circuit<T>, tiles: &mut [Tile<T>]) {
        tiles.par_iter_mut().for_each(|tile| vectorised(|| circuit.downward(tile)));
        let tiles = &*tiles;
        self.rows += tiles.iter().flat_map(|tile| &tile.weights[..tile.n]).map(|w| w.f64()).sum::<f64>();
        let (kept, flows) = (&circuit.plan.kept, &circuit.plan.flows);
        self.edges.par_iter_mut().enumerate().for_each(|(set, sums)| {
            for (b, children) in circuit.uses.weights[set].iter().map(|b| (*b, circuit.graph.children(*b))) {
                for ((sums, matrix), child) in sums.iter_mut().zip(&circuit.weights[set]).zip(children) {
                    for tile in tiles {
                        matrix.add_outer(&tile.values[kept[b].clone()], &tile.values[kept[child].clone()], sums, tile.n);
                    }
                }
            }
        });
        self.leaves.par_iter_mut().enumerate().for_each(|(set, sums)| {
            let units = circuit.leaves[set].units;
            for (variable, b) in &circuit.uses.leaves[set] {
                for tile in tiles {
                    let codes = &tile.codes[variable * TILE..variable * TILE + tile.n];
                    vectorised(|| scatter(sums, units, codes, &tile.flows[flows[*b].clone()]));
                }
            }
        });
        for tile in tiles {
            (0..tile.n).filter(|b| tile.faint[*b]).for_each(|b| {
                self.add_in_log_space(circuit, &tile.row(b), &tile.row_heads(b), tile.weights[b].f64());
            });
        }
    }

    fn add_in_log_space(&mut self, circuit: &Circuit<T>, codes: &[u16], heads: &[f64], weight: f64) {
        let values = circuit.log_values(codes);
        if values.log_prob(circuit, heads) == f64::NEG_INFINITY {
            self.impossible += 1.0;
            return;
        }
        let edges = &mut self.edges;
        let flows = circuit.row_flows(&values, heads, |set, part, row, column, flow| {
            let matrix = &circuit.weights[set][part];
            let place = matrix.row_columns(row).position(|c| c == column);
            let at = matrix.row(row).start + place.expect("a flow goes over an edge that there is");
            edges[set][part][at] += T::of(weight * flow / matrix.values[at].f64());
        });
        for (b, block) in circuit.graph.blocks().iter().enumerate() {
            if let Kind::Input { variable, leaf } = block.kind {
                let row = (codes[variable] as usize).min(circuit.leaves[leaf].categories());
                let sums = &mut self.leaves[leaf][row * block.units..(row + 1) * block.units];
                sums.iter_mut().zip(&flows[b]).for_each(|(sum, flow)| *sum += T::of(weight * flow));
            }
        }
    }
}

/// Who uses which parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Uses {
    /// Of each set of weights, the sum blocks.
    pub(super) weights: Vec<Vec<usize>>,
    /// Of each set of leaves, the variables, and the blocks whose flows are those of the leaves.
    pub(super) leaves: Vec<Vec<(usize, usize)>>,
}

impl Uses {
    pub(super) fn new(graph: &super::Graph) -> Self {
        let mut uses = Self { weights: vec![vec![]; graph.weight_sets()], leaves: vec![vec![]; graph.leaf_sets()] };
        for (b, block) in graph.blocks().iter().enumerate() {
            match block.kind {
                Kind::Sum { weights, .. } => uses.weights[weights].push(b),
                Kind::Input { variable, leaf } if fused(graph, b) => {
                    uses.leaves[leaf].extend(graph.parents(b).iter().map(|p| (variable, *p)));
                }
                Kind::Input { variable, leaf } => uses.leaves[leaf].push((variable, b)),
                _ => {}
            }
        }
        uses
    }
}

/// A place to write and one to read, in two memories or in one; `None` where they are the same.
fn pair<T>(memory: &mut [T], to: Range<usize>, from: Range<usize>) -> Option<(&mut [T], &[T])> {
    if to == from {
        return None;
    }
    let [to, from] = memory.get_disjoint_mut([to, from]).expect("flows have places of their own, or one");
    Some((to, from))
}

impl<T: Real> Circuit<T> {
    /// Fills the flows of a tile whose values are there, and turns its sums into flows over them, `F / S`.
    ///
    /// Rows that were computed in log space get zero flow here.
    #[inline(always)]
    pub(super) fn downward(&self, tile: &mut Tile<T>) {
        let (n, root) = (tile.n, self.graph.root());
        let (kept, flows) = (&self.plan.kept, &self.plan.flows);
        self.root_flows(tile);
        // Whether a block's flows have been begun by a parent; where not, they are overwritten.
        let mut begun = vec![false; self.graph.blocks().len()];
        for (b, block) in self.graph.blocks().iter().enumerate().rev() {
            match &block.kind {
                Kind::Input { .. } if fused(&self.graph, b) => {}
                Kind::Input { .. } => self.weigh(b, tile),
                Kind::Product { children } => {
                    if self.below_sums(b) {
                        self.weigh(b, tile);
                    }
                    for c in children.iter().filter(|c| !fused(&self.graph, **c) && !shares_flow(&self.graph, **c)) {
                        if let Some((to, from)) = pair(&mut tile.flows, flows[*c].clone(), flows[b].clone()) {
                            if begun[*c] { add(to, from) } else { to.copy_from_slice(from) }
                            begun[*c] = true;
                        }
                    }
                }
                Kind::Kronecker { left, right } => {
                    if self.below_sums(b) {
                        self.weigh(b, tile);
                    }
                    let units = self.units(*right);
                    for (c, part) in [(*left, 0), (*right, 1)] {
                        let (to, from) = pair(&mut tile.flows, flows[c].clone(), flows[b].clone())
                            .expect("a Kronecker product has flows of its own");
                        if !begun[c] {
                            to.fill(T::ZERO);
                        }
                        begun[c] = true;
                        for (i, row) in from.chunks_exact(TILE).enumerate() {
                            let at = if part == 0 { i / units } else { i % units };
                            add(&mut to[at * TILE..(at + 1) * TILE], row);
                        }
                    }
                }
                Kind::Sum { children, weights } => {
                    if b != root {
                        divide(&mut tile.values[kept[b].clone()], &tile.flows[flows[b].clone()], TILE, n);
                    }
                    for (c, matrix) in children.iter().zip(&self.weights[*weights]) {
                        let over = &tile.values[kept[b].clone()];
                        matrix.transposed_times(over, &mut tile.flows[flows[*c].clone()], n, begun[*c]);
                        begun[*c] = true;
                    }
                }
            }
        }
    }

    /// Whether the parents of a block are sums: then its flows arrive without its own value as a factor.
    #[inline(always)]
    fn below_sums(&self, b: usize) -> bool {
        let [parent, ..] = self.graph.parents(b) else { return false };
        matches!(self.graph.blocks()[*parent].kind, Kind::Sum { .. })
    }

    /// Multiplies what has flowed to a block by its values.
    #[inline(always)]
    fn weigh(&self, b: usize, tile: &mut Tile<T>) {
        let values = &tile.values[self.plan.kept[b].clone()];
        tile.flows[self.plan.flows[b].clone()].iter_mut().zip(values).for_each(|(flow, value)| *flow *= *value);
    }

    /// What flows over the root, `F / S = m w / Σ m S` of each head, in the place of its values.
    #[inline(always)]
    fn root_flows(&self, tile: &mut Tile<T>) {
        let values = &mut tile.values[self.plan.kept[self.graph.root()].clone()];
        for b in 0..TILE {
            let heads = tile.heads[b..].iter().step_by(TILE);
            let total: f64 = values[b..].iter().step_by(TILE).zip(heads.clone()).map(|(p, m)| p.f64() * m.f64()).sum();
            let used = b < tile.n && !tile.faint[b];
            let share = if used { tile.weights[b].f64() / total } else { 0.0 };
            values[b..].iter_mut().step_by(TILE).zip(heads).for_each(|(value, m)| *value = T::of(share * m.f64()));
        }
    }
}

fn add<T: Real>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}
