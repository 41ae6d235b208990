//! The fused layer norm.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod plain;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::Dim,
    tensor::{Tape, Tensor},
};

use super::{Positions, Real};

/// What keeps a constant row from a division by zero.
pub(crate) const EPSILON: f64 = 1e-5;

/// A device that can normalise rows.
pub trait LayerNormKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y = (x − mean) / √(variance + 1e-5) · γ + β`, with mean and variance of each row.
    ///
    /// ```text
    /// dx = (dy γ − mean(dy γ) − x̂ mean(dy γ x̂)) / √…      dγ = Σ_rows dy x̂      dβ = Σ_rows dy
    /// ```
    ///
    /// Shapes: `x`, `y (rows, M)`, `γ`, `β (M)`.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When sizes known at run time differ.
    fn try_layer_norm<M: Dim, T: Tape<E, Self>>(
        x: Positions<M, E, Self, T>,
        gamma: &Tensor<(M,), E, Self>,
        beta: &Tensor<(M,), E, Self>,
    ) -> Result<Positions<M, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> LayerNormKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_layer_norm<M: Dim, T: Tape<E, Self>>(
        x: Positions<M, E, Self, T>,
        gamma: &Tensor<(M,), E, Self>,
        beta: &Tensor<(M,), E, Self>,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        plain::layer_norm(x, gamma, beta)
    }
}
