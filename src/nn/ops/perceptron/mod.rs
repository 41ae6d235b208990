//! A perceptron as one op, each of whose units sees a prefix of the units below.
//!
//! A masked autoencoder whose units are sorted by degree is such a network: its masks are block-triangular, and half of the
//! multiplications of the dense network are never made.

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
use std::sync::Arc;

use super::Real;
use crate::nn::Activation;

/// A layer of a perceptron.
#[derive(Clone, Debug)]
pub struct Layer<E: Real, D: dfdx::tensor::Storage<E>> {
    /// `W (units, units below)`. Its elements outside `reach` are zero, and stay so: their gradient is zero.
    pub weight: Tensor<(usize, usize), E, D>,
    /// `b (units)`.
    pub bias: Tensor<(usize,), E, D>,
    /// Unit `r` sees the first `reach[r]` units below. Never decreasing.
    pub reach: Arc<[usize]>,
}

/// Rows of values whose width is known at run time.
pub type Values<E, D, T> = Tensor<(usize, usize), E, D, T>;

/// A device that can compute a perceptron.
pub trait PerceptronKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `h₀ = x`, `hₗ = f(Wₗ hₗ₋₁ + bₗ)`, and the last layer without `f`.
    ///
    /// Shapes: `x (batch, I)`, the result `(batch, units of the last layer)`.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When the layers do not fit each other, or a reach decreases.
    fn try_perceptron<A: Activation, I: Dim, T: Tape<E, Self>>(
        x: Tensor<(usize, I), E, Self, T>,
        layers: &[Layer<E, Self>],
    ) -> Result<Values<E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> PerceptronKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_perceptron<A: Activation, I: Dim, T: Tape<E, Self>>(
        x: Tensor<(usize, I), E, Self, T>,
        layers: &[Layer<E, Self>],
    ) -> Result<Values<E, Self, T>, Self::Err> {
        plain::perceptron::<A, I, E, Self, T>(x, layers)
    }
}
