//! What rows say, and what a leaf makes of it: a category, a real number, or a likelihood of every category.

use crate::{
    Result,
    circuits::{
        Circuit, Scalar,
        leaf::Leaves,
        pass::kernels::{TILE, Then, View, divide, gather, outer, product, scatter},
    },
    data::{MISSING, Rows, Schema},
    math::log_sum_exp,
};

/// What up to [`TILE`] rows say.
#[derive(Debug)]
pub(crate) struct Inputs<T> {
    /// Categories, `(variables, TILE)`.
    pub(crate) codes: Vec<u16>,
    /// Real numbers, `(variables, TILE)`, NaN where one is missing; empty where all columns are categories.
    pub(super) reals: Vec<f64>,
    /// Soft evidence: log-likelihoods of every category of every variable, `(Σ categories, TILE)`; empty where there is none.
    pub(super) log_soft: Vec<f32>,
    /// The same, linear, each variable's largest 1.
    soft: Vec<T>,
    /// The logarithm of what `soft` has been divided by, of all variables together; `(TILE,)`.
    pub(crate) offset: Vec<f64>,
    /// Where in `soft` the categories of each variable begin.
    starts: Vec<usize>,
}

/// Rows as their source gives them, before they are cut into tiles.
#[derive(Debug, Default)]
pub(crate) struct Read {
    codes: Vec<u16>,
    reals: Vec<f64>,
    soft: Vec<f32>,
}

impl Read {
    /// Reads the rows `block` of a source.
    pub(crate) fn read(&mut self, source: &dyn Rows, block: &[usize]) -> Result<()> {
        source.read(block, &mut self.codes)?;
        source.read_reals(block, &mut self.reals)?;
        source.read_evidence(block, &mut self.soft)
    }

    /// The row at `i` of those read, `n` in all, of columns with this schema.
    pub(crate) fn row(&self, i: usize, n: usize, schema: &Schema) -> Row {
        fn part<T>(all: &[T], i: usize, n: usize) -> &[T] {
            let width = all.len() / n;
            &all[i * width..(i + 1) * width]
        }
        let soft = by_variable(part(&self.soft, i, n), &starts(schema));
        Row { codes: part(&self.codes, i, n).to_vec(), reals: part(&self.reals, i, n).to_vec(), soft }
    }
}

impl<T: Scalar> Inputs<T> {
    pub(crate) fn new(schema: &Schema) -> Self {
        let starts = starts(schema);
        let codes = vec![MISSING; schema.len() * TILE];
        Self { codes, reals: vec![], log_soft: vec![], soft: vec![], offset: vec![0.0; TILE], starts }
    }

    /// Takes the `n` rows from `first` on out of what has been read, `all` rows.
    pub(crate) fn take(&mut self, read: &Read, first: usize, n: usize, all: usize) {
        let vars = self.starts.len() - 1;
        transpose(&read.codes, first, n, vars, &mut self.codes);
        if read.reals.is_empty() {
            self.reals.clear();
        } else {
            self.reals.resize(vars * TILE, f64::NAN);
            transpose(&read.reals, first, n, vars, &mut self.reals);
        }
        if read.soft.is_empty() {
            self.log_soft.clear();
        } else {
            let width = read.soft.len() / all;
            self.log_soft.resize(width * TILE, 0.0);
            transpose(&read.soft, first, n, width, &mut self.log_soft);
        }
        self.soften(n);
    }

    /// Makes linear numbers of the logarithms of soft evidence.
    pub(super) fn soften(&mut self, n: usize) {
        self.offset.fill(0.0);
        self.soft.resize(self.log_soft.len(), T::ZERO);
        if self.log_soft.is_empty() {
            return;
        }
        for ends in self.starts.windows(2) {
            let range = ends[0] * TILE..ends[1] * TILE;
            let (logs, soft) = (&self.log_soft[range.clone()], &mut self.soft[range]);
            for b in 0..n {
                let largest = logs[b..].iter().step_by(TILE).fold(f32::NEG_INFINITY, |m, l| m.max(*l));
                // Where every category is impossible, so is the row; it is computed in log space.
                let largest = if largest.is_finite() { largest } else { 0.0 };
                self.offset[b] += f64::from(largest);
                let logs = logs[b..].iter().step_by(TILE);
                soft[b..]
                    .iter_mut()
                    .step_by(TILE)
                    .zip(logs)
                    .for_each(|(s, l)| *s = T::of(f64::from(l - largest).exp()));
            }
        }
    }

