//! The perceptron as dfdx operations.

use dfdx::{
    shapes::{Axis, Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, PermuteTo, ReshapeTo, TryAdd, TryMatMul, TryMul},
};

use super::{Layer, Values};
use crate::nn::{Activation, Real};

pub(crate) fn perceptron<A: Activation, I: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, I), E, D, T>,
    layers: &[Layer<E, D>],
) -> Result<Values<E, D, T>, D::Err> {
    let (rows, inputs) = (x.shape().0, x.shape().1.size());
    let mut values = x.try_reshape_like(&(rows, inputs))?;
    for (l, Layer { weight, bias, reach }) in layers.iter().enumerate() {
        let (units, below) = *weight.shape();
        let seen = (0..units * below).map(|at| if at % below < reach[at / below] { E::ONE } else { E::default() });
        let mask = values.device().try_tensor_from_vec(seen.collect(), (units, below))?;
        let weight = weight.retaped::<T>().try_mul(mask)?;
        let sums = values.try_matmul(weight.try_permute()?)?;
        values = sums.try_add(bias.retaped::<T>().try_broadcast_like::<_, Axis<0>>(&(rows, units))?)?;
        if l + 1 < layers.len() {
            values = A::compose(values)?;
        }
    }
    Ok(values)
}
