//! Convolutions as dfdx operations: patches by `gather`, then one matrix product.
//!
//! The batch goes last, so that one index serves all of it and everything stays on the device.

use dfdx::{
    dtypes::Dtype,
    shapes::{Axes2, Axis, HasShape, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, GatherTo, PermuteTo, ReshapeTo, SumTo, TryAdd, TryMatMul, TryMul},
};

use super::Geometry;
use crate::nn::Activation;

type Columns<E, D, T> = Tensor<(usize, usize), E, D, T>;

pub(crate) fn conv2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    geometry: Geometry,
    image: Tensor<X, E, D, T>,
    weight: &Tensor<W, E, D>,
    bias: &Tensor<B, E, D>,
    shape: Y,
) -> Result<Tensor<Y, E, D, T>, D::Err> {
    let (patch, positions) = (geometry.patch(), geometry.positions());
    let image = batch_last(image, geometry.image_len())?;
    let batch = image.shape().1;
    let patches = pick(image, patch_index(&geometry))?.try_reshape_like(&(patch, positions * batch))?;
    let weight = weight.retaped::<T>().try_reshape_like(&(geometry.map[0], patch))?;
    let map = weight.try_matmul(patches)?;
    finish::<A, B, Y, E, D, T>(map, bias, geometry.map[0], batch, shape)
}

pub(crate) fn conv_transpose2d<
    A: Activation,
    X: Shape,
    W: Shape,
    B: Shape,
    Y: Shape,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
>(
    geometry: Geometry,
    map: Tensor<X, E, D, T>,
    weight: &Tensor<W, E, D>,
    bias: &Tensor<B, E, D>,
    shape: Y,
) -> Result<Tensor<Y, E, D, T>, D::Err> {
    let (patch, positions) = (geometry.patch(), geometry.positions());
    let map = batch_last(map, geometry.map_len())?;
    let batch = map.shape().1;
    let map = map.try_reshape_like(&(geometry.map[0], positions * batch))?;
    let weight = weight.retaped::<T>().try_reshape_like(&(geometry.map[0], patch))?;
    let weight = weight.try_permute::<(usize, usize), Axes2<1, 0>>()?;
    let patches = weight.try_matmul(map)?.try_reshape_like(&(patch * positions, batch))?;
    let taps = geometry.kernel * geometry.kernel;
    let shares = pick(patches, image_index(&geometry))?.try_reshape_like(&(geometry.image_len(), taps, batch))?;
    let image = shares.try_sum::<(usize, usize), Axis<1>>()?;
    finish::<A, B, Y, E, D, T>(image, bias, geometry.image[0], batch, shape)
}

/// `(batch, …)` to `(length, batch)`.
fn batch_last<X: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<X, E, D, T>,
    length: usize,
) -> Result<Columns<E, D, T>, D::Err> {
    let batch = x.shape().num_elements() / length.max(1);
    x.try_reshape_like(&(batch, length))?.try_permute::<(usize, usize), Axes2<1, 0>>()?.try_contiguous()
}

/// Row `index[i]` of `x` as row `i` of the result, and zeros where there is no index.
fn pick<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Columns<E, D, T>,
    index: Vec<Option<usize>>,
) -> Result<Columns<E, D, T>, D::Err> {
    let device = x.device().clone();
    let shape = (index.len(), x.shape().1);
    let some = index.iter().map(|i| if i.is_some() { E::ONE } else { E::default() }).collect();
    let all_inside = index.iter().all(Option::is_some);
    let index: Vec<usize> = index.into_iter().map(Option::unwrap_or_default).collect();
    let rows = x.try_gather(device.try_tensor_from_vec(index, (shape.0,))?)?;
    if all_inside {
        return Ok(rows);
    }
    let some: Tensor<(usize,), E, D> = device.try_tensor_from_vec(some, (shape.0,))?;
    rows.try_mul(some.retaped::<T>().try_broadcast_like::<_, Axis<1>>(&shape)?)
}

/// For each element of each patch, the element of the image it is, in the order `(patch, positions)`.
fn patch_index(g: &Geometry) -> Vec<Option<usize>> {
    let [channels, height, width] = g.image;
    let mut index = Vec::with_capacity(g.patch() * g.positions());
    for c in 0..channels {
        for (u, v) in taps(g) {
            for (i, j) in places(g.map) {
                let at = g.source(i, u, height).zip(g.source(j, v, width));
                index.push(at.map(|(y, x)| (c * height + y) * width + x));
            }
        }
    }
    index
}

/// For each element of the image and each tap, the element of the patches that falls on it.
fn image_index(g: &Geometry) -> Vec<Option<usize>> {
    let along = |at: usize, tap: usize, size: usize| {
        let shifted = (at + g.padding).checked_sub(tap)?;
        (shifted % g.stride == 0 && shifted / g.stride < size).then_some(shifted / g.stride)
    };
    let mut index = Vec::with_capacity(g.image_len() * g.kernel * g.kernel);
    for c in 0..g.image[0] {
        for (y, x) in places(g.image) {
            for (tap, (u, v)) in taps(g).enumerate() {
                let at = along(y, u, g.map[1]).zip(along(x, v, g.map[2]));
                let row = c * g.kernel * g.kernel + tap;
                index.push(at.map(|(i, j)| row * g.positions() + i * g.map[2] + j));
            }
        }
    }
    index
}

fn taps(g: &Geometry) -> impl Iterator<Item = (usize, usize)> {
    let kernel = g.kernel;
    (0..kernel).flat_map(move |u| (0..kernel).map(move |v| (u, v)))
}

fn places([_, height, width]: [usize; 3]) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |i| (0..width).map(move |j| (i, j)))
}

/// Adds the bias, brings the batch to the front again and applies the activation.
fn finish<A: Activation, B: Shape, Y: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Columns<E, D, T>,
    bias: &Tensor<B, E, D>,
    channels: usize,
    batch: usize,
    shape: Y,
) -> Result<Tensor<Y, E, D, T>, D::Err> {
    let places = shape.num_elements() / (channels * batch).max(1);
    let bias = bias.retaped::<T>().try_reshape_like(&(channels,))?;
    let bias = bias.try_broadcast_like::<_, Axis<1>>(&(channels, places * batch))?;
    let x = x.try_reshape_like(&(channels, places * batch))?.try_add(bias)?;
    let x = x.try_reshape_like(&(channels * places, batch))?.try_permute::<(usize, usize), Axes2<1, 0>>()?;
    A::compose(x.try_contiguous()?.try_reshape_like(&shape)?)
}
