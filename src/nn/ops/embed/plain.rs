//! Both as dfdx operations.

use dfdx::{
    shapes::{Axis, Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, GatherTo, ReshapeTo, TryAdd},
};

use super::Whose;
use crate::nn::{Real, ops::Positions};

pub(crate) fn embed<N: Dim, M: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    table: Tensor<(N, M), E, D, T>,
    picked: &[u32],
) -> Result<Positions<M, E, D, T>, D::Err> {
    let places = picked.iter().map(|i| *i as usize).collect();
    let places: Tensor<(usize,), usize, D> = table.device().try_tensor_from_vec(places, (picked.len(),))?;
    table.try_gather(places)
}

pub(crate) fn add_rows<M: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Positions<M, E, D, T>,
    z: Positions<M, E, D, T>,
    whose: Whose,
) -> Result<Positions<M, E, D, T>, D::Err> {
    let shape = *x.shape();
    let used = whose.used(shape.0);
    let z = if z.shape().0 == used { z } else { embed(z, &(0..used as u32).collect::<Vec<_>>())? };
    let sum = match whose {
        Whose::Each(n) => {
            let parts = (used, n, shape.1);
            x.try_reshape_like(&parts)?.try_add(z.try_broadcast_like::<_, Axis<1>>(&parts)?)?
        }
        Whose::InTurns(_) => {
            let parts = (shape.0 / used, used, shape.1);
            x.try_reshape_like(&parts)?.try_add(z.try_broadcast_like::<_, Axis<0>>(&parts)?)?
        }
    };
    sum.try_reshape_like(&shape)
}
