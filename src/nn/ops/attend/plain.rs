//! Attention as dfdx operations.

use dfdx::{
    shapes::{Axes2, Axes4, Axis, Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, PermuteTo, ReshapeTo, TryAdd, TryMatMul, TryMul},
};

use super::{Distances, Heads, Positions};
use crate::nn::{self, Real, ops::rowmap};

pub(crate) fn attend<M: Dim, E: Real, D: nn::Device<E>, T: Tape<E, D>>(
    q: Positions<M, E, D, T>,
    k: Positions<M, E, D, T>,
    v: Positions<M, E, D, T>,
    distances: Option<&Distances<E, D>>,
    Heads { length, heads, causal }: Heads,
) -> Result<Positions<M, E, D, T>, D::Err> {
    let (device, shape) = (q.device().clone(), *q.shape());
    let head = shape.1.size() / heads;
    let split = (shape.0 / length, length, heads, head);
    let query: Tensor<(usize, usize, usize, usize), E, D, T> =
        q.try_reshape_like(&split)?.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
    let key: Tensor<(usize, usize, usize, usize), E, D, T> =
        k.try_reshape_like(&split)?.try_permute::<_, Axes4<0, 2, 3, 1>>()?;
    let value: Tensor<(usize, usize, usize, usize), E, D, T> =
        v.try_reshape_like(&split)?.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
    let mut scores = query.try_matmul(key)?.try_mul(E::of(1.0 / (head as f64).sqrt()))?;
    if causal {
        let mask = device.try_upper_tri_like(&(length, length), E::of(f64::NEG_INFINITY), 1)?;
        let mask = mask.retaped::<T>().try_broadcast_like::<_, Axes2<0, 1>>(scores.shape())?;
        scores = scores.try_add(mask)?;
    }
    if let Some(r) = distances {
        let middle = r.shape().1 / 2;
        let of = move |at: usize| middle + at % length - at / length;
        let all = rowmap(
            r.retaped::<T>(),
            length * length,
            move |_, r, into| into.iter_mut().enumerate().for_each(|(at, to)| *to = r[of(at)]),
            move |_, _, d, into| d.iter().enumerate().for_each(|(at, d)| into[of(at)] += *d),
        );
        let all = all.try_reshape_like(&(heads, length, length))?;
        scores = scores.try_add(all.try_broadcast_like::<_, Axis<0>>(&(split.0, heads, length, length))?)?;
    }
    let mixed = scores.try_softmax::<Axis<3>>()?.try_matmul(value)?;
    mixed.try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?.try_reshape_like(&shape)
}
