//! Rows of a table, picked by number; and rows that are each added to many.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod plain;
#[cfg(test)]
mod tests;

use std::sync::Arc;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Tape, Tensor},
};

use super::{Positions, Real};

/// Which row of `z` is added to row `i` of `x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// `i / n`: each to so many, one after the other.
    Each(usize),
    /// `i mod n`: the first so many in turns.
    InTurns(usize),
}

impl Whose {
    fn row(self, i: usize) -> usize {
        match self {
            Self::Each(n) => i / n,
            Self::InTurns(n) => i % n,
        }
    }

    /// Rows of `z` that are used.
    fn used(self, rows: usize) -> usize {
        match self {
            Self::Each(n) => rows.div_ceil(n),
            Self::InTurns(n) => n.min(rows),
        }
    }
}

/// A device that can pick rows, and add them.
pub trait EmbedKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `y_i = table[picked_i]`
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When an entry is beyond the table.
    fn try_embed<N: Dim, M: Dim, T: Tape<E, Self>>(
        table: Tensor<(N, M), E, Self, T>,
        picked: Arc<[u32]>,
    ) -> Result<Positions<M, E, Self, T>, Self::Err>;

    /// `y_i = x_i + z[row(i)]`; `z` may have more rows than are used.
    ///
    /// # Errors
    /// The device's own: out of memory.
    ///
    /// # Panics
    /// When `z` has fewer rows than are used.
    fn try_add_rows<M: Dim, T: Tape<E, Self>>(
        x: Positions<M, E, Self, T>,
        z: Positions<M, E, Self, T>,
        whose: Whose,
    ) -> Result<Positions<M, E, Self, T>, Self::Err>;
}

/// [`EmbedKernel::try_embed`], where there is memory.
pub(crate) fn embed<N: Dim, M: Dim, E: Real, D: EmbedKernel<E>, T: Tape<E, D>>(
    table: Tensor<(N, M), E, D, T>,
    picked: Arc<[u32]>,
) -> Positions<M, E, D, T> {
    assert!(picked.iter().all(|i| (*i as usize) < table.shape().0.size()), "an entry beyond the table");
    D::try_embed(table, picked).expect("the device has memory for an embedding")
}

/// [`EmbedKernel::try_add_rows`], where there is memory.
pub(crate) fn add_rows<M: Dim, E: Real, D: EmbedKernel<E>, T: Tape<E, D>>(
    x: Positions<M, E, D, T>,
    z: Positions<M, E, D, T>,
    whose: Whose,
) -> Positions<M, E, D, T> {
    let (used, there) = (whose.used(x.shape().0), z.shape().0);
    assert!(used <= there, "{there} rows, of which {used} are to be added");
    D::try_add_rows(x, z, whose).expect("the device has memory for a sum")
}

#[cfg(feature = "cuda")]
macro_rules! cuda {
    ($($real:ty),*) => {$(
        impl EmbedKernel<$real> for Cuda {
            fn try_embed<N: Dim, M: Dim, T: Tape<$real, Self>>(
                table: Tensor<(N, M), $real, Self, T>,
                picked: Arc<[u32]>,
            ) -> Result<Positions<M, $real, Self, T>, Self::Err> {
                plain::embed(table, &picked)
            }

            fn try_add_rows<M: Dim, T: Tape<$real, Self>>(
                x: Positions<M, $real, Self, T>,
                z: Positions<M, $real, Self, T>,
                whose: Whose,
            ) -> Result<Positions<M, $real, Self, T>, Self::Err> {
                plain::add_rows(x, z, whose)
            }
        }
    )*};
}
#[cfg(feature = "cuda")]
cuda!(f32, f64);
