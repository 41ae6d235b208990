//! Noise given by its matrices.

use super::Process;
use crate::{Error, Result, memory::afford, nn::Size};
use std::sync::Arc;

/// A process whose every step has a matrix of its own: row `k` says what becomes of category `k`.
///
/// ```text
/// q(x_t = j | x_{t−1} = i) = Q_t[i, j]       q(x_t | x_0) = x_0 Q_1 ⋯ Q_t
/// ```
///
/// It starts to sample from the average over the categories of `q(x_T | x_0)`. Source: Austin et al. 2021 (D3PM), eqs 2-3.
#[derive(Clone, Debug)]
pub struct Chain<K> {
    categories: K,
    steps: usize,
    /// `Q_1, …, Q_T`
    each: Arc<[f64]>,
    /// `Q̄_0, …, Q̄_T`
    all: Arc<[f64]>,
}

/// How far a row may be from adding up to one.
const TOLERANCE: f64 = 1e-9;

impl<K: Size> Chain<K> {
    /// `matrices` one after the other, each `(K, K)` row after row.
    ///
    /// # Errors
    /// When they are not whole matrices, an entry is negative or no number, a row does not add up to one, or there is no memory for
    /// their products.
    pub fn new(categories: K, matrices: Vec<f64>) -> Result<Self> {
        let k = categories.size();
        let square = k.checked_mul(k).filter(|square| *square > 0);
        let square = square.ok_or_else(|| Error::out_of_range("categories", k, "1 ≤ categories ≤ 4294967295"))?;
        if matrices.is_empty() || !matrices.len().is_multiple_of(square) {
            return Err(Error::invalid(format!("{} numbers are not whole matrices of {k} × {k}", matrices.len())));
        }
        for (row, p) in matrices.chunks_exact(k).enumerate() {
            let (step, row) = (row / k + 1, row % k);
            if let Some(odd) = p.iter().find(|p| !(0.0..=1.0 + TOLERANCE).contains(*p)) {
                return Err(Error::invalid(format!("step {step}, row {row}: {odd} is no probability")));
            }
            let total: f64 = p.iter().sum();
            if (total - 1.0).abs() > TOLERANCE {
                return Err(Error::invalid(format!("step {step}, row {row} adds up to {total}, not to 1")));
            }
        }
        let steps = matrices.len() / square;
        afford(matrices.len().checked_add(square), 8, "the products of the matrices", "fewer steps or categories")?;
        let mut all = vec![0.0; square];
        (0..k).for_each(|i| all[i * k + i] = 1.0);
        for step in matrices.chunks_exact(square) {
            let last = all[all.len() - square..].to_vec();
            all.extend(product(&last, step, k));
        }
        Ok(Self { categories, steps, each: matrices.into(), all: all.into() })
    }

    /// The same matrix at every step.
    ///
    /// # Errors
    /// As [`Self::new`]; also when there is no step.
    pub fn repeated(categories: K, matrix: &[f64], steps: usize) -> Result<Self> {
        afford(matrix.len().checked_mul(steps), 16, "the matrices", "fewer steps or categories")?;
        Self::new(categories, matrix.repeat(steps))
    }

    /// Categories in an order, of which the near ones are mistaken for each other: the discretised Gaussian.
    ///
    /// ```text
    /// Q_t[i, j] = exp(−4 (i − j)² / ((K − 1)² β_t)) / Σ_{n = 1 − K}^{K − 1} exp(−4 n² / ((K − 1)² β_t))     j ≠ i
    /// Q_t[i, i] = 1 − Σ_{j ≠ i} Q_t[i, j]
    /// ```
    ///
    /// It is symmetric, so the uniform distribution is what it ends in. Source: Austin et al. 2021 (D3PM), eq 8.
    ///
    /// # Errors
    /// When there are fewer than two categories, no step, or a `β` is not a number above 0.
    pub fn gaussian(categories: K, betas: &[f64]) -> Result<Self> {
        let k = categories.size();
        if k < 2 {
            return Err(Error::out_of_range("categories", k, "2 ≤ categories"));
        }
        if let Some(beta) = betas.iter().find(|beta| !(**beta > 0.0 && beta.is_finite())) {
            return Err(Error::out_of_range("beta", beta, "0 < beta < ∞"));
        }
        let all = k.checked_mul(k).and_then(|square| square.checked_mul(betas.len()));
        afford(all, 16, "the matrices", "fewer steps or categories")?;
        let mut matrices = Vec::with_capacity(all.unwrap_or(0));
        for beta in betas {
            let weight = |n: f64| (-4.0 * n * n / ((k - 1) as f64).powi(2) / beta).exp();
            let total: f64 = 1.0 + 2.0 * (1..k).map(|n| weight(n as f64)).sum::<f64>();
            for i in 0..k {
                let row = matrices.len();
                matrices.extend((0..k).map(|j| if i == j { 0.0 } else { weight(i.abs_diff(j) as f64) / total }));
                matrices[row + i] = 1.0 - matrices[row..].iter().sum::<f64>();
            }
        }
        Self::new(categories, matrices)
    }