    /// What row `b` says.
    pub(crate) fn row(&self, b: usize) -> Row {
        fn column<T: Copy>(all: &[T], b: usize) -> impl Iterator<Item = T> + '_ {
            all.iter().skip(b).step_by(TILE).copied()
        }
        Row {
            codes: column(&self.codes, b).collect(),
            reals: column(&self.reals, b).collect(),
            soft: by_variable(&column(&self.log_soft, b).collect::<Vec<_>>(), &self.starts),
        }
    }

    /// How many values the first `n` rows know.
    pub(crate) fn known(&self, n: usize) -> usize {
        let codes = self.codes.chunks_exact(TILE).flat_map(|codes| &codes[..n]).filter(|code| **code != MISSING);
        let reals = self.reals.chunks_exact(TILE).flat_map(|reals| &reals[..n]).filter(|x| !x.is_nan());
        let soft = if self.soft.is_empty() { 0 } else { n * (self.starts.len() - 1) };
        codes.count() + reals.count() + soft
    }

    fn codes(&self, variable: usize, n: usize) -> &[u16] {
        &self.codes[variable * TILE..variable * TILE + n]
    }

    fn reals(&self, variable: usize, n: usize) -> &[f64] {
        &self.reals[variable * TILE..variable * TILE + n]
    }

    /// The likelihoods of the categories of a variable, `(categories, TILE)`, where evidence is soft.
    fn soft(&self, variable: usize) -> Option<&[T]> {
        let range = self.starts[variable] * TILE..self.starts[variable + 1] * TILE;
        (!self.soft.is_empty()).then(|| &self.soft[range])
    }
}

/// Rows `first..first + n` of `(·, width)` become columns of `(width, TILE)`.
fn transpose<T: Copy>(rows: &[T], first: usize, n: usize, width: usize, columns: &mut [T]) {
    for (b, row) in rows[first * width..(first + n) * width].chunks_exact(width).enumerate() {
        row.iter().enumerate().for_each(|(v, value)| columns[v * TILE + b] = *value);
    }
}

/// Where the categories of each variable begin; at last, how many there are.
pub(crate) fn starts(schema: &Schema) -> Vec<usize> {
    let mut end = 0;
    let sizes = schema.variables.iter().map(|v| v.categories);
    std::iter::once(0)
        .chain(sizes.map(|k| {
            end += k;
            end
        }))
        .collect()
}

/// The log-likelihoods of one row, cut into variables.
fn by_variable(logs: &[f32], starts: &[usize]) -> Vec<Vec<f64>> {
    let of = |ends: &[usize]| logs[ends[0]..ends[1]].iter().map(|l| f64::from(*l)).collect();
    if logs.is_empty() { vec![] } else { starts.windows(2).map(of).collect() }
}

/// What one row says.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Categories, [`MISSING`] where there is none.
    pub(crate) codes: Vec<u16>,
    /// Real numbers, NaN where one is missing; empty where all columns are categories.
    pub(crate) reals: Vec<f64>,
    /// Log-likelihoods of every category of each variable; empty where there is no soft evidence.
    soft: Vec<Vec<f64>>,
}

impl From<&[u16]> for Row {
    fn from(codes: &[u16]) -> Self {
        Self { codes: codes.to_vec(), reals: vec![], soft: vec![] }
    }
}

impl Row {
    /// Whether the value of a variable is not known, though it may be more or less likely.
    pub(crate) fn hides(&self, variable: usize) -> bool {
        self.codes[variable] == MISSING && self.reals.get(variable).is_none_or(|x| x.is_nan())
    }

    /// Log-likelihoods of the categories of a variable, where evidence is soft.
    pub(crate) fn soft(&self, variable: usize) -> Option<&[f64]> {
        self.soft.get(variable).map(Vec::as_slice)
    }

    /// Whether nothing is known.
    pub(crate) fn is_blank(&self) -> bool {
        self.soft.is_empty() && (0..self.codes.len()).all(|v| self.hides(v))
    }
}

impl<T: Scalar> Circuit<T> {
    /// `log p(what the row says of the variable | unit)`.
    pub(crate) fn log_input(&self, row: &Row, variable: usize, leaf: usize, unit: usize) -> f64 {
        let leaves = &self.leaves[leaf];
        if let Some(density) = leaves.density() {
            let known = row.reals.get(variable).filter(|x| !x.is_nan());
            return known.map_or(0.0, |x| density.log_density(leaves, unit, *x));
        }
        match row.soft(variable) {
            Some(logs) => log_sum_exp(leaves.log_probs(unit).zip(logs).map(|(p, l)| p + l)),
            None => leaves.log_prob(unit, row.codes[variable]),
        }
    }

