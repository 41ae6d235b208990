//! The number of successes in `K − 1` trials.

use super::by_number::{ByNumber, log_factorial, mean, times};

/// By the probability of a success.
pub(super) struct Binomial;

impl ByNumber for Binomial {
    const NUMBERS: usize = 1;

    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64> {
        let (n, p) = (k - 1, numbers[0]);
        let (log_p, log_rest) = (p.max(0.0).ln(), (1.0 - p).max(0.0).ln());
        let log_choose = |a: usize| log_factorial(n) - log_factorial(a) - log_factorial(n - a);
        (0..k).map(|a| log_choose(a) + times(a, log_p) + times(n - a, log_rest)).collect()
    }

    fn random(&self, _: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![0.05 + 0.9 * draw()]
    }

    fn near(&self, mean: f64, _: f64, last: f64) -> Vec<f64> {
        vec![(mean / last).clamp(0.02, 0.98)]
    }

    fn fit(&self, _: &[f64], counts: &[f64], _: f64) -> Vec<f64> {
        vec![mean(counts) / (counts.len() - 1) as f64]
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        (0.0..=1.0).contains(&numbers[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms() {
        for (log, want) in Binomial.log_probs(&[0.25], 4).iter().zip([27.0_f64, 27.0, 9.0, 1.0]) {
            assert!((log.exp() - want / 64.0).abs() < 1e-15);
        }
        // 255 trials: the ends, where no single precision reaches.
        let logs = Binomial.log_probs(&[0.47], 256);
        assert!((logs[0] - 255.0 * 0.53_f64.ln()).abs() < 1e-9);
        assert!((logs[255] - 255.0 * 0.47_f64.ln()).abs() < 1e-9);
        assert!((logs[1] - (255.0_f64.ln() + 0.47_f64.ln() + 254.0 * 0.53_f64.ln())).abs() < 1e-9);
    }
}
