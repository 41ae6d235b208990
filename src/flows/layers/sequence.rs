//! The layers of sequences: rows of positions, each of as many numbers, one position after the other.

use super::{
    autoregressive::Conditional,
    coupling::{Mask, check, moving, seen},
};
use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Transform, WithLogDet,
        bijection::{free, no_change, typed},
        transform::{Direction, apply},
    },
    nn::{Device, Real, SequenceConfig, SequenceNet, any_shape, fields, ops::columns},
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, TensorCollection},
    shapes::{Axis, Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape, Tensor},
    tensor_ops::{Device as Plain, ReshapeTo, SumTo, TryConcatAlong},
};
use std::marker::PhantomData;

/// A coupling of sequences: at every position some numbers stay, and a transformer that sees those of all positions says how the
/// others move.
///
/// ```text
/// z = x on the numbers that stay      z = f(x; p(x_stay)) on the others      log |det| = Σ log ∂zᵢ/∂xᵢ
/// ```
///
/// With a [`BoundedMixture`](crate::flows::BoundedMixture) it is the mixture coupling of argmax coupling flows, whose networks are
/// LSTMs. Source: Hoogeboom et al. 2021, appendix B; Ho et al. 2019 (Flow++).
#[derive(Clone, Debug)]
pub struct SequenceCoupling<D, F, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: SequenceNet<E, Dev>,
    mask: Tensor<(usize,), E, Dev>,
    what: PhantomData<(D, F)>,
}

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> SequenceCoupling<D, F, E, Dev> {
    /// A coupling that is randomly initialised; `mask` says which numbers of a position move.
    ///
    /// # Errors
    /// When rows have other numbers than the positions together, a position has less than two, a size is 0, the heads do not divide
    /// the width, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, config: &SequenceConfig, mask: Mask) -> Result<Self> {
        let channels = of_positions(dims, config)?;
        let of_position = mask.tensor::<E, Dev>(channels, device)?;
        let moves = moving::<E, Dev>(&of_position).iter().filter(|moves| **moves).count();
        let mask = Dev::elements(&of_position).repeat(config.length);
        Ok(Self {
            network: SequenceNet::new(device, config, moves * F::WIDTH)?,
            mask: device.try_tensor_from_vec(mask, (dims.size(),)).map_err(Error::invalid)?,
            what: PhantomData,
        })
    }

    fn apply<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>, direction: Direction) -> WithLogDet<D, E, Dev, T> {
        // What stays is the same on both sides.
        let (rows, dims) = *x.shape();
        let params = self.network.forward(free(seen(&x, &self.mask)), false);
        let of_position = params.shape().1;
        let params = params.reshape_like(&(rows, dims.size() / self.network.channels() * of_position));
        apply::<F, _, _, _, _>(x, params, Some(moving::<E, Dev>(&self.mask)), direction)
    }
}

/// Numbers of a position, if all positions have as many.
fn of_positions<D: Dim>(dims: D, config: &SequenceConfig) -> Result<usize> {
    let SequenceConfig { length, channels, .. } = *config;
    match length.checked_mul(channels) {
        Some(numbers) if numbers == dims.size() => Ok(channels),
        _ => Err(Error::invalid(format!(
            "rows of {} numbers for {length} positions of {channels} numbers each",
            dims.size()
        ))),
    }
}

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for SequenceCoupling<D, F, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, Direction::Forward)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(z, Direction::Inverse)
    }

    fn check(&self) -> Result<()> {
        check::<E, Dev>(&self.mask)?;
        let mask = moving::<E, Dev>(&self.mask);
        let moves = mask.iter().filter(|moves| **moves).count();
        match moves * F::WIDTH == mask.len() / self.network.channels() * self.network.outputs() {
            true => Ok(()),
            false => Err(Error::invalid("a coupling whose network says how other numbers move than its mask has")),
        }
    }
}

impl<D, F, E: Dtype, Dev: Storage<E>> FastForward for SequenceCoupling<D, F, E, Dev> {}
impl<D, F, E: Dtype, Dev: Storage<E>> FastInverse for SequenceCoupling<D, F, E, Dev> {}

fields! { [D, F,] SequenceCoupling[D, F,] { module network, tensor mask: any_shape(false) } what }

