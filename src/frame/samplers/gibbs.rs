//! Gibbs sampling: number by number, each given all others.

use super::{Kept, Sampler};
use crate::{
    Result,
    random::{Seed, Stream},
};
use rayon::prelude::*;

/// A law whose conditional laws of single numbers can be drawn from.
pub trait Conditionals: Sync {
    /// One point, and whatever makes its conditionals quick to find.
    type Point: Send;

    /// Draws every number anew given the others.
    fn sweep(&self, point: &mut Self::Point, rng: &mut Stream);
}

/// A sweep over all numbers of every point. Source: Geman & Geman 1984.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gibbs;

impl<T: Conditionals> Sampler<T> for Gibbs {
    type State = Vec<T::Point>;
    type Law = Kept;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        let chains = chains.par_iter_mut().enumerate();
        chains.for_each(|(chain, point)| target.sweep(point, &mut seed.stream("chain", chain as u64)));
        Ok(1.0)
    }
}
