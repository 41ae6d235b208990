//! The pass downward: how much of each row's likelihood goes over every edge, and its sum over rows.

use crate::circuits::{
    Circuit, Scalar,
    graph::Kind,
    pass::inputs::Row,
    pass::kernels::{TILE, Then, divide, divide_into},
    pass::plan::{fused, shares_flow, two},
    pass::upward::Tile,
};
use crate::simd::vectorised;
use rayon::prelude::*;

/// Flows summed over rows, in the form the M-step needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flows<T> {
    pub(crate) sums: Sums<T>,
    /// Sums of their own for tiles that are taken down side by side; none where the parameters are many.
    lanes: Vec<Sums<T>>,
    /// Rows counted, by their weights.
    pub(crate) rows: f64,
    /// Rows of probability zero, which have no flow.
    pub(crate) impossible: f64,
    /// Of rows that were computed in double precision, while they are added.
    pub(super) wide: Option<Box<Flows<f64>>>,
}

/// Sums of flows, an array for each array of parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sums<T> {
    /// `Σ F(edge) / θ(edge)` of each matrix of each set of weights; lies as the matrix does.
    pub(crate) edges: Vec<Vec<Vec<T>>>,
    /// `Σ F(x_v = a, unit)`: `(categories + 1, units)` of each set of leaves; the last row counts missing values. Of gaussians
    /// their statistics.
    pub(crate) leaves: Vec<Vec<T>>,
    /// Whether anything has been added.
    used: bool,
}

/// The most lanes, and the most memory they take together, bytes. Fixed, so that sums do not depend on the number of threads.
const LANES: usize = 8;
const LANE_BYTES: usize = 16 << 20;

impl<T: Scalar> Sums<T> {
    fn new(circuit: &Circuit<T>) -> Self {
        let zeros = |values: &Vec<T>| vec![T::ZERO; values.len()];
        Self {
            edges: circuit.weights.iter().map(|parts| parts.iter().map(|m| zeros(&m.values)).collect()).collect(),
            leaves: circuit.leaves.iter().map(|leaves| vec![T::ZERO; leaves.statistics()]).collect(),
            used: false,
        }
    }

    /// All arrays, in order.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Vec<T>> {
        self.edges.iter().flatten().chain(&self.leaves)
    }

    /// All arrays, in order.
    pub(crate) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Vec<T>> {
        self.edges.iter_mut().flatten().chain(&mut self.leaves)
    }

    fn clear(&mut self) {
        self.arrays_mut().for_each(|values| values.fill(T::ZERO));
        self.used = false;
    }
}

impl<T: Scalar> Flows<T> {
    pub(crate) fn new(circuit: &Circuit<T>) -> Self {
        let sums = Sums::new(circuit);
        let bytes = sums.arrays().map(|a| size_of_val(&a[..])).sum::<usize>();
        let lanes = if LANES * bytes <= LANE_BYTES { vec![sums.clone(); LANES] } else { vec![] };
        Self { sums, lanes, rows: 0.0, impossible: 0.0, wide: None }
    }

    pub(crate) fn clear(&mut self) {
        self.sums.clear();
        (self.rows, self.impossible) = (0.0, 0.0);
    }

    /// Adds the flows of a block of rows whose values are in the tiles.
    pub(crate) fn add(&mut self, circuit: &Circuit<T>, tiles: &mut [Tile<T>]) {
        if self.lanes.is_empty() {
            tiles.par_iter_mut().for_each(|tile| vectorised!(Circuit::downward(circuit, tile, None, None)));
            self.add_tiles(circuit, tiles);
        } else {
            let each = tiles.len().div_ceil(LANES);
            tiles.par_chunks_mut(each).zip(&mut self.lanes).for_each(|(tiles, lane)| {
                lane.used = true;
                tiles.iter_mut().for_each(|tile| vectorised!(Circuit::downward(circuit, tile, Some(lane), None)));
            });
            self.add_lanes();
        }
        for tile in &*tiles {
            self.rows += tile.weights[..tile.n].iter().map(|w| w.f64()).sum::<f64>();
            (0..tile.n).filter(|b| tile.underflowed[*b] && !tile.is_wide(*b)).for_each(|b| {
                self.add_in_log_space(circuit, &tile.row(b), &tile.row_heads(b), tile.weights[b].f64());
            });
        }
        self.add_wide(tiles);
    }

