//! The fused dense op: matrix product, bias and activation in one pass over the output.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod plain;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::{Const, Dim, Rank1, Rank2},
    tensor::{Tape, Tensor},
};

use super::Real;
use crate::nn::Activation;

/// A batch of rows of `N` numbers.
pub type Rows<B, const N: usize, E, D, T> = Tensor<(B, Const<N>), E, D, T>;

/// A device that can compute a dense layer.
pub trait DenseKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y = f(x (m ⊙ W)ᵀ + b)`.
    ///
    /// ```text
    /// dz = dy ⊙ f′      dW = m ⊙ (dzᵀ x)      db = Σ_rows dz      dx = dz (m ⊙ W)
    /// ```
    ///
    /// Shapes: `x (batch, IN)`, `W` and `m (OUT, IN)`, `b (OUT)`, `y (batch, OUT)`. The mask `m` is optional and fixed.
    ///
    /// # Errors
    /// The device's own: out of memory.
    fn try_dense<A: Activation, const IN: usize, const OUT: usize, B: Dim, T: Tape<E, Self>>(
        x: Rows<B, IN, E, Self, T>,
        weight: &Tensor<Rank2<OUT, IN>, E, Self>,
        bias: &Tensor<Rank1<OUT>, E, Self>,
        mask: Option<&Tensor<Rank2<OUT, IN>, E, Self>>,
    ) -> Result<Rows<B, OUT, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> DenseKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_dense<A: Activation, const IN: usize, const OUT: usize, B: Dim, T: Tape<E, Self>>(
        x: Rows<B, IN, E, Self, T>,
        weight: &Tensor<Rank2<OUT, IN>, E, Self>,
        bias: &Tensor<Rank1<OUT>, E, Self>,
        mask: Option<&Tensor<Rank2<OUT, IN>, E, Self>>,
    ) -> Result<Rows<B, OUT, E, Self, T>, Self::Err> {
        plain::dense::<A, IN, OUT, B, E, Self, T>(x, weight, bias, mask)
    }
}
