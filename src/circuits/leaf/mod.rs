//! Leaves: distributions of one variable, kept as tables that a pass looks up, and learned from counts.

pub(super) mod families;
pub(super) mod gaussian;

use self::{
    families::{LEAST_SCALE, expected_log, probabilities, rate_of_mean, rising, scored},
    gaussian::{Frame, STATISTICS},
};
use super::Real;
use crate::{Error, Result, data::Variable};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the leaves of a variable with `K` categories are.
///
/// Every one is normalised over the categories: their probabilities sum to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaf {
    /// Any distribution over the categories.
    #[default]
    Categorical,
    /// `p` and `1 − p`, for two categories.
    Bernoulli,
    /// The number of successes in `K − 1` trials.
    Binomial,
    /// A Poisson distribution, cut off after `K − 1` and renormalised.
    Poisson,
    /// A logistic distribution by its mean and scale, whose mass is collected in bins of width one around the categories;
    /// the first and the last take its tails.
    DiscretisedLogistic,
    /// Unit `h` is category `h` for certain. Not learned; it makes a latent visible.
    Indicator,
    /// A normal distribution, for columns of real numbers; its variance is at least 10⁻⁴ of the column's.
    Gaussian,
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Leaf {
    /// The kinds that are learned, of columns of categories.
    pub const LEARNED: [Self; 5] =
        [Self::Categorical, Self::Bernoulli, Self::Binomial, Self::Poisson, Self::DiscretisedLogistic];

    /// The name, as in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Categorical => "categorical",
            Self::Bernoulli => "bernoulli",
            Self::Binomial => "binomial",
            Self::Poisson => "poisson",
            Self::DiscretisedLogistic => "discretised-logistic",
            Self::Indicator => "indicator",
            Self::Gaussian => "gaussian",
        }
    }

    /// Whether a variable can have such leaves, `units` of them.
    pub(super) fn check(self, variable: &Variable, units: usize) -> Result<()> {
        let k = variable.categories;
        let wrong = |what: &str| {
            let name = &variable.name;
            Err(Error::invalid(format!("variable {name} has {k} categories; {self} leaves need {what}")))
        };
        match self {
            Self::Gaussian if k > 0 => Err(Error::invalid(format!(
                "variable {} has {k} categories; gaussian leaves are for columns of real numbers",
                variable.name
            ))),
            Self::Gaussian => Ok(()),
            _ if k == 0 => Err(Error::invalid(format!(
                "variable {} is a real number; {self} leaves are for categories",
                variable.name
            ))),
            Self::Bernoulli if k != 2 => wrong("two"),
            Self::Binomial | Self::Poisson | Self::DiscretisedLogistic if k < 2 => wrong("two or more"),
            Self::Indicator if k != units => wrong(&format!("as many as units, {units}")),
            _ => Ok(()),
        }
    }

    /// Numbers that a unit is determined by, where it is not by its row of probabilities.
    fn numbers(self) -> usize {
        match self {
            Self::Categorical | Self::Bernoulli | Self::Indicator => 0,
            Self::Binomial | Self::Poisson => 1,
            Self::DiscretisedLogistic | Self::Gaussian => 2,
        }
    }
}

/// The leaves that some input blocks share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaves<T> {
    pub(super) kind: Leaf,
    pub(super) units: usize,
    /// `p(a | unit)`, `(categories + 1, units)`: the last row, for a missing value, is all ones.
    pub(super) table: Vec<T>,
    /// `(units, numbers)`: the success probability, the rate, the mean and the scale, or mean and deviation in the frame.
    pub(super) numbers: Vec<f64>,
    /// What gaussians measure in.
    pub(super) frame: Frame,
}

impl<T: Real> Leaves<T> {
    /// Random leaves; `draw` gives numbers uniform in `0..1`.
    pub(super) fn random(kind: Leaf, categories: usize, units: usize, rng: &mut impl rand::Rng) -> Self {
        let table = vec![T::ONE; (categories + 1) * units];
        let mut leaves = Self { kind, units, table, numbers: vec![], frame: Frame::default() };
        let last = categories.saturating_sub(1) as f64;
        match kind {
            Leaf::Categorical | Leaf::Bernoulli => {
                for unit in 0..units {
                    let row: Vec<f64> = (0..categories).map(|_| 0.05 + rng.random::<f64>()).collect();
                    let total: f64 = row.iter().sum();
                    row.iter().enumerate().for_each(|(a, p)| leaves.table[a * units + unit] = T::of(p / total));
                }
            }
            Leaf::Indicator => {
                for (a, unit) in (0..categories).flat_map(|a| (0..units).map(move |u| (a, u))) {
                    leaves.table[a * units + unit] = if a == unit { T::ONE } else { T::ZERO };
                }
            }
            Leaf::Binomial => leaves.numbers = (0..units).map(|_| 0.05 + 0.9 * rng.random::<f64>()).collect(),
            Leaf::Poisson => leaves.numbers = (0..units).map(|_| 0.1 + last * rng.random::<f64>()).collect(),
            Leaf::DiscretisedLogistic => {
                let scale = (last / 8.0).max(0.2);
                leaves.numbers = (0..units).flat_map(|_| [last * rng.random::<f64>(), scale]).collect();
            }
            Leaf::Gaussian => leaves.random_gaussians(rng),
        }
        leaves.tabulate();
        leaves
    }

