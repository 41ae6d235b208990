//! The distribution of every missing value given the values that are there, in one pass up and one down.

use super::{
    Hclt, Real,
    evaluate::{TILE, Workspace},
};
use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows},
};

/// For every row and variable, the distribution over its categories given the rest of what the row knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditionals {
    offsets: Vec<usize>,
    probabilities: Vec<f64>,
}

impl Conditionals {
    /// `p(x_v = a | the values of the row)` for each category `a`. One for the value itself where it is known.
    pub fn get(&self, row: usize, variable: usize) -> &[f64] {
        let width = self.offsets[self.offsets.len() - 1];
        &self.probabilities[row * width..][self.offsets[variable]..self.offsets[variable + 1]]
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.probabilities.len() / self.offsets[self.offsets.len() - 1]
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.probabilities.is_empty()
    }
}

impl<T: Real> Hclt<T> {
    /// The distribution of every variable of every row, given the values of the row that are not missing.
    ///
    /// ```text
    /// p(x_v = a | e) = Σ_h F_v[h] p(a | h)
    /// ```
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when what a row knows is impossible under the circuit.
    pub fn conditionals(&self, rows: &Discrete) -> Result<Conditionals> {
        self.check(rows)?;
        let mut offsets = vec![0];
        for v in 0..self.vars() {
            offsets.push(offsets[v] + self.categories(v));
        }
        let width = offsets[self.vars()];
        let mut probabilities = Vec::with_capacity(rows.len() * width);
        let all: Vec<usize> = (0..rows.len()).collect();
        Workspace::new(true).for_each_block(self, rows, &all, |tiles| {
            for tile in tiles {
                self.downward(tile);
                for b in 0..tile.n {
                    let codes = tile.row(b);
                    let flows: Vec<f64> = if tile.faint[b] {
                        let values = self.log_values(&codes);
                        if values.log_prob == f64::NEG_INFINITY {
                            return Err(impossible(probabilities.len() / width));
                        }
                        self.row_flows(&values, |_, _, _, _| {})
                    } else {
                        tile.flows[b..].iter().step_by(TILE).map(|f| f.f64()).collect()
                    };
                    for (v, flows) in flows.chunks_exact(self.states).enumerate() {
                        self.conditional(v, codes[v], flows, &mut probabilities);
                    }
                }
            }
            Ok(())
        })?;
        Ok(Conditionals { offsets, probabilities })
    }

    fn conditional(&self, v: usize, code: u16, flows: &[f64], into: &mut Vec<f64>) {
        let k = self.categories(v);
        let start = into.len();
        into.resize(start + k, 0.0);
        let target = &mut into[start..];
        if code != MISSING {
            target[code as usize] = 1.0;
            return;
        }
        for (leaf, flow) in self.weights.leaves[v].chunks_exact(k).zip(flows) {
            target.iter_mut().zip(leaf).for_each(|(p, w)| *p += flow * w.f64());
        }
        let total: f64 = target.iter().sum();
        target.iter_mut().for_each(|p| *p /= total);
    }
}

pub(super) fn impossible(row: usize) -> Error {
    Error::invalid(format!(
        "row {row}: the circuit gives what is known of it probability zero; there is nothing to condition on"
    ))
}
