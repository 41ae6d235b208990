//! The order of the coordinates.

use super::{Bijection, FastForward, FastInverse, PerRow, Rows, VolumePreserving, bijection::no_change};
use crate::{
    Error, Result,
    nn::{Device, Real},
    random::{Seed, permutation},
};
use dfdx::{
    dtypes::Dtype,
    nn::{BuildModule, ModuleVisitor, TensorCollection, TensorOptions},
    shapes::Rank2,
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{Device as Plain, PermuteTo, TryMatMul},
};

/// The coordinates in another order.
///
/// ```text
/// zᵢ = x_π(i)      log |det| = 0
/// ```
#[derive(Clone, Debug)]
pub struct Permute<const D: usize, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// A one in row `π(i)` of column `i`.
    matrix: Tensor<Rank2<D, D>, E, Dev>,
}

impl<const D: usize, E: Real, Dev: Device<E>> Permute<D, E, Dev> {
    /// The last coordinate first.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn reversed(device: &Dev) -> Result<Self> {
        Self::by(device, &(0..D).rev().collect::<Vec<_>>())
    }

    /// Any order.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn random(device: &Dev, seed: Seed) -> Result<Self> {
        Self::by(device, &permutation(D, &mut seed.stream("permute", 0)))
    }

    fn by(device: &Dev, order: &[usize]) -> Result<Self> {
        let mut built = Self::try_build(device).map_err(Error::invalid)?;
        let mut values = vec![E::default(); D * D];
        order.iter().enumerate().for_each(|(i, from)| values[from * D + i] = E::ONE);
        built.matrix.copy_from(&values);
        Ok(built)
    }
}

impl<const D: usize, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Permute<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let zeros = no_change(&x);
        (x.matmul(self.matrix.clone()), zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let zeros = no_change(&z);
        (z.matmul(self.matrix.clone().permute::<_, dfdx::shapes::Axes2<1, 0>>()), zeros)
    }
}

impl<const D: usize, E: Dtype, Dev: Storage<E>> FastForward for Permute<D, E, Dev> {}
impl<const D: usize, E: Dtype, Dev: Storage<E>> FastInverse for Permute<D, E, Dev> {}
impl<const D: usize, E: Dtype, Dev: Storage<E>> VolumePreserving for Permute<D, E, Dev> {}

impl<const D: usize, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Permute<D, E, Dev> {
    type To<E2: Dtype, D2: Plain<E2>> = Permute<D, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let options = TensorOptions::detached(|t| t.try_fill_with_zeros());
        let field = Self::tensor("matrix", |s| &s.matrix, |s| &mut s.matrix, options);
        visitor.visit_fields(field, |matrix| Permute { matrix })
    }
}
