//! The distribution of every missing value given the values that are there, in one pass up and one down.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        pass::heads::RowWeights,
        pass::inputs::Row,
        pass::kernels::TILE,
        pass::upward::{Purpose, Tile, Workspace},
    },
    data::Rows,
    model::Each,
    simd::vectorised,
};
use rayon::prelude::*;

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
        let all: Vec<usize> = (0..self.vars()).collect();
        let offsets = self.offsets(&all);
        let mut probabilities = Vec::with_capacity(rows.len() * offsets[self.vars()]);
        self.each_conditional(rows, &all, &mut |_, _, found| {
            probabilities.extend_from_slice(found);
            Ok(())
        })?;
        Ok(Conditionals { offsets, probabilities })
    }

    /// Where the distribution of each of these variables begins, and where the last one ends.
    fn offsets(&self, variables: &[usize]) -> Vec<usize> {
        let mut offsets = vec![0];
        for v in variables {
            let categories = self.schema.variables[*v].categories;
            offsets.push(offsets[offsets.len() - 1] + if categories == 0 { 3 } else { categories });
        }
        offsets
    }

    /// The distributions of these variables in each row, row after row; no more of them are in memory than those of a block of
    /// rows.
    pub(crate) fn each_conditional(&self, rows: &dyn Rows, variables: &[usize], each: &mut Each) -> Result<()> {
        self.check(rows)?;
        self.check_weights(RowWeights::default(), rows.len())?;
        let offsets = self.offsets(variables);
        let width = offsets[variables.len()];
        let mut place = vec![None; self.vars()];
        variables.iter().enumerate().for_each(|(i, v)| place[*v] = Some(i));
        let all: Vec<usize> = (0..rows.len()).collect();
        Workspace::new(Purpose::Flows).for_each_block(self, rows, &all, RowWeights::default(), |block, tiles| {
            let found: Vec<Vec<f64>> = tiles
                .par_iter_mut()
                .zip(block.par_chunks(TILE))
                .map(|(tile, tile_rows)| {
                    if let Some(b) = tile.log_probs[..tile.n].iter().position(|p| *p == f64::NEG_INFINITY) {
                        return Err(impossible(rows.number_of(tile_rows[b])));
                    }
                    vectorised!(Self::downward(self, tile, None, None));
                    let (mut found, mut flows) = (vec![0.0; tile.n * width], Vec::new());
                    for (b, into) in found.chunks_exact_mut(width.max(1)).enumerate() {
                        self.conditionals_of(tile, b, (&place, &offsets), into, &mut flows);
                    }
                    Ok(found)
                })
                .collect::<Result<_>>()?;
            for (row, found) in block.iter().zip(found.iter().flat_map(|found| found.chunks_exact(width.max(1)))) {
                for (i, v) in variables.iter().filter_map(|v| Some((place[*v]?, *v))) {
                    each(*row, v, &found[offsets[i]..offsets[i + 1]])?;
                }
            }
            Ok(())
        })
    }

    /// The distributions of row `b` of a tile that has been passed up and down; `place` says which of them is asked for.
    fn conditionals_of(
        &self,
        tile: &Tile<T>,
        b: usize,
        (place, offsets): (&[Option<usize>], &[usize]),
        into: &mut [f64],
        flows: &mut Vec<f64>,
    ) {
        let says = tile.row(b);
        let at = |v: usize| place[v].map(|i| offsets[i]..offsets[i + 1]);
        let asked = |v: usize| says.hides(v) && place[v].is_some();
        let exact = (tile.underflowed[b] && (0..self.vars()).any(asked))
            .then(|| self.row_flows(&self.log_values(&says), &[1.0], |_, _| {}));
        for (set, uses) in self.uses.leaves.iter().enumerate() {
            for (v, block) in uses.iter().filter(|(v, _)| says.hides(*v)) {
                let Some(range) = at(*v) else { continue };
                self.column(tile, exact.as_deref(), *block, b, flows);
                self.add_expected((*v, set), flows, Some(&says), &mut into[range]);
            }
        }
        for (v, variable) in self.schema.variables.iter().enumerate() {
            let Some(range) = at(v) else { continue };
            let target = &mut into[range];
            match (says.hides(v), variable.categories) {
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
                let mut shares = Vec::new();
                for (unit, flow) in flows.iter().enumerate().filter(|(_, flow)| **flow != 0.0) {
                    self.posterior(row, (variable, set), unit, &mut shares);
                    target.iter_mut().zip(&shares).for_each(|(t, p)| *t += flow * p);
                }
            }
            (_, None) => vectorised!(add_products(&leaves.table, flows, target)),
        }
    }
}

/// `target[a] += Σ_h table[a, h] f[h]`, in partial sums that vectorise.
#[inline(always)]
fn add_products<T: Scalar>(table: &[T], f: &[f64], target: &mut [f64]) {
    const LANES: usize = 8;
    let (whole, rest) = f.as_chunks::<LANES>();
    for (t, row) in target.iter_mut().zip(table.chunks_exact(f.len())) {
        let (mut sums, (row, last)) = ([0.0; LANES], row.as_chunks::<LANES>());
        for (p, f) in row.iter().zip(whole) {
            (0..LANES).for_each(|i| sums[i] += p[i].f64() * f[i]);
        }
        let last: f64 = last.iter().zip(rest).map(|(p, f)| p.f64() * f).sum();
        *t += sums.iter().sum::<f64>() + last;
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

    /// The same of some variables, row after row as they are found: `each` hears of the row, of the variable, and of its
    /// distribution. Memory does not grow with the rows.
    ///
    /// # Errors
    /// As [`Self::conditionals`], and those of `each`.
    pub fn conditionals_of_each(
        &self,
        rows: &dyn Rows,
        variables: &[usize],
        mut each: impl FnMut(usize, usize, &[f64]) -> Result<()>,
    ) -> Result<()> {
        if let Some(v) = variables.iter().find(|v| **v >= self.vars()) {
            return Err(Error::invalid(format!("variable {v} of {}", self.vars())));
        }
        self.each_conditional(rows, variables, &mut each)
    }
}

pub(crate) fn impossible(row: usize) -> Error {
    Error::invalid(format!(
        "row {row}: the circuit gives what is known of it probability zero; there is nothing to condition on"
    ))
}
