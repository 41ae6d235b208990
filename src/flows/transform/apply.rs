//! A transform of every coordinate of every row, as one op.
//!
//! The kernel runs on the host; on another device its inputs are copied there and its results back.

use super::Transform;
use crate::{
    flows::{Batch, WithLogDet},
    nn::{Device, Real},
    simd::vectorised,
};
use dfdx::{
    shapes::{Dim, HasShape},
    tensor::{NoneTape, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;
use std::sync::Arc;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flows) enum Direction {
    Forward,
    Inverse,
}

/// The parameters: of every row its own, or the same for all.
type Params<E, Dev, T = NoneTape> = Tensor<(usize, usize), E, Dev, T>;

/// Most rows that one task works on; fewer where each has many parameters of its own. The number of threads does not matter, so that
/// sums do not depend on it.
const ROWS: usize = 64;
/// The fewest parameters, of all coordinates together, worth more than one task.
const SMALL: usize = 1 << 13;

/// The transforms of the coordinates that `moves` (all of them if there is no such list), and the sums of the logarithms of
/// their slopes.
///
/// Parameters: one row for each row of `x`, or a single one for all; a row holds `WIDTH` numbers for each coordinate in turn, or for
/// each that moves. Of the two results the first has the tape.
pub(in crate::flows) fn apply<F: Transform, D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<D, E, Dev, T>,
    params: Params<E, Dev, T>,
    mask: Option<Arc<[bool]>>,
    direction: Direction,
) -> WithLogDet<D, E, Dev, T> {
    run::<F, D, E, Dev, T>(x, params, mask, direction, false)
}

/// As [`apply`], with the first parameters of all coordinates first, then all second ones: channel after channel.
pub(in crate::flows) fn apply_planar<F: Transform, D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<D, E, Dev, T>,
    params: Params<E, Dev, T>,
    mask: Option<Arc<[bool]>>,
    direction: Direction,
) -> WithLogDet<D, E, Dev, T> {
    run::<F, D, E, Dev, T>(x, params, mask, direction, true)
}

fn run<F: Transform, D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<D, E, Dev, T>,
    params: Params<E, Dev, T>,
    mask: Option<Arc<[bool]>>,
    direction: Direction,
    planar: bool,
) -> WithLogDet<D, E, Dev, T> {
    let (x, tape) = x.contiguous().split_tape();
    let (params, params_tape) = params.contiguous().split_tape();
    let mut tape = tape.merge(params_tape);
    let (rows, dims) = *x.shape();
    let (given, width) = *params.shape();
    let d = dims.size();
    // A mask that moves fewer leaves the rest unread.
    let enough = |mask: &Arc<[bool]>| width >= F::WIDTH * mask.iter().filter(|moves| **moves).count();
    let fits = width == d * F::WIDTH || !planar && mask.as_ref().is_some_and(enough);
    assert!(fits && (given == rows || given == 1), "{given} × {width} parameters of {rows} × {d}");
    let shared = given == 1;
    let block = if shared { ROWS } else { ROWS.min((4 * SMALL).div_ceil(width.max(1))) };
    let kernel = Applied { d, width, block, shared, planar, mask, direction };

    let mut out = Dev::elements(&x).into_owned();
    let mut log_det = vec![E::default(); rows];
    {
        let p = Dev::elements(&params);
        let work = |(task, (out, log_det)): (usize, (&mut [E], &mut [E]))| {
            let p = &p[kernel.params_of(task)..];
            vectorised!(Applied::forward::<F, E>(&kernel, out, p, log_det));
        };
        let blocks = out.chunks_mut(block * d).zip(log_det.chunks_mut(block));
        if rows * width < SMALL || rayon::current_num_threads() == 1 {
            blocks.enumerate().for_each(work);
        } else {
            out.par_chunks_mut(block * d).zip(log_det.par_chunks_mut(block)).enumerate().for_each(work);
        }
    }
    let device = x.device().clone();
    let z = device.tensor_from_vec(out, (rows, dims));
    let log_det = device.tensor_from_vec(log_det, (rows,));
    if T::OWNS_TAPE {
        let (ghost, ghost_log) = (z.ghost(), log_det.ghost());
        let out = (direction == Direction::Inverse).then(|| z.clone());
        tape.add_backward_op(move |grads| {
            let dz = Dev::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let dl = Dev::read_buffer(grads.get_or_alloc_mut(&ghost_log)?, <[E]>::to_vec)?;
            // Always at the point on the data side.
            let at = Dev::elements(out.as_ref().unwrap_or(&x));
            let p = Dev::elements(&params);
            let mut dx = dz;
            let mut dp = vec![E::default(); if shared { rows.div_ceil(block) * width } else { rows * width }];
            let part = if shared { width } else { block * width };
            let work = |(task, (dx, dp)): (usize, (&mut [E], &mut [E]))| {
                let (at, dl) = (&at[task * block * d..], &dl[task * block..]);
                let p = &p[kernel.params_of(task)..];
                vectorised!(Applied::backward::<F, E>(&kernel, at, p, dx, dl, dp));
            };
            if rows * width < SMALL || rayon::current_num_threads() == 1 {
                dx.chunks_mut(block * d).zip(dp.chunks_mut(part)).enumerate().for_each(work);
            } else {
                dx.par_chunks_mut(block * d).zip(dp.par_chunks_mut(part)).enumerate().for_each(work);
            }
            let add = |into: &mut [E], from: &[E]| into.iter_mut().zip(from).for_each(|(a, b)| *a += *b);
            Dev::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| add(into, &dx))?;
            Dev::edit_buffer(grads.get_or_alloc_mut(&params)?, |into| {
                dp.chunks(into.len().max(1)).for_each(|part| add(into, part));
            })
        });
    }
    (z.put_tape(tape), log_det.put_tape(T::default()))
}

