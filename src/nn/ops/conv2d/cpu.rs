//! The fused convolution kernels: patches of one sample at a time, a matrix product, samples in parallel.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{Conv2dKernel, Geometry};
use crate::{
    nn::{
        Activation,
        ops::{
            Real,
            alone::is_alone,
            cpu::{Matrix, Threads, buffer, map, matmul, view, zip},
        },
    },
    simd::vectorised,
};

/// The most tasks that sums over the batch are split into. Fixed, so that sums do not depend on the number of threads.
const TASKS: usize = 8;

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
/// Each method adds to its result, for one sample. `patches` is room for the patches, zeros at first, and given to the same
/// method alone: the padding, which is never written, then stays zero from sample to sample.
trait Direction {
    fn out(geometry: &Geometry) -> [usize; 3];
    fn input_len(geometry: &Geometry) -> usize;
    fn apply<E: Real>(geometry: &Geometry, weight: &[E], input: &[E], out: &mut [E], patches: &mut [E]);
    fn adjoint<E: Real>(geometry: &Geometry, weight: &[E], out: &[E], input: &mut [E], patches: &mut [E]);
    fn weight<E: Real>(geometry: &Geometry, input: &[E], out: &[E], dw: &mut [E], patches: &mut [E]);
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
    fn apply<E: Real>(g: &Geometry, weight: &[E], input: &[E], out: &mut [E], patches: &mut [E]) {
        add_map(g, weight, input, out, patches);
    }
    fn adjoint<E: Real>(g: &Geometry, weight: &[E], out: &[E], input: &mut [E], patches: &mut [E]) {
        add_image(g, weight, out, input, patches);
    }
    fn weight<E: Real>(g: &Geometry, input: &[E], out: &[E], dw: &mut [E], patches: &mut [E]) {
        add_weight(g, input, out, dw, patches);
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
    fn apply<E: Real>(g: &Geometry, weight: &[E], input: &[E], out: &mut [E], patches: &mut [E]) {
        add_image(g, weight, input, out, patches);
    }
    fn adjoint<E: Real>(g: &Geometry, weight: &[E], out: &[E], input: &mut [E], patches: &mut [E]) {
        add_map(g, weight, out, input, patches);
    }
    fn weight<E: Real>(g: &Geometry, input: &[E], out: &[E], dw: &mut [E], patches: &mut [E]) {
        add_weight(g, out, input, dw, patches);
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
    let room = move || vec![E::default(); g.patch() * g.positions()];
    out.par_chunks_mut(out_len).zip(view(&x).par_chunks(input_len)).for_each_init(room, |patches, (out, x)| {
        for (plane, b) in out.chunks_exact_mut(plane).zip(view(&bias)) {
            plane.fill(*b);
        }
        L::apply(&g, view(&weight), x, out, patches);
    });
    let argument = (T::OWNS_TAPE && !A::SLOPE_OF_VALUE).then(|| out.clone());
    if !A::IDENTITY {
        map(&mut out, A::value);
    }
    let out = x.device().try_tensor_from_vec(out, shape)?;

    if T::OWNS_TAPE {
        let kept = (A::SLOPE_OF_VALUE && !A::IDENTITY).then(|| out.clone());
        let (ghost, alone) = (out.ghost(), is_alone());
        tape.add_backward_op(move |grads| {
            let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
            let sloped = kept.as_ref().map(view).or(argument.as_deref()).map(|at| {
                let mut dz = at.to_vec();
                zip(&mut dz, &given, |at, d| d * A::slope(at));
                dz
            });
            let dz = sloped.as_deref().unwrap_or(&given);

            if !alone {
                let (dw, db) = parameter_gradients::<L, E>(&g, view(&x), dz, weight.shape().num_elements());
                zip(buffer::<E>(grads.get_or_alloc_mut(&weight)?), &dw, |a, d| a + d);
                zip(buffer::<E>(grads.get_or_alloc_mut(&bias)?), &db, |a, d| a + d);
            }
            buffer::<E>(grads.get_or_alloc_mut(&x)?)
                .par_chunks_mut(input_len)
                .zip(dz.par_chunks(out_len))
                .for_each_init(room, |patches, (dx, dz)| L::adjoint(&g, view(&weight), dz, dx, patches));
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
            let mut patches = vec![E::default(); g.patch() * g.positions()];
            for (x, dz) in x.chunks_exact(input_len).zip(dz.chunks_exact(out_len)) {
                L::weight(g, x, dz, &mut dw, &mut patches);
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

/// `map += W · patches(image)`.
fn add_map<E: Real>(g: &Geometry, weight: &[E], image: &[E], map: &mut [E], patches: &mut [E]) {
    let weight = Matrix::new(weight, g.map[0], g.patch());
    matmul(map, true, weight, as_patches(g, image, patches), Threads::One);
}

/// `image += patchesᵀ(Wᵀ · map)`, the adjoint of [`add_map`].
fn add_image<E: Real>(g: &Geometry, weight: &[E], map: &[E], image: &mut [E], patches: &mut [E]) {
    let weight = Matrix::new(weight, g.map[0], g.patch()).transpose();
    let map = Matrix::new(map, g.map[0], g.positions());
    if pointwise(g) {
        return matmul(image, true, weight, map, Threads::One);
    }
    matmul(patches, false, weight, map, Threads::One);
    vectorised!({
        each_row(g, |row, at, stride, inside| {
            let patches = &patches[row..][..inside];
            if stride == 1 {
                image[at..][..inside].iter_mut().zip(patches).for_each(|(d, s)| *d += *s);
            } else {
                image[at..].iter_mut().step_by(stride).zip(patches).for_each(|(d, s)| *d += *s);
            }
        });
    });
}

/// `dW += dmap · patches(image)ᵀ`.
fn add_weight<E: Real>(g: &Geometry, image: &[E], map: &[E], dw: &mut [E], patches: &mut [E]) {
    let map = Matrix::new(map, g.map[0], g.positions());
    matmul(dw, true, map, as_patches(g, image, patches).transpose(), Threads::One);
}

/// Whether an image is its own patches.
fn pointwise(g: &Geometry) -> bool {
    g.kernel == 1 && g.stride == 1 && g.padding == 0
}

/// The patches of an image, one a column: `(patch, positions)`.
fn as_patches<'a, E: Real>(g: &Geometry, image: &'a [E], patches: &'a mut [E]) -> Matrix<'a, E> {
    if pointwise(g) {
        return Matrix::new(image, g.patch(), g.positions());
    }
    vectorised!({
        each_row(g, |row, at, stride, inside| {
            let out = &mut patches[row..][..inside];
            if stride == 1 {
                out.copy_from_slice(&image[at..][..inside]);
            } else {
                out.iter_mut().zip(image[at..].iter().step_by(stride)).for_each(|(d, s)| *d = *s);
            }
        });
    });
    Matrix::new(patches, g.patch(), g.positions())
}

/// Calls `f(start in the patches, start in the image, step in the image, length)` for the part of every row of every tap
/// that lies inside the image.
#[inline(always)]
fn each_row(g: &Geometry, mut f: impl FnMut(usize, usize, usize, usize)) {
    let [channels, height, width] = g.image;
    let [_, map_height, map_width] = g.map;
    for c in 0..channels {
        for u in 0..g.kernel {
            for v in 0..g.kernel {
                // The columns j of the map with 0 ≤ j·stride + v − padding < width.
                let first = g.padding.saturating_sub(v).div_ceil(g.stride);
                let end = (width + g.padding).saturating_sub(v).div_ceil(g.stride).min(map_width);
                if first >= end {
                    continue;
                }
                let left = first * g.stride + v - g.padding;
                let tap = (c * g.kernel + u) * g.kernel + v;
                for i in 0..map_height {
                    if let Some(y) = g.source(i, u, height) {
                        let row = tap * g.positions() + i * map_width + first;
                        f(row, (c * height + y) * width + left, g.stride, end - first);
                    }
                }
            }
        }
    }
}
