//! Families of distributions over categories with a parameter or two: their tables, and their M-steps.

use crate::circuits::Leaf;

/// `Σ counts · log p`, where a category without counts adds nothing.
pub(crate) fn expected_log(counts: &[f64], p: &[f64]) -> f64 {
    counts.iter().zip(p).filter(|(n, _)| **n > 0.0).map(|(n, p)| n * p.ln()).sum()
}

/// The farthest of `old + (new − old) / 2^i` that is not worse than `old`, or `old`.
pub(crate) fn rising(old: &[f64], new: &[f64], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let now = value(old);
    (0..12)
        .map(|i| old.iter().zip(new).map(|(a, b)| a + (b - a) * 0.5_f64.powi(i)).collect::<Vec<_>>())
        .find(|numbers| value(numbers) >= now)
        .unwrap_or_else(|| old.to_vec())
}

/// Mean and scale of a discretised logistic after a step of Fisher scoring on the mean and the scale's logarithm.
pub(crate) fn scored(old: &[f64], counts: &[f64]) -> [f64; 2] {
    let (mean, scale, k) = (old[0], old[1].max(LEAST_SCALE), counts.len());
    let slope = |x: f64| if x.is_finite() { 1.0 / (2.0 + x.exp() + (-x).exp()) } else { 0.0 };
    let total: f64 = counts.iter().sum();
    let (mut gradient, mut information) = ([0.0; 2], [[0.0; 2]; 2]);
    for (a, count) in counts.iter().enumerate() {
        let p = logistic_bin(a, mean, scale, k);
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
    [mean + step[0], scale * step[1].clamp(-1.0, 1.0).exp()]
}

/// The smallest scale of a discretised logistic: nine tenths of its mass are then in one bin.
pub(crate) const LEAST_SCALE: f64 = 0.17;

/// The probabilities of `k` categories.
pub(crate) fn probabilities(kind: Leaf, numbers: &[f64], k: usize) -> Vec<f64> {
    match kind {
        Leaf::DiscretisedLogistic => {
            let (mean, scale) = (numbers[0], numbers[1].max(LEAST_SCALE));
            (0..k).map(|a| logistic_bin(a, mean, scale, k)).collect()
        }
        _ => {
            let n = k as f64 - 1.0;
            let mut log_weight = 0.0;
            let logs: Vec<f64> = (0..k)
                .map(|a| {
                    let a = a as f64;
                    match kind {
                        Leaf::Binomial => {
                            log_weight += if a > 0.0 { ((n - a + 1.0) / a).ln() } else { 0.0 };
                            log_weight + xlog(a, numbers[0]) + xlog(n - a, 1.0 - numbers[0])
                        }
                        _ => {
                            log_weight -= if a > 0.0 { a.ln() } else { 0.0 };
                            log_weight + xlog(a, numbers[0])
                        }
                    }
                })
                .collect();
            let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let values: Vec<f64> = logs.iter().map(|l| (l - largest).exp()).collect();
            let total: f64 = values.iter().sum();
            values.into_iter().map(|v| v / total).collect()
        }
    }
}

/// `x ln p`, 0 for no `x`.
fn xlog(x: f64, p: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x * p.max(0.0).ln() }
}

/// `σ((a + ½ − μ)/s) − σ((a − ½ − μ)/s)`, without the loss of digits that a difference of numbers near one would have.
pub(crate) fn logistic_bin(a: usize, mean: f64, scale: f64, k: usize) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let low = (a as f64 - 0.5 - mean) / scale;
    let high = (a as f64 + 0.5 - mean) / scale;
    match (a == 0, a + 1 == k) {
        (true, true) => 1.0,
        (true, false) => sigmoid(high),
        (false, true) => sigmoid(-low),
        _ => sigmoid(high) * sigmoid(-low) * -(-1.0 / scale).exp_m1(),
    }
}

/// The rate whose Poisson distribution, cut off after `k − 1`, has this mean.
pub(crate) fn rate_of_mean(mean: f64, k: usize) -> f64 {
    let mean_of = |rate: f64| {
        let p = probabilities(Leaf::Poisson, &[rate], k);
        p.iter().enumerate().map(|(a, p)| a as f64 * p).sum::<f64>()
    };
    let (mut low, mut high) = ((1e-9_f64).ln(), (1e4 * k as f64).ln());
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if mean_of(middle.exp()) < mean { low = middle } else { high = middle }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let binomial = probabilities(Leaf::Binomial, &[0.25], 4);
        for (p, want) in binomial.iter().zip([27.0, 27.0, 9.0, 1.0]) {
            assert!((p - want / 64.0).abs() < 1e-15);
        }
        let poisson = probabilities(Leaf::Poisson, &[2.0], 40);
        assert!((poisson[3] - (-2.0_f64).exp() * 8.0 / 6.0).abs() < 1e-15);
        assert!((rate_of_mean(2.0, 40) - 2.0).abs() < 1e-9);
        // Far from its mean a difference of sigmoids would be zero.
        let far = logistic_bin(200, 3.0, 2.0, 256);
        assert!((far.ln() + 197.0 / 2.0 - (0.25_f64.exp() - (-0.25_f64).exp()).ln()).abs() < 1e-9, "{far}");
    }
}
