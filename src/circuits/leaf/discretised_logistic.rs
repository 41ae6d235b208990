//! A logistic distribution whose mass is collected in bins of width one around the categories; the first and the last take its
//! tails.

use super::by_number::{ByNumber, expected_log, mean};

/// By its mean and its scale.
pub(super) struct DiscretisedLogistic;

/// The least scale where none is set: all but 3·10⁻¹¹ of the mass is then in one bin, so that a constant column costs nothing,
/// and a neighbouring category is e⁻²⁵ rather than out of reach of double precision.
pub(super) const USUAL_FLOOR: f64 = 0.02;

impl ByNumber for DiscretisedLogistic {
    const NUMBERS: usize = 2;

    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64> {
        (0..k).map(|a| log_bin(a, numbers[0], numbers[1], k)).collect()
    }

    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![last * draw(), (last / 8.0).max(0.2)]
    }

    fn near(&self, mean: f64, spread: f64, _: f64) -> Vec<f64> {
        vec![mean, (spread * 0.55).max(0.17)]
    }

    fn fit(&self, old: &[f64], counts: &[f64], floor: f64) -> Vec<f64> {
        let (k, total, centre) = (counts.len(), counts.iter().sum::<f64>(), mean(counts));
        let variance = counts.iter().enumerate().map(|(a, n)| (a as f64 - centre).powi(2) * n).sum::<f64>() / total;
        let moments = [centre, ((3.0 * variance).sqrt() / std::f64::consts::PI).max(floor)];
        let value = |numbers: &[f64]| expected_log(counts, &self.log_probs(numbers, k));
        let best = [backtrack(old, &moments, value), backtrack(old, &scored(old, counts, floor), value)];
        best.into_iter().max_by(|a, b| value(a).total_cmp(&value(b))).unwrap_or_default()
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        numbers[1] > 0.0
    }

    fn floored(&self, numbers: &[f64]) -> Option<f64> {
        Some(numbers[1])
    }
}

/// The farthest of `old + (new − old) / 2^i` that is not worse than `old`, or `old`.
fn backtrack(old: &[f64], new: &[f64], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let now = value(old);
    (0..12)
        .map(|i| old.iter().zip(new).map(|(a, b)| a + (b - a) * 0.5_f64.powi(i)).collect::<Vec<_>>())
        .find(|numbers| value(numbers) >= now)
        .unwrap_or_else(|| old.to_vec())
}

/// Mean and scale after a step of Fisher scoring on the mean and the scale's logarithm.
fn scored(old: &[f64], counts: &[f64], floor: f64) -> [f64; 2] {
    let (mean, scale, k) = (old[0], old[1].max(floor), counts.len());
    let slope = |x: f64| if x.is_finite() { 1.0 / (2.0 + x.exp() + (-x).exp()) } else { 0.0 };
    let total: f64 = counts.iter().sum();
    let (mut gradient, mut information) = ([0.0; 2], [[0.0; 2]; 2]);
    for (a, count) in counts.iter().enumerate() {
        let p = log_bin(a, mean, scale, k).exp();
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

/// `log (σ((a + ½ − μ)/s) − σ((a − ½ − μ)/s))`, without the loss of digits that a difference of numbers near one would have, and
/// without its underflow.
fn log_bin(a: usize, mean: f64, scale: f64, k: usize) -> f64 {
    let log_sigmoid = |x: f64| if x >= 0.0 { -(-x).exp().ln_1p() } else { x - x.exp().ln_1p() };
    let low = (a as f64 - 0.5 - mean) / scale;
    let high = (a as f64 + 0.5 - mean) / scale;
    match (a == 0, a + 1 == k) {
        (true, true) => 0.0,
        (true, false) => log_sigmoid(high),
        (false, true) => log_sigmoid(-low),
        _ => log_sigmoid(high) + log_sigmoid(-low) + (-(-1.0 / scale).exp_m1()).ln(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_from_its_mean_a_difference_of_sigmoids_is_no_zero() {
        let far = log_bin(200, 3.0, 2.0, 256);
        assert!((far + 197.0 / 2.0 - (0.25_f64.exp() - (-0.25_f64).exp()).ln()).abs() < 1e-9, "{far}");
        // e⁻²⁵⁰⁰: far below any number of double precision.
        let farther = log_bin(255, 5.0, 0.1, 256);
        assert!((farther + 2495.0).abs() < 1e-6, "{farther}");
    }
}
