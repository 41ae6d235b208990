//! Distributions over categories that a number or two determine: what their families have in common.

use super::{Leaves, family::Family};
use crate::{circuits::Scalar, random::Stream};
use std::sync::LazyLock;

/// A family whose units are determined by one or two numbers.
pub(super) trait ByNumber: Sync {
    /// Numbers of a unit.
    const NUMBERS: usize;

    /// Log-probabilities of the categories of all units, `(K, units)`, in double precision.
    fn log_table(&self, numbers: &[f64], logs: &mut [f64]);

    /// A unit at random; `last` is the largest category, and `draw` gives numbers uniform in `0..1`.
    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64>;

    /// A unit around this mean and spread.
    fn near(&self, mean: f64, spread: f64, last: f64) -> Vec<f64>;

    /// Moves the numbers of all units part of the way to those that explain the flows best, or better than they do. `flows` are
    /// those of [`Family::maximise`]; the scale stays above `floor`.
    fn learn<T: Scalar>(&self, numbers: &mut [f64], flows: &[T], pseudocount: f64, step: f64, floor: f64);

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
        let floor = leaves.frame.floor;
        self.learn(&mut leaves.numbers, flows, pseudocount, step, floor);
        leaves.tabulate();
    }

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        leaves.rows_are_distributions()
            && leaves
                .numbers
                .chunks_exact(F::NUMBERS)
                .all(|n| n.iter().all(|x| x.is_finite()) && ByNumber::is_valid(self, n))
    }

    fn log_table(&self, numbers: &[f64], logs: &mut [f64]) {
        ByNumber::log_table(self, numbers, logs);
    }

    fn at_floor(&self, leaves: &Leaves<T>) -> usize {
        let scales = leaves.numbers.chunks_exact(F::NUMBERS).filter_map(|numbers| self.floored(numbers));
        scales.filter(|scale| *scale <= leaves.frame.floor).count()
    }
}

/// `a · log`, 0 for no `a`.
#[inline(always)]
pub(super) fn times(a: usize, log: f64) -> f64 {
    if a == 0 { 0.0 } else { a as f64 * log }
}

/// `log a!` of all numbers that categories have.
pub(super) fn log_factorials() -> &'static [f64] {
    static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let sums = (1..=u16::MAX as usize).scan(0.0, |sum, a| {
            *sum += (a as f64).ln();
            Some(*sum)
        });
        std::iter::once(0.0).chain(sums).collect()
    });
    &TABLE
}