    /// Adds the lanes in order, and empties them.
    fn add_lanes(&mut self) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.used) {
            for (sum, lane) in self.sums.arrays_mut().zip(lane.arrays_mut()) {
                sum.iter_mut().zip(lane).for_each(|(sum, lane)| *sum += std::mem::take(lane));
            }
            lane.used = false;
        }
    }

    /// Parameters side by side, each with the tiles in order.
    fn add_tiles(&mut self, circuit: &Circuit<T>, tiles: &[Tile<T>]) {
        let (kept, flows) = (&circuit.plan.kept, &circuit.plan.flows);
        self.sums.edges.par_iter_mut().enumerate().for_each(|(set, sums)| {
            for (b, children) in circuit.uses.weights[set].iter().map(|b| (*b, circuit.graph.children(*b))) {
                for ((sums, matrix), child) in sums.iter_mut().zip(&circuit.weights[set]).zip(children) {
                    for tile in tiles {
                        matrix.add_outer(
                            &tile.values[kept[b].clone()],
                            &tile.values[kept[child].clone()],
                            sums,
                            tile.n,
                        );
                    }
                }
            }
        });
        self.sums.leaves.par_iter_mut().enumerate().for_each(|(set, sums)| {
            for (variable, b) in &circuit.uses.leaves[set] {
                for tile in tiles {
                    let flows = &tile.flows[flows[*b].clone()];
                    let at = (*variable, set);
                    vectorised!(Circuit::count(circuit, at, &tile.inputs, tile.n, flows, sums));
                }
            }
        });
    }

    fn add_in_log_space(&mut self, circuit: &Circuit<T>, row: &Row, heads: &[f64], weight: f64) {
        let values = circuit.log_values(row);
        if values.log_prob(circuit, heads) == f64::NEG_INFINITY {
            self.impossible += 1.0;
            return;
        }
        let edges = &mut self.sums.edges;
        let flows = circuit.row_flows(&values, heads, |edge, flow| {
            let theta = circuit.weights[edge.set][edge.part].values[edge.place];
            edges[edge.set][edge.part][edge.place] += T::of(weight * flow / theta.f64());
        });
        for (b, block) in circuit.graph.blocks().iter().enumerate() {
            if let Kind::Input { variable, leaf } = block.kind {
                let flows: Vec<f64> = flows[b].iter().map(|flow| weight * flow).collect();
                circuit.count_row((variable, leaf), row, &flows, &mut self.sums.leaves[leaf]);
            }
        }
    }
}

/// Who uses which parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Uses {
    /// Of each set of weights, the sum blocks.
    pub(crate) weights: Vec<Vec<usize>>,
    /// Of each set of leaves, the variables, and the blocks whose flows are those of the leaves.
    pub(crate) leaves: Vec<Vec<(usize, usize)>>,
}

