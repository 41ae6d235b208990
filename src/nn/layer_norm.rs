//! Layer norm.

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, NonMutableModule},
    shapes::{Const, Dim},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::Device as Plain,
};

use super::{Device, Real, Size, fields, init};
use crate::{Error, Result};

/// Every row with mean 0 and variance 1, then scaled and moved, as one fused op: the same as dfdx's `LayerNorm1D`, of any [`Size`].
///
/// ```text
/// y = (x − mean) / √(variance + 1e-5) · γ + β
/// ```
///
/// Shapes: `(rows, M)` both ways. It starts at `γ = 1`, `β = 0`. Source: Ba et al. 2016.
#[derive(Clone, Debug)]
pub struct LayerNorm<M: Dim, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `γ`
    pub gamma: Tensor<(M,), E, D>,
    /// `β`
    pub beta: Tensor<(M,), E, D>,
}

fields! {
    [M: Size,] LayerNorm[M,] {
        tensor gamma: init::options(true, |t| t.try_fill_with_ones()),
        tensor beta: init::options(true, |t| t.try_fill_with_zeros()),
    }
}

impl<M: Dim, E: Real, D: Plain<E>> LayerNorm<M, E, D> {
    /// A layer that starts as one that `build_on_device` makes of a size known to the compiler.
    ///
    /// # Errors
    /// When the size is 0, or the device has no memory for it.
    pub fn new(device: &D, size: M) -> Result<Self> {
        if size.size() == 0 {
            return Err(Error::out_of_range("size", 0, "1 ≤ size"));
        }
        let gamma = device.try_ones_like(&(size,)).map_err(Error::invalid)?;
        Ok(Self { gamma, beta: device.try_zeros_like(&(size,)).map_err(Error::invalid)? })
    }
}

impl<const M: usize, E: Dtype, D: Storage<E>, D2: Plain<E>> BuildOnDevice<D2, E> for LayerNorm<Const<M>, E, D> {
    type Built = LayerNorm<Const<M>, E, D2>;
}

impl<M: Dim, E: Dtype, D: Storage<E>> NonMutableModule for LayerNorm<M, E, D> {}

impl<M: Dim, E: Real, D: Device<E>, T: Tape<E, D>> Module<Tensor<(usize, M), E, D, T>> for LayerNorm<M, E, D> {
    type Output = Tensor<(usize, M), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(usize, M), E, D, T>) -> Result<Self::Output, D::Err> {
        D::try_layer_norm(x, &self.gamma, &self.beta)
    }
}
