//! The variational autoencoder.

use super::{Likelihood, Teacher};
use crate::{
    Error, Result,
    data::{Rows, complete, fingerprint},
    evidence::{Evidence, Exact, LowerBound, Space},
    flows::{
        Base, Batch, Conditional, ConditionalAutoregressive, Normal, PerRow, Scale, Stack, Transform, WithLogDet,
        reparameterised,
    },
    math::log_sum_exp,
    nn::{
        Device, Perceptron, Real, Relu, fields,
        ops::{columns, rowwise},
    },
    random::Seed,
};
use dfdx::{
    dtypes::Dtype,
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
};
use rayon::prelude::*;
use std::{marker::PhantomData, sync::Arc};

mod learn;
#[cfg(test)]
mod tests;

pub use learn::{NegativeElbo, VaeLearner};

/// A variational autoencoder with a normal prior and a normal posterior whose coordinates are independent.
///
/// ```text
/// z = μ(x) + σ(x) ε,  ε ~ N(0, 1)
/// ELBO      = E log p(x | z) − KL,      KL = −½ Σ (1 + log σ² − μ² − σ²)
/// IWAE(k)   = E log 1/k Σ_k p(x, z_k) / q(z_k | x)
/// ```
///
/// With [`Self::with_flow`] the posterior is a flow: inverse autoregressive steps bend those normal distributions, and the
/// divergence is measured at the samples.
///
/// ```text
/// z₀ = μ(x) + σ(x) ε      zₖ = zₖ₋₁ e^sₖ + tₖ,  (sₖ, tₖ) from the coordinates of zₖ₋₁ before, and from x
/// ```
///
/// `ELBO ≤ IWAE(k) ≤ log p(x)`, and the second grows with `k`. Encoder and decoder have two hidden layers. Whether the bound is one
/// of a likelihood at all depends on `L`: see [`Likelihood::Bound`].
/// Source: Kingma and Welling 2014; Burda, Grosse and Salakhutdinov 2016; Kingma et al. 2016 (the flow).
#[derive(Clone, Debug)]
pub struct Vae<L, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    encoder: Perceptron<usize, usize, Relu, E, Dev>,
    decoder: Perceptron<usize, usize, Relu, E, Dev>,
    steps: Stack<Step<E, Dev>>,
    what: PhantomData<L>,
}

/// One step of an inverse autoregressive flow, which sees what the encoder has to say beside `μ` and `σ`.
type Step<E, Dev> = ConditionalAutoregressive<usize, usize, Scale, Relu, E, Dev>;

/// Latents with their log-determinants, and what the encoder said of their start.
type Encoded<E, Dev, T> = (WithLogDet<usize, E, Dev, T>, Batch<usize, E, Dev, T>);

impl<L: Likelihood + Default, E: Real, Dev: Device<E>> Vae<L, E, Dev> {
    /// Networks that are randomly initialised, for rows of `dims` values and `latents` latent numbers.
    ///
    /// # Errors
    /// When a number is 0, or the device has no memory for it.
    pub fn new(device: &Dev, dims: usize, hidden: usize, latents: usize) -> Result<Self> {
        Ok(Self {
            encoder: Perceptron::dense(device, dims, hidden, latents * Scale::WIDTH)?,
            decoder: Perceptron::dense(device, latents, hidden, dims * L::default().width())?,
            steps: Stack::new(vec![]),
            what: PhantomData,
        })
    }

