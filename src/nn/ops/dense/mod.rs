//! The fused dense op: matrix product, bias and activation in one pass over the output.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod plain;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
#[cfg(feature = "cuda")]
use dfdx::tensor_ops::TryAdd;
use dfdx::{
    shapes::Dim,
    tensor::{Tape, Tensor},
};

use super::Real;
use crate::nn::Activation;

/// The outputs of a layer, one row after the other.
pub type Outputs<B, O, E, D, T> = Tensor<(B, O), E, D, T>;

/// A device that can compute a dense layer.
pub trait DenseKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y = f(x Wᵀ + b)`.
    ///
    /// ```text
    /// dz = dy ⊙ f′      dW = dzᵀ x      db = Σ_rows dz      dx = dz W
    /// ```
    ///
    /// Shapes: `x (batch, I)`, `W (O, I)`, `b (O)`, `y (batch, O)`.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When sizes known at run time differ.
    fn try_dense<A: Activation, I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err>;

    /// `y = onto + x Wᵀ + b`: what is added to a residual stream.
    ///
    /// # Errors
    /// As [`Self::try_dense`].
    ///
    /// # Panics
    /// As [`Self::try_dense`].
    fn try_dense_onto<I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
        onto: Outputs<B, O, E, Self, T>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> DenseKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_dense<A: Activation, I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err> {
        plain::dense::<A, I, O, B, E, Self, T>(x, weight, bias)
    }

    fn try_dense_onto<I: Dim, O: Dim, B: Dim, T: Tape<E, Self>>(
        x: Tensor<(B, I), E, Self, T>,
        weight: &Tensor<(O, I), E, Self>,
        bias: &Tensor<(O,), E, Self>,
        onto: Outputs<B, O, E, Self, T>,
    ) -> Result<Outputs<B, O, E, Self, T>, Self::Err> {
        plain::dense::<crate::nn::Identity, I, O, B, E, Self, T>(x, weight, bias)?.try_add(onto)
    }
}
