//! The normal distribution function and its inverse on the logarithmic scale, exact into the tails.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, TAU};

/// `log φ(x)`.
pub(crate) fn log_density(x: f64) -> f64 {
    -0.5 * x * x - 0.5 * TAU.ln()
}

/// `log Φ(x)`.
///
/// Below −2 by the continued fraction `Φ(x) = φ(x) / (t + 1/(t + 2/(t + 3/…)))`, `t = −x`.
pub(crate) fn log_cdf(x: f64) -> f64 {
    if x > 5.0 {
        return (-0.5 * libm::erfc(x * FRAC_1_SQRT_2)).ln_1p();
    }
    if x > -2.0 {
        return (0.5 * libm::erfc(-x * FRAC_1_SQRT_2)).ln();
    }
    log_density(x) - log_hazard(x)
}

/// `log φ(x) − log Φ(x)` for `x ≤ −2`, to its last digit however far out: there the difference of the two has none.
pub(crate) fn log_hazard(x: f64) -> f64 {
    let t = -x;
    (1..=64).rev().fold(t, |below, n| t + f64::from(n) / below).ln()
}

/// The `q ≤ 0` with `log Φ(q) = log_p`, for `log_p ≤ log ½`; −∞ for −∞.
pub(crate) fn lower_quantile(log_p: f64) -> f64 {
    if log_p == f64::NEG_INFINITY {
        return log_p;
    }
    let mut q = if log_p <= -1.2 {
        let a = -2.0 * log_p - TAU.ln();
        -(a - a.max(1.0).ln()).max(0.0).sqrt()
    } else {
        (log_p.exp() - 0.5) * TAU.sqrt()
    };
    // Newton on log Φ, whose slope is φ / Φ.
    for _ in 0..8 {
        let log = log_cdf(q);
        let step = (log - log_p) * if q > -2.0 { log - log_density(q) } else { -log_hazard(q) }.exp();
        q -= step;
        if step.abs() <= 1e-15 * q.abs() {
            break;
        }
    }
    q.min(0.0)
}

/// `Φ⁻¹`, given the logarithms of a probability and of what is left of one.
pub(crate) fn quantile(log_p: f64, log_rest: f64) -> f64 {
    if log_p <= log_rest { lower_quantile(log_p.min(-LN_2)) } else { -lower_quantile(log_rest.min(-LN_2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_of_the_distribution_function_is_right_in_the_tails() {
        // Values of the asymptotic series and of tables.
        for (x, want) in [
            (0.0, -LN_2),
            (-1.0, -1.841_021_645_009_263_7),
            (-2.0, -3.783_184_332_036_882),
            (-5.0, -15.064_998_393_988_727),
            (-10.0, -53.231_285_151_512_47),
            (-37.5, -707.668_989_317_507_2),
            (3.0, -0.001_350_809_964_748_193_8),
        ] {
            assert!((log_cdf(x) - want).abs() < 1e-9 * want.abs(), "log Φ({x}) = {}", log_cdf(x));
        }
        for i in 0..400 {
            let x = -0.01 * f64::from(i);
            let slope = (log_cdf(x + 1e-6) - log_cdf(x - 1e-6)) / 2e-6;
            let want = (log_density(x) - log_cdf(x)).exp();
            assert!((slope - want).abs() < 1e-6, "{x}: {slope} for {want}");
        }
    }

    #[test]
    fn the_quantile_inverts_it() {
        for log_p in [-LN_2, -0.7, -1.0, -1.2, -1.3, -2.0, -5.0, -30.0, -700.0, -1e4, -1e6, -1e16, -1e33, -1e300] {
            let q = lower_quantile(log_p);
            assert!((log_cdf(q) - log_p).abs() < 1e-10 * log_p.abs(), "{log_p}: {q}");
        }
        assert_eq!(quantile(-LN_2, -LN_2), 0.0);
        assert!((quantile((0.975_f64).ln(), (0.025_f64).ln()) - 1.959_963_984_540_054).abs() < 1e-9);
        assert_eq!(lower_quantile(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
