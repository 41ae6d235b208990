//! Denoisers that learn.

use crate::{
    Error, Result,
    nn::{
        Dense, Device, Identity, Real, Silu, Size, any_shape, fields,
        ops::{Whose, add_rows, cpu::FEW, embed},
    },
    random::Seed,
};
use dfdx::{
    dtypes::Dtype,
    nn::TensorCollection,
    shapes::{Dim, HasShape, Rank0},
    tensor::{Gradients, OwnedTape, PutTape, SplitTape, Storage, Tape, Tensor, Trace},
};
use rayon::prelude::*;

/// Noisy rows, and how far each is gone.
#[derive(Clone, Copy, Debug)]
pub struct Noisy<'a> {
    /// States, row after row.
    pub states: &'a [u16],
    /// Positions of a row.
    pub length: usize,
    /// A time from 0 to 1 for each row.
    pub times: &'a [f64],
}

/// Logits of every category, `(rows · length, K)`.
pub type Logits<K, E, Dev, T> = Tensor<(usize, K), E, Dev, T>;

/// A network that denoises.
pub trait Network<E: Real, Dev: Device<E>>: TensorCollection<E, Dev> {
    /// `K`
    type Categories: Size;
    /// `S`
    type States: Size;

    /// What it is made of, in a line.
    fn describe(&self) -> String;

    /// Where it computes.
    fn device(&self) -> Dev;

    /// Rows that it is to be shown at least, for a row to come out the same whatever stands beside it.
    fn least_rows(&self, length: usize) -> usize;

    /// Logits of what each position was; `tape` is where the history begins.
    fn forward<T: Tape<E, Dev>>(&self, noisy: Noisy, tape: T) -> Logits<Self::Categories, E, Dev, T>;
}

/// Positions that are worth a thread of their own.
const WORTH: usize = 256;

/// A network that several threads read.
struct Shared<'a, N>(&'a N);

// SAFETY: made by `on_host` alone, which has several threads only where the device says that they may read its tensors together.
unsafe impl<N> Sync for Shared<'_, N> {}

impl<N> Shared<'_, N> {
    /// By a call, as a closure would hold on to the field alone.
    fn network(&self) -> &N {
        self.0
    }
}

/// The logits that a network gives, on the host, in double precision. A thread goes through the whole network with a part of the
/// rows: with all of them, threads would wait for each other at every layer.
pub(super) fn on_host<E: Real, Dev: Device<E>, N: Network<E, Dev>>(network: &N, noisy: Noisy) -> Vec<f64> {
    let (rows, length, least) = (noisy.times.len(), noisy.length, network.least_rows(noisy.length));
    let hands = Dev::hands().min(rows / least).min(rows * length / WORTH).max(1);
    let (each, shared) = (rows.div_ceil(hands), Shared(network));
    let part = |(states, times): (&[u16], &[f64])| -> Vec<f64> {
        let (rows, mut states, mut times) = (times.len(), states.to_vec(), times.to_vec());
        if rows < least {
            states.resize(least * length, 0);
            times.resize(least, 0.0);
        }
        let logits = shared.network().forward(Noisy { states: &states, length, times: &times }, dfdx::tensor::NoneTape);
        let categories = logits.shape().1.size();
        Dev::elements(&logits)[..rows * length * categories].iter().map(|x| x.wide()).collect()
    };
    if each >= rows {
        return part((noisy.states, noisy.times));
    }
    let parts: Vec<_> = noisy.states.par_chunks(each * length).zip(noisy.times.par_chunks(each)).map(part).collect();
    parts.concat()
}

/// Positions, or rows, that a layer of `numbers` is to be shown at least.
pub(super) fn least(numbers: usize) -> usize {
    FEW.div_ceil(numbers).max(2)
}

/// Says that a network is a [`Denoiser`].
macro_rules! denoises {
    ([$($generics:tt)*] $network:ty, $length:ident) => {
        impl<$($generics)* E: Real, Dev: Device<E>> Denoiser for $network {
            type Categories = K;
            type States = S;

            fn categories(&self) -> K {
                self.categories_known()
            }

            fn states(&self) -> S {
                self.states_known()
            }

            fn check_length(&self, length: usize) -> Result<()> {
                self.$length(length)
            }

            fn logits(&self, noisy: &[u16], length: usize, times: &[f64]) -> Vec<f64> {
                $crate::diffusion::denoiser::network::on_host(self, Noisy { states: noisy, length, times })
            }
        }
    };
}
pub(super) use denoises;

/// What a time becomes: a perceptron over its sines and cosines.
pub(super) type Time<E, Dev> = (Dense<usize, usize, Silu, E, Dev>, Dense<usize, usize, Identity, E, Dev>);

/// A learned row for every state, and one for every place.
#[derive(Clone, Debug)]
pub struct Embedding<S: Dim, E: Dtype, Dev: Storage<E>> {
    pub(super) table: Tensor<(S, usize), E, Dev>,
    pub(super) places: Tensor<(usize, usize), E, Dev>,
}

fields! { [S: Size,] Embedding[S,] { tensor table: any_shape(true), tensor places: any_shape(true) } }

impl<S: Dim, E: Real, Dev: Device<E>> Embedding<S, E, Dev> {
    pub(super) fn forward<T: Tape<E, Dev>>(&self, noisy: Noisy, tape: T) -> Tensor<(usize, usize), E, Dev, T> {
        let picked = noisy.states.iter().map(|state| u32::from(*state)).collect();
        let letters = embed(self.table.clone().put_tape(tape), picked);
        add_rows(letters, self.places.retaped(), Whose::InTurns(noisy.length))
    }
}

/// Normal numbers, as embeddings begin.
pub(super) fn normals<N: Dim, E: Real, Dev: Device<E>>(
    device: &Dev,
    shape: (N, usize),
    deviation: f64,
) -> Result<Tensor<(N, usize), E, Dev>> {
    let mut rng = Seed(device.random_u64()).stream("embedding", 0);
    let normal = |_| E::of(deviation * rand_distr::Distribution::<f64>::sample(&rand_distr::StandardNormal, &mut rng));
    let values = (0..shape.0.size() * shape.1).map(normal).collect();
    device.try_tensor_from_vec(values, shape).map_err(Error::invalid)
}

/// Sines and cosines of a time, `(rows, width)`: of `4000 t` over wavelengths from 2π to 2π · 10⁴. There are rows of no time after
/// them where they are few ([`least`]).
pub(super) fn waves<E: Real, Dev: Device<E>>(
    device: &Dev,
    times: &[f64],
    width: usize,
) -> Tensor<(usize, usize), E, Dev> {
    let half = width / 2;
    let mut values = Vec::with_capacity(times.len() * width);
    for time in times {
        let angle = |i: usize| 4000.0 * time * (-(1e4_f64).ln() * i as f64 / (half.max(2) - 1) as f64).exp();
        values.extend((0..half).map(|i| E::of(angle(i).sin())));
        values.extend((0..half).map(|i| E::of(angle(i).cos())));
        values.extend((2 * half..width).map(|_| E::default()));
    }
    let rows = times.len().max(least(width));
    values.resize(rows * width, E::default());
    device.tensor_from_vec(values, (rows, width))
}

/// A history that begins with these gradients.
pub(crate) fn history<E: Real, Dev: Device<E>>(device: &Dev, grads: Gradients<E, Dev>) -> OwnedTape<E, Dev> {
    let nothing: Tensor<Rank0, E, Dev> = device.zeros();
    nothing.traced(grads).split_tape().1
}