impl Uses {
    pub(crate) fn new(graph: &crate::circuits::Graph) -> Self {
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

impl<T: Scalar> Circuit<T> {
    /// Fills the flows of a tile whose values are there.
    ///
    /// With `sums`, adds them up over the rows; without, turns the tile's sums into flows over them, `F / S`. With `only`, which
    /// holds all blocks above any that it holds, does neither, and leaves the others out.
    /// Rows that were computed elsewhere get zero flow here.
    #[inline(always)]
    pub(crate) fn downward(&self, tile: &mut Tile<T>, mut sums: Option<&mut Sums<T>>, only: Option<&[bool]>) {
        let (n, root) = (tile.n, self.graph.root());
        let (kept, flows) = (&self.plan.kept, &self.plan.flows);
        let left_out = |b: usize| only.is_some_and(|only| !only[b]);
        let in_place = sums.is_none() && only.is_none();
        self.root_flows(tile);
        tile.begun.fill(false);
        for (b, block) in self.graph.blocks().iter().enumerate().rev() {
            if left_out(b) {
                continue;
            }
            // With one parent, a sum, the values have been a factor already.
            if !matches!(block.kind, Kind::Sum { .. }) && self.graph.parents(b).len() > 1 && self.below_sums(b) {
                let values = &tile.values[kept[b].clone()];
                tile.flows[flows[b].clone()].iter_mut().zip(values).for_each(|(flow, value)| *flow *= *value);
            }
            match &block.kind {
                Kind::Input { variable, leaf } => {
                    if let Some(sums) = sums.as_deref_mut().filter(|_| !fused(&self.graph, b)) {
                        let flows = &tile.flows[flows[b].clone()];
                        self.count((*variable, *leaf), &tile.inputs, n, flows, &mut sums.leaves[*leaf]);
                    }
                }
                Kind::Product { children } => {
                    for c in children {
                        match self.graph.blocks()[*c].kind {
                            Kind::Input { variable, leaf } => {
                                if let Some(sums) = sums.as_deref_mut() {
                                    let flows = &tile.flows[flows[b].clone()];
                                    self.count((variable, leaf), &tile.inputs, n, flows, &mut sums.leaves[leaf]);
                                }
                            }
                            _ if shares_flow(&self.graph, *c) || left_out(*c) => {}
                            _ => {
                                let (to, from) = two(&mut tile.flows, flows[*c].clone(), flows[b].clone());
                                if tile.begun[*c] {
                                    add(to, from)
                                } else {
                                    to.copy_from_slice(from)
                                }
                                tile.begun[*c] = true;
                            }
                        }
                    }
                }
                Kind::Kronecker { left, right } => {
                    let units = self.units(*right);
                    for (c, by_left) in [(*left, true), (*right, false)].into_iter().filter(|(c, _)| !left_out(*c)) {
                        let (to, from) = two(&mut tile.flows, flows[c].clone(), flows[b].clone());
                        if !tile.begun[c] {
                            to.fill(T::ZERO);
                        }
                        tile.begun[c] = true;
                        for (i, row) in from.chunks_exact(TILE).enumerate() {
                            let at = if by_left { i / units } else { i % units };
                            add(&mut to[at * TILE..(at + 1) * TILE], row);
                        }
                    }
                }
                Kind::Sum { children, weights } => {
                    let at = kept[b].clone();
                    let size = at.len();
                    match (!in_place, b == root) {
                        (true, true) => tile.scratch[..size].copy_from_slice(&tile.values[at.clone()]),
                        (true, false) => {
                            let flow = &tile.flows[flows[b].clone()];
                            divide(flow, &tile.values[at.clone()], &mut tile.scratch[..size], TILE, n);
                        }
                        (false, true) => {}
                        (false, false) => {
                            divide_into(&tile.flows[flows[b].clone()], &mut tile.values[at.clone()], TILE, n);
                        }
                    }
                    let over = if in_place { &tile.values[at] } else { &tile.scratch[..size] };
                    for (part, (c, matrix)) in children.iter().zip(&self.weights[*weights]).enumerate() {
                        if left_out(*c) {
                            continue;
                        }
                        let values = &tile.values[kept[*c].clone()];
                        let then = match (self.graph.parents(*c).len(), tile.begun[*c]) {
                            (1, _) => Then::Multiply(values),
                            (_, false) => Then::Store,
                            _ => Then::Add,
                        };
                        matrix.transposed_times(over, &mut tile.flows[flows[*c].clone()], n, then);
                        tile.begun[*c] = true;
                        if let Some(sums) = sums.as_deref_mut() {
                            matrix.add_outer(over, values, &mut sums.edges[*weights][part], n);
                        }
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

    /// What flows over the root, `F / S = m w / Σ m S` of each head, in the place of its values.
    #[inline(always)]
    fn root_flows(&self, tile: &mut Tile<T>) {
        let values = &mut tile.values[self.plan.kept[self.graph.root()].clone()];
        for b in 0..TILE {
            let heads = tile.heads[b..].iter().step_by(TILE);
            let total: f64 = values[b..].iter().step_by(TILE).zip(heads.clone()).map(|(p, m)| p.f64() * m.f64()).sum();
            let used = b < tile.n && !tile.underflowed[b];
            let share = if used { tile.weights[b].f64() / total } else { 0.0 };
            values[b..].iter_mut().step_by(TILE).zip(heads).for_each(|(value, m)| *value = T::of(share * m.f64()));
        }
    }
}

fn add<T: Scalar>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}
