//! The inverse of an autoregressive layer in about the work of one pass.
//!
//! When coordinate `i` is known, the units of degree `i` can be computed, and no others: every weight is used once. Values lie
//! unit after unit, each for all rows of a block, so that the units of a degree are one product of matrices.

use crate::{
    flows::Transform,
    nn::{
        Activation, Real,
        ops::cpu::{Matrix, Threads, matmul_block},
    },
    simd::vectorised,
};
use rayon::prelude::*;
use std::{borrow::Cow, ops::Range};

/// A layer of the network on the host.
pub(super) struct Layer<'a, E: Real> {
    pub(super) weight: Cow<'a, [E]>,
    pub(super) bias: Cow<'a, [E]>,
    pub(super) reach: &'a [usize],
}

/// Rows that one task works on.
const ROWS: usize = 128;

impl<E: Real> Layer<'_, E> {
    /// Computes the units after the first `done` that see no more than the `seen` first below; returns how many are done then.
    fn advance<A: Activation>(&self, done: usize, seen: usize, below: &[E], rows: usize, out: &mut [E]) -> usize {
        let end = done + self.reach[done..].iter().take_while(|reach| **reach <= seen).count();
        self.compute(done..end, below, rows, out);
        if !A::IDENTITY {
            out[done * rows..end * rows].iter_mut().for_each(|x| *x = A::value(*x));
        }
        end
    }

    /// Values of these units for `rows` rows, from those `below`.
    fn compute(&self, units: Range<usize>, below: &[E], rows: usize, out: &mut [E]) {
        let Some(seen) = units.clone().last().map(|unit| self.reach[unit]) else { return };
        let width = self.weight.len() / self.bias.len();
        let out = &mut out[units.start * rows..units.end * rows];
        for (out, bias) in out.chunks_exact_mut(rows).zip(&self.bias[units.clone()]) {
            out.fill(*bias);
        }
        let w = Matrix::block(&self.weight[units.start * width..], units.len(), seen, width);
        matmul_block(out, rows, true, w, Matrix::block(below, seen, rows, rows), Threads::One);
    }
}

/// `x` and `log |det ∂x/∂z|` of rows `z` of `d` coordinates, each with its part of the context, which may be empty.
pub(super) fn invert<F: Transform, A: Activation, E: Real>(
    z: &[E],
    d: usize,
    context: &[E],
    layers: &[Layer<E>; 3],
) -> (Vec<E>, Vec<E>) {
    let rows = z.len() / d;
    let c = context.len() / rows.max(1);
    let (mut x, mut log_det) = (vec![E::default(); rows * d], vec![E::default(); rows]);
    x.par_chunks_mut(ROWS * d).zip(log_det.par_chunks_mut(ROWS)).zip(z.par_chunks(ROWS * d)).enumerate().for_each(
        |(i, ((x, log_det), z))| {
            let context = &context[i * ROWS * c..(i * ROWS + log_det.len()) * c];
            vectorised!(block::<F, A, E>(z, d, context, layers, x, log_det));
        },
    );
    (x, log_det)
}

#[inline(always)]
fn block<F: Transform, A: Activation, E: Real>(
    z: &[E],
    d: usize,
    context: &[E],
    [first, second, third]: &[Layer<E>; 3],
    x: &mut [E],
    log_det: &mut [E],
) {
    let rows = log_det.len();
    let values = |units: usize| vec![E::default(); units * rows];
    let c = context.len() / rows;
    let (mut inputs, mut below, mut above) = (values(c + d), values(first.bias.len()), values(second.bias.len()));
    let mut heads = values(third.bias.len());
    for (at, value) in context.iter().enumerate() {
        inputs[at % c * rows + at / c] = *value;
    }
    let (mut below_done, mut above_done) = (0, 0);
    let mut p = vec![E::default(); F::WIDTH];
    for i in 0..d {
        below_done = first.advance::<A>(below_done, c + i, &inputs, rows, &mut below);
        above_done = second.advance::<A>(above_done, below_done, &below, rows, &mut above);
        let outputs = i * F::WIDTH..(i + 1) * F::WIDTH;
        third.compute(outputs.clone(), &above, rows, &mut heads);
        for row in 0..rows {
            for (p, output) in p.iter_mut().zip(outputs.clone()) {
                *p = heads[output * rows + row];
            }
            let (value, log) = F::inverse(z[row * d + i], &p);
            x[row * d + i] = value;
            inputs[(c + i) * rows + row] = value;
            log_det[row] += log;
        }
    }
}
