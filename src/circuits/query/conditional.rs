//! The distribution of every missing value given the values that are there, in one pass up and one down.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        pass::inputs::Row,
        pass::kernels::TILE,
        pass::upward::{RowWeights, Tile, Workspace},
    },
    data::Rows,
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

    /// Mean and mean square of a column of real numbers.
    pub(crate) fn of_real(&self, row: usize, variable: usize) -> [f64; 2] {
        let [_, mean, square] = self.get(row, variable) else { unreachable!("three numbers for a real column") };
        [*mean, *square]
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

impl<T: Scalar> Circuit<T> {
    /// For a column of real numbers instead of probabilities 1, its mean and its mean square.
    pub(crate) fn all_conditionals(&self, rows: &dyn Rows) -> Result<Conditionals> {
        self.check(rows)?;
        self.check_weights(RowWeights::default(), rows.len())?;
        let mut offsets = vec![0];
        for (v, variable) in self.schema.variables.iter().enumerate() {
            offsets.push(offsets[v] + if variable.categories == 0 { 3 } else { variable.categories });
        }
        let width = offsets[self.vars()];
        let mut probabilities = vec![0.0; rows.len() * width];
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut flows = Vec::new();
        Workspace::new(true).for_each_block(self, rows, &all, RowWeights::default(), |block, tiles| {
            for (tile, tile_rows) in tiles.iter_mut().zip(block.chunks(TILE)) {
                self.downward(tile, None, None);
                for (b, row) in tile_rows.iter().enumerate() {
                    if tile.log_probs[b] == f64::NEG_INFINITY {
                        return Err(impossible(rows.number_of(*row)));
                    }
                    let says = tile.row(b);
                    let exact = tile.underflowed[b].then(|| self.row_flows(&self.log_values(&says), &[1.0], |_, _| {}));
                    let into = &mut probabilities[row * width..(row + 1) * width];
                    for (set, uses) in self.uses.leaves.iter().enumerate() {
                        for (v, block) in uses.iter().filter(|(v, _)| says.hides(*v)) {
                            self.column(tile, exact.as_deref(), *block, b, &mut flows);
                            self.add_expected((*v, set), &flows, Some(&says), &mut into[offsets[*v]..offsets[v + 1]]);
                        }
                    }
                    for v in 0..self.vars() {
                        let target = &mut into[offsets[v]..offsets[v + 1]];
                        match (says.hides(v), self.schema.variables[v].categories) {
                            (true, 0) => {
                                let total = target[0];
                                target.iter_mut().for_each(|m| *m /= total);
                            }
                            (true, _) => {
                                let total: f64 = target.iter().sum();
                                target.iter_mut().for_each(|p| *p /= total);
                            }
                            (false, 0) => target.copy_from_slice(&[1.0, says.reals[v], says.reals[v].powi(2)]),
                            (false, _) => target[says.codes[v] as usize] = 1.0,
                        }
                    }
                }
            }
            Ok(())
        })?;
        Ok(Conditionals { offsets, probabilities })
    }

    /// The flows of row `b` of a tile over the nodes of an input block: those in the tile, or `exact` ones of all blocks.
    pub(crate) fn column(
        &self,
        tile: &Tile<T>,
        exact: Option<&[Vec<f64>]>,
        block: usize,
        b: usize,
        into: &mut Vec<f64>,
    ) {
        into.clear();
        match exact {
            Some(flows) => into.extend_from_slice(&flows[block]),
            None => {
                let flows = &tile.flows[self.plan.flows[block].clone()];
                into.extend(flows[b..].iter().step_by(TILE).map(|f| f.f64()));
            }
        }
    }

    /// `target[a] += Σ_h F[h] p(a | h, what the row says)`; of gaussians 1, the mean and the mean square instead of `p`.
    pub(crate) fn add_expected(
        &self,
        (variable, set): (usize, usize),
        flows: &[f64],
        row: Option<&Row>,
        target: &mut [f64],
    ) {
        let leaves = &self.leaves[set];
        let soft = row.filter(|row| row.soft(variable).is_some());
        match (leaves.density(), soft) {
            (Some(density), _) => {
                for (unit, flow) in flows.iter().enumerate() {
                    let [mean, square] = density.moments(leaves, unit);
                    target.iter_mut().zip([1.0, mean, square]).for_each(|(t, m)| *t += flow * m);
                }
            }
            (_, Some(row)) => {
                for (unit, flow) in flows.iter().enumerate().filter(|(_, flow)| **flow != 0.0) {
                    let posterior = self.posterior(row, variable, set, unit);
                    target.iter_mut().zip(posterior).for_each(|(t, p)| *t += flow * p);
                }
            }
            (_, None) => {
                for (t, row) in target.iter_mut().zip(leaves.table.chunks_exact(leaves.units)) {
                    *t += row.iter().zip(flows).map(|(p, f)| p.f64() * f).sum::<f64>();
                }
            }
        }
    }
}

impl Circuit {
    /// The distribution of every variable of every row, given the values of the row that are not missing, or its soft evidence.
    ///
    /// ```text
    /// p(x_v = a | e) = Σ_{inputs n of x_v} F_n(e) p(a | n)
    /// ```
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when what a row knows is impossible under the circuit.
    pub fn conditionals(&self, rows: &dyn Rows) -> Result<Conditionals> {
        self.all_conditionals(rows)
    }
}

pub(crate) fn impossible(row: usize) -> Error {
    Error::invalid(format!(
        "row {row}: the circuit gives what is known of it probability zero; there is nothing to condition on"
    ))
}