    /// Values of an input block, `(units, TILE)`, for `n` rows; what they are too small by is added to `exponents`.
    #[inline(always)]
    pub(crate) fn fill(
        &self,
        (variable, leaf): (usize, usize),
        inputs: &Inputs<T>,
        n: usize,
        block: &mut [T],
        exponents: &mut [i32],
    ) {
        let leaves = &self.leaves[leaf];
        if let Some(density) = leaves.density() {
            return density.fill(leaves, inputs.reals(variable, n), block, exponents);
        }
        match inputs.soft(variable) {
            None => {
                let (codes, (table, powers)) = (inputs.codes(variable, n), leaves.lookup());
                gather(table, leaves.units, codes, block);
                if let Some(powers) = powers {
                    let power = |code: &u16| powers[(*code as usize).min(powers.len() - 1)];
                    exponents.iter_mut().zip(codes).for_each(|(e, code)| *e += power(code));
                }
            }
            Some(soft) => leaves.expect(soft, n, block),
        }
    }

    /// Adds the flows of an input block, `(units, TILE)`, to the sums of its leaves.
    #[inline(always)]
    pub(crate) fn count(
        &self,
        (variable, leaf): (usize, usize),
        inputs: &Inputs<T>,
        n: usize,
        flows: &[T],
        sums: &mut [T],
    ) {
        let leaves = &self.leaves[leaf];
        if let Some(density) = leaves.density() {
            return density.count(leaves, inputs.reals(variable, n), flows, sums);
        }
        match inputs.soft(variable) {
            None => scatter(sums, leaves.units, inputs.codes(variable, n), flows),
            Some(soft) => leaves.count_soft(soft, n, flows, sums),
        }
    }

    /// Adds the flows of one row over an input block to the sums of its leaves.
    pub(crate) fn count_row(&self, (variable, leaf): (usize, usize), row: &Row, flows: &[f64], sums: &mut [T]) {
        let (leaves, mut shares) = (&self.leaves[leaf], Vec::new());
        for (unit, flow) in flows.iter().enumerate().filter(|(_, flow)| **flow != 0.0) {
            let mut add = |place: usize, amount: f64| sums[place] += T::of(amount);
            let place = |a: usize| a * leaves.units + unit;
            match (leaves.density(), row.soft(variable)) {
                (Some(density), _) => density.count_one(leaves, unit, row.reals[variable], *flow, &mut add),
                (None, Some(_)) => {
                    self.posterior(row, (variable, leaf), unit, &mut shares);
                    shares.iter().enumerate().for_each(|(a, p)| add(place(a), flow * p))
                }
                (None, None) => add(place((row.codes[variable] as usize).min(leaves.categories())), *flow),
            }
        }
    }

    /// `p(a | unit, what the row says of the variable)` of every category, into `shares`.
    pub(crate) fn posterior(&self, row: &Row, (variable, leaf): (usize, usize), unit: usize, shares: &mut Vec<f64>) {
        let leaves = &self.leaves[leaf];
        shares.clear();
        match row.soft(variable) {
            None => shares.extend(leaves.distribution(unit)),
            Some(soft) => {
                let total = self.log_input(row, variable, leaf, unit);
                let share =
                    |(log, soft): (f64, &f64)| if log == f64::NEG_INFINITY { 0.0 } else { (log + soft - total).exp() };
                shares.extend(leaves.log_probs(unit).zip(soft).map(share));
            }
        }
    }
}

impl<T: Scalar> Leaves<T> {
    /// `Σ_a p(a | unit) λ(a)` of likelihoods `(categories, TILE)`.
    fn expect(&self, soft: &[T], n: usize, block: &mut [T]) {
        let table = View::rows(&self.table, self.units).transposed();
        product([self.units, n, self.categories()], block, Then::Store, table, soft);
    }

    /// `sums[a, unit] += p(a | unit) Σ_b λ(a) F(unit) / Σ_a' p(a' | unit) λ(a')`.
    #[inline(always)]
    fn count_soft(&self, soft: &[T], n: usize, flows: &[T], sums: &mut [T]) {
        let (k, units) = (self.categories(), self.units);
        let mut over = vec![T::ZERO; units * TILE];
        let mut values = vec![T::ZERO; units * TILE];
        self.expect(soft, n, &mut values);
        divide(flows, &values, &mut over, TILE, n);
        // The kernel wants zeros after the last row on the left, which `divide` has put there.
        let mut counted = vec![T::ZERO; units * k];
        outer([units, k, n], &mut counted, k, &over, soft);
        for a in 0..k {
            for unit in 0..units {
                sums[a * units + unit] += self.table[a * units + unit] * counted[unit * k + a];
            }
        }
    }
}
