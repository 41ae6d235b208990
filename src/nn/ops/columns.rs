//! Some columns of every row, in any order.

use std::sync::Arc;

use dfdx::{
    shapes::HasShape,
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::Real;
use crate::nn::Device;

/// Rows that one task works on.
const ROWS: usize = 64;

/// `y[·, i] = x[·, columns[i]]`. dfdx's own `slice` is not to be used for this: it overwrites the gradient it should add to.
pub(crate) fn columns<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, usize), E, D, T>,
    columns: Arc<[usize]>,
) -> Tensor<(usize, usize), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let (rows, width) = *x.shape();
    let picked = columns.len();
    assert!(picked > 0 && columns.iter().all(|c| *c < width), "columns {columns:?} of {width}");
    let mut values = vec![E::default(); rows * picked];
    {
        let from = D::elements(&x);
        let each = values.par_chunks_mut(picked).zip(from.par_chunks(width)).with_min_len(ROWS);
        each.for_each(|(to, from)| to.iter_mut().zip(columns.iter()).for_each(|(to, c)| *to = from[*c]));
    }
    let out = x.device().tensor_from_vec(values, (rows, picked));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let each = into.par_chunks_mut(width).zip(given.par_chunks(picked)).with_min_len(ROWS);
                each.for_each(|(into, given)| columns.iter().zip(given).for_each(|(c, d)| into[*c] += *d));
            })
        });
    }
    out.put_tape(tape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::{
        prelude::{Backward, SumTo},
        shapes::Rank0,
        tensor::{Cpu, TensorFromVec, Trace},
    };

    #[test]
    fn gradients_of_overlapping_columns_add_up() {
        let x: Tensor<(usize, usize), f64, Cpu> =
            Cpu::default().tensor_from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3));
        let some = columns(x.leaky_trace(), [2, 0, 2].into());
        assert_eq!(some.as_vec(), [3.0, 1.0, 3.0, 6.0, 4.0, 6.0]);
        let first = columns(some, [0, 1].into());
        assert_eq!(first.sum::<Rank0, _>().backward().get(&x).as_vec(), [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
    }
}
