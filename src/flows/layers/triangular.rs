//! What is known of each coordinate given those before it.

use crate::flows::{
    Affine, Autoregressive, Batch, Bijection, Bounded, Gated, Scale, Shift, Stack, Stretch, Transform,
    bijection::typed,
    transform::{Direction, apply},
};
use crate::nn::{Activation, Device, Real};
use dfdx::{
    shapes::{Dim, HasShape},
    tensor::Tape,
    tensor_ops::ReshapeTo,
};

/// A transform that is affine in its argument.
pub trait Linear: Transform {}
impl Linear for Affine {}
impl Linear for Bounded {}
impl Linear for Gated {}
impl Linear for Scale {}
impl Linear for Shift {}
impl Linear for Stretch {}

/// Rows, and the logarithm of the slope of each coordinate.
pub(crate) type Each<E, Dev, T> = (Batch<usize, E, Dev, T>, Batch<usize, E, Dev, T>);

/// A bijection under which each coordinate is affine in itself, given the coordinates before it.
///
/// ```text
/// zᵢ = aᵢ(x_<i) xᵢ + cᵢ(x_<i)
/// ```
///
/// So are stacks of such layers that keep the order of the coordinates: if `xᵢ` alone moves by `δ`, `zᵢ` moves by `aᵢ δ`.
pub trait AffineInOrder<D: Dim, E: Real, Dev: Device<E>>: Bijection<D, E, Dev> {
    /// `z`, and `log aᵢ` of every coordinate of every row. The two share a history, as in [`Bijection::forward`].
    fn forward_each<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> Each<E, Dev, T>;
}

/// Each coordinate by its transform, whose parameters lie one coordinate after the other.
pub(crate) fn each<F: Transform, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<usize, E, Dev, T>,
    params: Batch<usize, E, Dev, T>,
) -> Each<E, Dev, T> {
    let (rows, d) = *x.shape();
    let params = params.reshape_like(&(rows * d, F::WIDTH));
    let (z, log) = apply::<F, _, _, _, _>(x.reshape_like(&(rows * d, 1)), params, None, Direction::Forward);
    (z.reshape_like(&(rows, d)), log.reshape_like(&(rows, d)))
}

impl<D: Dim, F: Linear, A: Activation, E: Real, Dev: Device<E>> AffineInOrder<D, E, Dev>
    for Autoregressive<D, F, A, E, Dev>
{
    fn forward_each<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> Each<E, Dev, T> {
        let params = self.network().forward(typed(x.retaped::<T>()));
        each::<F, _, _, _>(x, params)
    }
}

impl<D: Dim, E: Real, Dev: Device<E>, B: AffineInOrder<D, E, Dev>> AffineInOrder<D, E, Dev> for Stack<B> {
    fn forward_each<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> Each<E, Dev, T> {
        let start = x.device().zeros_like(x.shape()).retaped::<T>();
        self.layers().iter().fold((x, start), |(x, total), layer| {
            let (z, log) = layer.forward_each(x);
            (z, total + log)
        })
    }
}
