//! Learning by the ELBO.

use super::{BLOCK, Vae};
use crate::{
    Result,
    data::{Rows, fingerprint},
    evidence::Fingerprint,
    flows::Conditional,
    nn::{Device, optim::AdamConfig},
    random::Seed,
    teachers::Likelihood,
    train::{Clock, GradientLearner, Loss, Objective, Trained},
};
use dfdx::{
    prelude::MeanTo,
    tensor::{Cpu, Gradients, Trace},
};
use std::marker::PhantomData;

/// The mean negative ELBO of rows, for a draw of the noise each.
pub struct NegativeElbo<'a, L, Dev = Cpu> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    seed: Seed,
    model: PhantomData<fn() -> (L, Dev)>,
}

/// An autoencoder that learns by the ELBO with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type VaeLearner<'a, L, Dev = Cpu> = GradientLearner<NegativeElbo<'a, L, Dev>, Dev>;

impl<'a, L: Likelihood + Default, Dev: Device<f32>> VaeLearner<'a, L, Dev> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows have other variables than the autoencoder, or a setting of Adam is out of range.
    pub fn new(
        vae: Vae<L, f32, Dev>,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        vae.read(train, &[])?;
        valid.map(|valid| vae.read(valid, &[])).transpose()?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(NegativeElbo { train, valid, seed, model: PhantomData }, vae, adam)
    }
}

impl<L: Likelihood + Default, Dev: Device<f32>> Objective<Dev> for NegativeElbo<'_, L, Dev> {
    type Model = Vae<L, f32, Dev>;

    fn describe(&self, vae: &Self::Model) -> String {
        let (units, seed) = (vae.encoder.sizes(), self.seed.0);
        format!("variational autoencoder, {}, {units:?} units, validation noise {seed}", L::NAME)
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(&self, vae: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], clock: &Clock) -> Result<Loss<Dev>> {
        let x = vae.read(self.train, rows)?.traced(grads);
        Ok(-vae.elbo(x, vae.noise(rows.len(), clock.seed, clock.step)).mean())
    }

    fn check(&self, vae: &Self::Model) -> Result<()> {
        vae.steps.layers().iter().try_for_each(|step| step.check())
    }

    /// With the same noise every time, so that epochs compare.
    fn validate(&self, vae: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |valid: &dyn Rows| -> Result<Vec<f64>> {
            let all: Vec<usize> = (0..valid.len()).collect();
            let latents = vae.latents();
            let noise = vae.noise(all.len(), self.seed, 0).as_vec();
            let mut losses = Vec::with_capacity(all.len());
            for (block, noise) in all.chunks(BLOCK).zip(noise.chunks(BLOCK * latents)) {
                let elbos = vae.elbo(vae.read(valid, block)?, vae.tensor(noise.to_vec(), latents)).as_vec();
                losses.extend(elbos.into_iter().map(|e| -f64::from(e)));
            }
            Ok(losses)
        };
        self.valid.map(losses).transpose()
    }
}

impl<L: Likelihood + Default, Dev: Device<f32>> Trained<Dev> for Vae<L, f32, Dev> {
    type Module = Self;

    fn module(&self) -> &Self {
        self
    }

    fn module_mut(&mut self) -> &mut Self {
        self
    }
}
