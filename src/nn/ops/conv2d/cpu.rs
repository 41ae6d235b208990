//! The fused convolution kernels: patches of a few samples at a time, a matrix product, groups of samples in parallel.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;
use std::borrow::Cow;

use super::{
    Conv2dKernel, Geometry,
    patches::{Room, pointwise},
};
use crate::{
    nn::{
        Activation,
        ops::{
            Real,
            alone::is_alone,
            cpu::{Matrix, Threads, buffer, is_steady, matmul, matmul_block, view, zip},
        },
    },
    simd::vectorised,
};

/// The most tasks that sums over the batch are split into. Fixed, so that sums do not depend on the number of threads.
const TASKS: usize = 8;
/// Places that make a product of matrices as fast as it gets.
const WIDE: usize = 256;

impl<E: Real> Conv2dKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn try_conv2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        image: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err> {
        run::<A, Forward, X, W, B, Y, E, T>(geometry, image, weight, bias, shape)
    }

    fn try_conv_transpose2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        map: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err> {
        run::<A, Transposed, X, W, B, Y, E, T>(geometry, map, weight, bias, shape)
    }
}

/// Which of the two linear maps is the forward one; the other is then its gradient in the input.
///
/// Each method adds to its result, for as many samples as there is room for; `weight` for one.
trait Direction {
    fn out(geometry: &Geometry) -> [usize; 3];
    fn input_len(geometry: &Geometry) -> usize;
    fn apply<E: Real>(geometry: &Geometry, weight: &[E], input: &[E], out: &mut [E], room: &mut Room<E>);
    fn adjoint<E: Real>(geometry: &Geometry, weight: &[E], out: &[E], input: &mut [E], room: &mut Room<E>);
    fn weight<E: Real>(geometry: &Geometry, input: &[E], out: &[E], dw: &mut [E], room: &mut Room<E>);
}

/// Image to map.
struct Forward;

impl Direction for Forward {
    fn out(g: &Geometry) -> [usize; 3] {
        g.map
    }
    fn input_len(g: &Geometry) -> usize {
        g.image_len()
    }
    fn apply<E: Real>(g: &Geometry, weight: &[E], input: &[E], out: &mut [E], room: &mut Room<E>) {
        add_map(g, weight, input, out, room);
    }
    fn adjoint<E: Real>(g: &Geometry, weight: &[E], out: &[E], input: &mut [E], room: &mut Room<E>) {
        add_image(g, weight, out, input, room);
    }
    fn weight<E: Real>(g: &Geometry, input: &[E], out: &[E], dw: &mut [E], room: &mut Room<E>) {
        add_weight(g, input, out, dw, room);
    }
}

/// Map to image.
struct Transposed;

impl Direction for Transposed {
    fn out(g: &Geometry) -> [usize; 3] {
        g.image
    }
    fn input_len(g: &Geometry) -> usize {
        g.map_len()
    }
    fn apply<E: Real>(g: &Geometry, weight: &[E], input: &[E], out: &mut [E], room: &mut Room<E>) {
        add_image(g, weight, input, out, room);
    }
    fn adjoint<E: Real>(g: &Geometry, weight: &[E], out: &[E], input: &mut [E], room: &mut Room<E>) {
        add_map(g, weight, out, input, room);
    }
    fn weight<E: Real>(g: &Geometry, input: &[E], out: &[E], dw: &mut [E], room: &mut Room<E>) {
        add_weight(g, out, input, dw, room);
    }
}

