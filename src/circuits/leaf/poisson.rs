//! A Poisson distribution, cut off after `K − 1` and renormalised.

use super::by_number::{ByNumber, log_factorial, mean, normalised, times};

/// By its rate.
pub(super) struct Poisson;

impl ByNumber for Poisson {
    const NUMBERS: usize = 1;

    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64> {
        let log_rate = numbers[0].max(0.0).ln();
        normalised((0..k).map(|a| times(a, log_rate) - log_factorial(a)).collect())
    }

    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![0.1 + last * draw()]
    }

    fn near(&self, mean: f64, _: f64, _: f64) -> Vec<f64> {
        vec![mean.max(0.05)]
    }

    fn fit(&self, _: &[f64], counts: &[f64], _: f64) -> Vec<f64> {
        vec![rate_of_mean(mean(counts), counts.len())]
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        numbers[0] >= 0.0
    }
}

/// The rate whose Poisson distribution, cut off after `k − 1`, has this mean.
///
/// Newton on the logarithm of the rate, in which the slope of the mean is the variance, within bounds that close in.
fn rate_of_mean(wanted: f64, k: usize) -> f64 {
    let (mut low, mut high) = ((1e-9_f64).ln(), (1e4 * k as f64).ln());
    let mut log_rate = wanted.max(1e-9).ln();
    for _ in 0..200 {
        let (mean, variance) = moments(log_rate.exp(), k);
        if mean < wanted {
            low = log_rate
        } else {
            high = log_rate
        }
        let newton = log_rate + (wanted - mean) / variance;
        let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
        if (next - log_rate).abs() <= 1e-14 * log_rate.abs().max(1.0) {
            return next.exp();
        }
        log_rate = next;
    }
    log_rate.exp()
}

/// Mean and variance of a Poisson distribution that is cut off after `k − 1`: from the most probable category on to both sides,
/// each by the one before it.
fn moments(rate: f64, k: usize) -> (f64, f64) {
    let most = (rate as usize).min(k - 1);
    let (mut total, mut first, mut second) = (1.0, 0.0, 0.0);
    let mut add = |p: f64, away: f64| {
        total += p;
        first += p * away;
        second += p * away * away;
    };
    let mut p = 1.0;
    for a in most + 1..k {
        p *= rate / a as f64;
        if p < 1e-30 {
            break;
        }
        add(p, (a - most) as f64);
    }
    p = 1.0;
    for a in (0..most).rev() {
        p *= (a + 1) as f64 / rate;
        if p < 1e-30 {
            break;
        }
        add(p, -((most - a) as f64));
    }
    let mean = first / total;
    (most as f64 + mean, second / total - mean * mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let logs = Poisson.log_probs(&[2.0], 40);
        assert!((logs[3].exp() - (-2.0_f64).exp() * 8.0 / 6.0).abs() < 1e-15);
        assert!((rate_of_mean(2.0, 40) - 2.0).abs() < 1e-9);
        for k in [2, 3, 17, 256, 4096] {
            for share in [1e-7, 0.01, 0.3, 0.5, 0.9, 0.999] {
                let wanted = share * (k as f64 - 1.0);
                let logs = Poisson.log_probs(&[rate_of_mean(wanted, k)], k);
                let mean: f64 = logs.iter().enumerate().map(|(a, log)| a as f64 * log.exp()).sum();
                assert!((mean - wanted).abs() < 1e-8 * wanted, "{mean} for {wanted} of {k}");
            }
        }
        // Far below its rate, where no single precision reaches.
        let logs = Poisson.log_probs(&[120.0], 256);
        assert!((logs[0] + 120.0).abs() < 1e-9 && (logs[1] + 120.0 - 120.0_f64.ln()).abs() < 1e-9, "{}", logs[0]);
    }
}