    /// Random leaves around what is seen: `counts` by category, smoothed and perturbed for each unit.
    ///
    /// Where a value is almost always the same, all units then agree on it. Otherwise chance would decide there which unit
    /// explains all rows, and the others would be lost to learning.
    pub(super) fn begin_near(&mut self, counts: &[f64], rng: &mut impl rand::Rng) {
        let (k, units) = (self.categories(), self.units);
        let total = counts.iter().sum::<f64>() + 1.0;
        let seen: Vec<f64> = counts.iter().map(|n| (n + 1.0 / k as f64) / total).collect();
        let mean: f64 = seen.iter().enumerate().map(|(a, p)| a as f64 * p).sum();
        let spread = seen.iter().enumerate().map(|(a, p)| (a as f64 - mean).powi(2) * p).sum::<f64>().sqrt().max(0.2);
        let last = (k - 1) as f64;
        match self.kind {
            Leaf::Indicator | Leaf::Gaussian => {}
            Leaf::Categorical | Leaf::Bernoulli => {
                for unit in 0..units {
                    let row: Vec<f64> = seen.iter().map(|p| p * (0.05 + rng.random::<f64>())).collect();
                    let total: f64 = row.iter().sum();
                    row.iter().enumerate().for_each(|(a, p)| self.table[a * units + unit] = T::of(p / total));
                }
            }
            _ => {
                for numbers in self.numbers.chunks_exact_mut(self.kind.numbers()) {
                    let near = mean + spread * (2.0 * rng.random::<f64>() - 1.0);
                    match self.kind {
                        Leaf::Binomial => numbers[0] = (near / last).clamp(0.02, 0.98),
                        Leaf::Poisson => numbers[0] = near.max(0.05),
                        _ => numbers.copy_from_slice(&[near, (spread * 0.55).max(LEAST_SCALE)]),
                    }
                }
                self.tabulate();
            }
        }
    }

    /// Numbers that flows are summed in, for all units.
    pub(super) fn statistics(&self) -> usize {
        if self.kind == Leaf::Gaussian { STATISTICS * self.units } else { self.table.len() }
    }

    pub(super) fn categories(&self) -> usize {
        self.table.len() / self.units - 1
    }

    /// `p(code | unit)`; 1 for a missing value.
    pub(super) fn prob(&self, unit: usize, code: u16) -> f64 {
        self.table[(code as usize).min(self.categories()) * self.units + unit].f64()
    }

    /// `p(a | unit)` for each category.
    pub(super) fn distribution(&self, unit: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        self.table[..self.categories() * self.units].iter().skip(unit).step_by(self.units).map(|p| p.f64())
    }

    /// Parameters to learn, of which a row of probabilities determines its last.
    pub(super) fn parameters(&self) -> usize {
        match self.kind {
            Leaf::Categorical | Leaf::Bernoulli => self.units * self.categories(),
            Leaf::Indicator => 0,
            _ => self.numbers.len(),
        }
    }

    /// Writes the table from the numbers.
    pub(super) fn tabulate(&mut self) {
        let width = self.kind.numbers();
        if width == 0 || self.kind == Leaf::Gaussian {
            return;
        }
        let (units, categories) = (self.units, self.categories());
        for (unit, numbers) in self.numbers.chunks_exact(width).enumerate() {
            for (a, p) in probabilities(self.kind, numbers, categories).into_iter().enumerate() {
                self.table[a * units + unit] = T::of(p);
            }
        }
    }

    /// The M-step: `flows` are `Σ F` by category, `(categories + 1, units)`, the last row over rows without a value; of gaussians
    /// their statistics.
    ///
    /// ```text
    /// θ ← (1 − step) θ + step θ_new
    /// ```
    /// on the probabilities, or on the parameters that the mean is. A unit without flow and without pseudocount stays.
    pub(super) fn maximise(&mut self, flows: &[T], pseudocount: f64, step: f64) {
        match self.kind {
            Leaf::Indicator => {}
            Leaf::Categorical | Leaf::Bernoulli => self.maximise_table(flows, pseudocount, step),
            Leaf::Gaussian => self.maximise_gaussians(flows, pseudocount, step),
            _ => {
                for unit in 0..self.units {
                    self.maximise_numbers(unit, flows, pseudocount, step);
                }
                self.tabulate();
            }
        }
    }

