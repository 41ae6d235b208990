//! Hamiltonian Monte Carlo.

use super::{
    Adaptive, Chains, Kept, LogDensity, Sampler,
    chains::{self, Found, find},
    langevin::check_step,
    mala::{Stepping, decide, take},
};
use crate::{Error, Result, nn::Real, random::Seed};

/// A new momentum, then leapfrog steps along the motion of a ball in the landscape `−log p`, taken or refused together.
///
/// ```text
/// p ~ N(0, m),    p ← p + ε/2 ∇ log p(x),    x ← x + ε p / m,    p ← p + ε/2 ∇ log p(x)
/// log α = log p(x') − log p(x) + (|p|² − |p'|²) / 2m
/// ```
///
/// Source: Duane et al. 1987; Neal 2011.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hmc {
    step: f64,
    leaps: usize,
    mass: f64,
}

impl Hmc {
    /// So many leapfrog steps of `ε`, with the mass 1.
    ///
    /// # Errors
    /// When `ε` is not a number above 0, or there is no step.
    pub fn new(step: f64, leaps: usize) -> Result<Self> {
        match leaps {
            0 => Err(Error::out_of_range("leaps", 0, "1 ≤ leaps")),
            _ => check_step(step).map(|step| Self { step, leaps, mass: 1.0 }),
        }
    }

    /// The same with another mass.
    ///
    /// # Errors
    /// When it is not a number above 0.
    pub fn with_mass(self, mass: f64) -> Result<Self> {
        match mass > 0.0 && mass.is_finite() {
            true => Ok(Self { mass, ..self }),
            false => Err(Error::out_of_range("mass", mass, "0 < mass < ∞")),
        }
    }

    /// The same that first looks for the `ε` of which so large a share of the steps is taken: 0.65 is the best in many dimensions
    /// (Beskos et al. 2013).
    ///
    /// # Errors
    /// When the share is not between 0 and 1.
    pub fn adaptive(self, share: f64) -> Result<Adaptive<Self>> {
        Adaptive::new(self, share)
    }

    /// Where points with momenta come to in all leapfrog steps, and what is found there. The way back is the same with the momenta
    /// turned round.
    pub(super) fn leap<T: LogDensity + ?Sized>(
        &self,
        target: &T,
        dims: usize,
        points: &mut [T::Number],
        momenta: &mut [f64],
        mut found: Found<T::Number>,
    ) -> Result<Found<T::Number>> {
        let kick = |momenta: &mut [f64], found: &Found<T::Number>| {
            momenta.iter_mut().zip(&found.slopes).for_each(|(p, slope)| *p += 0.5 * self.step * slope.wide());
        };
        for _ in 0..self.leaps {
            kick(momenta, &found);
            for (x, p) in points.iter_mut().zip(momenta.iter()) {
                *x = T::Number::of(x.wide() + self.step * p / self.mass);
            }
            found = find(target, dims, points)?;
            kick(momenta, &found);
        }
        Ok(found)
    }
}

impl Stepping for Hmc {
    fn step_size(&self) -> f64 {
        self.step
    }
    fn set_step_size(&mut self, step: f64) {
        self.step = step;
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Hmc {
    type State = Chains<T::Number>;
    type Law = Kept;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        let dims = chains.dims();
        let (points, now) = chains.found(target)?;
        let mut momenta = vec![0.0; points.len()];
        let deviation = self.mass.sqrt();
        chains::each(&mut momenta, dims, seed, |_, momenta, rng| {
            momenta.iter_mut().for_each(|p| *p = deviation * chains::normal(rng));
        });
        let kinetic = |momenta: &[f64]| -> Vec<f64> {
            let energy = |p: &[f64]| p.iter().map(|p| p * p).sum::<f64>() / (2.0 * self.mass);
            momenta.chunks_exact(dims).map(energy).collect()
        };
        let before = kinetic(&momenta);
        let mut proposals = points.clone();
        let then = self.leap(target, dims, &mut proposals, &mut momenta, now.clone())?;
        let after = kinetic(&momenta);
        let log_shares =
            (0..before.len()).map(|chain| then.log_probs[chain] - now.log_probs[chain] + before[chain] - after[chain]);
        let accepted = decide(log_shares, seed);
        Ok(take(chains, &accepted, &proposals, &then))
    }
}
