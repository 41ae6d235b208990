//! Base distributions: what a flow turns the data into. All coordinates are independent.

use super::{PerRow, Rows};
use crate::{
    nn::{Device, Real},
    random::Stream,
};
use dfdx::{
    shapes::{Axis, Dim, HasShape},
    tensor::{Tape, WithEmptyTape},
    tensor_ops::SumTo,
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

/// A distribution on `ℝᴰ` whose density and samples are one pass.
pub trait Base {
    /// Log-density of every row, nats.
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> PerRow<E, Dev, T>;

    /// One coordinate.
    fn draw(&self, rng: &mut Stream) -> f64;

    /// `n` independent rows of `dims` coordinates.
    fn sample<D: Dim, E: Real, Dev: Device<E>>(
        &self,
        (n, dims): (usize, D),
        device: &Dev,
        rng: &mut Stream,
    ) -> Rows<D, E, Dev> {
        device.tensor_from_vec((0..n * dims.size()).map(|_| E::of(self.draw(rng))).collect(), (n, dims))
    }
}

/// The standard normal distribution.
///
/// ```text
/// log p(z) = −½ Σ (zᵢ² + log 2π)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Normal;

/// The standard logistic distribution.
///
/// ```text
/// log p(z) = −Σ (softplus(zᵢ) + softplus(−zᵢ))
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic;

impl Base for Normal {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        let dims = z.shape().1.size() as f64;
        z.square().sum::<_, Axis<1>>() * E::of(-0.5) - E::of(0.5 * dims * TAU.ln())
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        StandardNormal.sample(rng)
    }
}

impl Base for Logistic {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        // softplus(z) + softplus(−z) = |z| + 2 log(1 + e^−|z|).
        let size = z.abs();
        let log = (size.with_empty_tape().negate().exp() + E::ONE).ln() * E::of(2.0);
        (size + log).sum::<_, Axis<1>>().negate()
    }

    fn draw(&self, rng: &mut Stream) -> f64 {
        let u: f64 = loop {
            let u = rng.random();
            if u > 0.0 {
                break u;
            }
        };
        u.ln() - (-u).ln_1p()
    }
}
