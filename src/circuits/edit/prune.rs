//! Pruning edges of sums: by flow, by parameter or at random, with what it costs: exactly for one edge, bounded for a set,
//! and measured.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        pass::downward::Flows,
        pass::heads::{Heads, RowWeights},
        pass::kernels::TILE,
        pass::upward::{Purpose, Workspace},
    },
    data::Rows,
    evidence::{Evidence, Exact},
    random::{Seed, permutation},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which edges go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneBy {
    /// Those with the least flow over the data.
    #[default]
    Flow,
    /// Those with the smallest weights.
    Parameter,
    /// Any.
    Random,
}

/// An edge of a sum: which weights, which child, from which node to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    pub(crate) set: usize,
    pub(crate) part: usize,
    pub(crate) row: usize,
    pub(crate) place: usize,
}

impl Edge {
    /// Whether both leave the same node.
    pub(crate) fn shares_node(&self, other: &Self) -> bool {
        (self.set, self.row) == (other.set, other.row)
    }
}

/// A pruned circuit, and what the pruning cost.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The circuit without the edges, its sums normalised again.
    pub circuit: Circuit,
    /// Edges that were removed.
    pub removed: usize,
    /// Edges that there were.
    pub edges: usize,
    /// A bound on the mean loss, nats a row (Theorem 2); `None` where all flow of some row would be lost, so that there is none.
    ///
    /// ```text
    /// ΔLL ≤ −1/N Σ_x log(1 − Σ_{(n,c) removed} F_nc(x))
    /// ```
    pub bound: Option<f64>,
    /// The mean loss on the rows, nats a row; one that was impossible loses nothing.
    pub loss: f64,
    /// The likelihoods of the rows before.
    pub before: Evidence<Exact>,
    /// And after.
    pub after: Evidence<Exact>,
}

