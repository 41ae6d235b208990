//! The dense op as dfdx operations.

use dfdx::{
    dtypes::Dtype,
    shapes::{Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, PermuteTo, TryAdd, TryMatMul},
};

use super::Outputs;
use crate::nn::Activation;

pub(crate) fn dense<A: Activation, I: Dim, O: Dim, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(B, I), E, D, T>,
    weight: &Tensor<(O, I), E, D>,
    bias: &Tensor<(O,), E, D>,
) -> Result<Outputs<B, O, E, D, T>, D::Err> {
    let shape = (x.shape().0, bias.shape().0);
    let z = x.try_matmul(weight.retaped::<T>().try_permute::<(I, O), _>()?)?;
    A::compose(z.try_add(bias.retaped::<T>().try_broadcast_like(&shape)?)?)
}
