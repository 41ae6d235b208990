//! Steps that are stabler or prettier, and keep no law.

use super::{Chains, Left, LogDensity, Sampler, Ula, langevin::walk};
use crate::{Error, Result, random::Seed};

/// [`Ula`] whose slopes are cut to a length: no step is wild, and the law is left wherever one was cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clipped {
    ula: Ula,
    length: f64,
}

impl Clipped {
    /// Slopes of this length at most.
    ///
    /// # Errors
    /// When it is not a number above 0.
    pub fn new(ula: Ula, length: f64) -> Result<Self> {
        match length > 0.0 && length.is_finite() {
            true => Ok(Self { ula, length }),
            false => Err(Error::out_of_range("length", length, "0 < length < ∞")),
        }
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Clipped {
    type State = Chains<T::Number>;
    type Law = Left;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        let h = self.ula.step_size();
        walk(target, chains, seed, h, (2.0 * h).sqrt(), self.length)?;
        Ok(1.0)
    }
}

/// [`Ula`] with less noise: `x' = x + h ∇ log p(x) + √(2 h T) ξ` at a temperature `T` below 1, or none at all at 0. It comes to
/// `p^{1/T}` and not to `p`, which many codes do not say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cold {
    ula: Ula,
    temperature: f64,
}

impl Cold {
    /// At this temperature.
    ///
    /// # Errors
    /// When it is not within [0, 1].
    pub fn new(ula: Ula, temperature: f64) -> Result<Self> {
        match (0.0..=1.0).contains(&temperature) {
            true => Ok(Self { ula, temperature }),
            false => Err(Error::out_of_range("temperature", temperature, "0 ≤ temperature ≤ 1")),
        }
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Cold {
    type State = Chains<T::Number>;
    type Law = Left;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        let h = self.ula.step_size();
        walk(target, chains, seed, h, (2.0 * h * self.temperature).sqrt(), f64::INFINITY)?;
        Ok(1.0)
    }
}