fn run<A: Activation, L: Direction, X: Shape, W: Shape, B: Shape, Y: Shape, E: Real, T: Tape<E, Cpu>>(
    g: Geometry,
    x: Tensor<X, E, Cpu, T>,
    weight: &Tensor<W, E, Cpu>,
    bias: &Tensor<B, E, Cpu>,
    shape: Y,
) -> Result<Tensor<Y, E, Cpu, T>, <Cpu as dfdx::tensor::HasErr>::Err>
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    let (x, tape) = x.try_contiguous()?.split_tape();
    let (weight, weight_tape) = weight.retaped::<T>().try_contiguous()?.split_tape();
    let (bias, bias_tape) = bias.retaped::<T>().try_contiguous()?.split_tape();
    let mut tape = tape.merge(weight_tape).merge(bias_tape);
    let [channels, height, width] = L::out(&g);
    let (plane, samples) = (height * width, shape.num_elements() / (channels * height * width));
    let (input_len, out_len) = (L::input_len(&g), channels * plane);
    assert_eq!(x.shape().num_elements(), samples * input_len);
    assert_eq!(weight.shape().num_elements(), g.map[0] * g.patch());
    assert_eq!(bias.shape().num_elements(), channels);

    let mut out = vec![E::default(); samples * out_len];
    let sloped = T::OWNS_TAPE && !A::IDENTITY;
    let mut slopes = vec![E::default(); if sloped { out.len() } else { 0 }];
    let group = together(&g, samples);
    let room = move || Room::new(&g, group);
    let run = |room: &mut Room<E>, out: &mut [E], x: &[E]| {
        for (plane, b) in out.chunks_exact_mut(plane).zip(view(&bias).iter().cycle()) {
            plane.fill(*b);
        }
        L::apply(&g, view(&weight), x, out, room);
    };
    let parts = out.par_chunks_mut(group * out_len).zip(view(&x).par_chunks(group * input_len));
    if sloped {
        parts.zip(slopes.par_chunks_mut(group * out_len)).for_each_init(room, |room, ((out, x), slopes)| {
            run(room, out, x);
            vectorised!(out.iter_mut().zip(slopes).for_each(|(out, slope)| {
                let (argument, value) = (*out, A::value(*out));
                *slope = A::slope(if A::SLOPE_OF_VALUE { value } else { argument });
                *out = value;
            }));
        });
    } else {
        parts.for_each_init(room, |room, (out, x)| {
            run(room, out, x);
            if !A::IDENTITY {
                vectorised!(out.iter_mut().for_each(|out| *out = A::value(*out)));
            }
        });
    }
    let out = x.device().try_tensor_from_vec(out, shape)?;

    if T::OWNS_TAPE {
        let (ghost, alone) = (out.ghost(), is_alone());
        tape.add_backward_op(move |grads| {
            let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
            let mut sloped = slopes;
            if !A::IDENTITY {
                zip(&mut sloped, &given, |slope, d| d * slope);
            }
            let dz = if A::IDENTITY { &given } else { &sloped };

            if !alone {
                let (dw, db) = parameter_gradients::<L, E>(&g, view(&x), dz, weight.shape().num_elements());
                zip(buffer::<E>(grads.get_or_alloc_mut(&weight)?), &dw, |a, d| a + d);
                zip(buffer::<E>(grads.get_or_alloc_mut(&bias)?), &db, |a, d| a + d);
            }
            buffer::<E>(grads.get_or_alloc_mut(&x)?)
                .par_chunks_mut(group * input_len)
                .zip(dz.par_chunks(group * out_len))
                .for_each_init(room, |room, (dx, dz)| L::adjoint(&g, view(&weight), dz, dx, room));
            *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
            Ok(())
        });
    }
    Ok(out.put_tape(tape))
}

