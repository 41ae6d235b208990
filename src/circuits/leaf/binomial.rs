//! The number of successes in `K − 1` trials.

use super::{
    by_mean::{self, ByMean, Line},
    by_number::{ByNumber, log_factorials},
};
use crate::circuits::Scalar;

/// By the probability of a success.
pub(super) struct Binomial;

impl ByNumber for Binomial {
    const NUMBERS: usize = 1;

    fn log_table(&self, numbers: &[f64], logs: &mut [f64]) {
        by_mean::log_table(self, numbers, logs);
    }

    fn random(&self, _: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![0.05 + 0.9 * draw()]
    }

    fn near(&self, mean: f64, _: f64, last: f64) -> Vec<f64> {
        vec![(mean / last).clamp(0.02, 0.98)]
    }

    fn learn<T: Scalar>(&self, numbers: &mut [f64], flows: &[T], pseudocount: f64, step: f64, _: f64) {
        by_mean::learn(self, numbers, flows, pseudocount, step);
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        (0.0..=1.0).contains(&numbers[0])
    }
}

impl ByMean for Binomial {
    fn base(&self, k: usize) -> Vec<f64> {
        let logs = log_factorials();
        (0..k).map(|a| logs[k - 1] - logs[a] - logs[k - 1 - a]).collect()
    }

    fn line(&self, p: f64, _: usize) -> Line {
        Line { up: p.max(0.0).ln(), down: (1.0 - p).max(0.0).ln(), offset: 0.0 }
    }

    fn mean(&self, p: f64, k: usize) -> f64 {
        p * (k - 1) as f64
    }

    fn of_mean(&self, mean: f64, k: usize) -> f64 {
        mean / (k - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{super::by_mean::log_probs, *};

    #[test]
    fn closed_forms() {
        for (log, want) in log_probs(&Binomial, 0.25, 4).iter().zip([27.0_f64, 27.0, 9.0, 1.0]) {
            assert!((log.exp() - want / 64.0).abs() < 1e-15);
        }
        assert_eq!(log_probs(&Binomial, 0.0, 3), [0.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
        assert_eq!(log_probs(&Binomial, 1.0, 3), [f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0]);
        // 255 trials: the ends, where no single precision reaches.
        let logs = log_probs(&Binomial, 0.47, 256);
        assert!((logs[0] - 255.0 * 0.53_f64.ln()).abs() < 1e-9);
        assert!((logs[255] - 255.0 * 0.47_f64.ln()).abs() < 1e-9);
        assert!((logs[1] - (255.0_f64.ln() + 0.47_f64.ln() + 254.0 * 0.53_f64.ln())).abs() < 1e-9);
    }
}
