//! Any distribution over the categories, as a row of probabilities; and of two.

use super::{Leaves, family::Family};
use crate::{circuits::Scalar, random::Stream};
use rand::RngExt;

pub(super) struct Categorical;
pub(super) struct Bernoulli;

impl<T: Scalar> Family<T> for Categorical {
    fn unfit(&self, _: usize, _: usize) -> Option<String> {
        None
    }

    fn parameters(&self, leaves: &Leaves<T>) -> usize {
        leaves.units * leaves.categories()
    }

    fn randomise(&self, leaves: &mut Leaves<T>, rng: &mut Stream) {
        perturbed(leaves, |_| 1.0, rng);
    }

    fn init_from_counts(&self, leaves: &mut Leaves<T>, seen: &[f64], rng: &mut Stream) {
        perturbed(leaves, |a| seen[a], rng);
    }

    fn maximise(&self, leaves: &mut Leaves<T>, flows: &[T], pseudocount: f64, step: f64) {
        let (units, k) = (leaves.units, leaves.categories());
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
        for (row, counts) in leaves.table.chunks_exact_mut(units).zip(counts.chunks_exact(units)) {
            for ((p, f), (keep, scale, share)) in row.iter_mut().zip(counts).zip(&scales) {
                *p = *keep * *p + *scale * *f + *share;
            }
        }
    }

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        leaves.rows_are_distributions()
    }
}

/// Rows of probabilities in proportion to `weight(category)` times what chance says.
fn perturbed<T: Scalar>(leaves: &mut Leaves<T>, weight: impl Fn(usize) -> f64, rng: &mut Stream) {
    let (units, k) = (leaves.units, leaves.categories());
    for unit in 0..units {
        let row: Vec<f64> = (0..k).map(|a| weight(a) * (0.05 + rng.random::<f64>())).collect();
        let total: f64 = row.iter().sum();
        row.iter().enumerate().for_each(|(a, p)| leaves.table[a * units + unit] = T::of(p / total));
    }
}

impl<T: Scalar> Family<T> for Bernoulli {
    fn unfit(&self, k: usize, _: usize) -> Option<String> {
        (k != 2).then(|| "two".into())
    }

    fn parameters(&self, leaves: &Leaves<T>) -> usize {
        Categorical.parameters(leaves)
    }

    fn randomise(&self, leaves: &mut Leaves<T>, rng: &mut Stream) {
        Categorical.randomise(leaves, rng);
    }

    fn init_from_counts(&self, leaves: &mut Leaves<T>, seen: &[f64], rng: &mut Stream) {
        Categorical.init_from_counts(leaves, seen, rng);
    }

    fn maximise(&self, leaves: &mut Leaves<T>, flows: &[T], pseudocount: f64, step: f64) {
        Categorical.maximise(leaves, flows, pseudocount, step);
    }

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        leaves.rows_are_distributions()
    }
}
