//! Rows of a table, picked by number; and a row for all positions of a sequence. Computed on the host.

use std::sync::Arc;

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{Real, cpu::add};
use crate::nn::Device;

/// `y_i = table[picked_i]`
pub(crate) fn embed<N: Dim, M: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    table: Tensor<(N, M), E, D, T>,
    picked: Arc<[u32]>,
) -> Tensor<(usize, M), E, D, T> {
    let (table, mut tape) = table.contiguous().split_tape();
    let ((entries, size), rows) = (*table.shape(), picked.len());
    let width = size.size();
    assert!(picked.iter().all(|i| (*i as usize) < entries.size()), "an entry beyond the {} of a table", entries.size());
    let mut values = Vec::with_capacity(rows * width);
    {
        let from = D::elements(&table);
        picked.iter().for_each(|i| values.extend_from_slice(&from[*i as usize * width..(*i as usize + 1) * width]));
    }
    let out = table.device().tensor_from_vec(values, (rows, size));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&table)?, |into| {
                for (i, given) in picked.iter().zip(given.chunks_exact(width)) {
                    let into = &mut into[*i as usize * width..(*i as usize + 1) * width];
                    into.iter_mut().zip(given).for_each(|(to, d)| *to += *d);
                }
            })
        });
    }
    out.put_tape(tape)
}

/// `y_i = x_i + z[row(i)]`: a row of `z` is added to as many of `x` as `row` says.
pub(crate) fn add_rows<M: Dim, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, M), E, D, T>,
    z: Tensor<(usize, M), E, D, T>,
    row: impl Fn(usize) -> usize + Sync + 'static,
) -> Tensor<(usize, M), E, D, T> {
    let (x, tape) = x.contiguous().split_tape();
    let (z, other) = z.contiguous().split_tape();
    let mut tape = tape.merge(other);
    let (rows, size) = *x.shape();
    let width = size.size();
    let mut values = D::elements(&x).into_owned();
    {
        let z = D::elements(&z);
        values.par_chunks_mut(width).with_min_len(64).enumerate().for_each(|(i, y)| {
            let z = &z[row(i) * width..(row(i) + 1) * width];
            y.iter_mut().zip(z).for_each(|(y, z)| *y += *z);
        });
    }
    let out = x.device().tensor_from_vec(values, (rows, size));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                add(into, &given);
            })?;
            D::edit_buffer(grads.get_or_alloc_mut(&z)?, |into| {
                for (i, given) in given.chunks_exact(width).enumerate() {
                    let into = &mut into[row(i) * width..(row(i) + 1) * width];
                    into.iter_mut().zip(given).for_each(|(to, d)| *to += *d);
                }
            })
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
    fn slopes_of_rows_picked_twice_and_added_to_many_add_up() {
        let device = Cpu::default();
        let (table, rows): (Vec<f64>, Vec<f64>) = (numbers(3 * 2, 1), numbers(2 * 2, 2));
        let weights: Vec<f64> = numbers(4 * 2, 3);
        let picked: Arc<[u32]> = [2, 0, 2, 1].into();
        let run = |table: &[f64], rows: &[f64]| {
            let (t, r) =
                (device.tensor_from_vec(table.to_vec(), (3, 2)), device.tensor_from_vec(rows.to_vec(), (2, 2)));
            let y = add_rows(embed(t.leaky_trace(), picked.clone()), r.retaped(), |i| i / 2);
            let out = y.as_vec();
            let grads = (y * device.tensor_from_vec(weights.clone(), (4, 2))).sum::<Rank0, _>().backward();
            (out, grads.get(&t).as_vec(), grads.get(&r).as_vec())
        };
        let (y, dt, dr) = run(&table, &rows);
        assert_eq!(y[..2], [table[4] + rows[0], table[5] + rows[1]]);
        let loss =
            |table: &[f64], rows: &[f64]| run(table, rows).0.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
        assert_close(&dt, &numeric_gradient(&table, |t| loss(t, &rows)), 1e-9);
        assert_close(&dr, &numeric_gradient(&rows, |r| loss(&table, r)), 1e-9);
    }
}
