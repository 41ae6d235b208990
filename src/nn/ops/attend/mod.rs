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

/// What is added to the scores of every head by how far apart two positions are: `(heads, 2 most − 1)`, the position itself in the
/// middle, what comes later after it.
pub type Distances<E, D> = Tensor<(usize, usize), E, D>;

/// A device that can attend.
pub trait AttendKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y_i = Σ_j softmax_j(q_i · k_j / √d + r_{j − i}) v_j` in every head of `d` channels, with an `r` for every head, or none.
    ///
    /// Shapes: all `(batch · length, M)`.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When the rows are not whole sequences, the heads do not divide the channels, or distances are of other heads or shorter.
    fn try_attend<M: Dim, T: Tape<E, Self>>(
        q: Positions<M, E, Self, T>,
        k: Positions<M, E, Self, T>,
        v: Positions<M, E, Self, T>,
        distances: Option<&Distances<E, Self>>,
        heads: Heads,
    ) -> Result<Positions<M, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
macro_rules! cuda {
    ($($real:ty),*) => {$(
        impl AttendKernel<$real> for Cuda {
            fn try_attend<M: Dim, T: Tape<$real, Self>>(
                q: Positions<M, $real, Self, T>,
                k: Positions<M, $real, Self, T>,
                v: Positions<M, $real, Self, T>,
                distances: Option<&Distances<$real, Self>>,
                heads: Heads,
            ) -> Result<Positions<M, $real, Self, T>, Self::Err> {
                plain::attend(q, k, v, distances, heads)
            }
        }
    )*};
}
#[cfg(feature = "cuda")]
cuda!(f32, f64);