    /// The same with a posterior of `steps` inverse autoregressive steps, to each of which the encoder says `context` numbers.
    /// Between steps the order of the latents is reversed.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_flow(
        device: &Dev,
        dims: usize,
        hidden: usize,
        latents: usize,
        (steps, context): (usize, usize),
    ) -> Result<Self> {
        let step = || ConditionalAutoregressive::new(device, context, latents, hidden);
        Ok(Self {
            encoder: Perceptron::dense(device, dims, hidden, latents * Scale::WIDTH + steps * context)?,
            steps: Stack::new((0..steps).map(|_| step()).collect::<Result<_>>()?),
            ..Self::new(device, dims, hidden, latents)?
        })
    }

    /// Values a row.
    pub fn dims(&self) -> usize {
        self.encoder.sizes()[0]
    }

    /// Latent numbers.
    pub fn latents(&self) -> usize {
        self.decoder.sizes()[0]
    }

    /// `log p(x | z)` of every row, given the values of `x`.
    fn decoded<T: Tape<E, Dev>>(&self, x: &[E], z: Batch<usize, E, Dev, T>) -> PerRow<E, Dev, T> {
        let (dims, x) = (self.dims(), Arc::<[E]>::from(x));
        let again = x.clone();
        let outputs = self.decoder.forward(z);
        let each = move |x: &[E], i: usize, v: usize| x[i * dims + v];
        rowwise(
            outputs,
            move |i, p| {
                let logs = p
                    .chunks_exact(L::default().width())
                    .enumerate()
                    .map(|(v, p)| L::default().log_prob(&[each(&x, i, v)], p));
                logs.fold(E::default(), |sum, log| sum + log)
            },
            move |i, p, d, into| {
                for (v, (p, into)) in
                    p.chunks_exact(L::default().width()).zip(into.chunks_exact_mut(L::default().width())).enumerate()
                {
                    L::default().slopes(&[each(&again, i, v)], p, d, into);
                }
            },
        )
    }

    /// `z` for the noise and `log |det ∂z/∂ε|` of every row; and what the encoder said of the start: `log σ` and `μ` of each latent
    /// in turn.
    fn encoded<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>, noise: Batch<usize, E, Dev>) -> Encoded<E, Dev, T> {
        let latents = self.latents();
        let said = self.encoder.forward(x);
        if self.steps.layers().is_empty() {
            let kept = said.retaped::<T>();
            return (reparameterised(noise.retaped::<T>(), said), kept);
        }
        let (start, width) = (latents * Scale::WIDTH, said.shape().1);
        let context = (width - start) / self.steps.layers().len();
        let params = columns(said.retaped::<T>(), (0..start).collect());
        let kept = params.retaped::<T>();
        let (mut z, mut log_det) = reparameterised(noise.retaped::<T>(), params);
        for (i, step) in self.steps.layers().iter().enumerate() {
            let from = start + i * context;
            let told = columns(said.retaped::<T>(), (from..from + context).collect());
            let (next, log) = step.forward_given(columns(z, (0..latents).rev().collect()), told);
            (z, log_det) = (next, log_det + log);
        }
        // The history of what the encoder said belongs to all of it.
        let (z, tape) = z.split_tape();
        ((z.put_tape(tape.merge(said.split_tape().1)), log_det), kept)
    }

    /// The ELBO of every row, for one draw of the noise.
    pub fn elbo<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>, noise: Batch<usize, E, Dev>) -> PerRow<E, Dev, T> {
        if !self.steps.layers().is_empty() {
            return self.log_weights(x, noise);
        }
        let values = x.as_vec();
        let ((z, _), params) = self.encoded(x, noise);
        // p = (log σ, μ) for each latent in turn.
        let divergence = rowwise(
            params,
            |_, p| {
                let half = E::of(0.5);
                let one = |p: &[E]| half * (p[1] * p[1] + (p[0] + p[0]).exp() - E::ONE) - p[0];
                p.chunks_exact(2).map(one).fold(E::default(), |sum, kl| sum + kl)
            },
            |_, p, d, into| {
                for (p, into) in p.chunks_exact(2).zip(into.chunks_exact_mut(2)) {
                    into[0] += d * ((p[0] + p[0]).exp() - E::ONE);
                    into[1] += d * p[1];
                }
            },
        );
        self.decoded(&values, z) - divergence
    }

    /// `log p(x, z) − log q(z | x)` of every row, for one draw of the noise.
    fn log_weights<T: Tape<E, Dev>>(
        &self,
        x: Batch<usize, E, Dev, T>,
        noise: Batch<usize, E, Dev>,
    ) -> PerRow<E, Dev, T> {
        let values = x.as_vec();
        let log_noise = Normal.log_prob(noise.clone());
        let ((z, log_det), _) = self.encoded(x, noise);
        let log_prior = Normal.log_prob(z.retaped::<T>());
        self.decoded(&values, z) + log_prior - log_noise + log_det
    }
}

fields! { [L,] Vae[L,] { module encoder, module decoder, module steps } what }

/// Rows that one call of the networks works on.
const BLOCK: usize = 1024;

impl<L: Likelihood + Default, Dev: Device<f32>> Vae<L, f32, Dev> {
    /// Values of the rows with these indices as numbers.
    fn read(&self, rows: &dyn Rows, which: &[usize]) -> Result<Batch<usize, f32, Dev>> {
        Ok(self.tensor(complete(rows, which, self.dims())?, self.dims()))
    }

    fn tensor(&self, values: Vec<f32>, width: usize) -> Batch<usize, f32, Dev> {
        let rows = values.len() / width;
        self.decoder.device().tensor_from_vec(values, (rows, width))
    }

    fn noise(&self, rows: usize, seed: Seed, draw: u64) -> Batch<usize, f32, Dev> {
        Normal.sample((rows, self.latents()), self.decoder.device(), &mut seed.stream("vae", draw))
    }

