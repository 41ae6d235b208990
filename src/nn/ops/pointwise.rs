//! A function of every number, with its slope, computed on the host.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rayon::prelude::*;

use super::{Real, lanes};
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
    values.par_chunks_mut(CHUNK).for_each(|part| vectorised!(part.iter_mut().for_each(|x| *x = value(*x))));
    let out = x.device().tensor_from_vec(values, *x.shape());
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let parts = into.par_chunks_mut(CHUNK).zip(given.par_chunks(CHUNK)).zip(at.par_chunks(CHUNK));
                parts.for_each(|((into, given), at)| {
                    vectorised!(into.iter_mut().zip(given).zip(at).for_each(|((d, g), x)| *d += *g * slope(*x)));
                });
            })
        });
    }
    out.put_tape(tape)
}

/// `s x` of every number, with a number `s` that is learned.
pub(crate) fn scaled<S: Shape, E: Real, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    scale: &Tensor<(usize,), E, D>,
) -> Tensor<S, E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let s = D::elements(scale)[0];
    let mut values = D::elements(&x).into_owned();
    values.iter_mut().for_each(|x| *x *= s);
    let out = x.device().tensor_from_vec(values, *x.shape());
    if T::OWNS_TAPE {
        let (ghost, scale) = (out.ghost(), scale.clone());
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&scale)?, |into| into[0] += lanes::sum(&given, &at, |g, x| g * x))?;
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                into.iter_mut().zip(&given).for_each(|(to, g)| *to += *g * s);
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
    fn a_scale_has_its_slope() {
        let (device, x, weights): (_, Vec<f64>, Vec<f64>) = (Cpu::default(), numbers(6, 1), numbers(6, 2));
        let run = |x: &[f64], s: f64| {
            let (x, s) = (device.tensor_from_vec(x.to_vec(), (2, 3)), device.tensor_from_vec(vec![s], (1,)));
            let y = scaled(x.leaky_trace(), &s);
            let out = y.as_vec();
            let grads = (y * device.tensor_from_vec(weights.clone(), (2, 3))).sum::<Rank0, _>().backward();
            (out, grads.get(&x).as_vec(), grads.get(&s).as_vec())
        };
        let (y, dx, ds) = run(&x, 0.7);
        let loss = |x: &[f64], s: f64| run(x, s).0.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
        assert_eq!(y[3], 0.7 * x[3]);
        assert_close(&dx, &numeric_gradient(&x, |x| loss(x, 0.7)), 1e-9);
        assert_close(&ds, &numeric_gradient(&[0.7], |s| loss(&x, s[0])), 1e-9);
    }
}
