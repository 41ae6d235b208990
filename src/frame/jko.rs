//! Flows of one-dimensional normal laws towards `exp(−a x² / 2)`, in closed form: the Fokker–Planck equation, its steps of Jordan,
//! Kinderlehrer and Otto, and those of the unadjusted Langevin algorithm.
//!
//! What every one of them brings down is the free energy
//!
//! ```text
//! F(ρ) = a/2 E x² + E log ρ = KL(ρ ‖ p) − log ∫ exp(−a x² / 2)
//! ```

use crate::{Error, Result};

/// A normal law on the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bell {
    /// Its mean.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// The landscape `U(x) = a x² / 2`.
///
/// ```
/// # use limbeck::frame::jko::{Bell, Valley};
/// let valley = Valley::new(1.7)?;
/// let step = valley.jko_step(Bell { mean: 0.9, deviation: 0.4 }, 0.25)?;
/// assert!((step.mean - 0.631578947).abs() < 1e-9 && (step.deviation - 0.582093976).abs() < 1e-9);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Valley {
    a: f64,
}

impl Valley {
    /// With the precision `a`.
    ///
    /// # Errors
    /// When it is not a number above 0.
    pub fn new(a: f64) -> Result<Self> {
        match a > 0.0 && a.is_finite() {
            true => Ok(Self { a }),
            false => Err(Error::out_of_range("precision", a, "0 < precision < ∞")),
        }
    }

    /// `F(ρ)`, nats.
    pub fn free_energy(&self, rho: Bell) -> f64 {
        let square = rho.mean * rho.mean + rho.deviation * rho.deviation;
        0.5 * self.a * square - 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln() - rho.deviation.ln()
    }

    /// How fast `F` falls along the Fokker–Planck equation: `∫ |∇(U + log ρ)|² dρ = (a m)² + (a s − 1/s)²`.
    pub fn dissipation(&self, rho: Bell) -> f64 {
        (self.a * rho.mean).powi(2) + (self.a * rho.deviation - 1.0 / rho.deviation).powi(2)
    }

    /// The Fokker–Planck equation after a time.
    pub fn flow(&self, rho: Bell, time: f64) -> Bell {
        let left = (-self.a * time).exp();
        let variance = 1.0 / self.a + (rho.deviation * rho.deviation - 1.0 / self.a) * left * left;
        Bell { mean: rho.mean * left, deviation: variance.sqrt() }
    }

    /// `argmin_ρ' W₂²(ρ, ρ') / 2τ + F(ρ')`, which is normal again. Its fixed point is `p` itself.
    ///
    /// ```text
    /// m' = m / (1 + τ a),    s' = (s + √(s² + 4τ (1 + τ a))) / 2 (1 + τ a)
    /// ```
    ///
    /// # Errors
    /// When `τ` is not a number above 0.
    pub fn jko_step(&self, rho: Bell, tau: f64) -> Result<Bell> {
        let Bell { mean, deviation } = rho;
        let shrunk = 1.0 + check(tau)? * self.a;
        let root = (deviation * deviation + 4.0 * tau * shrunk).sqrt();
        Ok(Bell { mean: mean / shrunk, deviation: (deviation + root) / (2.0 * shrunk) })
    }

    /// The law of a step of [`Ula`](super::samplers::Ula) of `h = τ`. Its fixed point has the variance `1 / a (1 − τ a / 2)`.
    ///
    /// # Errors
    /// As [`Self::jko_step`].
    pub fn langevin_step(&self, rho: Bell, tau: f64) -> Result<Bell> {
        let shrunk = 1.0 - check(tau)? * self.a;
        let variance = (shrunk * rho.deviation).powi(2) + 2.0 * tau;
        Ok(Bell { mean: shrunk * rho.mean, deviation: variance.sqrt() })
    }
}

fn check(tau: f64) -> Result<f64> {
    match tau > 0.0 && tau.is_finite() {
        true => Ok(tau),
        false => Err(Error::out_of_range("tau", tau, "0 < tau < ∞")),
    }
}

/// `W₂²` between two of them: `(m − n)² + (s − t)²`.
pub fn squared_distance(a: Bell, b: Bell) -> f64 {
    (a.mean - b.mean).powi(2) + (a.deviation - b.deviation).powi(2)
}

