//! The dilated causal convolution of a sequence, computed on the host.

use dfdx::{
    shapes::HasShape,
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{
    Real,
    cpu::{Matrix, Threads, matmul},
};
use crate::nn::Device;

/// The most tasks that sums over the batch are split into. Fixed, so that sums do not depend on the number of threads.
const TASKS: usize = 8;

/// What a convolution joins: at every moment it sees `taps` moments of its input, `dilation` apart, the last of them the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taps {
    pub(crate) taps: usize,
    pub(crate) dilation: usize,
}

impl Taps {
    /// Moments of `input` behind one another: for channel `c` and tap `k` the input `k · dilation` moments ago, zeros before the
    /// beginning. `(channels · taps, moments)`.
    fn gather<E: Real>(self, input: &[E], moments: usize, into: &mut [E]) {
        for (row, into) in into.chunks_exact_mut(moments).enumerate() {
            let (channel, ago) = (row / self.taps, (row % self.taps * self.dilation).min(moments));
            let input = &input[channel * moments..(channel + 1) * moments];
            into[..ago].fill(E::default());
            into[ago..].copy_from_slice(&input[..moments - ago]);
        }
    }

    /// The adjoint of [`Self::gather`], added to `into`.
    fn scatter<E: Real>(self, gathered: &[E], moments: usize, into: &mut [E]) {
        for (row, from) in gathered.chunks_exact(moments).enumerate() {
            let (channel, ago) = (row / self.taps, (row % self.taps * self.dilation).min(moments));
            let into = &mut into[channel * moments..(channel + 1) * moments - ago];
            into.iter_mut().zip(&from[ago..]).for_each(|(into, from)| *into += *from);
        }
    }
}

/// `y[o, t] = b[o] + Σ_{c,k} W[o, c·taps + k] x[c, t − k·dilation]`.
///
/// Shapes: `x (batch, C·moments)`, `W (O, C·taps)`, `b (O)`, `y (batch, O·moments)`, channel after channel.
pub(crate) fn causal<E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(usize, usize), E, D, T>,
    weight: &Tensor<(usize, usize), E, D>,
    bias: &Tensor<(usize,), E, D>,
    taps: Taps,
) -> Tensor<(usize, usize), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let ((rows, width), (outputs, seen)) = (*x.shape(), *weight.shape());
    let moments = width * taps.taps / seen;
    assert!(moments * seen == width * taps.taps && bias.shape().0 == outputs, "{width} numbers for {seen} weights");
    let mut values = vec![E::default(); rows * outputs * moments];
    let room = move || vec![E::default(); seen * moments];
    {
        let (x, w, b) = (D::elements(&x), D::elements(weight), D::elements(bias));
        let each = values.par_chunks_mut(outputs * moments).zip(x.par_chunks(width));
        each.for_each_init(room, |gathered, (y, x)| {
            y.chunks_exact_mut(moments).zip(b.iter()).for_each(|(y, b)| y.fill(*b));
            taps.gather(x, moments, gathered);
            matmul(y, true, Matrix::new(&w, outputs, seen), Matrix::new(gathered, seen, moments), Threads::One);
        });
    }
    let out = x.device().tensor_from_vec(values, (rows, outputs * moments));
    if T::OWNS_TAPE {
        let (ghost, weight, bias) = (out.ghost(), weight.clone(), bias.clone());
        tape.add_backward_op(move |grads| {
            let dy = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let (at, w) = (D::elements(&x), D::elements(&weight));
            let task = rows.div_ceil(TASKS).max(1);
            let parts: Vec<(Vec<E>, Vec<E>)> = at
                .par_chunks(task * width)
                .zip(dy.par_chunks(task * outputs * moments))
                .map(|(x, dy)| {
                    let (mut dw, mut db) = (vec![E::default(); outputs * seen], vec![E::default(); outputs]);
                    let mut gathered = room();
                    for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(outputs * moments)) {
                        taps.gather(x, moments, &mut gathered);
                        let gathered = Matrix::new(&gathered, seen, moments).transpose();
                        matmul(&mut dw, true, Matrix::new(dy, outputs, moments), gathered, Threads::One);
                        for (db, dy) in db.iter_mut().zip(dy.chunks_exact(moments)) {
                            dy.iter().for_each(|d| *db += *d);
                        }
                    }
                    (dw, db)
                })
                .collect();
            let add = |into: &mut [E], from: &[E]| into.iter_mut().zip(from).for_each(|(a, b)| *a += *b);
            D::edit_buffer(grads.get_or_alloc_mut(&weight)?, |into| parts.iter().for_each(|(dw, _)| add(into, dw)))?;
            D::edit_buffer(grads.get_or_alloc_mut(&bias)?, |into| parts.iter().for_each(|(_, db)| add(into, db)))?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let each = into.par_chunks_mut(width).zip(dy.par_chunks(outputs * moments));
                each.for_each_init(room, |gathered, (dx, dy)| {
                    let w = Matrix::new(&w, outputs, seen).transpose();
                    matmul(gathered, false, w, Matrix::new(dy, outputs, moments), Threads::One);
                    taps.scatter(gathered, moments, dx);
                });
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
    fn it_sees_the_past_alone_and_gradients_are_those_of_finite_differences() {
        let device = Cpu::default();
        let taps = Taps { taps: 3, dilation: 2 };
        let tensor = |values: &[f64], shape| device.tensor_from_vec(values.to_vec(), shape);
        let (x, w) = (numbers(2 * 2 * 7, 1), numbers(3 * 6, 2));
        let bias = device.tensor_from_vec(numbers(3, 3), (3,));
        let y = |x: &[f64], w: &[f64]| causal(tensor(x, (2, 14)), &tensor(w, (3, 6)), &bias, taps).as_vec();
        // By the formula.
        let out = y(&x, &w);
        for (o, t) in (0..3).flat_map(|o| (0..7).map(move |t| (o, t))) {
            let mut want = bias.as_vec()[o];
            for (c, k) in (0..2).flat_map(|c| (0..3).map(move |k| (c, k))) {
                want += if t >= 2 * k { w[o * 6 + c * 3 + k] * x[14 + c * 7 + t - 2 * k] } else { 0.0 };
            }
            assert!((out[21 + o * 7 + t] - want).abs() < 1e-12);
        }
        let weights = numbers(42, 5);
        let value = |x: &[f64], w: &[f64]| y(x, w).iter().zip(&weights).map(|(y, s)| y * s).sum::<f64>();
        let (at, weight) = (tensor(&x, (2, 14)), tensor(&w, (3, 6)));
        let traced = causal(at.leaky_trace(), &weight, &bias, taps);
        let grads = (traced * tensor(&weights, (2, 21))).sum::<Rank0, _>().backward();
        assert_close(&grads.get(&at).as_vec(), &numeric_gradient(&x, |x| value(x, &w)), 1e-7);
        assert_close(&grads.get(&weight).as_vec(), &numeric_gradient(&w, |w| value(&x, w)), 1e-7);
        let sums: Vec<f64> = (0..3)
            .map(|o| weights[o * 7..(o + 1) * 7].iter().chain(&weights[21 + o * 7..21 + (o + 1) * 7]).sum())
            .collect();
        assert_close(&grads.get(&bias).as_vec(), &sums, 1e-12);
    }
}
