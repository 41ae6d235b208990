//! Densities in the plane whose entropy is known, so that every model of them can be told how far it is from the best.

use super::Continuous;
use crate::{
    Result,
    evidence::{Certainty, Evidence},
    math::log_sum_exp,
    random::{Seed, Stream},
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use std::{
    f64::consts::{PI, TAU},
    sync::OnceLock,
};

/// A density in the plane that can be drawn from, evaluated, and whose entropy is known.
///
/// ```
/// # use limbeck::{data::Oracle, random::Seed};
/// let rows = Oracle::Checkerboard.sample(1000, Seed(0))?;
/// assert_eq!((rows.len(), Oracle::Checkerboard.entropy()), (1000, 32_f64.ln()));
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Oracle {
    /// Eight normal distributions of deviation 0.2 on a circle of radius 2.
    Gaussians,
    /// A circle of radius 2 whose radius has deviation 0.2.
    Ring,
    /// Two half circles of radius 1 that reach into each other, with noise of deviation 0.1.
    Moons,
    /// Five arms, each a normal distribution that is twisted by its distance from the middle.
    Pinwheel,
    /// Uniform on every other of the sixteen squares of side 2 between −4 and 4.
    Checkerboard,
}

/// Deviation of the normal distributions of [`Oracle::Gaussians`] and of the radius of [`Oracle::Ring`].
const NARROW: f64 = 0.2;
const RADIUS: f64 = 2.0;
/// Deviation of the noise of [`Oracle::Moons`].
const NOISE: f64 = 0.1;
/// Arms of [`Oracle::Pinwheel`]: their number, where their middle is, their deviations along and across, radians a unit of radius.
const ARMS: usize = 5;
const ARM: f64 = 2.0;
const ALONG: f64 = 0.5;
const ACROSS: f64 = 0.15;
const TWIST: f64 = 0.8;

impl Oracle {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Gaussians, Self::Ring, Self::Moons, Self::Pinwheel, Self::Checkerboard];

    /// What it is called in tables and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gaussians => "eight Gaussians",
            Self::Ring => "ring",
            Self::Moons => "moons",
            Self::Pinwheel => "pinwheel",
            Self::Checkerboard => "checkerboard",
        }
    }

    /// `n` independent points, columns `x` and `y`. Point `i` uses stream `i`.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn sample(self, n: usize, seed: Seed) -> Result<Continuous> {
        let points = (0..n).flat_map(|i| self.point(&mut seed.stream(self.name(), i as u64)));
        Continuous::new(vec!["x".into(), "y".into()], points.collect())
    }

    fn point(self, rng: &mut Stream) -> [f64; 2] {
        let normal = |rng: &mut Stream| -> f64 { StandardNormal.sample(rng) };
        match self {
            Self::Gaussians => {
                let [x, y] = polar(RADIUS, TAU * rng.random_range(0..8) as f64 / 8.0);
                [x + NARROW * normal(rng), y + NARROW * normal(rng)]
            }
            Self::Ring => {
                let radius = loop {
                    let radius = RADIUS + NARROW * normal(rng);
                    if radius > 0.0 {
                        break radius;
                    }
                };
                polar(radius, TAU * rng.random::<f64>())
            }
            Self::Moons => {
                let [x, y] = moon(rng.random(), PI * rng.random::<f64>());
                [x + NOISE * normal(rng), y + NOISE * normal(rng)]
            }
            Self::Pinwheel => {
                let (along, across) = (ARM + ALONG * normal(rng), ACROSS * normal(rng));
                let angle = TAU * rng.random_range(0..ARMS) as f64 / ARMS as f64;
                let [x, y] = turned([along, across], angle);
                turned([x, y], TWIST * x.hypot(y))
            }
            Self::Checkerboard => {
                let square = rng.random_range(0..8);
                let (row, column) = (square / 2, 2 * (square % 2) + square / 2 % 2);
                let place = |i: usize, u: f64| 2.0 * i as f64 - 4.0 + 2.0 * u;
                [place(column, rng.random()), place(row, rng.random())]
            }
        }
    }

    /// `log p(x, y)`, nats.
    pub fn log_prob(self, [x, y]: [f64; 2]) -> f64 {
        match self {
            Self::Gaussians => {
                let terms = (0..8).map(|i| {
                    let [a, b] = polar(RADIUS, TAU * f64::from(i) / 8.0);
                    log_normal(x - a, NARROW) + log_normal(y - b, NARROW)
                });
                log_sum_exp(terms) - 8.0_f64.ln()
            }
            Self::Ring => {
                let radius = x.hypot(y);
                log_normal(radius - RADIUS, NARROW) - (TAU * radius).ln()
            }
            Self::Moons => {
                // The half circles by quadrature: the integrand is as smooth as the noise is wide.
                let terms = legendre().iter().flat_map(|(at, weight)| {
                    [false, true].map(|lower| {
                        let [a, b] = moon(lower, PI * at);
                        weight.ln() + log_normal(x - a, NOISE) + log_normal(y - b, NOISE)
                    })
                });
                log_sum_exp(terms) - 2.0_f64.ln()
            }
            Self::Pinwheel => {
                // A turn by an angle that depends on the radius alone keeps areas.
                let point = turned([x, y], -TWIST * x.hypot(y));
                let terms = (0..ARMS).map(|i| {
                    let [along, across] = turned(point, -TAU * i as f64 / ARMS as f64);
                    log_normal(along - ARM, ALONG) + log_normal(across, ACROSS)
                });
                log_sum_exp(terms) - (ARMS as f64).ln()
            }
            Self::Checkerboard => {
                let place = |x: f64| (-4.0..4.0).contains(&x).then(|| ((x + 4.0) / 2.0) as usize);
                match (place(x), place(y)) {
                    (Some(column), Some(row)) if (column + row) % 2 == 0 => -32.0_f64.ln(),
                    _ => f64::NEG_INFINITY,
                }
            }
        }
    }

    /// `−∫ p log p`, nats: in closed form for the checkerboard, to 10⁻⁶ by quadrature for the others, once.
    pub fn entropy(self) -> f64 {
        static KNOWN: [OnceLock<f64>; Oracle::ALL.len()] = [const { OnceLock::new() }; Oracle::ALL.len()];
        let known = &KNOWN[self as usize];
        // Not within `get_or_init`: while a thread of the pool waits there, it may be given work that asks for the same.
        known.get().copied().unwrap_or_else(|| {
            let entropy = self.integrated_entropy();
            *known.get_or_init(|| entropy)
        })
    }

    fn integrated_entropy(self) -> f64 {
        if self == Self::Checkerboard {
            return 32.0_f64.ln();
        }
        // The densities are smooth and vanish at the border, where the trapezoidal rule converges faster than any power.
        const SIDE: usize = 480;
        let step = 12.0 / SIDE as f64;
        let at = |i: usize| step * (i as f64 + 0.5) - 6.0;
        let column = |i: usize| -> f64 {
            let logs = (0..SIDE).map(|j| self.log_prob([at(i), at(j)]));
            logs.map(|l| if l > -700.0 { -l * l.exp() } else { 0.0 }).sum()
        };
        (0..SIDE).into_par_iter().map(column).collect::<Vec<f64>>().iter().sum::<f64>() * step * step
    }

    /// How many nats a row a model's negative log-likelihood is above the entropy. For a density it is never below zero, but for
    /// the chance of a finite sample.
    pub fn gap<K: Certainty>(self, evidence: &Evidence<K>) -> f64 {
        -evidence.mean() - self.entropy()
    }
}