/// An autoregressive flow of sequences: each position goes through a bijection that a causal transformer over the positions before
/// it says.
///
/// ```text
/// z_i = f(x_i; c_i)      c_i = network(x_1 … x_{i−1})      log |det| = Σ log |det ∂f|
/// ```
///
/// With a [`ConditionalAutoregressive`](super::ConditionalAutoregressive) for `f`, each number sees those before it in its position,
/// too. The density direction is one pass; the other takes a pass for each position. Source: Hoogeboom et al. 2021, appendix B,
/// whose network is an LSTM.
#[derive(Clone, Debug)]
pub struct CausalFlow<D, B, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: SequenceNet<E, Dev>,
    inner: B,
    what: PhantomData<D>,
}

impl<D: Dim, B: Conditional<usize, usize, E, Dev>, E: Real, Dev: Device<E>> CausalFlow<D, B, E, Dev> {
    /// A randomly initialised network that gives `inner` a context of so many numbers.
    ///
    /// # Errors
    /// When rows have other numbers than the positions together, a size is 0, the heads do not divide the width, or the device has
    /// no memory for it.
    pub fn new(device: &Dev, dims: D, config: &SequenceConfig, (context, inner): (usize, B)) -> Result<Self> {
        of_positions(dims, config)?;
        Ok(Self { network: SequenceNet::new(device, config, context)?, inner, what: PhantomData })
    }

    /// The contexts of as many positions as there are before, and of the next.
    fn contexts<T: Tape<E, Dev>>(
        &self,
        before: Option<Batch<usize, E, Dev, T>>,
        rows: usize,
    ) -> Batch<usize, E, Dev, T> {
        let start = self.network.device().zeros_like(&(rows, self.network.channels())).retaped::<T>();
        let shifted = match before {
            Some(before) => (start, before).concat_along(Axis::<1>),
            None => start,
        };
        self.network.forward(shifted, true)
    }
}

impl<D: Dim, B: Conditional<usize, usize, E, Dev>, E: Real, Dev: Device<E>> Bijection<D, E, Dev>
    for CausalFlow<D, B, E, Dev>
{
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let x = free(x);
        let ((rows, dims), channels) = (*x.shape(), self.network.channels());
        let before = (dims > channels).then(|| columns(x.retaped::<T>(), (0..dims - channels).collect()));
        let contexts = self.contexts(before, rows);
        let (z, log_det) = self.inner.forward_given(x.reshape_like(&(rows * (dims / channels), channels)), contexts);
        let log_det = log_det.reshape_like(&(rows, dims / channels)).sum::<_, Axis<1>>();
        (typed(z.reshape_like(&(rows, dims))), log_det)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let z = free(z);
        let ((rows, dims), channels) = (*z.shape(), self.network.channels());
        let mut log_det = no_change(&z);
        let mut known: Option<Batch<usize, E, Dev, T>> = None;
        let (z, mut tape) = z.split_tape();
        for i in 0..dims / channels {
            let contexts = self.contexts(known.as_ref().map(|known| known.retaped()), rows);
            let width = contexts.shape().1;
            let last = columns(contexts.reshape_like(&(rows, (i + 1) * width)), (i * width..(i + 1) * width).collect());
            let now =
                columns(z.clone().put_tape(std::mem::take(&mut tape)), (i * channels..(i + 1) * channels).collect());
            let (x, log) = self.inner.inverse_given(now, last);
            log_det = log_det + log;
            known = Some(match known {
                Some(known) => (known, x).concat_along(Axis::<1>),
                None => x,
            });
        }
        (typed(known.expect("a row has positions")), log_det)
    }

    fn check(&self) -> Result<()> {
        self.inner.check()
    }
}

impl<D, B, E: Dtype, Dev: Storage<E>> FastForward for CausalFlow<D, B, E, Dev> {}

impl<D: Dim, E: Dtype, Dev: Plain<E>, B: TensorCollection<E, Dev>> TensorCollection<E, Dev>
    for CausalFlow<D, B, E, Dev>
{
    type To<E2: Dtype, D2: Plain<E2>> = CausalFlow<D, B::To<E2, D2>, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("network", |s| &s.network, |s| &mut s.network),
                Self::module("inner", |s| &s.inner, |s| &mut s.inner),
            ),
            |(network, inner)| CausalFlow { network, inner, what: PhantomData },
        )
    }
}