impl<T: Scalar> Circuit<T> {
    /// All edges of sums.
    pub(crate) fn all_edges(&self) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (set, parts) in self.weights.iter().enumerate() {
            for (part, matrix) in parts.iter().enumerate() {
                for row in 0..matrix.rows() {
                    let places = matrix.row(row).filter(|i| matrix.values[*i] > T::ZERO);
                    edges.extend(places.map(|place| Edge { set, part, row, place }));
                }
            }
        }
        edges
    }

    /// The first of `order` whose removal leaves every node an edge, at most `count`.
    fn removable(&self, order: &[Edge], count: usize) -> Vec<Edge> {
        let mut left: Vec<Vec<usize>> = self.weights.iter().map(|parts| vec![0; parts[0].rows()]).collect();
        self.all_edges().iter().for_each(|e| left[e.set][e.row] += 1);
        let mut chosen = Vec::with_capacity(count);
        for edge in order {
            if chosen.len() == count {
                break;
            }
            let left = &mut left[edge.set][edge.row];
            if *left > 1 {
                *left -= 1;
                chosen.push(*edge);
            }
        }
        chosen
    }

    /// The circuit without these edges.
    pub(crate) fn without(&self, edges: &[Edge]) -> Self {
        let mut pruned = self.clone();
        for edge in edges {
            pruned.weights[edge.set][edge.part].values[edge.place] = T::ZERO;
        }
        for parts in &mut pruned.weights {
            for row in 0..parts[0].rows() {
                let total: f64 = parts.iter().flat_map(|m| &m.values[m.row(row)]).map(|w| w.f64()).sum();
                if (total - 1.0).abs() > 1e-7 {
                    for matrix in parts.iter_mut() {
                        let range = matrix.row(row);
                        matrix.values[range].iter_mut().for_each(|w| *w = T::of(w.f64() / total));
                    }
                }
            }
            parts.iter_mut().for_each(|matrix| *matrix = matrix.packed());
        }
        pruned
    }

    /// The flows of rows, summed.
    pub(crate) fn flows_of(&self, rows: &dyn Rows, heads: Heads) -> Result<Flows<T>> {
        let row_weights = RowWeights { heads, weights: None };
        self.check(rows)?;
        self.check_weights(row_weights, rows.len())?;
        let mut flows = Flows::new(self);
        let all: Vec<usize> = (0..rows.len()).collect();
        Workspace::new(Purpose::Sums).for_each_block(self, rows, &all, row_weights, |_, tiles| {
            flows.add(self, tiles);
            Ok(())
        })?;
        Ok(flows)
    }

    /// See [`Circuit::prune_unused`].
    pub(crate) fn without_unused(&self, least: f64, rows: &dyn Rows, heads: Heads) -> Result<Self> {
        if !(0.0..1.0).contains(&least) {
            return Err(Error::out_of_range("least", least, "0 ≤ least < 1"));
        }
        let flows = self.flows_of(rows, heads)?;
        let flow = |e: &Edge| {
            let weight = self.weights[e.set][e.part].values[e.place].f64();
            weight * flows.sums.edges[e.set][e.part][e.place].f64()
        };
        let weight = |e: &Edge| self.weights[e.set][e.part].values[e.place];
        let mut unused: Vec<Edge> = Vec::new();
        let edges = self.all_edges();
        let mut of_nodes: BTreeMap<(usize, usize), Vec<Edge>> = BTreeMap::new();
        edges.into_iter().for_each(|e| of_nodes.entry((e.set, e.row)).or_default().push(e));
        for edges in of_nodes.into_values() {
            let few = |e: &Edge| flow(e) <= least * flows.rows;
            // A node that nothing uses keeps its heaviest edge.
            let kept = edges.iter().all(few).then(|| {
                edges.iter().max_by(|a, b| weight(a).f64().total_cmp(&weight(b).f64())).copied().expect("an edge")
            });
            unused.extend(edges.iter().filter(|e| few(e) && Some(**e) != kept));
        }
        Ok(self.without(&unused))
    }

    /// For every row, the flow over all of `edges` together.
    pub(crate) fn flow_over(&self, rows: &dyn Rows, edges: &[Edge]) -> Result<Vec<f64>> {
        // `F_nc = θ (F_n / p_n) p_c` summed over the chosen edges: the flow that the circuit of those weights alone lets by.
        let mut only = self.weights.clone();
        only.iter_mut().flatten().for_each(|matrix| matrix.values.fill(T::ZERO));
        for Edge { set, part, place, .. } in edges {
            only[*set][*part].values[*place] = self.weights[*set][*part].values[*place];
        }
        let mut flows = vec![0.0; rows.len()];
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut room = vec![T::ZERO; self.plan.scratch_len];
        Workspace::new(Purpose::Flows).for_each_block(self, rows, &all, RowWeights::default(), |block, tiles| {
            for (tile, block) in tiles.iter_mut().zip(block.chunks(TILE)) {
                self.downward(tile, None, None);
                for (set, uses) in self.uses.weights.iter().enumerate() {
                    for b in uses {
                        for (child, matrix) in self.graph.children(*b).into_iter().zip(&only[set]) {
                            if matrix.edges() == 0 {
                                continue;
                            }
                            let over = &tile.values[self.plan.kept[*b].clone()];
                            let below = &tile.values[self.plan.kept[child].clone()];
                            matrix.times(below, &mut room, tile.n, crate::circuits::pass::kernels::Then::Store);
                            for (over, through) in over.chunks_exact(TILE).zip(room.chunks_exact(TILE)) {
                                for ((row, over), through) in block.iter().zip(over).zip(through) {
                                    flows[*row] += over.f64() * through.f64();
                                }
                            }
                        }
                    }
                }
                for (b, row) in block.iter().enumerate().filter(|(b, _)| tile.underflowed[*b]) {
                    let values = self.log_values(&tile.row(b));
                    flows[*row] = 0.0;
                    self.row_flows(&values, &[1.0], |edge, flow| {
                        if only[edge.set][edge.part].values[edge.place] > T::ZERO {
                            flows[*row] += flow;
                        }
                    });
                }
            }
            Ok(())
        })?;
        Ok(flows)
    }

    /// Edges in the order in which they go.
    fn pruning_order(&self, by: PruneBy, rows: &dyn Rows, seed: Seed) -> Result<Vec<Edge>> {
        let edges = self.all_edges();
        let weight = |e: &Edge| self.weights[e.set][e.part].values[e.place].f64();
        let mut keyed: Vec<(f64, Edge)> = match by {
            PruneBy::Parameter => edges.iter().map(|e| (weight(e), *e)).collect(),
            PruneBy::Random => {
                let order = permutation(edges.len(), &mut seed.stream("prune", 0));
                return Ok(order.into_iter().map(|i| edges[i]).collect());
            }
            PruneBy::Flow => {
                let flows = self.flows_of(rows, Heads::Only)?;
                let flow = |e: &Edge| weight(e) * flows.sums.edges[e.set][e.part][e.place].f64();
                edges.iter().map(|e| (flow(e), *e)).collect()
            }
        };
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(keyed.into_iter().map(|(_, edge)| edge).collect())
    }

    pub(crate) fn loss_without(&self, rows: &dyn Rows, edge: Edge) -> Result<f64> {
        let node: Vec<Edge> = self.all_edges().into_iter().filter(|e| e.shares_node(&edge)).collect();
        let theta = self.weights[edge.set][edge.part].values[edge.place].f64();
        let (through, all) = (self.flow_over(rows, &[edge])?, self.flow_over(rows, &node)?);
        // What is below rounding is nothing: then the row was possible over this edge alone.
        let rounding = if T::SINGLE { 1e-6 } else { 1e-12 };
        let losses = through.iter().zip(&all).map(|(f, n)| {
            let left = (1.0 - theta) * (1.0 - n) + (n - f);
            if left > rounding { ((1.0 - theta) / left).ln() } else { f64::INFINITY }
        });
        Ok(losses.sum::<f64>() / rows.len() as f64)
    }
}

