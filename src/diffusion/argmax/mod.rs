//! Categories lifted to the reals, and flows there: argmax flows, and dequantisation beside them.

mod binary;
mod densities;
mod digits;
mod flow;
mod gumbel;
mod learn;
mod lifts;
mod model;
mod one_hot;
mod softplus;
#[cfg(test)]
mod tests;

pub use binary::Binary;
pub use densities::{MapFlow, SequenceFlow, TextFlow, map_flow, sequence_flow, text_flow};
pub use digits::Digits;
pub use flow::ArgmaxFlow;
pub use gumbel::{Gumbel, GumbelThreshold};
pub use learn::{ArgmaxLearner, ArgmaxLoss};
pub use lifts::{AnyLift, LiftKind};
pub use model::{ARGMAX_FAMILY, ArgmaxModel, DensityKind, FitArgmax};
pub use one_hot::{NoiseOf, OneHot};
pub use softplus::SoftplusThreshold;

use crate::{nn::Real, random::Stream};
use rand_distr::{Distribution, StandardNormal};

/// A probabilistic inverse of a map from numbers to categories: from a category to numbers that are mapped to it.
///
/// ```text
/// P(x) ≥ E_{v ~ q(v | x)} [log p(v) − log q(v | x)]      where every v of q(v | x) is mapped to x       (eq 2)
/// ```
///
/// Numbers come from noise by a differentiable map whose parameters a network says. Source: Hoogeboom et al. 2021, §3.
pub trait Lift: Clone + Send + Sync + 'static {
    /// Its name, in files and figures.
    fn name(&self) -> &'static str;

    /// `K`
    fn categories(&self) -> usize;

    /// Numbers that a category becomes.
    fn numbers(&self) -> usize;

    /// Parameters of a category's numbers.
    fn parameters(&self) -> usize;

    /// The noise of a number.
    fn noise(&self, rng: &mut Stream) -> f64 {
        StandardNormal.sample(rng)
    }

    /// Numbers from noise; returns `log q(v | x)`.
    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E;

    /// For a loss with slopes `dv` along the numbers and `dq` along `log q`: adds its slopes along the parameters to `into`.
    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]);

    /// The category of numbers; none where they stand for none.
    fn category(&self, v: &[f64]) -> Option<usize>;
}

/// The place of the largest number.
fn argmax(v: &[f64]) -> usize {
    (1..v.len()).fold(0, |best, i| if v[i] > v[best] { i } else { best })
}

/// `log N(m + e^s ε; m, e^s)`
fn log_normal<E: Real>(noise: E, log_scale: E) -> E {
    E::of(-0.5 * std::f64::consts::TAU.ln()) - noise * noise * E::of(0.5) - log_scale
}

/// `log softplus(y)`, also where softplus itself would be too small.
fn log_softplus<E: Real>(y: E) -> E {
    if y < E::of(-15.0) { y } else { y.softplus().ln() }
}