    /// The ELBO of rows, the mean of `draws` draws of the noise.
    ///
    /// # Errors
    /// When the rows have other variables, or a value is missing.
    pub fn elbo_of(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<Evidence<L::Bound>> {
        self.in_blocks(rows, |x, b| {
            let n = x.shape().0;
            let mut sums = vec![0.0; n];
            for draw in 0..draws.max(1) {
                let noise = self.noise(n, seed.child("block", b), draw as u64);
                let elbo = self.elbo(x.clone(), noise).as_vec();
                sums.iter_mut().zip(elbo).for_each(|(sum, e)| *sum += f64::from(e) / draws.max(1) as f64);
            }
            sums
        })
    }

    /// The importance-weighted bound with `k` draws. With more draws it is tighter.
    ///
    /// # Errors
    /// As [`Self::elbo_of`].
    pub fn iwae_of(&self, rows: &dyn Rows, k: usize, seed: Seed) -> Result<Evidence<L::Bound>> {
        self.in_blocks(rows, |x, b| {
            let n = x.shape().0;
            let draws: Vec<Vec<f32>> = (0..k.max(1))
                .map(|draw| {
                    let noise = self.noise(n, seed.child("block", b), draw as u64);
                    self.log_weights(x.clone(), noise).as_vec()
                })
                .collect();
            let of = |i: usize| log_sum_exp(draws.iter().map(|d| f64::from(d[i]))) - (draws.len() as f64).ln();
            (0..n).map(of).collect()
        })
    }

    /// A bound of every row, computed block by block of rows.
    fn in_blocks(
        &self,
        rows: &dyn Rows,
        bound: impl Fn(Batch<usize, f32, Dev>, u64) -> Vec<f64>,
    ) -> Result<Evidence<L::Bound>> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut bounds = Vec::with_capacity(all.len());
        for (b, block) in all.chunks(BLOCK).enumerate() {
            bounds.extend(bound(self.read(rows, block)?, b as u64));
        }
        Ok(Evidence::new(bounds, Space::Raw, self.dims())?.of_rows(fingerprint(rows)?))
    }

    /// `n` rows drawn from the prior: the outputs of the decoder, `WIDTH` for each value.
    pub fn decode(&self, z: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let width = self.latents();
        let outputs = self.decoder.forward(self.tensor(z.concat(), width)).as_vec();
        outputs.chunks(self.dims() * L::default().width()).map(<[f32]>::to_vec).collect()
    }

    /// Where the encoder puts rows: `μ` of each latent.
    ///
    /// # Errors
    /// As [`Self::elbo_of`].
    pub fn encode(&self, rows: &dyn Rows) -> Result<Vec<Vec<f32>>> {
        let all: Vec<usize> = (0..rows.len()).collect();
        Ok(self.features_of(rows, &all)?.chunks(self.latents()).map(<[f32]>::to_vec).collect())
    }
}

impl<L: Likelihood + Default, Dev: Device<f32>> Teacher for Vae<L, f32, Dev> {
    fn parts(&self) -> usize {
        1
    }

    fn width(&self) -> usize {
        self.latents()
    }

    /// Where the encoder puts rows: `μ` of each latent.
    fn features_of(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        let (start, width) = (self.latents() * Scale::WIDTH, self.encoder.sizes()[3]);
        let mut encoded = Vec::with_capacity(which.len() * self.latents());
        for block in which.chunks(BLOCK) {
            // Beside the start of its posterior the encoder says what the steps of a flow are told.
            let said = self.encoder.forward(self.read(rows, block)?).as_vec();
            encoded.extend(said.chunks(width).flat_map(|row| row[..start].chunks_exact(2).map(|p| p[1])));
        }
        Ok(encoded)
    }
}

impl<L: Likelihood<Bound = LowerBound> + Default, Dev: Device<f32>> Vae<L, f32, Dev> {
    /// `log p(x)` itself, by quadrature over a latent space of one or two dimensions: `side` points each way between −7 and 7.
    ///
    /// # Errors
    /// As [`Self::elbo_of`]; also when there are more than two latents, or fewer than two points.
    pub fn exact(&self, rows: &dyn Rows, side: usize) -> Result<Evidence<Exact>> {
        const REACH: f64 = 7.0;
        let (dims, latents) = (self.dims(), self.latents());
        if latents > 2 {
            return Err(Error::invalid(format!("{latents} latents; a grid needs at most 2")));
        }
        if side < 2 {
            return Err(Error::out_of_range("side", side, "side ≥ 2"));
        }
        let values = complete(rows, &(0..rows.len()).collect::<Vec<_>>(), dims)?;
        let step = 2.0 * REACH / (side - 1) as f64;
        let at = |i: usize| (step * i as f64 - REACH) as f32;
        let points = side.pow(latents as u32);
        let grid: Vec<Vec<f32>> =
            (0..points).map(|i| (0..latents).map(|l| at(i / side.pow(l as u32) % side)).collect()).collect();
        let log_prior = |z: &[f32]| -> f64 {
            let square: f64 = z.iter().map(|z| f64::from(*z).powi(2)).sum();
            -0.5 * square + latents as f64 * (step.ln() - 0.5 * std::f64::consts::TAU.ln())
        };
        let outputs: Vec<(f64, Vec<f32>)> = grid.iter().map(|z| log_prior(z)).zip(self.decode(&grid)).collect();
        let row = |x: &[f32]| -> f64 {
            let log = |(prior, p): &(f64, Vec<f32>)| {
                let each = x
                    .iter()
                    .zip(p.chunks_exact(L::default().width()))
                    .map(|(x, p)| f64::from(L::default().log_prob(&[*x], p)));
                prior + each.sum::<f64>()
            };
            let logs: Vec<f64> = outputs.iter().map(log).collect();
            log_sum_exp(logs.iter().copied())
        };
        let log_probs = values.par_chunks(dims).map(row).collect();
        Ok(Evidence::new(log_probs, Space::Raw, dims)?.of_rows(fingerprint(rows)?))
    }
}
