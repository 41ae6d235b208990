//! The order of the coordinates.

use super::{
    Bijection, FastForward, FastInverse, Moved, Rows, VolumePreserving,
    bijection::{free, no_change, typed},
};
use crate::{
    Error, Result,
    nn::{Device, Real, any_shape},
    random::{Seed, permutation},
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, TensorCollection},
    shapes::{Axes2, Dim},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{Device as Plain, PermuteTo, TryMatMul},
};
use std::marker::PhantomData;

/// The coordinates in another order.
///
/// ```text
/// zᵢ = x_π(i)      log |det| = 0
/// ```
#[derive(Clone, Debug)]
pub struct Permute<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// A one in row `π(i)` of column `i`.
    matrix: Tensor<(usize, usize), E, Dev>,
    what: PhantomData<D>,
}

impl<D: Dim, E: Real, Dev: Device<E>> Permute<D, E, Dev> {
    /// The last coordinate first.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn reversed(device: &Dev, dims: D) -> Result<Self> {
        Self::by(device, &(0..dims.size()).rev().collect::<Vec<_>>())
    }

    /// Any order.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn random(device: &Dev, dims: D, seed: Seed) -> Result<Self> {
        Self::by(device, &permutation(dims.size(), &mut seed.stream("permute", 0)))
    }

    fn by(device: &Dev, order: &[usize]) -> Result<Self> {
        let d = order.len();
        let mut values = vec![E::default(); d * d];
        order.iter().enumerate().for_each(|(i, from)| values[from * d + i] = E::ONE);
        let matrix = device.try_tensor_from_vec(values, (d, d)).map_err(Error::invalid)?;
        Ok(Self { matrix, what: PhantomData })
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Permute<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let zeros = no_change(&x);
        (typed(free(x).matmul(self.matrix.clone())), zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> Moved<D, E, Dev, T> {
        let zeros = no_change(&z);
        (typed(free(z).matmul(self.matrix.clone().permute::<_, Axes2<1, 0>>())), zeros)
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Permute<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for Permute<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> VolumePreserving for Permute<D, E, Dev> {}

impl<D, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Permute<D, E, Dev> {
    type To<E2: Dtype, D2: Plain<E2>> = Permute<D, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let field = Self::tensor("matrix", |s| &s.matrix, |s| &mut s.matrix, any_shape(false));
        visitor.visit_fields(field, |matrix| Permute { matrix, what: PhantomData })
    }
}
