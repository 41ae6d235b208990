//! Gaussian leaves: densities of real numbers, learned from their first two moments.
//!
//! They compute with `z = (x − shift) / scale`, where shift and scale are those of the column: then a column's units do not
//! matter to single precision.

use crate::circuits::{Real, leaf::Leaves, pass::kernels::TILE};
use crate::math::mean_and_deviation;
use rand::RngExt;
use std::f64::consts::{LN_2, TAU};

/// The smallest standard deviation, in standard deviations of the column.
const FLOOR: f64 = 0.01;

/// Statistics of a unit: `Σ F`, `Σ F z`, `Σ F z²`, and `Σ F` over missing values.
pub(crate) const STATISTICS: usize = 4;

/// The column's own centre and spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) shift: f64,
    pub(crate) scale: f64,
}

impl Default for Frame {
    fn default() -> Self {
        Self { shift: 0.0, scale: 1.0 }
    }
}

impl Frame {
    /// Of values; a column whose values are all the same has scale one.
    pub(crate) fn of(values: &[f64]) -> Self {
        let (shift, scale) = mean_and_deviation(values);
        Self { shift, scale }
    }
}

impl<T: Real> Leaves<T> {
    /// Means near the middle of the column, and the spread of the column.
    pub(crate) fn random_gaussians(&mut self, rng: &mut impl rand::Rng) {
        self.numbers = (0..self.units).flat_map(|_| [2.0 * rng.random::<f64>() - 1.0, 1.0]).collect();
    }

    /// Mean and standard deviation of a unit, in the units of the data.
    pub(crate) fn mean_and_deviation(&self, unit: usize) -> (f64, f64) {
        let Frame { shift, scale } = self.frame;
        (shift + scale * self.numbers[2 * unit], scale * self.numbers[2 * unit + 1])
    }

    pub(crate) fn log_density(&self, unit: usize, x: f64) -> f64 {
        let (mean, deviation) = self.mean_and_deviation(unit);
        -0.5 * ((x - mean) / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
    }

    /// Densities of every unit, each column divided by a power of two that is added to `exponents`; one where a value is missing.
    pub(crate) fn densities(&self, values: &[f64], block: &mut [T], exponents: &mut [i32]) {
        let constants: Vec<[f64; 3]> = (0..self.units)
            .map(|unit| {
                let (mean, deviation) = self.mean_and_deviation(unit);
                [mean, 1.0 / deviation, -deviation.ln() - 0.5 * TAU.ln()]
            })
            .collect();
        let mut logs = vec![0.0; self.units];
        for ((b, x), exponent) in values.iter().enumerate().zip(exponents) {
            if x.is_nan() {
                block[b..].iter_mut().step_by(TILE).take(self.units).for_each(|value| *value = T::ONE);
                continue;
            }
            let mut largest = f64::NEG_INFINITY;
            for (log, [mean, inverse, constant]) in logs.iter_mut().zip(&constants) {
                *log = constant - 0.5 * ((x - mean) * inverse).powi(2);
                largest = largest.max(*log);
            }
            // Far out, where the exponent itself would leave its range, the row is computed in log space.
            let power = (largest / LN_2).floor().clamp(-1e6, 1e6);
            *exponent += power as i32;
            let column = block[b..].iter_mut().step_by(TILE).zip(&logs);
            column.for_each(|(value, log)| *value = T::of((log - power * LN_2).exp()));
        }
    }

    /// The statistics of one value: their rows, and what each flow adds.
    pub(crate) fn statistics_of(&self, x: f64) -> impl Iterator<Item = (usize, f64)> {
        let z = (x - self.frame.shift) / self.frame.scale;
        let known = [(0, 1.0), (1, z), (2, z * z)];
        let count = if x.is_nan() { 0 } else { 3 };
        known.into_iter().take(count).chain((count == 0).then_some((3, 1.0)))
    }

    pub(crate) fn count_reals(&self, values: &[f64], flows: &[T], sums: &mut [T]) {
        for (b, x) in values.iter().enumerate() {
            for (row, statistic) in self.statistics_of(*x) {
                let sums = &mut sums[row * self.units..(row + 1) * self.units];
                let statistic = T::of(statistic);
                sums.iter_mut().zip(flows[b..].iter().step_by(TILE)).for_each(|(s, f)| *s += statistic * *f);
            }
        }
    }

    /// The statistics with missing values counted as what their unit expects.
    pub(crate) fn expected_statistics(&self, flows: &[f64]) -> Vec<f64> {
        let units = self.units;
        let mut counts = flows.to_vec();
        for unit in 0..units {
            let (mean, deviation) = (self.numbers[2 * unit], self.numbers[2 * unit + 1]);
            let missing = std::mem::take(&mut counts[3 * units + unit]);
            counts[unit] += missing;
            counts[units + unit] += missing * mean;
            counts[2 * units + unit] += missing * (mean * mean + deviation * deviation);
        }
        counts
    }

    /// The M-step, on the first two moments; the pseudocount is of the column's own mean and spread.
    pub(crate) fn maximise_gaussians(&mut self, flows: &[T], pseudocount: f64, step: f64) {
        let flows: Vec<f64> = flows.iter().map(|f| f.f64()).collect();
        let counts = self.expected_statistics(&flows);
        let units = self.units;
        for (unit, numbers) in self.numbers.chunks_exact_mut(2).enumerate() {
            let total = counts[unit] + pseudocount;
            if total <= 0.0 {
                continue;
            }
            let (mean, square) = (counts[units + unit] / total, (counts[2 * units + unit] + pseudocount) / total);
            let (old_mean, old_square) = (numbers[0], numbers[0].powi(2) + numbers[1].powi(2));
            let mean = old_mean + step * (mean - old_mean);
            let square = old_square + step * (square - old_square);
            let deviation = (square - mean * mean).max(0.0).sqrt();
            numbers.copy_from_slice(&[mean, deviation.max(FLOOR)]);
        }
    }
}
