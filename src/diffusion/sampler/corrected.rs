//! Positions drawn anew between the steps.

use super::Sampler;
use crate::diffusion::{Process, Steps};

/// A sampler, and after each of its steps but the last some moves of a Gibbs sampler at the level of noise that was reached: a
/// position, drawn at random, is drawn anew given all others.
///
/// ```text
/// x_t^d ~ Σ_k q(x_t | x_0 = k) x̂_0^d(k)
/// ```
///
/// That needs a denoiser which does not look at its own place; then it leaves the law of `x_t` as it is, and brings a row that has
/// gone astray closer to it. Each move asks the denoiser once. Source: "Uniform Diffusion Models Revisited" (arXiv 2605.22765).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corrected<S> {
    /// The steps.
    pub sampler: S,
    /// Moves after each of them.
    pub moves: usize,
}

impl<P: Process, S: Sampler<P>> Sampler<P> for Corrected<S> {
    fn law(&self, process: &P, steps: &Steps, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        self.sampler.law(process, steps, i, xt, log_x0, into);
    }

    fn corrections(&self) -> usize {
        self.moves
    }
}
