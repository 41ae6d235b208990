//! Monotone functions of one number, which couplings and autoregressive layers apply to every coordinate.

mod affine;
mod apply;
mod mixture;
mod spline;
#[cfg(test)]
mod tests;

pub use affine::{Affine, Bounded, Gated, Scale, Shift, Stretch, TanhScale};
pub(crate) use apply::reparameterised;
pub(super) use apply::{Direction, apply, apply_planar};
pub use mixture::{BoundedMixture, Free, Kernel, Mixture, Scales, Within};
pub use spline::Spline;

use crate::nn::Real;
use std::fmt::Debug;

/// An increasing differentiable function of ℝ onto itself, with `WIDTH` parameters.
///
/// ```text
/// forward   z = f(x; p)         log dz/dx
/// inverse   x = f⁻¹(z; p)       log dx/dz
/// ```
pub trait Transform: Copy + Debug + Default + Send + Sync + 'static {
    /// Number of parameters.
    const WIDTH: usize;

    /// `z` and `log dz/dx`.
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E);

    /// `x` and `log dx/dz`.
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E);

    /// Parameters that suit the values of a coordinate, where there is a rule for that.
    fn start(_: &[f64]) -> Option<Vec<f64>> {
        None
    }

    /// For a loss with the slopes `dz` along `z` and `dl` along `log dz/dx`: adds its slopes along `p` to `dp`, and returns
    /// the one along `x`.
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E;
}
