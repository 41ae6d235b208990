//! A logistic distribution whose mass is collected in bins of width one around the categories; the first and the last take its
//! tails.

use super::by_number::ByNumber;
use crate::circuits::Scalar;

/// By its mean and its scale.
pub(super) struct DiscretisedLogistic;

/// The least scale where none is set: all but 3·10⁻¹¹ of the mass is then in one bin, so that a constant column costs nothing,
/// and a neighbouring category is e⁻²⁵ rather than out of reach of double precision.
pub(super) const USUAL_FLOOR: f64 = 0.02;

impl ByNumber for DiscretisedLogistic {
    const NUMBERS: usize = 2;

    fn log_table(&self, numbers: &[f64], logs: &mut [f64]) {
        let units = numbers.len() / Self::NUMBERS;
        let mut row = vec![0.0; logs.len() / units];
        for (unit, numbers) in numbers.chunks_exact(Self::NUMBERS).enumerate() {
            log_bins(numbers, &mut row);
            row.iter().enumerate().for_each(|(a, log)| logs[a * units + unit] = *log);
        }
    }

    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![last * draw(), (last / 8.0).max(0.2)]
    }

    fn near(&self, mean: f64, spread: f64, _: f64) -> Vec<f64> {
        vec![mean, (spread * 0.55).max(0.17)]
    }

    fn learn<T: Scalar>(&self, numbers: &mut [f64], flows: &[T], pseudocount: f64, step: f64, floor: f64) {
        let units = numbers.len() / Self::NUMBERS;
        let k = flows.len() / units - 1;
        let (mut logs, mut counts) = (vec![0.0; k], vec![0.0; k]);
        for (unit, numbers) in numbers.chunks_exact_mut(Self::NUMBERS).enumerate() {
            let expected = flows[k * units + unit].f64();
            log_bins(numbers, &mut logs);
            for (a, (count, log)) in counts.iter_mut().zip(&logs).enumerate() {
                let missing = if expected > 0.0 { expected * log.exp() } else { 0.0 };
                *count = flows[a * units + unit].f64() + missing + pseudocount / k as f64;
            }
            if counts.iter().sum::<f64>() > 0.0 {
                let new = fit(numbers, &logs, &counts, floor);
                numbers.iter_mut().zip(new).for_each(|(number, new)| *number += step * (new - *number));
            }
        }
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        numbers[1] > 0.0
    }

    fn floored(&self, numbers: &[f64]) -> Option<f64> {
        Some(numbers[1])
    }
}

/// Mean and scale that explain the counts better than `old`, whose log-probabilities are `logs`: towards the moments of the
/// counts or along the slope, whichever is better.
fn fit(old: &[f64], logs: &[f64], counts: &[f64], floor: f64) -> [f64; 2] {
    let mean = |of: &dyn Fn(f64) -> f64| {
        counts.iter().enumerate().map(|(a, n)| of(a as f64) * n).sum::<f64>() / counts.iter().sum::<f64>()
    };
    let centre = mean(&|a| a);
    let variance = mean(&|a| (a - centre).powi(2));
    let moments = [centre, ((3.0 * variance).sqrt() / std::f64::consts::PI).max(floor)];
    let old = [old[0], old[1]];
    let now = (old, expected_log(counts, logs));
    let mut row = vec![0.0; counts.len()];
    let mut value = |numbers: &[f64; 2]| {
        log_bins(numbers, &mut row);
        expected_log(counts, &row)
    };
    let best = [moments, scored(old, logs, counts, floor)].map(|new| backtrack(now, new, &mut value));
    if best[1].1 >= best[0].1 { best[1].0 } else { best[0].0 }
}

/// `Σ counts · log p`, where a category without counts adds nothing.
fn expected_log(counts: &[f64], logs: &[f64]) -> f64 {
    counts.iter().zip(logs).filter(|(n, _)| **n > 0.0).map(|(n, log)| n * log).sum()
}

