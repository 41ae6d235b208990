//! One row in log space and f64: slower, and right where linear values would vanish.

use crate::circuits::{Circuit, Scalar, edit::prune::Edge, graph::Kind, pass::inputs::Row, pass::weights::Matrix};
use crate::math::log_sum_exp;

/// Log-values of all nodes for one row.
#[derive(Clone, Debug)]
pub(crate) struct LogValues {
    /// Of each block, its nodes.
    pub(crate) blocks: Vec<Vec<f64>>,
}

impl LogValues {
    /// Log-likelihood of the row under a mixture of heads, nats.
    pub(crate) fn log_prob<T: Scalar>(&self, circuit: &Circuit<T>, heads: &[f64]) -> f64 {
        log_sum_exp(self.blocks[circuit.graph.root()].iter().zip(heads).map(|(p, w)| w.ln() + p))
    }
}

/// An edge, as its node sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch {
    /// The child's place among the children of the block.
    pub(crate) part: usize,
    /// The child's node.
    pub(crate) node: usize,
    /// Where the weight is among the values of its matrix.
    pub(crate) place: usize,
    /// The logarithm of the weight.
    pub(crate) log_weight: f64,
}

/// The edges of node `row` of a sum block.
pub(crate) fn branches<T: Scalar>(parts: &[Matrix<T>], row: usize) -> impl Iterator<Item = Branch> + Clone + '_ {
    parts.iter().enumerate().flat_map(move |(part, matrix)| {
        let entries =
            matrix.row_columns(row).zip(matrix.row(row)).map(|(node, place)| (node, place, matrix.values[place]));
        entries.filter(|(_, _, weight)| *weight > T::ZERO).map(move |(node, place, weight)| Branch {
            part,
            node,
            place,
            log_weight: weight.f64().ln(),
        })
    })
}

/// An edge of a sum on the way down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The sum: its block, and its node there.
    pub(crate) above: (usize, usize),
    /// The child.
    pub(crate) below: (usize, usize),
    /// The edge itself.
    pub(crate) edge: Edge,
    /// The logarithm of its weight.
    pub(crate) log_weight: f64,
}

impl<T: Scalar> Circuit<T> {
    /// The pass upward for one row.
    pub(crate) fn log_values(&self, row: &Row) -> LogValues {
        let mut blocks: Vec<Vec<f64>> = Vec::with_capacity(self.graph.blocks().len());
        for block in self.graph.blocks() {
            let values = match &block.kind {
                Kind::Input { variable, leaf } => {
                    (0..block.units).map(|unit| self.log_input(row, *variable, *leaf, unit)).collect()
                }
                Kind::Product { children } => {
                    (0..block.units).map(|unit| children.iter().map(|c| blocks[*c][unit]).sum()).collect()
                }
                Kind::Kronecker { left, right } => {
                    blocks[*left].iter().flat_map(|l| blocks[*right].iter().map(move |r| l + r)).collect()
                }
                Kind::Sum { children, weights } => {
                    let parts = &self.weights[*weights];
                    let terms = |unit| branches(parts, unit).map(|e| e.log_weight + blocks[children[e.part]][e.node]);
                    (0..block.units).map(|unit| log_sum_exp(terms(unit))).collect()
                }
            };
            blocks.push(values);
        }
        LogValues { blocks }
    }

    /// Flows of all nodes for one row, by block; all zero for an impossible row. `each` hears of the flow over every edge.
    pub(crate) fn row_flows(
        &self,
        values: &LogValues,
        heads: &[f64],
        mut each: impl FnMut(Edge, f64),
    ) -> Vec<Vec<f64>> {
        let log_prob = values.log_prob(self, heads);
        let root = values.blocks[self.graph.root()].iter().zip(heads);
        let begin = match log_prob {
            f64::NEG_INFINITY => vec![0.0; heads.len()],
            _ => root.map(|(value, weight)| (weight.ln() + value - log_prob).exp()).collect(),
        };
        self.descend(begin, |arrived, step| {
            let [above, below] = [step.above, step.below].map(|(b, node)| values.blocks[b][node]);
            let flow = arrived * (step.log_weight + below - above).exp();
            each(step.edge, flow);
            flow
        })
    }

    /// Takes what begins at the heads down to every node: all of it to each child of a product, and what `over` makes of it
    /// over each edge of a sum.
    pub(crate) fn descend(&self, begin: Vec<f64>, mut over: impl FnMut(f64, &Step) -> f64) -> Vec<Vec<f64>> {
        let blocks = self.graph.blocks();
        let mut flows: Vec<Vec<f64>> = blocks.iter().map(|block| vec![0.0; block.units]).collect();
        flows[self.graph.root()] = begin;
        for (b, block) in blocks.iter().enumerate().rev() {
            let own = std::mem::take(&mut flows[b]);
            match &block.kind {
                Kind::Input { .. } => {}
                Kind::Product { children } => {
                    for c in children {
                        flows[*c].iter_mut().zip(&own).for_each(|(f, own)| *f += own);
                    }
                }
                Kind::Kronecker { left, right } => {
                    let units = self.units(*right);
                    for (i, flow) in own.iter().enumerate() {
                        flows[*left][i / units] += flow;
                        flows[*right][i % units] += flow;
                    }
                }
                Kind::Sum { children, weights: set } => {
                    for (row, arrived) in own.iter().enumerate().filter(|(_, flow)| **flow > 0.0) {
                        for Branch { part, node, place, log_weight } in branches(&self.weights[*set], row) {
                            let (below, edge) = ((children[part], node), Edge { set: *set, part, row, place });
                            flows[below.0][node] += over(*arrived, &Step { above: (b, row), below, edge, log_weight });
                        }
                    }
                }
            }
            flows[b] = own;
        }
        flows
    }
}
