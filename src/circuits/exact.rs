//! One row in log space and f64: slower, and right where linear values would vanish.

use super::{Hclt, Real};
use crate::data::MISSING;

/// Log-values of all regions for one row.
#[derive(Clone, Debug)]
pub(super) struct LogValues {
    /// `log P_v`, `(variables, states)`.
    pub(super) products: Vec<f64>,
    /// `log S_v`, `(variables, states)`.
    pub(super) sums: Vec<f64>,
    /// Log-likelihood of the row, nats; −∞ where it is impossible.
    pub(super) log_prob: f64,
}

/// `log Σ exp(values)`; −∞ for none.
pub(super) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + values.map(|v| (v - largest).exp()).sum::<f64>().ln()
}

impl<T: Real> Hclt<T> {
    pub(super) fn log_leaf(&self, v: usize, h: usize, code: u16) -> f64 {
        match code {
            MISSING => 0.0,
            code => self.weights.leaves[v][h * self.categories(v) + code as usize].f64().ln(),
        }
    }

    pub(super) fn log_edge(&self, child: usize, h: usize, to: usize) -> f64 {
        self.weights.edges[child][h * self.states + to].f64().ln()
    }

    /// The pass upward for one row.
    pub(super) fn log_values(&self, codes: &[u16]) -> LogValues {
        let h = self.states;
        let mut products = vec![0.0; codes.len() * h];
        let mut sums = vec![0.0; codes.len() * h];
        for &v in self.tree.downward().iter().rev() {
            for state in 0..h {
                let mut value = self.log_leaf(v, state, codes[v]);
                for &c in self.tree.children(v) {
                    let below = &products[c * h..(c + 1) * h];
                    let sum = log_sum_exp(below.iter().enumerate().map(|(to, p)| self.log_edge(c, state, to) + p));
                    sums[c * h + state] = sum;
                    value += sum;
                }
                products[v * h + state] = value;
            }
        }
        let root = &products[self.tree.root() * h..][..h];
        let log_prob = log_sum_exp(self.weights.root.iter().zip(root).map(|(w, p)| w.f64().ln() + p));
        LogValues { products, sums, log_prob }
    }

    /// Flows of all product regions for one row, `(variables, states)`; all zero for an impossible row.
    ///
    /// `edge(child, h, h', flow)` hears of the flow over every edge.
    pub(super) fn row_flows(&self, values: &LogValues, mut edge: impl FnMut(usize, usize, usize, f64)) -> Vec<f64> {
        let h = self.states;
        let mut flows = vec![0.0; values.products.len()];
        if values.log_prob == f64::NEG_INFINITY {
            return flows;
        }
        let root = self.tree.root() * h;
        for state in 0..h {
            flows[root + state] =
                (self.weights.root[state].f64().ln() + values.products[root + state] - values.log_prob).exp();
        }
        for &v in self.tree.downward() {
            for &c in self.tree.children(v) {
                for state in 0..h {
                    let from = flows[v * h + state];
                    if from == 0.0 {
                        continue;
                    }
                    for to in 0..h {
                        let share =
                            self.log_edge(c, state, to) + values.products[c * h + to] - values.sums[c * h + state];
                        let flow = from * share.exp();
                        flows[c * h + to] += flow;
                        edge(c, state, to, flow);
                    }
                }
            }
        }
        flows
    }
}
