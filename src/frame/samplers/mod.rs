//! Samplers: chains that walk on a log-density. Nothing here knows what the density is of.
//!
//! What a chain's law becomes is in a sampler's type: [`Kept`] where the law it walks on stays as it is, [`Near`] where its law in the
//! long run is another one that comes as near as the step is small, [`Left`] where it is no law that anyone has written down.
//!
//! | sampler | its law | in the long run |
//! |---|---|---|
//! | [`Ula`] | [`Near`] | of a normal law with precision `a`, variance `1 / a (1 − h a / 2)` |
//! | [`Mala`], [`Hmc`], [`Gibbs`], [`Tempering`] | [`Kept`] | the law itself |
//! | [`Underdamped`] | [`Near`] | of a normal law, positions exactly so |
//! | [`Adaptive`] | [`Left`] | none while it adapts: `fixed()` gives the sampler it has found |
//! | [`Clipped`], [`Cold`] | [`Left`] | unknown; one of less spread |

mod chains;
mod gibbs;
mod hmc;
mod langevin;
mod left;
mod mala;
mod replay;
mod tempering;
#[cfg(test)]
mod tests;
mod underdamped;

pub use chains::Chains;
pub use gibbs::{Conditionals, Gibbs};
pub use hmc::Hmc;
pub use langevin::Ula;
pub use left::{Clipped, Cold};
pub use mala::{Adaptive, Mala};
pub use replay::Replay;
pub use tempering::{Ladder, Powered, Tempering};
pub use underdamped::{Moving, Underdamped};

use crate::{Result, nn::Real, random::Seed};

/// A density that chains can walk on.
pub trait LogDensity {
    /// What its points are made of.
    type Number: Real;

    /// Numbers of a point.
    fn dims(&self) -> usize;

    /// `log p` of points `(chains, dims)` up to one constant, nats, and its slopes `∂ log p / ∂x`, in the places of the points.
    ///
    /// # Errors
    /// When a point cannot be evaluated.
    fn log_probs(&self, points: &[Self::Number], slopes: &mut [Self::Number]) -> Result<Vec<f64>>;
}

/// What becomes of the law that a sampler walks on. Sealed: [`Kept`], [`Near`], [`Left`].
pub trait Stationary: sealed::Sealed {
    /// In a sentence.
    const SAYS: &'static str;
}
/// Chains that follow the law go on following it.
#[derive(Clone, Copy, Debug)]
pub enum Kept {}
/// There is a law that chains follow in the long run; it comes nearer the smaller the steps are.
#[derive(Clone, Copy, Debug)]
pub enum Near {}
/// The law is given up, for speed or for looks.
#[derive(Clone, Copy, Debug)]
pub enum Left {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Kept {}
    impl Sealed for super::Near {}
    impl Sealed for super::Left {}
}
impl Stationary for Kept {
    const SAYS: &'static str = "the law is kept";
}
impl Stationary for Near {
    const SAYS: &'static str = "a law near it, the nearer the smaller the steps";
}
impl Stationary for Left {
    const SAYS: &'static str = "the law is left";
}

/// A step of chains on a target, whatever both are.
pub trait Sampler<T: ?Sized> {
    /// The chains.
    type State;
    /// What becomes of the target's law.
    type Law: Stationary;

    /// Takes every chain a step further; returns the share of the steps that were taken, 1 where none is refused. Chains have streams
    /// of their own under `seed`: their number and that of the threads change none of them.
    ///
    /// # Errors
    /// When the density cannot be evaluated, or is not finite where a chain has come.
    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64>;

    /// Takes so many steps; returns the mean share of those that were taken.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn steps(&mut self, target: &T, chains: &mut Self::State, steps: usize, seed: Seed) -> Result<f64> {
        let mut taken = 0.0;
        for step in 0..steps {
            taken += self.step(target, chains, seed.child("step", step as u64))?;
        }
        Ok(taken / steps.max(1) as f64)
    }
}
