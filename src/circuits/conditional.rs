//! The distribution of every missing value given the values that are there, in one pass up and one down.

use super::{
    Circuit, Real,
    evaluate::{Notes, Workspace},
    kernels::TILE,
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

impl<T: Real> Circuit<T> {
    pub(super) fn all_conditionals(&self, rows: &Discrete) -> Result<Conditionals> {
        self.check(rows)?;
        let mut offsets = vec![0];
        for v in 0..self.vars() {
            offsets.push(offsets[v] + self.schema.variables[v].categories);
        }
        let width = offsets[self.vars()];
        let mut probabilities = vec![0.0; rows.len() * width];
        let all: Vec<usize> = (0..rows.len()).collect();
        Workspace::new(true).for_each_block(self, rows, &all, Notes::default(), |block, tiles| {
            for (tile, tile_rows) in tiles.iter_mut().zip(block.chunks(TILE)) {
                self.downward(tile, None, None);
                for (b, row) in tile_rows.iter().enumerate() {
                    let into = &mut probabilities[row * width..(row + 1) * width];
                    let codes = tile.row(b);
                    let exact = if tile.faint[b] {
                        let values = self.log_values(&codes);
                        if tile.log_probs[b] == f64::NEG_INFINITY {
                            return Err(impossible(*row));
                        }
                        Some(self.row_flows(&values, &[1.0], |_, _| {}))
                    } else {
                        None
                    };
                    for (set, uses) in self.uses.leaves.iter().enumerate() {
                        for (v, block) in uses.iter().filter(|(v, _)| codes[*v] == MISSING) {
                            let target = &mut into[offsets[*v]..offsets[v + 1]];
                            match &exact {
                                Some(flows) => self.add_expected(set, flows[*block].iter().copied(), target),
                                None => {
                                    let flows = &tile.flows[self.plan.flows[*block].clone()];
                                    self.add_expected(set, flows[b..].iter().step_by(TILE).map(|f| f.f64()), target);
                                }
                            }
                        }
                    }
                    for (v, code) in codes.iter().enumerate() {
                        let target = &mut into[offsets[v]..offsets[v + 1]];
                        if *code == MISSING {
                            let total: f64 = target.iter().sum();
                            target.iter_mut().for_each(|p| *p /= total);
                        } else {
                            target[*code as usize] = 1.0;
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(Conditionals { offsets, probabilities })
    }

    /// `target[a] += Σ_h F[h] p(a | h)`.
    pub(super) fn add_expected(&self, set: usize, flows: impl Iterator<Item = f64> + Clone, target: &mut [f64]) {
        let leaves = &self.leaves[set];
        for (p, row) in target.iter_mut().zip(leaves.table.chunks_exact(leaves.units)) {
            *p += row.iter().zip(flows.clone()).map(|(w, f)| w.f64() * f).sum::<f64>();
        }
    }
}

impl Circuit {
    /// The distribution of every variable of every row, given the values of the row that are not missing.
    ///
    /// ```text
    /// p(x_v = a | e) = Σ_{inputs n of x_v} F_n(e) p(a | n)
    /// ```
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when what a row knows is impossible under the circuit.
    pub fn conditionals(&self, rows: &Discrete) -> Result<Conditionals> {
        self.all_conditionals(rows)
    }
}

pub(super) fn impossible(row: usize) -> Error {
    Error::invalid(format!(
        "row {row}: the circuit gives what is known of it probability zero; there is nothing to condition on"
    ))
}