/// `z = ε e^s + t` and `Σ s` of every row of noise, with `(s, t)` for each coordinate in turn.
pub(crate) fn reparameterised<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    noise: Batch<usize, E, Dev, T>,
    params: Params<E, Dev, T>,
) -> WithLogDet<usize, E, Dev, T> {
    apply::<super::Scale, _, _, _, _>(noise, params, None, Direction::Forward)
}

struct Applied {
    d: usize,
    /// Parameters in a row.
    width: usize,
    /// Rows that one task works on.
    block: usize,
    shared: bool,
    planar: bool,
    mask: Option<Arc<[bool]>>,
    direction: Direction,
}

impl Applied {
    /// Where the parameters of a task's rows begin.
    fn params_of(&self, task: usize) -> usize {
        if self.shared { 0 } else { task * self.block * self.width }
    }

    /// For every coordinate that moves: its row, its place among the coordinates of these rows, and that of its first parameter.
    #[inline(always)]
    fn each<F: Transform>(&self, rows: usize, mut work: impl FnMut(usize, usize, usize)) {
        let step = if self.planar { 1 } else { F::WIDTH };
        let of_all = self.width == self.d * F::WIDTH;
        for row in 0..rows {
            let mut next = if self.shared { 0 } else { row * self.width };
            for i in 0..self.d {
                let moves = self.mask.as_ref().is_none_or(|mask| mask[i]);
                if moves {
                    work(row, row * self.d + i, next);
                }
                if moves || of_all {
                    next += step;
                }
            }
        }
    }

    /// Lets `work` have the parameters of a coordinate, the first of them at `from`, one after the other.
    #[inline(always)]
    fn with<F: Transform, E: Real, R>(&self, p: &[E], from: usize, scrap: &mut [E], work: impl FnOnce(&[E]) -> R) -> R {
        if !self.planar {
            return work(&p[from..from + F::WIDTH]);
        }
        scrap.iter_mut().enumerate().for_each(|(k, to)| *to = p[from + k * self.d]);
        work(scrap)
    }

    #[inline(always)]
    fn forward<F: Transform, E: Real>(&self, x: &mut [E], p: &[E], log_det: &mut [E]) {
        let mut scrap = vec![E::default(); F::WIDTH];
        self.each::<F>(
            log_det.len(),
            #[inline(always)]
            |row, at, from| {
                let (z, log) = self.with::<F, E, _>(p, from, &mut scrap, |p| match self.direction {
                    Direction::Forward => F::forward(x[at], p),
                    Direction::Inverse => F::inverse(x[at], p),
                });
                x[at] = z;
                log_det[row] += log;
            },
        );
    }

    /// `dx` holds `dz` before, and the slopes along `x` after. `x` is the data side, whichever the direction.
    #[inline(always)]
    fn backward<F: Transform, E: Real>(&self, x: &[E], p: &[E], dx: &mut [E], dl: &[E], dp: &mut [E]) {
        let mut scrap = [(); 3].map(|()| vec![E::default(); F::WIDTH]);
        let [scrap, gathered, slopes] = &mut scrap;
        self.each::<F>(
            dx.len() / self.d.max(1),
            #[inline(always)]
            |row, at, from| {
                let (x, d, dl) = (x[at], dx[at], dl[row]);
                dx[at] = self.with::<F, E, _>(p, from, gathered, |p| {
                    if !self.planar {
                        return slopes_at::<F, E>(self.direction, x, p, d, dl, &mut dp[from..from + F::WIDTH], scrap);
                    }
                    slopes.fill(E::default());
                    let dx = slopes_at::<F, E>(self.direction, x, p, d, dl, slopes, scrap);
                    slopes.iter().enumerate().for_each(|(k, slope)| dp[from + k * self.d] += *slope);
                    dx
                });
            },
        );
    }
}

/// Adds the slopes along the parameters of one coordinate, and returns that along `x`.
#[inline(always)]
fn slopes_at<F: Transform, E: Real>(
    direction: Direction,
    x: E,
    p: &[E],
    d: E,
    dl: E,
    dp: &mut [E],
    scrap: &mut [E],
) -> E {
    match direction {
        Direction::Forward => F::backward(x, p, d, dl, dp),
        // x = f⁻¹(z) and ℓ = −log f′(x) have the differentials dx = (dz − f_p dp) / f′ and dℓ = −(log f′)_x dx − (log f′)_p dp:
        // the slopes of f alone give those of its inverse.
        Direction::Inverse => {
            let along = F::backward(x, p, E::default(), E::ONE, scrap);
            let (_, log_slope) = F::forward(x, p);
            let dz = (d - dl * along) * (-log_slope).exp();
            F::backward(x, p, -dz, -dl, dp);
            dz
        }
    }
}