impl Circuit {
    /// All edges of sums.
    pub fn edges(&self) -> Vec<Edge> {
        self.all_edges()
    }

    /// What removing one edge would cost on `rows`, exactly, without removing it: nats a row, below 0 where it would help.
    ///
    /// ```text
    /// ΔLL = 1/N Σ_x log((1 − θ) / (1 − θ + θ F_n(x) − F_nc(x)))
    /// ```
    /// Source: Dang, Liu and Van den Broeck 2022, Theorem 1.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also where other blocks share the weight, so that the edge is not one.
    pub fn loss_of_pruning(&self, rows: &dyn Rows, edge: Edge) -> Result<f64> {
        if self.uses.weights[edge.set].len() > 1 {
            return Err(Error::invalid("the weight is shared by several blocks: its removal is not that of one edge"));
        }
        self.loss_without(rows, edge)
    }

    /// Removes every edge of sums over which flows no more than `least` of a row, on average; a node that no row uses keeps its
    /// heaviest edge. For circuits with any number of heads.
    ///
    /// # Errors
    /// When `least` is not in `0..1`, the rows do not fit, or `heads` is of other rows.
    pub fn prune_unused(&self, least: f64, rows: &dyn Rows, heads: Heads) -> Result<Self> {
        self.without_unused(least, rows, heads)
    }

    /// Removes the given share of all edges of sums, and says what it cost on `rows`. Every node keeps one edge.
    ///
    /// Source: Dang, Liu and Van den Broeck 2022, Theorem 2.
    ///
    /// # Errors
    /// When `share` is not in `0..1`, or the rows do not fit or are all impossible.
    pub fn prune(&self, share: f64, by: PruneBy, rows: &dyn Rows, seed: Seed) -> Result<Pruned> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::out_of_range("share", share, "0 ≤ share < 1"));
        }
        let before = self.evidence(rows)?;
        let edges = self.all_edges().len();
        let order = self.pruning_order(by, rows, seed)?;
        let removed = self.removable(&order, (share * edges as f64) as usize);
        let lost = self.flow_over(rows, &removed)?;
        let bound =
            lost.iter().all(|f| *f < 1.0).then(|| -lost.iter().map(|f| (-f).ln_1p()).sum::<f64>() / lost.len() as f64);
        let circuit = self.without(&removed);
        let after = circuit.evidence(rows)?;
        // A row that was impossible stays so, and costs nothing.
        let each = before.log_probs().iter().zip(after.log_probs());
        let lost = each.filter(|(before, _)| **before > f64::NEG_INFINITY).map(|(before, after)| before - after);
        let loss = lost.sum::<f64>() / before.len() as f64;
        Ok(Pruned { circuit, removed: removed.len(), edges, bound, loss, before, after })
    }
}
