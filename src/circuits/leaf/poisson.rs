//! A Poisson distribution, cut off after `K − 1` and renormalised.

use super::{
    by_mean::{self, ByMean, Line},
    by_number::{ByNumber, log_factorials, times},
};
use crate::circuits::Scalar;

/// By its rate.
pub(super) struct Poisson;

impl ByNumber for Poisson {
    const NUMBERS: usize = 1;

    fn log_table(&self, numbers: &[f64], logs: &mut [f64]) {
        by_mean::log_table(self, numbers, logs);
    }

    fn random(&self, last: f64, draw: &mut dyn FnMut() -> f64) -> Vec<f64> {
        vec![0.1 + last * draw()]
    }

    fn near(&self, mean: f64, _: f64, _: f64) -> Vec<f64> {
        vec![mean.max(0.05)]
    }

    fn learn<T: Scalar>(&self, numbers: &mut [f64], flows: &[T], pseudocount: f64, step: f64, _: f64) {
        by_mean::learn(self, numbers, flows, pseudocount, step);
    }

    fn is_valid(&self, numbers: &[f64]) -> bool {
        numbers[0] >= 0.0
    }
}

impl ByMean for Poisson {
    fn base(&self, k: usize) -> Vec<f64> {
        log_factorials()[..k].iter().map(|log| -log).collect()
    }

    fn line(&self, rate: f64, k: usize) -> Line {
        Line { up: rate.max(0.0).ln(), down: 0.0, offset: Cut::of(rate, k).log_total }
    }

    fn mean(&self, rate: f64, k: usize) -> f64 {
        Cut::of(rate, k).mean
    }

    /// Newton on the logarithm of the rate, in which the slope of the mean is the variance, within bounds that close in.
    fn of_mean(&self, wanted: f64, k: usize) -> f64 {
        let wanted = wanted.max(LEAST);
        let (mut low, mut high) = (LEAST.ln(), (1e4 * k as f64).ln());
        let mut log_rate = wanted.ln();
        for _ in 0..200 {
            let Cut { mean, variance, .. } = Cut::of(log_rate.exp(), k);
            if mean < wanted {
                low = log_rate
            } else {
                high = log_rate
            }
            let newton = log_rate + (wanted - mean) / variance;
            let within = newton > low && newton < high;
            let next = if within { newton } else { (low + high) / 2.0 };
            // A step of Newton leaves the square of this.
            if (next - log_rate).abs() <= if within { 1e-9 } else { 1e-14 } {
                return next.exp();
            }
            log_rate = next;
        }
        log_rate.exp()
    }
}

/// The least rate that is learned.
const LEAST: f64 = 1e-9;

/// What a share of the mass must be to be seen in double precision.
const SEEN: f64 = 1e-20;

/// A Poisson distribution that is cut off after `k − 1`.
struct Cut {
    /// `log Σ_{a < k} rateᵃ / a!`.
    log_total: f64,
    mean: f64,
    variance: f64,
}

impl Cut {
    fn of(rate: f64, k: usize) -> Self {
        // Chernoff's bound: P(a ≥ k) ≤ exp(k − rate − k log(k / rate)). Where nothing that is seen is cut off, all is known.
        let cut = k as f64;
        if rate > 0.0 && rate < cut && cut - rate - cut * (cut / rate).ln() < SEEN.ln() {
            return Self { log_total: rate, mean: rate, variance: rate };
        }
        Self::summed(rate, k)
    }

    /// From the most probable category on to both sides, each by the one before it.
    fn summed(rate: f64, k: usize) -> Self {
        let most = (rate as usize).min(k - 1);
        let (mut total, mut first, mut second) = (1.0, 0.0, 0.0);
        let mut side = |ratios: &mut dyn Iterator<Item = f64>, sign: f64| {
            let (mut p, mut away) = (1.0, 0.0);
            for ratio in ratios {
                p *= ratio;
                if p < SEEN {
                    break;
                }
                away += sign;
                total += p;
                first += p * away;
                second += p * away * away;
            }
        };
        side(&mut (most + 1..k).map(|a| rate / a as f64), 1.0);
        side(&mut (1..=most).rev().map(|a| a as f64 / rate), -1.0);
        let away = first / total;
        let log_most = times(most, rate.max(0.0).ln()) - log_factorials()[most];
        Self { log_total: log_most + total.ln(), mean: most as f64 + away, variance: second / total - away * away }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::by_mean::log_probs, *};

    #[test]
    fn where_nothing_seen_is_cut_off_the_sums_are_those_of_all_categories() {
        for (rate, k) in [(0.01, 20), (3.0, 60), (90.0, 256), (130.0, 256)] {
            let (quick, slow) = (Cut::of(rate, k), Cut::summed(rate, k));
            assert_eq!(quick.log_total, rate, "{rate} of {k}");
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12 * b.max(1.0);
            assert!(near(slow.log_total, rate) && near(slow.mean, rate) && near(slow.variance, rate), "{rate} of {k}");
        }
        assert_eq!(log_probs(&Poisson, 0.0, 3), [0.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn closed_forms() {
        let logs = log_probs(&Poisson, 2.0, 40);
        assert!((logs[3].exp() - (-2.0_f64).exp() * 8.0 / 6.0).abs() < 1e-15);
        assert!((Poisson.of_mean(2.0, 40) - 2.0).abs() < 1e-9);
        for k in [2, 3, 17, 256, 4096] {
            for share in [1e-7, 0.01, 0.3, 0.5, 0.9, 0.999] {
                let wanted = share * (k as f64 - 1.0);
                let logs = log_probs(&Poisson, Poisson.of_mean(wanted, k), k);
                let mean: f64 = logs.iter().enumerate().map(|(a, log)| a as f64 * log.exp()).sum();
                assert!((mean - wanted).abs() < 1e-8 * wanted, "{mean} for {wanted} of {k}");
            }
        }
        // Far below its rate, where no single precision reaches.
        let logs = log_probs(&Poisson, 120.0, 256);
        assert!((logs[0] + 120.0).abs() < 1e-9 && (logs[1] + 120.0 - 120.0_f64.ln()).abs() < 1e-9, "{}", logs[0]);
    }
}
