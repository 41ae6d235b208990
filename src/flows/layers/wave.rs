//! The autoregressive layer of sequences.

use crate::{
    Result,
    flows::{
        Affine, AffineInOrder, Batch, Bijection, FastForward, Linear, Transform, WithLogDet,
        bijection::{free, typed},
        layers::autoregressive::in_passes,
        layers::triangular::{Each, each},
    },
    nn::{Device, Real, WaveNet, fields, ops::columns},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axis, Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
    tensor_ops::{ReshapeTo, SumTo, TryConcatAlong},
};
use rayon::prelude::*;
use std::marker::PhantomData;

/// An autoregressive layer of sequences, whose parameters at a moment come from a [`WaveNet`] of the moments before.
///
/// ```text
/// z_t = f(x_t; p(x_<t))      log |det| = Σ log ∂z_t/∂x_t
/// ```
///
/// One layer does for sequences of any length: `D` is the number of moments. As [`Autoregressive`](crate::flows::Autoregressive) the density
/// takes one pass; the inverse without a tape computes every moment once, with one it takes a pass for each. `Inverse<Wave>` is
/// the layer of Parallel WaveNet's student. Source: van den Oord et al. 2018, §3 and 4.
#[derive(Clone, Debug)]
pub struct Wave<D, F = Affine, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: WaveNet<E, Dev>,
    what: PhantomData<(D, F)>,
}

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> Wave<D, F, E, Dev> {
    /// A layer whose network is randomly initialised, with `layers` gates `hidden` channels wide.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &Dev, layers: usize, hidden: usize) -> Result<Self> {
        Ok(Self { network: WaveNet::new(device, layers, hidden, F::WIDTH)?, what: PhantomData })
    }

    /// The network.
    pub fn network(&self) -> &WaveNet<E, Dev> {
        &self.network
    }

    /// Parameters of every moment, one moment after the other.
    fn params<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
        let (rows, moments) = *x.shape();
        let zeros: Batch<usize, E, Dev> = x.device().zeros_like(&(rows, 1));
        let before = if moments > 1 {
            (zeros.retaped::<T>(), columns(x, (0..moments - 1).collect())).concat_along(Axis::<1>)
        } else {
            zeros.put_tape(x.split_tape().1)
        };
        let order = (0..moments).flat_map(|t| (0..F::WIDTH).map(move |k| k * moments + t));
        columns(self.network.forward(before), order.collect())
    }
}

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Wave<D, F, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let x = free(x);
        let params = self.params(x.retaped::<T>());
        let (z, log) = each::<F, _, _, _>(x, params);
        (typed(z), log.sum::<_, Axis<1>>())
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let (z, tape) = free(z.contiguous()).split_tape();
        if T::OWNS_TAPE {
            let (x, log_det) = in_passes::<F, _, _, _, _>(&z, tape, |x| self.params(x));
            return (typed(x), log_det);
        }
        let (rows, moments) = *z.shape();
        let (mut x, mut log_det) = (Dev::elements(&z).into_owned(), vec![E::default(); rows]);
        let network = self.network.moments();
        x.par_chunks_mut(moments).zip(&mut log_det).for_each(|(x, log_det)| {
            let (mut past, mut last) = (network.past(), E::default());
            for value in x {
                let (inverse, log) = F::inverse(*value, &network.next(last, &mut past));
                (*value, last) = (inverse, inverse);
                *log_det += log;
            }
        });
        let device = z.device();
        let x = device.tensor_from_vec(x, (rows, moments)).put_tape(tape);
        (typed(x), device.tensor_from_vec(log_det, (rows,)).put_tape(T::default()))
    }
}

impl<D: Dim, F: Linear, E: Real, Dev: Device<E>> AffineInOrder<D, E, Dev> for Wave<D, F, E, Dev> {
    fn forward_each<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> Each<E, Dev, T> {
        let params = self.params(x.retaped::<T>());
        each::<F, _, _, _>(x, params)
    }
}

impl<D, F, E: Dtype, Dev: Storage<E>> FastForward for Wave<D, F, E, Dev> {}

fields! { [D, F,] Wave[D, F,] { module network } what }
