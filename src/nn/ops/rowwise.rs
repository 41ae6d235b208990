//! A function of every row, with slopes of its own, computed on the host.

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
