//! A normal distribution of a real number, learned from its first two moments.
//!
//! It computes with `z = (x − shift) / scale`, where shift and scale are those of the column: then a column's units do not
//! matter to single precision. Its statistics are taken about the unit's own mean, so that a narrow unit far from the middle of
//! its column keeps its digits.

use super::{
    Leaves,
    family::{Density, Family},
};
use crate::{
    circuits::{Scalar, pass::kernels::TILE},
    random::Stream,
};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::{LN_2, TAU};

pub(super) struct Gaussian;

/// Statistics of a unit: `Σ F`, `Σ F (z − μ)`, `Σ F (z − μ)²`, and `Σ F` over missing values.
const STATISTICS: usize = 4;

impl<T: Scalar> Family<T> for Gaussian {
    fn unfit(&self, _: usize, _: usize) -> Option<String> {
        None
    }

    fn numbers(&self) -> usize {
        2
    }

    fn statistics(&self, leaves: &Leaves<T>) -> usize {
        STATISTICS * leaves.units
    }

    /// Means near the middle of the column, and the spread of the column.
    fn randomise(&self, leaves: &mut Leaves<T>, rng: &mut Stream) {
        leaves.numbers = (0..leaves.units).flat_map(|_| [2.0 * rng.random::<f64>() - 1.0, 1.0]).collect();
    }

    fn maximise(&self, leaves: &mut Leaves<T>, flows: &[T], pseudocount: f64, step: f64) {
        let flows: Vec<f64> = flows.iter().map(|f| f.f64()).collect();
        self.maximise_expected(leaves, &self.expected(leaves, &flows), pseudocount, step);
    }

    /// The pseudocount is of the column's own mean and spread, which here are 0 and 1.
    fn maximise_expected(&self, leaves: &mut Leaves<T>, counts: &[f64], pseudocount: f64, step: f64) {
        let (units, floor) = (leaves.units, leaves.frame.floor);
        for (unit, numbers) in leaves.numbers.chunks_exact_mut(2).enumerate() {
            let total = counts[unit] + pseudocount;
            if total <= 0.0 {
                continue;
            }
            let (mean, square) = (counts[units + unit] / total, (counts[2 * units + unit] + pseudocount) / total);
            let (old_mean, old_square) = (numbers[0], numbers[0].powi(2) + numbers[1].powi(2));
            let mean = old_mean + step * (mean - old_mean);
            let square = old_square + step * (square - old_square);
            let deviation = (square - mean * mean).max(0.0).sqrt();
            numbers.copy_from_slice(&[mean, deviation.max(floor)]);
        }
    }

    fn is_valid(&self, leaves: &Leaves<T>) -> bool {
        let frame = leaves.frame;
        let deviations = leaves.numbers.iter().skip(1).step_by(2);
        frame.is_valid() && deviations.copied().all(|s| s > 0.0) && leaves.numbers.iter().all(|x| x.is_finite())
    }

    fn at_floor(&self, leaves: &Leaves<T>) -> usize {
        leaves.numbers.iter().skip(1).step_by(2).filter(|s| **s <= leaves.frame.floor).count()
    }

    fn density(&self) -> Option<&dyn Density<T>> {
        Some(self)
    }
}

/// Mean and standard deviation of a unit, in the units of the data.
fn mean_and_deviation<T: Scalar>(leaves: &Leaves<T>, unit: usize) -> (f64, f64) {
    let frame = leaves.frame;
    (frame.shift + frame.scale * leaves.numbers[2 * unit], frame.scale * leaves.numbers[2 * unit + 1])
}

impl<T: Scalar> Density<T> for Gaussian {
    fn log_density(&self, leaves: &Leaves<T>, unit: usize, x: f64) -> f64 {
        let (mean, deviation) = mean_and_deviation(leaves, unit);
        -0.5 * ((x - mean) / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
    }

    fn fill(&self, leaves: &Leaves<T>, values: &[f64], block: &mut [T], exponents: &mut [i32]) {
        let constants: Vec<[f64; 3]> = (0..leaves.units)
            .map(|unit| {
                let (mean, deviation) = mean_and_deviation(leaves, unit);
                [mean, 1.0 / deviation, -deviation.ln() - 0.5 * TAU.ln()]
            })
            .collect();
        let mut logs = vec![0.0; leaves.units];
        for ((b, x), exponent) in values.iter().enumerate().zip(exponents) {
            if x.is_nan() {
                block[b..].iter_mut().step_by(TILE).take(leaves.units).for_each(|value| *value = T::ONE);
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

    fn count(&self, leaves: &Leaves<T>, values: &[f64], flows: &[T], sums: &mut [T]) {
        let units = leaves.units;
        for (b, x) in values.iter().enumerate() {
            let flows = flows[b..].iter().step_by(TILE).take(units);
            if x.is_nan() {
                sums[3 * units..].iter_mut().zip(flows).for_each(|(sum, flow)| *sum += *flow);
                continue;
            }
            let z = (x - leaves.frame.shift) / leaves.frame.scale;
            for (unit, flow) in flows.enumerate() {
                let away = T::of(z - leaves.numbers[2 * unit]);
                sums[unit] += *flow;
                sums[units + unit] += away * *flow;
                sums[2 * units + unit] += away * away * *flow;
            }
        }
    }

    fn count_one(&self, leaves: &Leaves<T>, unit: usize, x: f64, flow: f64, add: &mut dyn FnMut(usize, f64)) {
        let units = leaves.units;
        if x.is_nan() {
            return add(3 * units + unit, flow);
        }
        let away = (x - leaves.frame.shift) / leaves.frame.scale - leaves.numbers[2 * unit];
        add(unit, flow);
        add(units + unit, flow * away);
        add(2 * units + unit, flow * away * away);
    }

    /// Moments about the middle of the column, in double precision: `Σ F`, `Σ F z`, `Σ F z²`, and nothing.
    fn expected(&self, leaves: &Leaves<T>, flows: &[f64]) -> Vec<f64> {
        let units = leaves.units;
        let mut counts = vec![0.0; STATISTICS * units];
        for unit in 0..units {
            let (mean, deviation) = (leaves.numbers[2 * unit], leaves.numbers[2 * unit + 1]);
            let [known, away, square, missing] = std::array::from_fn(|i| flows[i * units + unit]);
            counts[unit] = known + missing;
            counts[units + unit] = away + mean * known + mean * missing;
            counts[2 * units + unit] =
                square + 2.0 * mean * away + mean * mean * known + missing * (mean * mean + deviation * deviation);
        }
        counts
    }

    fn missing(&self, leaves: &Leaves<T>, mass: &[f64]) -> Vec<f64> {
        let mut flows = vec![0.0; STATISTICS * leaves.units];
        flows[3 * leaves.units..].copy_from_slice(mass);
        self.expected(leaves, &flows)
    }

    fn moments(&self, leaves: &Leaves<T>, unit: usize) -> [f64; 2] {
        let (mean, deviation) = mean_and_deviation(leaves, unit);
        [mean, mean * mean + deviation * deviation]
    }

    fn draw(&self, leaves: &Leaves<T>, unit: usize, rng: &mut Stream) -> f64 {
        let (mean, deviation) = mean_and_deviation(leaves, unit);
        let z: f64 = rng.sample(StandardNormal);
        mean + deviation * z
    }
}
