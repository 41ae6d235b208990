//! A function of every row, to a number or to another row, with slopes of its own, computed on the host.

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::Real;
use crate::nn::Device;

/// Rows that one task works on.
const ROWS: usize = 32;

/// `value(i, row)` of every row `i`. `slopes(i, row, d, into)` adds `d` times the slopes along the row to `into`.
pub(crate) fn rowwise<I: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, I), E, D, T>,
    value: impl Fn(usize, &[E]) -> E + Sync,
    slopes: impl Fn(usize, &[E], E, &mut [E]) + Sync + 'static,
) -> Tensor<(usize,), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let (rows, width) = (x.shape().0, x.shape().1.size());
    let values: Vec<E> = {
        let x = D::elements(&x);
        (0..rows).into_par_iter().with_min_len(ROWS).map(|i| value(i, &x[i * width..(i + 1) * width])).collect()
    };
    let out = x.device().tensor_from_vec(values, (rows,));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let each = into.par_chunks_mut(width).zip(at.par_chunks(width)).zip(given);
                each.enumerate().with_min_len(ROWS).for_each(|(i, ((into, row), d))| slopes(i, row, d, into));
            })
        });
    }
    out.put_tape(tape)
}

/// A row of `width` numbers for every row: `value(i, row, into)`. `slopes(i, row, d, into)` adds the slopes of `Σ d y` along the row
/// to `into`.
pub(crate) fn rowmap<I: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, I), E, D, T>,
    width: usize,
    value: impl Fn(usize, &[E], &mut [E]) + Sync,
    slopes: impl Fn(usize, &[E], &[E], &mut [E]) + Sync + 'static,
) -> Tensor<(usize, usize), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let (rows, inputs) = (x.shape().0, x.shape().1.size());
    let mut values = vec![E::default(); rows * width];
    {
        let x = D::elements(&x);
        let each = values.par_chunks_mut(width).enumerate().with_min_len(ROWS);
        each.for_each(|(i, into)| value(i, &x[i * inputs..(i + 1) * inputs], into));
    }
    let out = x.device().tensor_from_vec(values, (rows, width));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let each = into.par_chunks_mut(inputs).zip(at.par_chunks(inputs)).zip(given.par_chunks(width));
                each.enumerate().with_min_len(ROWS).for_each(|(i, ((into, row), d))| slopes(i, row, d, into));
            })
        });
    }
    out.put_tape(tape)
}
