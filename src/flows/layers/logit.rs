//! The logit bijection: the unit cube to ℝᴰ, and the λ that keeps pixels off its border.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Transform, WithLogDet,
        transform::{Direction, apply},
    },
    nn::{Device, Real},
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    shapes::{Dim, HasShape},
    tensor::Tape,
    tensor_ops::Device as Plain,
};

/// Maps `(0, 1)ᴰ` to `ℝᴰ`, elementwise.
///
/// ```text
/// forward   y = logit(λ + (1 − 2λ) x)      log |det| = Σ log(1 − 2λ) + softplus(y) + softplus(−y)
/// inverse   x = (σ(y) − λ) / (1 − 2λ)
/// ```
///
/// A value outside becomes infinite or NaN. Likelihoods under different λ compare only after this log-determinant is added.
/// Source: Dinh, Sohl-Dickstein and Bengio 2017, §4.1.
///
/// ```
/// # use limbeck::flows::{Bijection, Logit, to_points, to_rows};
/// let logit = Logit::new(0.05)?;
/// let (y, _) = logit.forward(to_rows(&[[0.5, 0.5]]));
/// assert_eq!(to_points(&y), [[0.0, 0.0]]);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logit {
    lambda: f64,
}

impl Logit {
    /// # Errors
    /// Unless `0 ≤ lambda < ½`.
    pub fn new(lambda: f64) -> Result<Self> {
        if !(0.0..0.5).contains(&lambda) {
            return Err(Error::out_of_range("lambda", lambda, "0 ≤ λ < ½"));
        }
        Ok(Self { lambda })
    }

    /// λ.
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    fn apply<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
        direction: Direction,
    ) -> WithLogDet<D, E, Dev, T> {
        let width = x.shape().1.size();
        let lambdas = x.device().tensor_from_vec(vec![E::of(self.lambda); width], (1, width));
        apply::<Curve, _, _, _, _>(x, lambdas.retaped::<T>(), None, direction)
    }
}

/// The function of one number, of `p = (λ)`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Curve;

impl Curve {
    #[inline(always)]
    fn log_slope<E: Real>(y: E, lambda: E) -> E {
        (E::ONE - lambda - lambda).ln() + y.softplus() + (-y).softplus()
    }
}

impl Transform for Curve {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        let inside = p[0] + (E::ONE - p[0] - p[0]) * x;
        let y = inside.ln() - (-inside).ln_1p();
        (y, Self::log_slope(y, p[0]))
    }

    #[inline(always)]
    fn inverse<E: Real>(y: E, p: &[E]) -> (E, E) {
        ((y.sigmoid() - p[0]) / (E::ONE - p[0] - p[0]), -Self::log_slope(y, p[0]))
    }

    /// λ is never learned, and has no slope.
    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, _: &mut [E]) -> E {
        let (y, log_slope) = Self::forward(x, p);
        (dz + dl * (y.sigmoid() - (-y).sigmoid())) * log_slope.exp()
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Logit {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, Direction::Forward)
    }

    fn inverse<T: Tape<E, Dev>>(&self, y: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(y, Direction::Inverse)
    }
}

impl FastForward for Logit {}
impl FastInverse for Logit {}

impl<E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Logit {
    type To<E2: Dtype, D2: Plain<E2>> = Self;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self>, V::Err> {
        let field = <Self as TensorCollection<E, Dev>>::scalar(
            "lambda",
            |s| &s.lambda,
            |s| &mut s.lambda,
            ScalarOptions::from_default(0.05),
        );
        visitor.visit_fields(field, |lambda| Self { lambda })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::numeric_gradient;

    #[test]
    fn pixels_go_there_and_back_and_slopes_are_right() {
        for lambda in [0.0, 1e-6, 0.05] {
            for x in [0.003, 0.2, 0.5, 0.77, 0.998_f64] {
                let (y, log_slope) = Curve::forward(x, &[lambda]);
                let (again, back) = Curve::inverse(y, &[lambda]);
                assert!((again - x).abs() < 1e-12 && (log_slope + back).abs() < 1e-9);
                let numeric = numeric_gradient(&[x], |x| Curve::forward(x[0], &[lambda]).0)[0];
                assert!((numeric.ln() - log_slope).abs() < 1e-5, "{lambda}, {x}: {log_slope} for {}", numeric.ln());
                let loss = |x: f64| {
                    let (y, log) = Curve::forward(x, &[lambda]);
                    0.3 * y - 0.8 * log
                };
                let (found, want) =
                    (Curve::backward(x, &[lambda], 0.3, -0.8, &mut []), numeric_gradient(&[x], |x| loss(x[0]))[0]);
                assert!((found - want).abs() < 1e-4 * (1.0 + want.abs()), "{lambda}, {x}: {found} for {want}");
            }
        }
        assert_eq!(Logit::new(0.5).unwrap_err().to_string(), "lambda is 0.5; it must satisfy 0 ≤ λ < ½");
    }
}