/// The cost of Brownian particles that are to have come from one law to another after a time `h`, by the theory of large deviations.
///
/// ```text
/// J_h(b | a) = min over couplings γ of a and b of KL(γ ‖ a(dx) N(y; x, 2h))
/// ```
///
/// As `h → 0`, `J_h − W₂² / 4h` comes to `(E_b log b − E_a log a) / 2`: the discrete flow of Jordan, Kinderlehrer and Otto is the limit of
/// that of Kullback and Leibler. Source: Adams, Dirr, Peletier & Zimmer 2011; for normal laws the best coupling is normal, with a
/// covariance `c` that solves a quadratic equation.
///
/// # Errors
/// When `h` is not a number above 0.
pub fn brownian_cost(a: Bell, b: Bell, h: f64) -> Result<f64> {
    let (s, t, h) = (a.deviation, b.deviation, check(h)?);
    // KL(γ ‖ a × N(·; x, 2h)) = ½ log 2π(2h) + E(y − x)²/4h − H(y | x), with H(y | x) = ½ log 2πe (t² − c²/s²).
    // Its slope in c vanishes where c / (s² t² − c²) = 1 / 2h.
    let c = -h + (h * h + s * s * t * t).sqrt();
    let moved = (a.mean - b.mean).powi(2) + s * s + t * t - 2.0 * c;
    let rest = t * t - c * c / (s * s);
    Ok(0.5 * (2.0 * h / rest).ln() + moved / (4.0 * h) - 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_step_is_the_minimum_of_what_it_minimises() {
        let (valley, rho, tau) = (Valley::new(1.7).unwrap(), Bell { mean: 0.9, deviation: 0.4 }, 0.25);
        let cost = |to: Bell| squared_distance(rho, to) / (2.0 * tau) + valley.free_energy(to);
        let step = valley.jko_step(rho, tau).unwrap();
        for (dm, ds) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
            let near = Bell { mean: step.mean + dm, deviation: step.deviation + ds };
            assert!(cost(near) > cost(step));
            // Of second order: the slope is none.
            assert!(cost(near) - cost(step) < 1e-5);
        }
    }

    #[test]
    fn steps_come_to_the_flow_in_first_order_and_only_langevin_is_biased() {
        let (valley, rho) = (Valley::new(1.7).unwrap(), Bell { mean: 0.9, deviation: 0.4 });
        let exact = valley.flow(rho, 1.0).deviation.powi(2);
        let error = |steps: u32, step: &dyn Fn(Bell, f64) -> Result<Bell>| {
            let end = (0..steps).fold(rho, |rho, _| step(rho, 1.0 / f64::from(steps)).unwrap());
            (end.deviation.powi(2) - exact).abs()
        };
        for (steps, jko, ula) in
            [(4, 0.0272, 0.166), (8, 0.0132, 0.0733), (16, 0.0064, 0.0346), (32, 0.0031, 0.0168), (64, 0.00155, 0.0083)]
        {
            let found = error(steps, &|rho, tau| valley.jko_step(rho, tau));
            assert!((found - jko).abs() < 5.1e-5, "{found} for {jko}");
            let found = error(steps, &|rho, tau| valley.langevin_step(rho, tau));
            assert!((found - ula).abs() < 5.1e-4, "{found} for {ula}");
        }
        let rest = Bell { mean: 0.0, deviation: 1.0 / 1.7_f64.sqrt() };
        let stays = valley.jko_step(rest, 0.3).unwrap();
        assert!((stays.deviation - rest.deviation).abs() < 1e-15);
        let biased = (0..2000).fold(rest, |rho, _| valley.langevin_step(rho, 0.3).unwrap());
        assert!((biased.deviation.powi(2) - 1.0 / (1.7 * (1.0 - 0.5 * 0.3 * 1.7))).abs() < 1e-12);
    }

    #[test]
    fn the_free_energy_falls_as_fast_as_it_should() {
        let (valley, rho) = (Valley::new(0.6).unwrap(), Bell { mean: -1.0, deviation: 2.0 });
        let after = |time: f64| valley.free_energy(valley.flow(rho, time));
        let slope = (after(1e-6) - after(-1e-6)) / 2e-6;
        assert!((slope + valley.dissipation(rho)).abs() < 1e-8);
    }

    #[test]
    fn the_cost_of_particles_comes_to_that_of_transport() {
        let (a, b) = (Bell { mean: 0.0, deviation: 0.8 }, Bell { mean: 0.0, deviation: 1.1 });
        // Against numbers of `research/frame.md` §1f; the limit is −½ log(1.1 / 0.8).
        for (h, want) in [(0.3, -0.0748), (0.1, -0.1308), (0.03, -0.1507), (0.01, -0.1564), (0.003, -0.1584)] {
            let found = brownian_cost(a, b, h).unwrap() - squared_distance(a, b) / (4.0 * h);
            assert!((found - want).abs() < 5.1e-5, "{found} for {want}");
        }
        let near = brownian_cost(a, b, 1e-7).unwrap() - squared_distance(a, b) / 4e-7;
        assert!((near + 0.5 * (1.1_f64 / 0.8).ln()).abs() < 1e-5, "{near}");
    }

    proptest! {
        #[test]
        fn a_step_pays_for_its_way(mean in -5.0..5.0_f64, deviation in 0.05..5.0_f64, a in 0.05..10.0_f64, tau in 0.01..5.0_f64) {
            let (valley, rho) = (Valley::new(a).unwrap(), Bell { mean, deviation });
            let step = valley.jko_step(rho, tau).unwrap();
            let paid = valley.free_energy(step) + squared_distance(step, rho) / (2.0 * tau);
            prop_assert!(paid <= valley.free_energy(rho) + 1e-12);
        }
    }
}
