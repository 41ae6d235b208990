//! Paths between laws.

use super::Path;
use crate::{
    Error, Result,
    frame::{
        Field, Frame,
        samplers::{Chains, Kept, LogDensity, Sampler},
    },
    nn::Real,
    random::Seed,
};
use rayon::prelude::*;

/// From independent normal numbers to a density: `log f_β = (1 − β) log N(0, σ²) + β log f`.
///
/// Its sampler has to keep the law it walks on, or the weights would be of another one. That is in the type:
///
/// ```
/// # use limbeck::{dfdx::prelude::*, frame::{Energy, log_z::{FromNormal, Stops, forwards}, samplers::Mala}, nn::{Dense, Identity}, prelude::*};
/// # let device = Cpu::seed_from_u64(0);
/// # let law = Energy::new(&device, Dense::<usize, Const<1>, Identity>::new(&device, 2, Const)?, 1.0)?;
/// let mut path = FromNormal::new(&law, 1.0, Mala::new(0.5)?)?;
/// let mut walks = path.begin(10, Seed(0))?;
/// let weights = forwards(&mut path, &mut walks, &Stops::even(5, 1)?, Seed(1))?;
/// # Ok::<(), limbeck::Error>(())
/// ```
/// ```compile_fail,E0271
/// # use limbeck::{dfdx::prelude::*, frame::{Energy, log_z::{FromNormal, Stops, forwards}, samplers::Ula}, nn::{Dense, Identity}, prelude::*};
/// # let device = Cpu::seed_from_u64(0);
/// # let law = Energy::new(&device, Dense::<usize, Const<1>, Identity>::new(&device, 2, Const)?, 1.0)?;
/// let mut path = FromNormal::new(&law, 1.0, Ula::new(0.5)?)?;
/// let mut walks = path.begin(10, Seed(0))?;
/// let weights = forwards(&mut path, &mut walks, &Stops::even(5, 1)?, Seed(1))?;
/// # Ok::<(), limbeck::Error>(())
/// ```
pub struct FromNormal<'a, T: ?Sized, S> {
    target: &'a T,
    deviation: f64,
    sampler: S,
}

/// A law between a normal one and a density.
pub struct Between<'a, T: ?Sized> {
    target: &'a T,
    deviation: f64,
    beta: f64,
}

impl<T: LogDensity + ?Sized> LogDensity for Between<'_, T> {
    type Number = T::Number;

    fn dims(&self) -> usize {
        self.target.dims()
    }

    fn log_probs(&self, points: &[T::Number], slopes: &mut [T::Number]) -> Result<Vec<f64>> {
        let log_probs = self.target.log_probs(points, slopes)?;
        let precision = self.deviation.powi(-2);
        for (slope, x) in slopes.iter_mut().zip(points) {
            *slope = T::Number::of(self.beta * slope.wide() - (1.0 - self.beta) * precision * x.wide());
        }
        let normal = normal(points, self.dims(), self.deviation);
        Ok(log_probs.iter().zip(normal).map(|(own, normal)| self.beta * own + (1.0 - self.beta) * normal).collect())
    }
}

/// `log N(0, σ²)` of points, without its constant.
fn normal<E: Real>(points: &[E], dims: usize, deviation: f64) -> impl Iterator<Item = f64> {
    let of = move |point: &[E]| -0.5 * deviation.powi(-2) * point.iter().map(|x| x.wide().powi(2)).sum::<f64>();
    points.chunks_exact(dims).map(of)
}

impl<'a, T: LogDensity + ?Sized, S> FromNormal<'a, T, S>
where
    S: for<'b> Sampler<Between<'b, T>, State = Chains<T::Number>, Law = Kept>,
{
    /// To a density, from numbers of a deviation, by a sampler that keeps every law on the way.
    ///
    /// # Errors
    /// When the deviation is not a number above 0.
    pub fn new(target: &'a T, deviation: f64, sampler: S) -> Result<Self> {
        match deviation > 0.0 && deviation.is_finite() {
            true => Ok(Self { target, deviation, sampler }),
            false => Err(Error::out_of_range("deviation", deviation, "0 < deviation < ∞")),
        }
    }

    /// Draws of the law at 0.
    ///
    /// # Errors
    /// When there are to be none.
    pub fn begin(&self, walks: usize, seed: Seed) -> Result<Chains<T::Number>> {
        Chains::normal(walks, self.target.dims(), self.deviation, seed)
    }
}

impl<T: LogDensity + ?Sized, S> Path for FromNormal<'_, T, S>
where
    S: for<'b> Sampler<Between<'b, T>, State = Chains<T::Number>, Law = Kept>,
{
    type State = Chains<T::Number>;

    fn log_z_at_0(&self) -> f64 {
        self.target.dims() as f64 * (0.5 * std::f64::consts::TAU.ln() + self.deviation.ln())
    }

    fn ratios(&self, state: &mut Self::State, from: f64, to: f64) -> Result<Vec<f64>> {
        state.forget();
        let own = state.log_probs(self.target)?.to_vec();
        let normal = normal(state.points(), state.dims(), self.deviation);
        let ratios = own.iter().zip(normal).map(|(own, normal)| (to - from) * (own - normal)).collect();
        state.forget();
        Ok(ratios)
    }

    fn walk(&mut self, state: &mut Self::State, beta: f64, seed: Seed) -> Result<()> {
        let between = Between { target: self.target, deviation: self.deviation, beta };
        self.sampler.step(&between, state, seed).map(drop)
    }
}

/// From independent uniform pixels to a texture's law: `log f_β = −β E`, by Gibbs sampling at the temperature `1 / β`.
pub struct FromUniform<'a> {
    law: &'a Frame,
    sites: usize,
}

impl<'a> FromUniform<'a> {
    /// To a law of images of so many pixels.
    pub fn new(law: &'a Frame, size: [usize; 2]) -> Self {
        Self { law, sites: size[0] * size[1] }
    }

    /// Draws of the law at 0.
    ///
    /// # Errors
    /// As [`Field::noise`].
    pub fn begin(&self, walks: usize, size: [usize; 2], seed: Seed) -> Result<Vec<Field>> {
        (0..walks as u64).map(|walk| Field::noise(self.law, size, &mut seed.stream("noise", walk))).collect()
    }
}

impl Path for FromUniform<'_> {
    type State = Vec<Field>;

    fn log_z_at_0(&self) -> f64 {
        self.sites as f64 * (self.law.levels() as f64).ln()
    }

    fn ratios(&self, state: &mut Self::State, from: f64, to: f64) -> Result<Vec<f64>> {
        let energy = |field: &Field| -(to - from) * self.law.energy_of(&field.histograms());
        Ok(state.par_iter().map(energy).collect())
    }

    fn walk(&mut self, state: &mut Self::State, beta: f64, seed: Seed) -> Result<()> {
        let fields = state.par_iter_mut().enumerate();
        fields.for_each(|(walk, field)| field.sweep(self.law, 1.0 / beta, &mut seed.stream("chain", walk as u64)));
        Ok(())
    }
}