fn polar(radius: f64, angle: f64) -> [f64; 2] {
    [radius * angle.cos(), radius * angle.sin()]
}

fn turned([x, y]: [f64; 2], angle: f64) -> [f64; 2] {
    let (sin, cos) = angle.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

/// A point of the upper half circle around (−½, −¼), or of the lower one around (½, ¼).
fn moon(lower: bool, angle: f64) -> [f64; 2] {
    let [x, y] = polar(1.0, angle);
    if lower { [0.5 - x, 0.25 - y] } else { [x - 0.5, y - 0.25] }
}

fn log_normal(x: f64, deviation: f64) -> f64 {
    -0.5 * (x / deviation).powi(2) - deviation.ln() - 0.5 * TAU.ln()
}

/// Nodes and weights of the Gauss-Legendre rule on `(0, 1)`.
fn legendre() -> &'static [(f64, f64)] {
    const NODES: usize = 96;
    static RULE: OnceLock<Vec<(f64, f64)>> = OnceLock::new();
    RULE.get_or_init(|| {
        (0..NODES)
            .map(|i| {
                let mut x = (PI * (i as f64 + 0.75) / (NODES as f64 + 0.5)).cos();
                let mut slope = 0.0;
                for _ in 0..20 {
                    let (mut p, mut before) = (x, 1.0);
                    for k in 2..=NODES {
                        let k = k as f64;
                        (p, before) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k, p);
                    }
                    slope = NODES as f64 * (x * p - before) / (x * x - 1.0);
                    x -= p / slope;
                }
                ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Exact, Space};

    #[test]
    fn the_quadrature_integrates_polynomials_exactly() {
        let moment = |k: i32| legendre().iter().map(|(x, w)| w * x.powi(k)).sum::<f64>();
        for k in 0..40 {
            assert!((moment(k) - 1.0 / f64::from(k + 1)).abs() < 1e-13, "{k}: {}", moment(k));
        }
    }

    #[test]
    fn every_density_integrates_to_one() {
        for oracle in Oracle::ALL {
            // Lines that miss the borders of the squares.
            let (side, step) = (600, 0.02);
            let at = |i: usize| step * (i as f64 + 0.5) - 6.0;
            let total: f64 = (0..side)
                .flat_map(|i| (0..side).map(move |j| (i, j)))
                .map(|(i, j)| oracle.log_prob([at(i), at(j)]).exp() * step * step)
                .sum();
            assert!((total - 1.0).abs() < 1e-6, "{}: {total}", oracle.name());
        }
    }

    #[test]
    fn the_entropy_is_that_of_closed_forms_and_of_samples() {
        // Eight normal distributions that hardly touch, and a ring in polar coordinates.
        let normal = |deviation: f64| (TAU * std::f64::consts::E * deviation * deviation).ln() / 2.0;
        let apart = 8.0_f64.ln() + 2.0 * normal(NARROW);
        assert!((Oracle::Gaussians.entropy() - apart).abs() < 1e-3);
        // E log r of a radius 2 ± 0.2 by its series.
        let log_radius = RADIUS.ln() - (NARROW / RADIUS).powi(2) / 2.0 - 3.0 * (NARROW / RADIUS).powi(4) / 4.0;
        let ring = normal(NARROW) + TAU.ln() + log_radius;
        assert!((Oracle::Ring.entropy() - ring).abs() < 2e-5, "{} for {ring}", Oracle::Ring.entropy());
        for oracle in Oracle::ALL {
            let rows = oracle.sample(20_000, Seed(3)).unwrap();
            let log_probs = (0..rows.len()).map(|i| oracle.log_prob([rows.row(i)[0], rows.row(i)[1]])).collect();
            let evidence = Evidence::<Exact>::new(log_probs, Space::Continuous, 2).unwrap();
            let gap = oracle.gap(&evidence);
            let error = evidence.standard_error();
            assert!(gap.abs() <= 4.5 * error + 1e-9, "{}: {gap} ± {error}", oracle.name());
        }
    }
}
