//! Masked autoregressive flows.

use super::{Bijection, FastForward, PerRow, Rows, bijection::no_change};
use crate::{
    Error, Result,
    nn::{Activation, Device, Identity, MaskedDense, Real, Relu},
};
use dfdx::{
    dtypes::Dtype,
    nn::{Module, ModuleVisitor, TensorCollection},
    shapes::{Axis, Const, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape, WithEmptyTape},
    tensor_ops::{BroadcastTo, Device as Plain, SumTo},
};

/// One layer of a masked autoregressive flow: a MADE with Gaussian heads, whose two hidden layers have `H` units.
///
/// ```text
/// zᵢ = (xᵢ − μᵢ(x_<i)) exp(−αᵢ(x_<i))      log |det| = −Σ α
/// xᵢ = zᵢ exp αᵢ(x_<i) + μᵢ(x_<i)
/// ```
///
/// The density direction is one pass of the network; the other computes a coordinate at a time, `D` passes.
/// Degrees of hidden units are sequential. Source: Germain et al. 2015; Papamakarios, Pavlakou and Murray 2017.
#[derive(Clone, Debug)]
pub struct Maf<const D: usize, const H: usize, A = Relu, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    first: MaskedDense<D, H, A, E, Dev>,
    second: MaskedDense<H, H, A, E, Dev>,
    mean: MaskedDense<H, D, Identity, E, Dev>,
    log_scale: MaskedDense<H, D, Identity, E, Dev>,
}

impl<const D: usize, const H: usize, A: Activation, E: Real, Dev: Device<E>> Maf<D, H, A, E, Dev> {
    /// A layer that begins anywhere.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn new(device: &Dev) -> Result<Self> {
        // Degrees: of inputs 1 to D, of hidden units by turns 1 to D − 1.
        let input = |i: usize| i + 1;
        let hidden = |h: usize| h % D.saturating_sub(1).max(1) + 1.min(D.saturating_sub(1));
        let build = || -> Result<Self> {
            Ok(Self {
                first: MaskedDense::new(device, |h, i| hidden(h) >= input(i))?,
                second: MaskedDense::new(device, |h, below| hidden(h) >= hidden(below))?,
                mean: MaskedDense::new(device, |o, h| input(o) > hidden(h))?,
                log_scale: MaskedDense::new(device, |o, h| input(o) > hidden(h))?,
            })
        };
        build().map_err(Error::invalid)
    }

    /// `μ` and `α` of every row.
    fn heads<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, Rows<D, E, Dev, T>) {
        let hidden = self.second.forward(self.first.forward(x));
        let log_scale = self.log_scale.forward(hidden.retaped::<T>());
        (self.mean.forward(hidden), log_scale)
    }
}

impl<const D: usize, const H: usize, A: Activation, E: Real, Dev: Device<E>> Bijection<D, E, Dev>
    for Maf<D, H, A, E, Dev>
{
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let (mean, log_scale) = self.heads(x.retaped::<T>());
        let back = log_scale.negate();
        let log_det = back.with_empty_tape().sum::<_, Axis<1>>();
        ((x - mean) * back.exp(), log_det)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let (z, tape) = z.split_tape();
        let mut x = z.device().zeros_like(z.shape()).put_tape(tape);
        let mut log_det = no_change(&x);
        // A pass for each coordinate; those to come are zero until then.
        for i in 0..D {
            let (mean, log_scale) = self.heads(x.retaped::<T>());
            log_det = log_scale.with_empty_tape().sum::<_, Axis<1>>();
            let now = (0..D).map(|j| if i == j { E::ONE } else { E::default() }).collect();
            let now = z.device().tensor_from_vec(now, (Const::<D>,)).broadcast_like::<_, Axis<0>>(&z);
            x = x + (log_scale.exp() * z.clone() + mean) * now;
        }
        (x, log_det)
    }
}

impl<const D: usize, const H: usize, A, E: Dtype, Dev: Storage<E>> FastForward for Maf<D, H, A, E, Dev> {}

impl<const D: usize, const H: usize, A: Activation, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev>
    for Maf<D, H, A, E, Dev>
{
    type To<E2: Dtype, D2: Plain<E2>> = Maf<D, H, A, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("first", |s| &s.first, |s| &mut s.first),
                Self::module("second", |s| &s.second, |s| &mut s.second),
                Self::module("mean", |s| &s.mean, |s| &mut s.mean),
                Self::module("log_scale", |s| &s.log_scale, |s| &mut s.log_scale),
            ),
            |(first, second, mean, log_scale)| Maf { first, second, mean, log_scale },
        )
    }
}
