//! Parallel tempering: chains at several temperatures that change places.

use super::{Chains, Kept, LogDensity, Sampler, mala::decide};
use crate::{Error, Result, nn::Real, random::Seed};

/// A density to a power: `p^β`, flatter than `p` below 1.
#[derive(Clone, Copy, Debug)]
pub struct Powered<'a, T: ?Sized> {
    /// The density.
    pub target: &'a T,
    /// `β`.
    pub power: f64,
}

impl<T: LogDensity + ?Sized> LogDensity for Powered<'_, T> {
    type Number = T::Number;

    fn dims(&self) -> usize {
        self.target.dims()
    }

    fn log_probs(&self, points: &[T::Number], slopes: &mut [T::Number]) -> Result<Vec<f64>> {
        let mut log_probs = self.target.log_probs(points, slopes)?;
        log_probs.iter_mut().for_each(|l| *l *= self.power);
        slopes.iter_mut().for_each(|s| *s = T::Number::of(s.wide() * self.power));
        Ok(log_probs)
    }
}

/// Chains at every power, those of the first at 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder<E = f32> {
    rungs: Vec<Chains<E>>,
    /// Steps made, for even and odd neighbours in turn.
    made: u64,
}

impl<E: Real> Ladder<E> {
    /// As many copies of chains as there are powers.
    ///
    /// # Errors
    /// When there is no power.
    pub fn new(chains: Chains<E>, powers: usize) -> Result<Self> {
        match powers {
            0 => Err(Error::out_of_range("powers", 0, "1 ≤ powers")),
            _ => Ok(Self { rungs: vec![chains; powers], made: 0 }),
        }
    }

    /// The chains that follow the law itself.
    pub fn chains(&self) -> &Chains<E> {
        &self.rungs[0]
    }
}

/// A sampler at every power of a density, and then neighbours that change places, even and odd ones in turn.
///
/// ```text
/// log α = (β_i − β_j) (log p(x_j) − log p(x_i))
/// ```
///
/// Source: Geyer 1991; the order is that of Okabe et al. 2001, which is not reversible and carries further.
#[derive(Clone, Debug)]
pub struct Tempering<S> {
    samplers: Vec<S>,
    powers: Vec<f64>,
}

impl<S> Tempering<S> {
    /// A sampler for each power; the first power is 1.
    ///
    /// # Errors
    /// When there are not as many of both, the first is not 1, or one is not below that before it and above 0.
    pub fn new(samplers: Vec<S>, powers: Vec<f64>) -> Result<Self> {
        let falls = powers.windows(2).all(|pair| pair[1] < pair[0] && pair[1] > 0.0);
        match samplers.len() == powers.len() && powers.first() == Some(&1.0) && falls {
            true => Ok(Self { samplers, powers }),
            false => Err(Error::invalid(format!(
                "{} samplers at the powers {powers:?}: one each is needed, at powers that fall from 1 and stay above 0",
                samplers.len()
            ))),
        }
    }
}

impl<T, S> Sampler<T> for Tempering<S>
where
    T: LogDensity + ?Sized,
    S: for<'a> Sampler<Powered<'a, T>, State = Chains<T::Number>, Law = Kept>,
{
    type State = Ladder<T::Number>;
    type Law = Kept;

    fn step(&mut self, target: &T, ladder: &mut Self::State, seed: Seed) -> Result<f64> {
        if ladder.rungs.len() != self.powers.len() {
            let (rungs, powers) = (ladder.rungs.len(), self.powers.len());
            return Err(Error::invalid(format!("a ladder of {rungs} for {powers} powers")));
        }
        let mut taken = 0.0;
        for (rung, ((chains, sampler), power)) in
            ladder.rungs.iter_mut().zip(&mut self.samplers).zip(&self.powers).enumerate()
        {
            let share = sampler.step(&Powered { target, power: *power }, chains, seed.child("rung", rung as u64))?;
            if rung == 0 {
                taken = share;
            }
        }
        let first = (ladder.made % 2) as usize;
        ladder.made += 1;
        for low in (first..self.powers.len() - 1).step_by(2) {
            let [high, low_power] = [self.powers[low], self.powers[low + 1]];
            let (upper, lower) = ladder.rungs.split_at_mut(low + 1);
            let (a, b) = (&mut upper[low], &mut lower[0]);
            let logs = |chains: &mut Chains<T::Number>, power: f64| -> Result<Vec<f64>> {
                let found = chains.log_probs(&Powered { target, power })?;
                Ok(found.iter().map(|l| l / power).collect())
            };
            let (at_a, at_b) = (logs(a, high)?, logs(b, low_power)?);
            let log_shares = at_a.iter().zip(&at_b).map(|(a, b)| (high - low_power) * (b - a));
            let swapped = decide(log_shares, seed.child("swap", low as u64));
            a.swap(b, &swapped, high / low_power);
        }
        Ok(taken)
    }
}
