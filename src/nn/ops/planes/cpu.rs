//! All of it on the CPU.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{Planes, PlanesKernel};
use crate::nn::{
    Real,
    ops::{BufferKernel, cpu::add, lanes},
};

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

impl<E: Real> PlanesKernel<E> for Cpu
where
    Cpu: BufferKernel<E>,
{
    fn try_to_planes<T: Tape<E, Self>>(
        x: Tensor<(usize, usize), E, Self, T>,
        (height, width): (usize, usize),
    ) -> Result<Planes<E, Self, T>, Self::Err> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let ((rows, channels), pixels) = (*x.shape(), height * width);
        let mut values = vec![E::default(); rows * channels];
        transposed(&Self::elements(&x), &mut values, pixels, channels, false);
        let out = x.device().try_tensor_from_vec(values, (rows / pixels, channels, height, width))?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = Self::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
                Self::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| transposed(&given, into, channels, pixels, true))
            });
        }
        Ok(out.put_tape(tape))
    }

    fn try_from_planes<T: Tape<E, Self>>(
        x: Planes<E, Self, T>,
    ) -> Result<Tensor<(usize, usize), E, Self, T>, Self::Err> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let (rows, channels, height, width) = *x.shape();
        let pixels = height * width;
        let mut values = vec![E::default(); rows * channels * pixels];
        transposed(&Self::elements(&x), &mut values, channels, pixels, false);
        let out = x.device().try_tensor_from_vec(values, (rows * pixels, channels))?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = Self::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
                Self::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| transposed(&given, into, pixels, channels, true))
            });
        }
        Ok(out.put_tape(tape))
    }

    fn try_add_to_planes<T: Tape<E, Self>>(
        x: Planes<E, Self, T>,
        z: Tensor<(usize, usize), E, Self, T>,
    ) -> Result<Planes<E, Self, T>, Self::Err> {
        let (x, tape) = x.try_contiguous()?.split_tape();
        let (z, other) = z.try_contiguous()?.split_tape();
        let mut tape = tape.merge(other);
        let shape = *x.shape();
        let pixels = shape.2 * shape.3;
        assert!(
            z.shape().0 >= shape.0 && z.shape().1 == shape.1,
            "{:?} numbers for images of shape {shape:?}",
            z.shape()
        );
        let mut values = Self::elements(&x).into_owned();
        values.chunks_exact_mut(pixels).zip(Self::elements(&z).iter()).for_each(|(plane, z)| {
            plane.iter_mut().for_each(|x| *x += *z);
        });
        let out = x.device().try_tensor_from_vec(values, shape)?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = Self::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
                Self::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| add(into, &given))?;
                Self::edit_buffer(grads.get_or_alloc_mut(&z)?, |into| {
                    let sums = given.chunks_exact(pixels).map(|plane| lanes::sum(plane, plane, |g, _| g));
                    into.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
                })
            });
        }
        Ok(out.put_tape(tape))
    }

    fn try_means<T: Tape<E, Self>>(x: Planes<E, Self, T>) -> Result<Tensor<(usize, usize), E, Self, T>, Self::Err> {
        let (x, mut tape) = x.try_contiguous()?.split_tape();
        let (rows, channels, height, width) = *x.shape();
        let pixels = height * width;
        let each = E::of(1.0 / pixels as f64);
        // One after another: then an image has the same means whatever the machine.
        let mean = |plane: &[E]| plane.iter().fold(E::default(), |sum, x| sum + *x) * each;
        let values = Self::elements(&x).chunks_exact(pixels).map(mean).collect();
        let out = x.device().try_tensor_from_vec(values, (rows, channels))?;
        if T::OWNS_TAPE {
            let (ghost, input) = (out.ghost(), x.ghost());
            tape.add_backward_op(move |grads| {
                let given = Self::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
                Self::edit_buffer(grads.get_or_alloc_mut(&input)?, |into| {
                    for (plane, d) in into.chunks_exact_mut(pixels).zip(given) {
                        plane.iter_mut().for_each(|x| *x += d * each);
                    }
                })
            });
        }
        Ok(out.put_tape(tape))
    }

    fn try_sum<S: Shape, T: Tape<E, Self>>(
        x: Tensor<S, E, Self, T>,
        y: Tensor<S, E, Self, T>,
    ) -> Result<Tensor<S, E, Self, T>, Self::Err> {
        let (x, tape) = x.try_contiguous()?.split_tape();
        let (y, other) = y.try_contiguous()?.split_tape();
        let mut tape = tape.merge(other);
        assert!(x.shape() == y.shape(), "a sum of shapes {:?} and {:?}", x.shape(), y.shape());
        let mut values = Self::elements(&x).into_owned();
        add(&mut values, &Self::elements(&y));
        let out = x.device().try_tensor_from_vec(values, *x.shape())?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = Self::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
                Self::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| add(into, &given))?;
                Self::edit_buffer(grads.get_or_alloc_mut(&y)?, |into| add(into, &given))
            });
        }
        Ok(out.put_tape(tape))
    }
}
