//! The number of successes in `K − 1` trials.

use super::by_number::{ByNumber, mean, xlog};

/// By the probability of a success.
pub(super) struct Binomial;

impl ByNumber for Binomial {
    const NUMBERS: usize = 1;

    fn log_probs(&self, numbers: &[f64], k: usize) -> Vec<f64> {
        let (n, p) = (k as f64 - 1.0, numbers[0]);
        let mut log_choose = 0.0;
        let log = |a: usize| {
            let a = a as f64;
            log_choose += if a > 0.0 { ((n - a + 1.0) / a).ln() } else { 0.0 };
            log_choose + xlog(a, p) + xlog(n - a, 1.0 - p)
        };
        (0..k).map(log).collect()
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
