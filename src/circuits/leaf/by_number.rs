//! Distributions over categories that a number or two determine: what their families have in common.

use super::{Leaves, family::Family};
use crate::{circuits::Scalar, random::Stream};
use std::sync::LazyLock;

/// A family whose units are determined by one or two numbers.
pub(super) trait ByNumber: Sync {
    /// Numbers of a unit.
    const NUMBERS: usize;

    /// Log-probabilities of the categories `0..k`, in double precision.
    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64>;

    /// A unit at random; `last` is the largest category, and `draw` gives numbers uniform in `0..1`.
    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64>;

    /// A unit around this mean and spread.
    fn near(&self, mean: f64, spread: f64, last: f64) -> Vec<f64>;

    /// The numbers that explain `counts` of the categories best, or better than `old`; the scale stays above `floor`.
    fn fit(&self, old: &[f64], counts: &[f64], floor: f64) -> Vec<f64>;

    /// Whether the numbers are in their range.
    fn is_valid(&self, numbers: &[f64]) -> bool;

    /// The number that has a floor.
    fn floored(&self, _numbers: &[f64]) -> Option<f64> {
        None
    }
}

impl<T: Scalar, F: ByNumber> Family<T> for F {
    fn unfit(&self, k: usize, _: usize) -> Option<String> {
        (k < 2).then(|| "two or more".into())
    }

    fn numbers(&self) -> usize {
        F::NUMBERS
    }

    fn randomise(&self, leaves: &mut Leaves<T>, rng: &mut Stream) {
        let last = leaves.categories().saturating_sub(1) as f64;
        let mut draw = || rand::RngExt::random::<f64>(rng);
        leaves.numbers = (0..leaves.units).flat_map(|_| self.random(last, &mut draw)).collect();
        leaves.tabulate();
    }

    fn init_from_counts(&self, leaves: &mut Leaves<T>, seen: &[f64], rng: &mut Stream) {
        let mean: f64 = seen.iter().enumerate().map(|(a, p)| a as f64 * p).sum();
        let spread = seen.iter().enumerate().map(|(a, p)| (a as f64 - mean).powi(2) * p).sum::<f64>().sqrt().max(0.2);
        let last = (leaves.categories() - 1) as f64;
        let mut draw = || mean + spread * (2.0 * rand::RngExt::random::<f64>(rng) - 1.0);
        leaves.numbers = (0..leaves.units).flat_map(|_| self.near(draw(), spread, last)).collect();
        leaves.tabulate();
    }

    fn maximise(&self, leaves: &mut Leaves<T>, flows: &[T], pseudocount: f64, step: f64) {
        let (units, k) = (leaves.units, leaves.categories());
        let floor = leaves.frame.floor;
        for (unit, numbers) in leaves.numbers.chunks_exact_mut(F::NUMBERS).enumerate() {
            let expected = flows[k * units + unit].f64();
            let now = if expected > 0.0 { ByNumber::log_probs(self, numbers, k) } else { vec![0.0; k] };
            let share = pseudocount / k as f64;
            let count = |a: usize| flows[a * units + unit].f64() + expected * now[a].exp() + share;
            let counts: Vec<f64> =
                (0..k).map(|a| if expected > 0.0 { count(a) } else { flows[a * units + unit].f64() + share }).collect();
            if counts.iter().sum::<f64>() <= 0.0 {
                continue;
            }
            let new = self.fit(numbers, &counts, floor);
            numbers.iter_mut().zip(new).for_each(|(number, new)| *number += step * (new - *number));
        }
        leaves.tabulate();
    }

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        leaves.rows_are_distributions()
            && leaves
                .numbers
                .chunks_exact(F::NUMBERS)
                .all(|n| n.iter().all(|x| x.is_finite()) && ByNumber::is_valid(self, n))
    }

    fn log_probs(&self, numbers: &[f64], k: usize) -> Option<Vec<f64>> {
        Some(ByNumber::log_probs(self, numbers, k))
    }

    fn at_floor(&self, leaves: &Leaves<T>) -> usize {
        let scales = leaves.numbers.chunks_exact(F::NUMBERS).filter_map(|numbers| self.floored(numbers));
        scales.filter(|scale| *scale <= leaves.frame.floor).count()
    }
}

/// The mean of the categories by their counts.
pub(super) fn mean(counts: &[f64]) -> f64 {
    counts.iter().enumerate().map(|(a, n)| a as f64 * n).sum::<f64>() / counts.iter().sum::<f64>()
}

/// `Σ counts · log p`, where a category without counts adds nothing.
pub(super) fn expected_log(counts: &[f64], log_probs: &[f64]) -> f64 {
    counts.iter().zip(log_probs).filter(|(n, _)| **n > 0.0).map(|(n, log)| n * log).sum()
}

/// `a · log`, 0 for no `a`.
pub(super) fn times(a: usize, log: f64) -> f64 {
    if a == 0 { 0.0 } else { a as f64 * log }
}

/// `log a!`, of all numbers that categories have.
pub(super) fn log_factorial(a: usize) -> f64 {
    static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let sums = (1..=u16::MAX as usize).scan(0.0, |sum, a| {
            *sum += (a as f64).ln();
            Some(*sum)
        });
        std::iter::once(0.0).chain(sums).collect()
    });
    TABLE[a]
}

/// Logarithms that are right up to a constant, as those of a distribution.
pub(super) fn normalised(mut logs: Vec<f64>) -> Vec<f64> {
    let total = crate::math::log_sum_exp_of(&logs);
    logs.iter_mut().for_each(|log| *log -= total);
    logs
}