/// `dW` and `db`, each a sum over the batch: tasks of consecutive samples, added up in order.
fn parameter_gradients<L: Direction, E: Real>(g: &Geometry, x: &[E], dz: &[E], weights: usize) -> (Vec<E>, Vec<E>) {
    let [channels, height, width] = L::out(g);
    let (input_len, out_len, plane) = (L::input_len(g), channels * height * width, height * width);
    let task = (dz.len() / out_len).div_ceil(TASKS).max(1);
    let parts: Vec<(Vec<E>, Vec<E>)> = x
        .par_chunks(task * input_len)
        .zip(dz.par_chunks(task * out_len))
        .map(|(x, dz)| {
            let (mut dw, mut db) = (vec![E::default(); weights], vec![E::default(); channels]);
            let mut room = Room::new(g, 1);
            for (x, dz) in x.chunks_exact(input_len).zip(dz.chunks_exact(out_len)) {
                L::weight(g, x, dz, &mut dw, &mut room);
                for (sum, plane) in db.iter_mut().zip(dz.chunks_exact(plane)) {
                    plane.iter().for_each(|d| *sum += *d);
                }
            }
            (dw, db)
        })
        .collect();
    let mut parts = parts.into_iter();
    let (mut dw, mut db) = parts.next().unwrap_or_else(|| (vec![E::default(); weights], vec![E::default(); channels]));
    for (w, b) in parts {
        zip(&mut dw, &w, |a, d| a + d);
        zip(&mut db, &b, |a, d| a + d);
    }
    (dw, db)
}

/// Samples that go through a product together: maps of a few places are too narrow for it. One alone where it would not come out the
/// same beside others.
fn together(g: &Geometry, samples: usize) -> usize {
    let (maps, patch, places) = (g.map[0], g.patch(), g.positions());
    match !pointwise(g) && is_steady(maps, patch, places) && is_steady(patch, maps, places) {
        true => (WIDE / g.positions()).min(samples.div_ceil(TASKS)).max(1),
        false => 1,
    }
}

/// `maps += W · patches(images)`.
fn add_map<E: Real>(g: &Geometry, weight: &[E], images: &[E], maps: &mut [E], room: &mut Room<E>) {
    let weight = Matrix::new(weight, g.map[0], g.patch());
    let samples = maps.len() / g.map_len();
    if samples == 1 {
        return matmul(maps, true, weight, room.of(images), Threads::One);
    }
    let mut beside = side_by_side(g, maps);
    matmul(&mut beside, true, weight, room.of(images), Threads::One);
    for (sample, map) in maps.chunks_exact_mut(g.map_len()).enumerate() {
        for (channel, row) in map.chunks_exact_mut(g.positions()).enumerate() {
            row.copy_from_slice(&beside[(channel * samples + sample) * g.positions()..][..g.positions()]);
        }
    }
}

/// `images += patchesᵀ(Wᵀ · maps)`, the adjoint of [`add_map`].
fn add_image<E: Real>(g: &Geometry, weight: &[E], maps: &[E], images: &mut [E], room: &mut Room<E>) {
    let weight = Matrix::new(weight, g.map[0], g.patch()).transpose();
    let samples = maps.len() / g.map_len();
    let beside = if samples == 1 { Cow::Borrowed(maps) } else { Cow::Owned(side_by_side(g, maps)) };
    let maps = Matrix::new(&beside, g.map[0], samples * g.positions());
    if pointwise(g) {
        return matmul(images, true, weight, maps, Threads::One);
    }
    room.add_to(images, |patches, apart| matmul_block(patches, apart, false, weight, maps, Threads::One));
}

/// `dW += dmap · patches(image)ᵀ`.
fn add_weight<E: Real>(g: &Geometry, image: &[E], map: &[E], dw: &mut [E], room: &mut Room<E>) {
    let map = Matrix::new(map, g.map[0], g.positions());
    matmul(dw, true, map, room.of(image).transpose(), Threads::One);
}

/// Maps `(sample, channel, place)` as `(channel, sample, place)`.
fn side_by_side<E: Real>(g: &Geometry, maps: &[E]) -> Vec<E> {
    let (samples, places) = (maps.len() / g.map_len(), g.positions());
    let row = |i: usize| &maps[(i % samples * g.map[0] + i / samples) * places..][..places];
    let mut beside = Vec::with_capacity(maps.len());
    (0..samples * g.map[0]).for_each(|i| beside.extend_from_slice(row(i)));
    beside
}
