//! The fused convolutions: groups of samples in parallel, each through the linear map and the activation.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{
    Conv2dKernel, Geometry,
    linear::{Linear, TASKS},
    patches::Room,
};
use crate::{
    nn::{
        Activation,
        ops::{
            Real,
            alone::is_alone,
            cpu::{Matrix, Threads, buffer, matmul, view, zip},
        },
    },
    simd::vectorised,
};

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
        run::<A, true, X, W, B, Y, E, T>(geometry, image, weight, bias, shape)
    }

    fn try_conv_transpose2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        map: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err> {
        run::<A, false, X, W, B, Y, E, T>(geometry, map, weight, bias, shape)
    }
}

/// The map of an image, or the image of a map.
fn run<A: Activation, const TO_MAP: bool, X: Shape, W: Shape, B: Shape, Y: Shape, E: Real, T: Tape<E, Cpu>>(
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
    let [input_len, out_len] = if TO_MAP { [g.image_len(), g.map_len()] } else { [g.map_len(), g.image_len()] };
    let channels = if TO_MAP { g.map[0] } else { g.image[0] };
    let samples = shape.num_elements() / out_len;
    assert_eq!(x.shape().num_elements(), samples * input_len);
    assert_eq!(weight.shape().num_elements(), g.map[0] * g.patch());
    assert_eq!(bias.shape().num_elements(), channels);

    let mut out = vec![E::default(); samples * out_len];
    let sloped = T::OWNS_TAPE && !A::IDENTITY;
    let mut slopes = vec![E::default(); if sloped { out.len() } else { 0 }];
    let linear = Linear::new(g, TO_MAP, view(&weight), samples);
    let group = linear.group();
    let parts = out.par_chunks_mut(group * out_len).zip(view(&x).par_chunks(group * input_len));
    let room = || linear.room();
    let run = |room: &mut Room<E>, out: &mut [E], x: &[E]| linear.run(Some(view(&bias)), x, out, room);
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
        let (ghost, input) = (out.ghost(), x.ghost());
        // For the gradients of the parameters alone.
        let x = (!is_alone()).then_some(x);
        tape.add_backward_op(move |grads| {
            let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
            let mut sloped = slopes;
            if !A::IDENTITY {
                zip(&mut sloped, &given, |slope, d| d * slope);
            }
            let dz = if A::IDENTITY { &given } else { &sloped };

            if let Some(x) = &x {
                let (dw, db) = parameter_gradients::<TO_MAP, E>(&g, view(x), dz, weight.shape().num_elements());
                zip(buffer::<E>(grads.get_or_alloc_mut(&weight)?), &dw, |a, d| a + d);
                zip(buffer::<E>(grads.get_or_alloc_mut(&bias)?), &db, |a, d| a + d);
            }
            let adjoint = Linear::new(g, !TO_MAP, view(&weight), samples);
            buffer::<E>(grads.get_or_alloc_mut(&input)?)
                .par_chunks_mut(adjoint.group() * input_len)
                .zip(dz.par_chunks(adjoint.group() * out_len))
                .for_each_init(|| adjoint.room(), |room, (dx, dz)| adjoint.run(None, dz, dx, room));
            *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
            Ok(())
        });
    }
    Ok(out.put_tape(tape))
}

/// `dW` and `db`, each a sum over the batch: tasks of consecutive samples, added up in order.
fn parameter_gradients<const TO_MAP: bool, E: Real>(
    g: &Geometry,
    x: &[E],
    dz: &[E],
    weights: usize,
) -> (Vec<E>, Vec<E>) {
    let ([channels, height, width], input_len) = if TO_MAP { (g.map, g.image_len()) } else { (g.image, g.map_len()) };
    let (out_len, plane) = (channels * height * width, height * width);
    let task = (dz.len() / out_len).div_ceil(TASKS).max(1);
    let parts: Vec<(Vec<E>, Vec<E>)> = x
        .par_chunks(task * input_len)
        .zip(dz.par_chunks(task * out_len))
        .map(|(x, dz)| {
            let (mut dw, mut db) = (vec![E::default(); weights], vec![E::default(); channels]);
            let mut room = Room::new(g, 1);
            for (x, dz) in x.chunks_exact(input_len).zip(dz.chunks_exact(out_len)) {
                let (image, map) = if TO_MAP { (x, dz) } else { (dz, x) };
                add_weight(g, image, map, &mut dw, &mut room);
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

/// `dW += dmap · patches(image)ᵀ`.
fn add_weight<E: Real>(g: &Geometry, image: &[E], map: &[E], dw: &mut [E], room: &mut Room<E>) {
    let map = Matrix::new(map, g.map[0], g.positions());
    matmul(dw, true, map, room.of(image).transpose(), Threads::One);
}
