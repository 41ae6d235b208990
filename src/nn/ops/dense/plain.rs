//! The dense op as dfdx operations.

use dfdx::{
    dtypes::Dtype,
    shapes::{Const, Dim, HasShape, Rank1, Rank2},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, PermuteTo, TryAdd, TryMatMul, TryMul},
};

use super::Rows;
use crate::nn::Activation;

pub(crate) fn dense<A: Activation, const IN: usize, const OUT: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Rows<B, IN, E, D, T>,
    weight: &Tensor<Rank2<OUT, IN>, E, D>,
    bias: &Tensor<Rank1<OUT>, E, D>,
    mask: Option<&Tensor<Rank2<OUT, IN>, E, D>>,
) -> Result<Rows<B, OUT, E, D, T>, D::Err> {
    let shape = (x.shape().0, Const::<OUT>);
    let mut weight = weight.retaped::<T>();
    if let Some(mask) = mask {
        weight = weight.try_mul(mask.clone())?;
    }
    let z = x.try_matmul(weight.try_permute()?)?;
    A::compose(z.try_add(bias.retaped::<T>().try_broadcast_like(&shape)?)?)
}
