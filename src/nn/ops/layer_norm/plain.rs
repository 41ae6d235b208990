//! The layer norm as dfdx operations.

use dfdx::{
    shapes::{Axis, Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, TryAdd, TryMul},
};

use super::EPSILON;
use crate::nn::{Real, ops::Positions};

pub(crate) fn layer_norm<M: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Positions<M, E, D, T>,
    gamma: &Tensor<(M,), E, D>,
    beta: &Tensor<(M,), E, D>,
) -> Result<Positions<M, E, D, T>, D::Err> {
    let shape = *x.shape();
    let normal = x.try_normalize::<Axis<1>>(EPSILON)?;
    let scaled = normal.try_mul(gamma.retaped::<T>().try_broadcast_like(&shape)?)?;
    scaled.try_add(beta.retaped::<T>().try_broadcast_like(&shape)?)
}
