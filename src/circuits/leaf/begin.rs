//! Leaves before they learn: at random, around what is seen, side by side, or a little beside what they were.

use super::{Frame, Leaf, Leaves};
use crate::{circuits::Scalar, random::Stream};
use rand::RngExt;
use rand_distr::StandardNormal;

impl<T: Scalar> Leaves<T> {
    /// Random leaves.
    pub(in crate::circuits) fn random(kind: Leaf, categories: usize, units: usize, rng: &mut Stream) -> Self {
        let table = vec![T::ONE; (categories + 1) * units];
        let mut leaves = Self { kind, units, table, numbers: vec![], frame: Frame::default(), exact: None };
        kind.family().randomise(&mut leaves, rng);
        leaves
    }

    /// Random leaves around what is seen: `counts` by category.
    pub(in crate::circuits) fn init_from_counts(&mut self, counts: &[f64], rng: &mut Stream) {
        let (k, total) = (self.categories(), counts.iter().sum::<f64>() + 1.0);
        let seen: Vec<f64> = counts.iter().map(|n| (n + 1.0 / k as f64) / total).collect();
        self.kind.family().init_from_counts(self, &seen, rng);
    }

    /// Leaves whose units lie side by side along the values, each around its own: where many variables share them, none of
    /// which tells them apart. `counts`: how often each value is seen; those seen often have more units, by the root of how often.
    pub(in crate::circuits) fn spread(&mut self, counts: &[f64]) {
        let (k, units) = (self.categories(), self.units);
        if !self.numbers.is_empty() || units < 2 {
            return;
        }
        let roots: Vec<f64> = counts.iter().map(|n| (n + 1e-3).sqrt()).collect();
        let all: f64 = roots.iter().sum();
        let mut below = 0.0;
        let places: Vec<f64> = roots
            .iter()
            .map(|root| {
                below += root;
                (below - root / 2.0) / all
            })
            .collect();
        let mut seen = vec![0.0; (k + 1) * units];
        for (a, (place, root)) in places.iter().zip(&roots).enumerate() {
            for unit in 0..units {
                let away = (place * units as f64 - unit as f64 - 0.5).abs();
                seen[a * units + unit] = root * (1e-3 + (-away).exp());
            }
        }
        self.maximise_expected(&seen, 0.0, 1.0);
    }

    /// Moves these units a little: probabilities are multiplied by noise around 1 with that deviation; where numbers determine
    /// them, the mean moves by that share of the spread.
    pub(in crate::circuits) fn perturb(&mut self, units: &[usize], noise: f64, rng: &mut Stream) {
        let mut normal = || -> f64 { noise * rng.sample::<f64, _>(StandardNormal) };
        let k = self.categories();
        let mut moved = self.of_units(units.iter().copied());
        if self.density().is_some() {
            moved.numbers.chunks_exact_mut(2).for_each(|n| n[0] += normal() * n[1]);
        } else {
            let mut counts = vec![0.0; (k + 1) * units.len()];
            for unit in 0..units.len() {
                let p: Vec<f64> = moved.distribution(unit).collect();
                let by_number = !self.numbers.is_empty();
                let mean: f64 = p.iter().enumerate().map(|(a, p)| a as f64 * p).sum();
                let spread = p.iter().enumerate().map(|(a, p)| (a as f64 - mean).powi(2) * p).sum::<f64>().sqrt();
                let tilt = if by_number { normal() / spread.max(1e-3) } else { 0.0 };
                for (a, p) in p.iter().enumerate() {
                    let factor =
                        if by_number { (tilt * (a as f64 - mean)).exp() } else { (1.0 + normal()).clamp(0.1, 2.0) };
                    counts[a * units.len() + unit] = p * factor;
                }
            }
            moved.maximise_expected(&counts, 0.0, 1.0);
        }
        let each = self.numbers.len() / self.units;
        for (from, to) in units.iter().enumerate() {
            self.numbers[to * each..(to + 1) * each].copy_from_slice(&moved.numbers[from * each..(from + 1) * each]);
            for a in 0..k {
                self.table[a * self.units + to] = moved.table[a * moved.units + from];
            }
        }
        self.tabulate();
    }
}