    fn maximise_table(&mut self, flows: &[T], pseudocount: f64, step: f64) {
        let (units, k) = (self.units, self.categories());
        let (counts, missing) = flows.split_at(k * units);
        let mut totals: Vec<f64> = missing.iter().map(|f| f.f64() + pseudocount).collect();
        for row in counts.chunks_exact(units) {
            totals.iter_mut().zip(row).for_each(|(total, f)| *total += f.f64());
        }
        // A missing value counts as what the leaf expects it to be: `keep` of the old distribution remains.
        let scales: Vec<(T, T, T)> = totals
            .iter()
            .zip(missing)
            .map(|(total, missing)| {
                if *total <= 0.0 {
                    return (T::ONE, T::ZERO, T::ZERO);
                }
                let scale = step / total;
                let keep = 1.0 - step + scale * missing.f64();
                (T::of(keep), T::of(scale), T::of(scale * pseudocount / k as f64))
            })
            .collect();
        for (row, counts) in self.table.chunks_exact_mut(units).zip(counts.chunks_exact(units)) {
            for ((p, f), (keep, scale, share)) in row.iter_mut().zip(counts).zip(&scales) {
                *p = *keep * *p + *scale * *f + *share;
            }
        }
    }

    fn maximise_numbers(&mut self, unit: usize, flows: &[T], pseudocount: f64, step: f64) {
        let (units, k, width) = (self.units, self.categories(), self.kind.numbers());
        let old = &self.numbers[unit * width..(unit + 1) * width];
        let expected = flows[k * units + unit].f64();
        let now = probabilities(self.kind, old, k);
        let counts: Vec<f64> =
            (0..k).map(|a| flows[a * units + unit].f64() + expected * now[a] + pseudocount / k as f64).collect();
        let total: f64 = counts.iter().sum();
        if total <= 0.0 {
            return;
        }
        let mean = counts.iter().enumerate().map(|(a, n)| a as f64 * n).sum::<f64>() / total;
        let new = match self.kind {
            Leaf::Binomial => vec![mean / (k - 1) as f64],
            Leaf::Poisson => vec![rate_of_mean(mean, k)],
            _ => {
                let variance =
                    counts.iter().enumerate().map(|(a, n)| (a as f64 - mean).powi(2) * n).sum::<f64>() / total;
                let moments = [mean, (3.0 * variance).sqrt() / std::f64::consts::PI];
                let value = |numbers: &[f64]| expected_log(&counts, &probabilities(self.kind, numbers, k));
                let best = [rising(old, &moments, value), rising(old, &scored(old, &counts), value)];
                best.into_iter().max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or_default()
            }
        };
        for (number, new) in self.numbers[unit * width..(unit + 1) * width].iter_mut().zip(new) {
            *number += step * (new - *number);
        }
    }

    /// Whether every table row sums to one and no number is out of its range.
    pub(super) fn is_valid(&self) -> bool {
        if self.kind == Leaf::Gaussian {
            let Frame { shift, scale } = self.frame;
            let deviations = self.numbers.iter().skip(1).step_by(2);
            return shift.is_finite()
                && scale > 0.0
                && deviations.chain([&scale]).all(|s| *s > 0.0)
                && self.numbers.iter().chain([&scale]).all(|x| x.is_finite());
        }
        let sums = (0..self.units).all(|unit| (self.distribution(unit).sum::<f64>() - 1.0).abs() < 1e-3);
        sums && self.table.iter().all(|p| *p >= T::ZERO) && self.numbers.iter().all(|n| n.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    const LEARNED: [Leaf; 4] = [Leaf::Categorical, Leaf::Binomial, Leaf::Poisson, Leaf::DiscretisedLogistic];

    fn leaves(kind: Leaf, k: usize, units: usize) -> Leaves<f64> {
        Leaves::random(kind, k, units, &mut Seed(1).stream("leaves", 0))
    }

    #[test]
    fn every_kind_is_normalised() {
        for kind in LEARNED {
            for k in [2, 9, 256] {
                let leaves = leaves(kind, k, 5);
                for unit in 0..5 {
                    let total: f64 = leaves.distribution(unit).sum();
                    assert!((total - 1.0).abs() < 1e-12, "{kind}, {k}: {total}");
                }
                assert!(leaves.is_valid());
                assert_eq!(leaves.prob(3, u16::MAX), 1.0);
            }
        }
        let bernoulli = leaves(Leaf::Indicator, 3, 3);
        assert_eq!(bernoulli.distribution(1).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn an_m_step_raises_the_expected_likelihood_and_finds_what_made_the_counts() {
        for kind in LEARNED {
            let k = 12;
            let truth = leaves(kind, k, 1);
            let counts: Vec<f64> = truth.distribution(0).map(|p| 1000.0 * p).chain([40.0]).collect();
            let mut learned = Leaves::random(kind, k, 1, &mut Seed(9).stream("leaves", 0));
            let value = |l: &Leaves<f64>| expected_log(&counts[..k], &l.distribution(0).collect::<Vec<_>>());
            let mut before = value(&learned);
            for _ in 0..60 {
                learned.maximise(&counts, 0.0, 1.0);
                let after = value(&learned);
                assert!(after >= before - 1e-9, "{kind}: {before} → {after}");
                before = after;
            }
            let gap = value(&truth) - before;
            assert!(gap.abs() < 1e-3, "{kind}: {gap}");
        }
    }
}
