//! Points that walk.

use super::LogDensity;
use crate::{
    Error, Result,
    nn::Real,
    random::{Seed, Stream},
};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Points `(chains, dims)`, and what was last found of the density there.
#[derive(Clone, Debug, PartialEq)]
pub struct Chains<E = f32> {
    dims: usize,
    points: Vec<E>,
    found: Option<Found<E>>,
}

/// `log p` of every chain, and its slopes in the places of the points.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found<E> {
    pub(super) log_probs: Vec<f64>,
    pub(super) slopes: Vec<E>,
}

impl<E: Real> Chains<E> {
    /// Chains that begin at these points, one after the other.
    ///
    /// # Errors
    /// When there is none, or a point is cut off.
    pub fn new(dims: usize, points: Vec<E>) -> Result<Self> {
        if dims == 0 || points.is_empty() || !points.len().is_multiple_of(dims) {
            return Err(Error::invalid(format!("{} numbers for chains of points of {dims}", points.len())));
        }
        Ok(Self { dims, points, found: None })
    }

    /// Chains that begin at normal points of a deviation.
    ///
    /// # Errors
    /// When there are no chains, or no numbers of a point.
    pub fn normal(chains: usize, dims: usize, deviation: f64, seed: Seed) -> Result<Self> {
        let mut points = vec![E::default(); chains.saturating_mul(dims)];
        each(&mut points, dims, seed, |_, point, rng| {
            point.iter_mut().for_each(|x| *x = E::of(deviation * normal(rng)));
        });
        Self::new(dims, points)
    }

    /// Number of chains.
    pub fn len(&self) -> usize {
        self.points.len() / self.dims
    }

    /// Whether there is none, which is never.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Numbers of a point.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// The points, one after the other.
    pub fn points(&self) -> &[E] {
        &self.points
    }

    /// The points, to be put elsewhere.
    pub fn points_mut(&mut self) -> &mut [E] {
        self.forget();
        &mut self.points
    }

    /// Forgets what was found of the density: it has changed, or another one is to be walked on.
    pub fn forget(&mut self) {
        self.found = None;
    }

    /// `log p` where the chains are, up to its constant, nats.
    ///
    /// # Errors
    /// When the density cannot be evaluated, or is not finite there.
    pub fn log_probs(&mut self, target: &(impl LogDensity<Number = E> + ?Sized)) -> Result<&[f64]> {
        Ok(&self.found(target)?.1.log_probs)
    }

    /// The slopes of `log p` where the chains are, in the places of the points.
    ///
    /// # Errors
    /// As [`Self::log_probs`].
    pub fn slopes(&mut self, target: &(impl LogDensity<Number = E> + ?Sized)) -> Result<&[E]> {
        Ok(&self.found(target)?.1.slopes)
    }

    /// The points, with what is found there.
    pub(super) fn found(
        &mut self,
        target: &(impl LogDensity<Number = E> + ?Sized),
    ) -> Result<(&mut Vec<E>, &mut Found<E>)> {
        if self.found.is_none() {
            self.found = Some(find(target, self.dims, &self.points)?);
        }
        let found = self.found.as_mut().expect("it was found just now");
        Ok((&mut self.points, found))
    }

    /// Puts chains where they were proposed to go, wherever that was accepted.
    pub(super) fn accept(&mut self, accepted: &[bool], points: &[E], found: &Found<E>) {
        let Some(own) = &mut self.found else { return };
        for (chain, _) in accepted.iter().enumerate().filter(|(_, yes)| **yes) {
            let place = chain * self.dims..(chain + 1) * self.dims;
            self.points[place.clone()].copy_from_slice(&points[place.clone()]);
            own.slopes[place.clone()].copy_from_slice(&found.slopes[place]);
            own.log_probs[chain] = found.log_probs[chain];
        }
    }
}

impl<E: Real> Chains<E> {
    /// Exchanges the points of some chains with those of others, which walk on `p` to the power `1 / ratio` of theirs.
    pub(super) fn swap(&mut self, other: &mut Self, which: &[bool], ratio: f64) {
        let (Some(own), Some(theirs)) = (&mut self.found, &mut other.found) else { return };
        let scaled = |x: &mut E, by: f64| *x = E::of(x.wide() * by);
        for (chain, _) in which.iter().enumerate().filter(|(_, yes)| **yes) {
            let place = chain * self.dims..(chain + 1) * self.dims;
            self.points[place.clone()].swap_with_slice(&mut other.points[place.clone()]);
            own.slopes[place.clone()].swap_with_slice(&mut theirs.slopes[place.clone()]);
            own.slopes[place.clone()].iter_mut().for_each(|x| scaled(x, ratio));
            theirs.slopes[place].iter_mut().for_each(|x| scaled(x, 1.0 / ratio));
            let (a, b) = (own.log_probs[chain], theirs.log_probs[chain]);
            (own.log_probs[chain], theirs.log_probs[chain]) = (b * ratio, a / ratio);
        }
    }
}

/// Evaluates a density. A proposal may lie where it is −∞; a NaN is an error.
pub(super) fn find<E: Real>(
    target: &(impl LogDensity<Number = E> + ?Sized),
    dims: usize,
    points: &[E],
) -> Result<Found<E>> {
    if target.dims() != dims {
        return Err(Error::invalid(format!("chains of {dims} numbers on a density of {}", target.dims())));
    }
    let mut slopes = vec![E::default(); points.len()];
    let log_probs = target.log_probs(points, &mut slopes)?;
    if let Some(chain) = log_probs.iter().position(|l| l.is_nan() || *l == f64::INFINITY) {
        let point = &points[chain * dims..(chain + 1) * dims];
        let largest = point.iter().map(|x| x.wide().abs()).fold(0.0, f64::max);
        return Err(Error::invalid(format!(
            "chain {chain} has come to where log p is {} (its largest number is {largest:.3e}): a smaller step may help",
            log_probs[chain]
        )));
    }
    Ok(Found { log_probs, slopes })
}

/// Does something to the numbers of every chain, each with a stream of its own.
pub(super) fn each<E: Real>(
    numbers: &mut [E],
    dims: usize,
    seed: Seed,
    work: impl Fn(usize, &mut [E], &mut Stream) + Sync,
) {
    let chains = numbers.par_chunks_exact_mut(dims.max(1)).enumerate();
    chains.for_each(|(chain, numbers)| work(chain, numbers, &mut seed.stream("chain", chain as u64)));
}

#[inline(always)]
pub(super) fn normal(rng: &mut Stream) -> f64 {
    StandardNormal.sample(rng)
}
