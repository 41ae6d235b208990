//! Langevin dynamics of points that have a velocity.

use super::{
    Chains, LogDensity, Near, Sampler,
    chains::{self, find},
    langevin::check_step,
};
use crate::{Error, Result, nn::Real, random::Seed};

/// Points with velocities.
#[derive(Clone, Debug, PartialEq)]
pub struct Moving<E = f32> {
    /// The points.
    pub chains: Chains<E>,
    velocities: Vec<f64>,
}

impl<E: Real> Moving<E> {
    /// Points that set out with normal velocities.
    pub fn new(chains: Chains<E>, seed: Seed) -> Self {
        let mut velocities = vec![0.0; chains.points().len()];
        chains::each(&mut velocities, chains.dims(), seed, |_, velocities, rng| {
            velocities.iter_mut().for_each(|v| *v = chains::normal(rng));
        });
        Self { chains, velocities }
    }
}

/// Underdamped Langevin dynamics in the order B A O A B: half a kick, half a move, friction `γ` and noise, half a move, half a kick.
///
/// ```text
/// v ← v + h/2 ∇ log p(x),    x ← x + h/2 v,    v ← e^−γh v + √(1 − e^−2γh) ξ,    x ← x + h/2 v,    v ← v + h/2 ∇ log p(x)
/// ```
///
/// Where the law is normal its positions have no bias at all, stable for `h < 2 / √a`; elsewhere it is of order `h²`.
/// Source: Leimkuhler & Matthews 2013.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Underdamped {
    step: f64,
    friction: f64,
}

impl Underdamped {
    /// Steps of `h` with a friction `γ`.
    ///
    /// # Errors
    /// When one of them is not a number above 0.
    pub fn new(step: f64, friction: f64) -> Result<Self> {
        match friction > 0.0 && friction.is_finite() {
            true => check_step(step).map(|step| Self { step, friction }),
            false => Err(Error::out_of_range("friction", friction, "0 < friction < ∞")),
        }
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Underdamped {
    type State = Moving<T::Number>;
    type Law = Near;

    fn step(&mut self, target: &T, state: &mut Self::State, seed: Seed) -> Result<f64> {
        let Self { step, friction } = *self;
        let Moving { chains, velocities } = state;
        let dims = chains.dims();
        let (points, found) = chains.found(target)?;
        let kick = |velocities: &mut [f64], slopes: &[T::Number]| {
            velocities.iter_mut().zip(slopes).for_each(|(v, slope)| *v += 0.5 * step * slope.wide());
        };
        let go = |points: &mut [T::Number], velocities: &[f64]| {
            let along = |(x, v): (&mut T::Number, &f64)| *x = T::Number::of(x.wide() + 0.5 * step * v);
            points.iter_mut().zip(velocities).for_each(along);
        };
        kick(velocities, &found.slopes);
        go(points, velocities);
        let (left, noise) = ((-friction * step).exp(), (-(-2.0 * friction * step).exp_m1()).sqrt());
        chains::each(velocities, dims, seed, |_, velocities, rng| {
            velocities.iter_mut().for_each(|v| *v = left * *v + noise * chains::normal(rng));
        });
        go(points, velocities);
        *found = find(target, dims, points)?;
        kick(velocities, &found.slopes);
        Ok(1.0)
    }
}
