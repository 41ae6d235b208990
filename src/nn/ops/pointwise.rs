//! A function of every number, with its slope, computed on the host.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::Real;
use crate::{nn::Device, simd::vectorised};

/// Numbers that one task works on.
const CHUNK: usize = 1 << 14;

/// `value(x)` of every number; `slope(x)` is its derivative there.
pub(crate) fn pointwise<S: Shape, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    value: impl Fn(E) -> E + Sync,
    slope: impl Fn(E) -> E + Sync + 'static,
) -> Tensor<S, E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let mut values = D::elements(&x).into_owned();
    values.par_chunks_mut(CHUNK).for_each(|part| vectorised(|| part.iter_mut().for_each(|x| *x = value(*x))));
    let out = x.device().tensor_from_vec(values, *x.shape());
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let mut given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let parts = into.par_chunks_mut(CHUNK).zip(given.par_chunks_mut(CHUNK)).zip(at.par_chunks(CHUNK));
                parts.for_each(|((into, given), at)| {
                    vectorised(|| into.iter_mut().zip(given).zip(at).for_each(|((d, g), x)| *d += *g * slope(*x)));
                });
            })
        });
    }
    out.put_tape(tape)
}