/// The farthest of `old + (new − old) / 2^i` that is not worse than `old`, or `old`; with its value.
fn backtrack(old: ([f64; 2], f64), new: [f64; 2], value: &mut impl FnMut(&[f64; 2]) -> f64) -> ([f64; 2], f64) {
    (0..12)
        .map(|i| {
            let part = |j: usize| old.0[j] + (new[j] - old.0[j]) * 0.5_f64.powi(i);
            let numbers = [part(0), part(1)];
            (numbers, value(&numbers))
        })
        .find(|found| found.1 >= old.1)
        .unwrap_or(old)
}

/// Mean and scale after a step of Fisher scoring on the mean and the scale's logarithm.
fn scored(old: [f64; 2], logs: &[f64], counts: &[f64], floor: f64) -> [f64; 2] {
    let (mean, scale, k) = (old[0], old[1].max(floor), counts.len());
    let slope = |x: f64| if x.is_finite() { 1.0 / (2.0 + x.exp() + (-x).exp()) } else { 0.0 };
    let total: f64 = counts.iter().sum();
    let (mut gradient, mut information) = ([0.0; 2], [[0.0; 2]; 2]);
    for (a, count) in counts.iter().enumerate() {
        let p = logs[a].exp();
        if p < f64::MIN_POSITIVE {
            continue;
        }
        let low = if a == 0 { f64::NEG_INFINITY } else { (a as f64 - 0.5 - mean) / scale };
        let high = if a + 1 == k { f64::INFINITY } else { (a as f64 + 0.5 - mean) / scale };
        let along = |x: f64| if x.is_finite() { x * slope(x) } else { 0.0 };
        let d = [(slope(low) - slope(high)) / scale / p, (along(low) - along(high)) / p];
        for i in 0..2 {
            gradient[i] += count * d[i];
            (0..2).for_each(|j| information[i][j] += total * p * d[i] * d[j]);
        }
    }
    let [[a, b], [_, c]] = information;
    let determinant = a * c - b * b;
    if determinant <= 0.0 || !determinant.is_finite() {
        return [mean, scale];
    }
    let step = [(c * gradient[0] - b * gradient[1]) / determinant, (a * gradient[1] - b * gradient[0]) / determinant];
    [mean + step[0], (scale * step[1].clamp(-1.0, 1.0).exp()).max(floor)]
}

/// `log (σ((a + ½ − μ)/s) − σ((a − ½ − μ)/s))` of every category, without the loss of digits that a difference of numbers near
/// one would have, and without its underflow.
fn log_bins(numbers: &[f64], logs: &mut [f64]) {
    let (mean, scale, last) = (numbers[0], numbers[1], logs.len() - 1);
    if last == 0 {
        logs[0] = 0.0;
        return;
    }
    // log σ(x) and log σ(−x) of a bound between two categories.
    let bound = |a: usize| {
        let x = (a as f64 + 0.5 - mean) / scale;
        let rest = (-x.abs()).exp().ln_1p();
        (x.min(0.0) - rest, -x.max(0.0) - rest)
    };
    let width = (-(-1.0 / scale).exp_m1()).ln();
    let (mut below, mut above) = bound(0);
    logs[0] = below;
    for (a, log) in logs.iter_mut().enumerate().take(last).skip(1) {
        let beyond = above;
        (below, above) = bound(a);
        *log = below + beyond + width;
    }
    logs[last] = above;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_bin(a: usize, numbers: [f64; 2]) -> f64 {
        let mut logs = vec![0.0; 256];
        log_bins(&numbers, &mut logs);
        logs[a]
    }

    #[test]
    fn far_from_its_mean_a_difference_of_sigmoids_is_no_zero() {
        let far = log_bin(200, [3.0, 2.0]);
        assert!((far + 197.0 / 2.0 - (0.25_f64.exp() - (-0.25_f64).exp()).ln()).abs() < 1e-9, "{far}");
        // e⁻²⁵⁰⁰: far below any number of double precision.
        let farther = log_bin(255, [5.0, 0.1]);
        assert!((farther + 2495.0).abs() < 1e-6, "{farther}");
    }
}