    /// [`Self::gaussian`] in so many steps, with `β` that grows evenly from nothing to what makes the steps together as wide as all
    /// categories: at the end little is left, and not long before.
    ///
    /// # Errors
    /// As [`Self::gaussian`].
    pub fn gaussian_in(categories: K, steps: usize) -> Result<Self> {
        let k = categories.size();
        let betas = |most: f64| (1..=steps).map(move |t| most * t as f64 / steps as f64);
        // The variance of a step, in categories.
        let variance = |beta: f64| {
            let weight = |n: usize| (-4.0 * (n * n) as f64 / ((k.max(2) - 1) as f64).powi(2) / beta).exp();
            let (sum, squares) = (1..k).fold((1.0, 0.0), |(sum, squares), n| {
                (sum + 2.0 * weight(n), squares + 2.0 * (n * n) as f64 * weight(n))
            });
            squares / sum
        };
        let (mut low, mut high) = (0.0, 16.0);
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            let width: f64 = betas(middle).map(variance).sum();
            if width < (k * k) as f64 { low = middle } else { high = middle }
        }
        Self::gaussian(categories, &betas(high).collect::<Vec<_>>())
    }

    fn matrix(of: &[f64], index: usize, square: usize) -> &[f64] {
        &of[index * square..(index + 1) * square]
    }

    fn square(&self) -> usize {
        self.categories.size() * self.categories.size()
    }
}

/// `a b` of two matrices `(k, k)`.
fn product(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let mut out = vec![0.0; k * k];
    for (row, a) in out.chunks_exact_mut(k).zip(a.chunks_exact(k)) {
        for (a, b) in a.iter().zip(b.chunks_exact(k)) {
            row.iter_mut().zip(b).for_each(|(out, b)| *out += a * b);
        }
    }
    out
}

impl<K: Size> Process for Chain<K> {
    type Categories = K;
    type States = K;

    fn categories(&self) -> K {
        self.categories
    }

    fn states(&self) -> K {
        self.categories
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn forward(&self, t: usize, x0: &[f64], into: &mut [f64]) {
        into.fill(0.0);
        for (p, row) in x0.iter().zip(Self::matrix(&self.all, t, self.square()).chunks_exact(x0.len())) {
            into.iter_mut().zip(row).for_each(|(to, q)| *to += p * q);
        }
    }

    fn back(&self, t: usize, slope: &[f64], into: &mut [f64]) {
        let rows = Self::matrix(&self.all, t, self.square()).chunks_exact(slope.len());
        into.iter_mut().zip(rows).for_each(|(to, row)| *to = row.iter().zip(slope).map(|(q, d)| q * d).sum());
    }

    fn since(&self, s: usize, t: usize, state: usize, into: &mut [f64]) {
        // The column of Q_{s+1} ⋯ Q_t, from its last factor backwards.
        into.fill(0.0);
        into[state] = 1.0;
        for step in (s..t).rev() {
            let column = into.to_vec();
            let rows = Self::matrix(&self.each, step, self.square()).chunks_exact(column.len());
            into.iter_mut().zip(rows).for_each(|(to, row)| *to = row.iter().zip(&column).map(|(q, c)| q * c).sum());
        }
    }

    fn last(&self, into: &mut [f64]) {
        let share = 1.0 / into.len() as f64;
        self.forward(self.steps, &vec![share; into.len()], into);
    }
}
