//! The unadjusted Langevin algorithm.

use super::{Chains, LogDensity, Near, Sampler, chains};
use crate::{Error, Result, nn::Real, random::Seed, simd::vectorised};

/// A step uphill and noise, none of them refused.
///
/// ```text
/// x' = x + h ∇ log p(x) + √(2h) ξ,    ξ normal
/// ```
///
/// In another notation `h = ε² / 2`. Where the precision is `a` it comes to the variance `1 / a (1 − h a / 2)`, and to none for `h ≥ 2 / a`.
///
/// ```
/// # use limbeck::{frame::samplers::{Chains, LogDensity, Sampler, Ula}, prelude::*};
/// struct Normal;
/// impl LogDensity for Normal {
///     type Number = f64;
///     fn dims(&self) -> usize {
///         1
///     }
///     fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
///         slopes.iter_mut().zip(points).for_each(|(slope, x)| *slope = -x);
///         Ok(points.iter().map(|x| -0.5 * x * x).collect())
///     }
/// }
/// let mut chains = Chains::normal(2000, 1, 1.0, Seed(0))?;
/// Ula::new(0.5)?.steps(&Normal, &mut chains, 50, Seed(1))?;
/// let variance = chains.points().iter().map(|x| x * x).sum::<f64>() / 2000.0;
/// assert!((variance - 4.0 / 3.0).abs() < 0.2, "and not 1: {variance}");
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ula {
    step: f64,
}

impl Ula {
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
}

/// A step above 0.
pub(super) fn check_step(step: f64) -> Result<f64> {
    match step > 0.0 && step.is_finite() {
        true => Ok(step),
        false => Err(Error::out_of_range("step", step, "0 < step < ∞")),
    }
}

impl<T: LogDensity + ?Sized> Sampler<T> for Ula {
    type State = Chains<T::Number>;
    type Law = Near;

    fn step(&mut self, target: &T, chains: &mut Self::State, seed: Seed) -> Result<f64> {
        walk(target, chains, seed, self.step, (2.0 * self.step).sqrt(), f64::INFINITY)?;
        Ok(1.0)
    }
}

/// `x' = x + h g(x) + noise · ξ`, where `g` is the slope cut to the length `clip`.
pub(super) fn walk<T: LogDensity + ?Sized>(
    target: &T,
    chains: &mut Chains<T::Number>,
    seed: Seed,
    step: f64,
    noise: f64,
    clip: f64,
) -> Result<()> {
    let dims = chains.dims();
    let (points, found) = chains.found(target)?;
    let slopes = &found.slopes;
    chains::each(points, dims, seed, |chain, point, rng| {
        let slopes = &slopes[chain * dims..(chain + 1) * dims];
        let length = if clip < f64::INFINITY { length(slopes) } else { 0.0 };
        let step = if length > clip { step * clip / length } else { step };
        let mut normal = [0.0; 256];
        for (point, slopes) in point.chunks_mut(normal.len()).zip(slopes.chunks(normal.len())) {
            normal[..point.len()].fill_with(|| chains::normal(rng));
            vectorised!(point.iter_mut().zip(slopes).zip(&normal).for_each(|((x, slope), normal)| {
                *x = T::Number::of(x.wide() + step * slope.wide() + noise * normal);
            }));
        }
    });
    chains.forget();
    Ok(())
}

/// The Euclidean length.
pub(super) fn length<E: Real>(numbers: &[E]) -> f64 {
    numbers.iter().map(|x| x.wide().powi(2)).sum::<f64>().sqrt()
}
