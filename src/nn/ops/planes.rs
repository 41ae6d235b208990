//! Between positions with channels and channels with pixels, and sums of such; computed on the host.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{Real, cpu::add};
use crate::nn::Device;

/// Images, channel after channel.
pub(crate) type Planes<E, D, T> = Tensor<(usize, usize, usize, usize), E, D, T>;

/// `(b · n, m)` matrices of `rows · columns` numbers each, transposed one by one.
fn transposed<E: Real>(from: &[E], into: &mut [E], rows: usize, columns: usize, keep: bool) {
    let size = (rows * columns).max(1);
    into.par_chunks_mut(size).zip(from.par_chunks(size)).for_each(|(into, from)| {
        for (r, row) in from.chunks_exact(columns).enumerate() {
            for (c, x) in row.iter().enumerate() {
                let to = &mut into[c * rows + r];
                *to = if keep { *to + *x } else { *x };
            }
        }
    });
}

/// From `(batch · pixels, channels)`, one pixel after the other, to `(batch, channels, height, width)`.
pub(crate) fn to_planes<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, usize), E, D, T>,
    (height, width): (usize, usize),
) -> Planes<E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let ((rows, channels), pixels) = (*x.shape(), height * width);
    let mut values = vec![E::default(); rows * channels];
    transposed(&D::elements(&x), &mut values, pixels, channels, false);
    let out = x.device().tensor_from_vec(values, (rows / pixels, channels, height, width));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| transposed(&given, into, channels, pixels, true))
        });
    }
    out.put_tape(tape)
}

/// The way back.
pub(crate) fn from_planes<E: Real, D: Device<E>, T: Tape<E, D>>(x: Planes<E, D, T>) -> Tensor<(usize, usize), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let (rows, channels, height, width) = *x.shape();
    let pixels = height * width;
    let mut values = vec![E::default(); rows * channels * pixels];
    transposed(&D::elements(&x), &mut values, channels, pixels, false);
    let out = x.device().tensor_from_vec(values, (rows * pixels, channels));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| transposed(&given, into, pixels, channels, true))
        });
    }
    out.put_tape(tape)
}

/// A number for every channel of every image, added to all its pixels; there may be more rows of them than images.
pub(crate) fn add_to_planes<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Planes<E, D, T>,
    z: Tensor<(usize, usize), E, D, T>,
) -> Planes<E, D, T> {
    let (x, tape) = x.contiguous().split_tape();
    let (z, other) = z.contiguous().split_tape();
    let mut tape = tape.merge(other);
    let shape = *x.shape();
    let pixels = shape.2 * shape.3;
    assert!(z.shape().0 >= shape.0 && z.shape().1 == shape.1, "{:?} numbers for images of shape {shape:?}", z.shape());
    let mut values = D::elements(&x).into_owned();
    values.chunks_exact_mut(pixels).zip(D::elements(&z).iter()).for_each(|(plane, z)| {
        plane.iter_mut().for_each(|x| *x += *z);
    });
    let out = x.device().tensor_from_vec(values, shape);
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| add(into, &given))?;
            D::edit_buffer(grads.get_or_alloc_mut(&z)?, |into| {
                let sums = given.chunks_exact(pixels).map(|plane| super::lanes::sum(plane, plane, |g, _| g));
                into.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
            })
        });
    }
    out.put_tape(tape)
}

/// `x + y`
pub(crate) fn sum<S: Shape, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    y: Tensor<S, E, D, T>,
) -> Tensor<S, E, D, T> {
    let (x, tape) = x.contiguous().split_tape();
    let (y, other) = y.contiguous().split_tape();
    let mut tape = tape.merge(other);
    assert!(x.shape() == y.shape(), "a sum of shapes {:?} and {:?}", x.shape(), y.shape());
    let mut values = D::elements(&x).into_owned();
    add(&mut values, &D::elements(&y));
    let out = x.device().tensor_from_vec(values, *x.shape());
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| add(into, &given))?;
            D::edit_buffer(grads.get_or_alloc_mut(&y)?, |into| add(into, &given))
        });
    }
    out.put_tape(tape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::{assert_close, numbers, numeric_gradient};
    use dfdx::{
        prelude::{Backward, SumTo},
        shapes::Rank0,
        tensor::{Cpu, TensorFromVec, Trace},
    };

    #[test]
    fn planes_and_positions_are_the_same_numbers_and_slopes_go_back() {
        let device = Cpu::default();
        let (x, z): (Vec<f64>, Vec<f64>) = (numbers(2 * 6 * 3, 1), numbers(2 * 3, 2));
        let weights: Vec<f64> = numbers(36, 3);
        let run = |x: &[f64], z: &[f64]| {
            let (x, z) = (device.tensor_from_vec(x.to_vec(), (12, 3)), device.tensor_from_vec(z.to_vec(), (2, 3)));
            let planes = to_planes(x.leaky_trace(), (2, 3));
            let moved = add_to_planes(planes, z.retaped());
            let twice = sum(moved.retaped(), moved);
            let y = from_planes(twice);
            let out = y.as_vec();
            let grads = (y * device.tensor_from_vec(weights.clone(), (12, 3))).sum::<Rank0, _>().backward();
            (out, grads.get(&x).as_vec(), grads.get(&z).as_vec())
        };
        let (y, dx, dz) = run(&x, &z);
        // Image 1, pixel 4, channel 2.
        assert_eq!(y[(6 + 4) * 3 + 2], 2.0 * (x[(6 + 4) * 3 + 2] + z[3 + 2]));
        let loss = |x: &[f64], z: &[f64]| run(x, z).0.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
        assert_close(&dx, &numeric_gradient(&x, |x| loss(x, &z)), 1e-9);
        assert_close(&dz, &numeric_gradient(&z, |z| loss(&x, z)), 1e-9);
        let planes = to_planes(device.tensor_from_vec(x.clone(), (12, 3)), (2, 3)).as_vec();
        assert_eq!(planes[(3 + 2) * 6 + 4], x[(6 + 4) * 3 + 2]);
    }
}
