//! The fused attention of every head: scores, softmax and mixing in one pass over a sequence.

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

use super::Real;

/// A number for every channel of every position of every sequence, one position after the other.
pub type Positions<M, E, D, T> = Tensor<(usize, M), E, D, T>;

/// How rows of positions are sequences, and channels heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Positions of a sequence.
    pub length: usize,
    /// Heads, each of as many channels.
    pub heads: usize,
    /// Whether a position sees those before it alone, and itself.
    pub causal: bool,
}

/// A device that can attend.
pub trait AttendKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y_i = Σ_j softmax_j(q_i · k_j / √d) v_j` in every head of `d` channels.
    ///
    /// Shapes: all `(batch · length, M)`.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When the rows are not whole sequences, or the heads do not divide the channels.
    fn try_attend<M: Dim, T: Tape<E, Self>>(
        q: Positions<M, E, Self, T>,
        k: Positions<M, E, Self, T>,
        v: Positions<M, E, Self, T>,
        heads: Heads,
    ) -> Result<Positions<M, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> AttendKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_attend<M: Dim, T: Tape<E, Self>>(
        q: Positions<M, E, Self, T>,
        k: Positions<M, E, Self, T>,
        v: Positions<M, E, Self, T>,
        heads: Heads,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        plain::attend(q, k, v, heads)
    }
}
