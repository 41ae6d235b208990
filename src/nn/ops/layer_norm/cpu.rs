//! The fused kernel.

use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Tape, Tensor, TensorFromVec},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{EPSILON, LayerNormKernel};
use crate::{
    nn::ops::{
        Positions, Real,
        cpu::{buffer, view},
        lanes,
    },
    simd::vectorised,
};

/// Rows that one task works on. Fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 64;

/// Mean and reciprocal deviation of a row.
#[inline(always)]
fn moments<E: Real>(row: &[E]) -> (E, E) {
    let n = E::of(row.len() as f64);
    let mean = lanes::sum(row, row, |x, _| x) / n;
    let variance = lanes::sum(row, row, |x, _| (x - mean) * (x - mean)) / n;
    (mean, E::ONE / (variance + E::of(EPSILON)).sqrt())
}

#[inline(always)]
fn forward<E: Real>(x: &[E], gamma: &[E], beta: &[E], y: &mut [E]) {
    for (x, y) in x.chunks_exact(gamma.len()).zip(y.chunks_exact_mut(gamma.len())) {
        let (mean, scale) = moments(x);
        for (((y, x), gamma), beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = (*x - mean) * scale * *gamma + *beta;
        }
    }
}

/// Adds the slopes along `x`, and returns those along `γ` and `β`.
#[inline(always)]
fn backward<E: Real>(x: &[E], gamma: &[E], dy: &[E], dx: &mut [E]) -> [Vec<E>; 2] {
    let width = gamma.len();
    let [mut dgamma, mut dbeta]: [Vec<E>; 2] = std::array::from_fn(|_| vec![E::default(); width]);
    let n = E::of(width as f64);
    let mut scaled = vec![E::default(); width];
    for ((x, dy), dx) in x.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let (mean, scale) = moments(x);
        for ((dbeta, dgamma), (x, dy)) in dbeta.iter_mut().zip(&mut dgamma).zip(x.iter().zip(dy)) {
            *dbeta += *dy;
            *dgamma += *dy * (*x - mean) * scale;
        }
        scaled.iter_mut().zip(dy.iter().zip(gamma)).for_each(|(s, (dy, gamma))| *s = *dy * *gamma);
        let along = lanes::sum(&scaled, x, |s, x| s * (x - mean)) * scale / n;
        let all = lanes::sum(&scaled, &scaled, |s, _| s) / n;
        for ((dx, s), x) in dx.iter_mut().zip(&scaled).zip(x) {
            *dx += (*s - all - (*x - mean) * scale * along) * scale;
        }
    }
    [dgamma, dbeta]
}

impl<E: Real> LayerNormKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn try_layer_norm<M: Dim, T: Tape<E, Self>>(
        x: Positions<M, E, Self, T>,
        gamma: &Tensor<(M,), E, Self>,
        beta: &Tensor<(M,), E, Self>,
    ) -> Result<Positions<M, E, Self, T>, Self::Err> {
        let (x, tape) = x.try_contiguous()?.split_tape();
        let (gamma, gamma_tape) = gamma.retaped::<T>().try_contiguous()?.split_tape();
        let (beta, beta_tape) = beta.retaped::<T>().try_contiguous()?.split_tape();
        let mut tape = tape.merge(gamma_tape).merge(beta_tape);
        let (rows, width) = (x.shape().0, x.shape().1.size());
        assert!(
            gamma.shape().0.size() == width && beta.shape().0.size() == width,
            "rows of {width} numbers for another norm"
        );
        let mut y = vec![E::default(); rows * width];
        let block = (ROWS * width).max(1);
        let each = y.par_chunks_mut(block).zip(view(&x).par_chunks(block));
        each.for_each(|(y, x)| vectorised!(forward::<E>(x, view(&gamma), view(&beta), y)));
        let out = x.device().try_tensor_from_vec(y, *x.shape())?;
        if T::OWNS_TAPE {
            let ghost = out.ghost();
            tape.add_backward_op(move |grads| {
                let given = std::mem::take(buffer::<E>(grads.get_or_alloc_mut(&ghost)?));
                let parts: Vec<[Vec<E>; 2]> = buffer::<E>(grads.get_or_alloc_mut(&x)?)
                    .par_chunks_mut(block)
                    .zip(view(&x).par_chunks(block).zip(given.par_chunks(block)))
                    .map(|(dx, (x, dy))| vectorised!(backward::<E>(x, view(&gamma), dy, dx)))
                    .collect();
                for (which, tensor) in [&gamma, &beta].into_iter().enumerate() {
                    let into = buffer::<E>(grads.get_or_alloc_mut(tensor)?);
                    for part in &parts {
                        into.iter_mut().zip(&part[which]).for_each(|(to, d)| *to += *d);
                    }
                }
                *buffer::<E>(grads.get_or_alloc_mut(&ghost)?) = given;
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }
}
