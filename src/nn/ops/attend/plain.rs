//! Attention as dfdx operations.

use dfdx::{
    shapes::{Axes3, Axes4, Axis, Dim, HasShape},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, PermuteTo, ReshapeTo, TryAdd, TryMatMul, TryMul},
};

use super::{Distances, Heads, Positions};
use crate::nn::{self, Real, ops::rowmap};

/// Matrices.
type Matrices<E, D, T> = Tensor<(usize, usize, usize), E, D, T>;

pub(crate) fn attend<M: Dim, E: Real, D: nn::Device<E>, T: Tape<E, D>>(
    q: Positions<M, E, D, T>,
    k: Positions<M, E, D, T>,
    v: Positions<M, E, D, T>,
    distances: Option<&Distances<E, D>>,
    Heads { length, heads, causal }: Heads,
) -> Result<Positions<M, E, D, T>, D::Err> {
    let (device, shape) = (q.device().clone(), *q.shape());
    let (sequences, head) = (shape.0 / length, shape.1.size() / heads);
    let (split, each) = ((sequences, length, heads, head), (sequences * heads, length, head));
    // Every head of every sequence is a matrix of its own, for products in one batch.
    let apart = |x: Positions<M, E, D, T>| -> Result<Matrices<E, D, T>, D::Err> {
        let x: Tensor<(usize, usize, usize, usize), E, D, T> = x.try_reshape_like(&split)?;
        x.try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?.try_reshape_like(&each)
    };
    let key: Matrices<E, D, T> = apart(k)?.try_permute::<_, Axes3<0, 2, 1>>()?;
    let mut scores = apart(q)?.try_matmul(key)?.try_mul(E::of(1.0 / (head as f64).sqrt()))?;
    if causal {
        let mask = device.try_upper_tri_like(&(length, length), E::of(f64::NEG_INFINITY), 1)?;
        let mask = mask.retaped::<T>().try_broadcast_like::<_, Axis<0>>(scores.shape())?;
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
        let by_sequence = (sequences, heads, length, length);
        let moved =
            scores.try_reshape_like(&by_sequence)?.try_add(all.try_broadcast_like::<_, Axis<0>>(&by_sequence)?)?;
        scores = moved.try_reshape_like(&(sequences * heads, length, length))?;
    }
    let mixed = scores.try_softmax::<Axis<2>>()?.try_matmul(apart(v)?)?;
    let mixed: Tensor<(usize, usize, usize, usize), E, D, T> =
        mixed.try_reshape_like(&(sequences, heads, length, head))?;
    mixed.try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?.try_reshape_like(&shape)
}
