//! The same as dfdx operations.

use dfdx::{
    shapes::{Axes2, Axes3, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, GatherTo, MeanTo, PermuteTo, ReshapeTo, TryAdd},
};

use super::{Pixels, Planes};
use crate::nn::Real;

/// Matrices.
type Matrices<E, D, T> = Tensor<(usize, usize, usize), E, D, T>;

pub(crate) fn to_planes<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Pixels<E, D, T>,
    (height, width): (usize, usize),
) -> Result<Planes<E, D, T>, D::Err> {
    let (rows, channels) = *x.shape();
    let images = rows / (height * width);
    let x: Matrices<E, D, T> = x.try_reshape_like(&(images, height * width, channels))?;
    let x: Matrices<E, D, T> = x.try_permute::<_, Axes3<0, 2, 1>>()?;
    x.try_reshape_like(&(images, channels, height, width))
}

pub(crate) fn from_planes<E: Real, D: Device<E>, T: Tape<E, D>>(x: Planes<E, D, T>) -> Result<Pixels<E, D, T>, D::Err> {
    let (images, channels, height, width) = *x.shape();
    let x: Matrices<E, D, T> = x.try_reshape_like(&(images, channels, height * width))?;
    let x: Matrices<E, D, T> = x.try_permute::<_, Axes3<0, 2, 1>>()?;
    x.try_reshape_like(&(images * height * width, channels))
}

pub(crate) fn add_to_planes<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Planes<E, D, T>,
    z: Pixels<E, D, T>,
) -> Result<Planes<E, D, T>, D::Err> {
    let shape = *x.shape();
    let first: Tensor<(usize,), usize, D> = z.device().try_tensor_from_vec((0..shape.0).collect(), (shape.0,))?;
    let z: Pixels<E, D, T> = z.try_gather(first)?;
    x.try_add(z.try_broadcast_like::<_, Axes2<2, 3>>(&shape)?)
}

pub(crate) fn means<E: Real, D: Device<E>, T: Tape<E, D>>(x: Planes<E, D, T>) -> Result<Pixels<E, D, T>, D::Err> {
    x.try_mean::<_, Axes2<2, 3>>()
}
