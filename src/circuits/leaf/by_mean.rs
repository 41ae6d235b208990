//! Families that their mean determines: all their units are tabulated, and learned, at once.

use super::by_number::{ByNumber, times};
use crate::{circuits::Scalar, simd::vectorised};

/// A family of one number a unit, whose log-probabilities are a line in the category but for what all units share:
///
/// ```text
/// log p(a | unit) = base(a) + a · up(unit) + (K − 1 − a) · down(unit) − offset(unit)
/// ```
pub(super) trait ByMean: ByNumber {
    /// What all units share, of the categories `0..k`.
    fn base(&self, k: usize) -> Vec<f64>;

    /// What is the unit's own.
    fn line(&self, number: f64, k: usize) -> Line;

    /// The mean of the categories.
    fn mean(&self, number: f64, k: usize) -> f64;

    /// The number whose distribution has this mean.
    fn of_mean(&self, mean: f64, k: usize) -> f64;
}

/// See [`ByMean`].
pub(super) struct Line {
    pub(super) up: f64,
    pub(super) down: f64,
    pub(super) offset: f64,
}

/// [`ByNumber::log_table`] of such a family.
pub(super) fn log_table(family: &impl ByMean, numbers: &[f64], logs: &mut [f64]) {
    let (units, k) = (numbers.len(), logs.len() / numbers.len());
    let lines: Vec<Line> = numbers.iter().map(|number| family.line(*number, k)).collect();
    let of = |part: fn(&Line) -> f64| lines.iter().map(part).collect::<Vec<_>>();
    let (ups, downs, offsets) = (of(|l| l.up), of(|l| l.down), of(|l| l.offset));
    let base = family.base(k);
    for (a, (row, base)) in logs.chunks_exact_mut(units).zip(base).enumerate() {
        vectorised!(lines_at((a, k - 1 - a), base, (&ups, &downs, &offsets), row));
    }
}

/// The same of one unit.
#[cfg(test)]
pub(super) fn log_probs(family: &impl ByMean, number: f64, k: usize) -> Vec<f64> {
    let mut logs = vec![0.0; k];
    log_table(family, &[number], &mut logs);
    logs
}

/// `base + a · up + b · down − offset` of every unit.
#[inline(always)]
fn lines_at((a, b): (usize, usize), base: f64, (ups, downs, offsets): (&[f64], &[f64], &[f64]), row: &mut [f64]) {
    for (((log, up), down), offset) in row.iter_mut().zip(ups).zip(downs).zip(offsets) {
        *log = base + times(a, *up) + times(b, *down) - offset;
    }
}

/// [`ByNumber::learn`] of such a family, which needs no more of the flows than their sum and their mean.
pub(super) fn learn<T: Scalar>(family: &impl ByMean, numbers: &mut [f64], flows: &[T], pseudocount: f64, step: f64) {
    let units = numbers.len();
    let (known, missing) = flows.split_at(flows.len() - units);
    let k = known.len() / units;
    let share = pseudocount / k as f64;
    let (mut totals, mut firsts) = (vec![0.0; units], vec![0.0; units]);
    for (a, flows) in known.chunks_exact(units).enumerate() {
        vectorised!(add_counts(a as f64, flows, share, (&mut totals, &mut firsts)));
    }
    for (unit, number) in numbers.iter_mut().enumerate() {
        let expected = missing[unit].f64();
        if expected > 0.0 {
            totals[unit] += expected;
            firsts[unit] += expected * family.mean(*number, k);
        }
        if totals[unit] > 0.0 {
            *number += step * (family.of_mean(firsts[unit] / totals[unit], k) - *number);
        }
    }
}

/// Adds the flows of a category, and that share of a pseudocount, to the sums of every unit.
#[inline(always)]
fn add_counts<T: Scalar>(a: f64, flows: &[T], share: f64, (totals, firsts): (&mut [f64], &mut [f64])) {
    for ((total, first), flow) in totals.iter_mut().zip(firsts).zip(flows) {
        let count = flow.f64() + share;
        *total += count;
        *first += a * count;
    }
}
