//! A Poisson distribution, cut off after `K − 1` and renormalised.

use super::by_number::{ByNumber, mean, normalised, xlog};

/// By its rate.
pub(super) struct Poisson;

impl ByNumber for Poisson {
    const NUMBERS: usize = 1;

    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64> {
        let mut log_factorial = 0.0;
        let log = |a: usize| {
            log_factorial += if a > 0 { (a as f64).ln() } else { 0.0 };
            xlog(a as f64, numbers[0]) - log_factorial
        };
        normalised((0..k).map(log).collect())
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
fn rate_of_mean(wanted: f64, k: usize) -> f64 {
    let mean_of = |rate: f64| -> f64 {
        Poisson.log_probs(&[rate], k).iter().enumerate().map(|(a, log)| a as f64 * log.exp()).sum()
    };
    let (mut low, mut high) = ((1e-9_f64).ln(), (1e4 * k as f64).ln());
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if mean_of(middle.exp()) < wanted { low = middle } else { high = middle }
    }
    ((low + high) / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        let logs = Poisson.log_probs(&[2.0], 40);
        assert!((logs[3].exp() - (-2.0_f64).exp() * 8.0 / 6.0).abs() < 1e-15);
        assert!((rate_of_mean(2.0, 40) - 2.0).abs() < 1e-9);
        // Far below its rate, where no single precision reaches.
        let logs = Poisson.log_probs(&[120.0], 256);
        assert!((logs[0] + 120.0).abs() < 1e-9 && (logs[1] + 120.0 - 120.0_f64.ln()).abs() < 1e-9, "{}", logs[0]);
    }
}
