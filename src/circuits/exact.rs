//! One row in log space and f64: slower, and right where linear values would vanish.

use super::{Circuit, Real, graph::Kind, layer::Matrix};

/// Log-values of all nodes for one row.
#[derive(Clone, Debug)]
pub(super) struct LogValues {
    /// Of each block, its nodes.
    pub(super) blocks: Vec<Vec<f64>>,
}

/// `log Σ exp(values)`; −∞ for none.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + values.map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// How the children of a sum become its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mixing {
    /// `log Σ θ p`.
    Sum,
    /// `log max θ p`: the most probable child alone.
    Max,
}

impl LogValues {
    /// Log-likelihood of the row under a mixture of heads, nats.
    pub(super) fn log_prob<T: Real>(&self, circuit: &Circuit<T>, heads: &[f64]) -> f64 {
        log_sum_exp(self.blocks[circuit.graph.root()].iter().zip(heads).map(|(p, w)| w.ln() + p))
    }
}

/// The edges of node `row` of a sum block: a child's place among the children, its node, the logarithm of the weight.
pub(super) fn edges<T: Real>(
    parts: &[Matrix<T>],
    row: usize,
) -> impl Iterator<Item = (usize, usize, f64)> + Clone + '_ {
    parts.iter().enumerate().flat_map(move |(part, matrix)| {
        let weights = &matrix.values[matrix.row(row)];
        let entries = matrix.row_columns(row).zip(weights).filter(|(_, w)| **w > T::ZERO);
        entries.map(move |(column, weight)| (part, column, weight.f64().ln()))
    })
}

impl<T: Real> Circuit<T> {
    /// The pass upward for one row.
    pub(super) fn log_values(&self, codes: &[u16]) -> LogValues {
        self.log_values_by(Mixing::Sum, |variable, leaf, unit| match codes[variable] {
            crate::data::MISSING => 0.0,
            code => self.leaves[leaf].prob(unit, code).ln(),
        })
    }

    /// The pass upward from given logarithms of leaves.
    pub(super) fn log_values_by(&self, mixing: Mixing, input: impl Fn(usize, usize, usize) -> f64) -> LogValues {
        let mut blocks: Vec<Vec<f64>> = Vec::with_capacity(self.graph.blocks().len());
        for block in self.graph.blocks() {
            let values = match &block.kind {
                Kind::Input { variable, leaf } => (0..block.units).map(|unit| input(*variable, *leaf, unit)).collect(),
                Kind::Product { children } => {
                    (0..block.units).map(|unit| children.iter().map(|c| blocks[*c][unit]).sum()).collect()
                }
                Kind::Kronecker { left, right } => {
                    blocks[*left].iter().flat_map(|l| blocks[*right].iter().map(move |r| l + r)).collect()
                }
                Kind::Sum { children, weights } => {
                    let parts = &self.weights[*weights];
                    let terms = |unit| edges(parts, unit).map(|(part, node, w)| w + blocks[children[part]][node]);
                    let mix = |unit| match mixing {
                        Mixing::Sum => log_sum_exp(terms(unit)),
                        Mixing::Max => terms(unit).fold(f64::NEG_INFINITY, f64::max),
                    };
                    (0..block.units).map(mix).collect()
                }
            };
            blocks.push(values);
        }
        LogValues { blocks }
    }

    /// Flows of all nodes for one row, by block; all zero for an impossible row.
    ///
    /// `edge(weights, child's place, row, column, flow)` hears of the flow over every edge of a sum.
    pub(super) fn row_flows(
        &self,
        values: &LogValues,
        heads: &[f64],
        mut edge: impl FnMut(usize, usize, usize, usize, f64),
    ) -> Vec<Vec<f64>> {
        let blocks = self.graph.blocks();
        let mut flows: Vec<Vec<f64>> = blocks.iter().map(|block| vec![0.0; block.units]).collect();
        let root = self.graph.root();
        let log_prob = values.log_prob(self, heads);
        if log_prob == f64::NEG_INFINITY {
            return flows;
        }
        for (head, weight) in heads.iter().enumerate() {
            flows[root][head] = (weight.ln() + values.blocks[root][head] - log_prob).exp();
        }
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
                Kind::Sum { children, weights } => {
                    for (unit, flow) in own.iter().enumerate().filter(|(_, flow)| **flow > 0.0) {
                        for (part, node, log_weight) in edges(&self.weights[*weights], unit) {
                            let below = values.blocks[children[part]][node];
                            let flow = flow * (log_weight + below - values.blocks[b][unit]).exp();
                            flows[children[part]][node] += flow;
                            edge(*weights, part, unit, node, flow);
                        }
                    }
                }
            }
            flows[b] = own;
        }
        flows
    }
}
