//! The Metropolis-adjusted Langevin algorithm.

use super::{
    Chains, Kept, Left, LogDensity, Sampler,
    chains::{self, Found, find},
    langevin::check_step,
};
use crate::{Error, Result, nn::Real, random::Seed};
use rand::RngExt;

/// The step of [`Ula`](super::Ula), taken or refused so that the law is kept.
///
/// ```text
/// log α = log p(x') − log p(x) + (|x' − x − h ∇ log p(x)|² − |x − x' − h ∇ log p(x')|²) / 4h
/// ```
///
/// Source: Roberts & Tweedie 1996.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mala {
    step: f64,
}

impl Mala {
    /// Steps of `h`.
    ///
    /// # Errors
    /// When `h` is not a number above 0.
    pub fn new(step: f64) -> Result<Self> {
        check_step(step).map(|step| Self { step })
    }

    /// `h`.
    pub fn step_size(&self) -> f64 {
        self.step
    }

    /// The same that first looks for the `h` of which so large a share of the steps is taken: 0.574 is the best in many dimensions
    /// (Roberts & Rosenthal 1998).
    ///
    /// # Errors
    /// When the share is not between 0 and 1.
    pub fn adaptive(self, share: f64) -> Result<Adaptive<Self>> {
        Adaptive::new(self, share)
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Mala {
    type State = Chains<T::Number>;
    type Law = Kept;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        let (h, dims) = (self.step, chains.dims());
        let (points, now) = chains.found(target)?;
        let mut proposals = points.clone();
        let slopes = &now.slopes;
        chains::each(&mut proposals, dims, seed, |chain, point, rng| {
            for (x, slope) in point.iter_mut().zip(&slopes[chain * dims..]) {
                *x = T::Number::of(x.wide() + h * slope.wide() + (2.0 * h).sqrt() * chains::normal(rng));
            }
        });
        let then = find(target, dims, &proposals)?;
        let log_shares = (0..now.log_probs.len()).map(|chain| {
            let place = chain * dims..(chain + 1) * dims;
            let drift = |from: &[T::Number], to: &[T::Number], slopes: &[T::Number]| -> f64 {
                let steps = from.iter().zip(to).zip(slopes);
                steps.map(|((x, y), slope)| (y.wide() - x.wide() - h * slope.wide()).powi(2)).sum()
            };
            let (x, y) = (&points[place.clone()], &proposals[place.clone()]);
            let there = drift(x, y, &now.slopes[place.clone()]);
            let back = drift(y, x, &then.slopes[place]);
            then.log_probs[chain] - now.log_probs[chain] + (there - back) / (4.0 * h)
        });
        let accepted = decide(log_shares, seed);
        Ok(take(chains, &accepted, &proposals, &then))
    }
}

/// Which proposals are taken, each with the probability whose logarithm it has.
pub(super) fn decide(log_shares: impl Iterator<Item = f64>, seed: Seed) -> Vec<bool> {
    let taken = |(chain, log): (usize, f64)| {
        let draw: f64 = seed.stream("accept", chain as u64).random();
        draw.ln() < log
    };
    log_shares.enumerate().map(taken).collect()
}

/// Takes those proposals; returns their share.
pub(super) fn take<E: Real>(chains: &mut Chains<E>, accepted: &[bool], points: &[E], found: &Found<E>) -> f64 {
    chains.accept(accepted, points, found);
    accepted.iter().filter(|yes| **yes).count() as f64 / accepted.len().max(1) as f64
}

/// A sampler that changes its step until the share of the steps taken is the one that is wanted. While it does, it keeps no law.
///
/// ```text
/// log h ← log h + t^−0.6 (share of the chains' steps taken − wanted)
/// ```
///
/// Source: Andrieu & Thoms 2008, algorithm 4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive<S> {
    sampler: S,
    wanted: f64,
    made: u64,
}

/// A sampler whose step can be changed.
pub trait Stepping {
    /// The step.
    fn step_size(&self) -> f64;
    /// Sets it.
    fn set_step_size(&mut self, step: f64);
}

impl Stepping for Mala {
    fn step_size(&self) -> f64 {
        self.step
    }
    fn set_step_size(&mut self, step: f64) {
        self.step = step;
    }
}

impl<S> Adaptive<S> {
    pub(super) fn new(sampler: S, wanted: f64) -> Result<Self> {
        match wanted > 0.0 && wanted < 1.0 {
            true => Ok(Self { sampler, wanted, made: 0 }),
            false => Err(Error::out_of_range("share", wanted, "0 < share < 1")),
        }
    }

    /// The sampler with the step that was found: it keeps the law.
    pub fn fixed(self) -> S {
        self.sampler
    }
}

impl<T: ?Sized, S: Sampler<T, Law = Kept> + Stepping> Sampler<T> for Adaptive<S> {
    type State = S::State;
    type Law = Left;

    fn step(&mut self, target: &T, chains: &mut S::State, seed: Seed) -> Result<f64> {
        let share = self.sampler.step(target, chains, seed)?;
        self.made += 1;
        let change = (self.made as f64).powf(-0.6) * (share - self.wanted);
        let step = self.sampler.step_size() * change.exp();
        if step.is_normal() {
            self.sampler.set_step_size(step);
        }
        Ok(share)
    }
}
