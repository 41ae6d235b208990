//! Learning by the ELBO.

use super::Vae;
use crate::{
    Result,
    archive::Archive,
    data::Rows,
    nn::optim::{Adam, AdamConfig},
    random::Seed,
    teachers::Likelihood,
    train::{Clock, Learner, put_module, take_module},
};
use dfdx::{
    nn::ZeroGrads,
    prelude::{Backward, MeanTo},
    tensor::{Cpu, Trace},
};
use std::cell::RefCell;

/// An autoencoder that learns by the ELBO with Adam; a [`Learner`] for [`train`](crate::train::train).
pub struct VaeLearner<L> {
    vae: Vae<L>,
    adam: RefCell<Adam<Cpu>>,
    train: Vec<f32>,
    valid: Vec<f32>,
    seed: Seed,
}

impl<L: Likelihood> VaeLearner<L> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows have other variables than the autoencoder, a value is missing, or a setting of Adam is out of range.
    pub fn new(vae: Vae<L>, train: &dyn Rows, valid: Option<&dyn Rows>, adam: AdamConfig, seed: Seed) -> Result<Self> {
        let valid = valid.map(|valid| vae.read(valid)).transpose()?.unwrap_or_default();
        Ok(Self { train: vae.read(train)?, valid, adam: RefCell::new(Adam::new(adam)?), vae, seed })
    }

    /// The autoencoder as it is now.
    pub fn vae(&self) -> &Vae<L> {
        &self.vae
    }

    /// The autoencoder.
    pub fn into_vae(self) -> Vae<L> {
        self.vae
    }
}

impl<L: Likelihood> Learner for VaeLearner<L> {
    fn describe(&self) -> String {
        format!("variational autoencoder, {}, {:?} units", L::NAME, self.vae.encoder.sizes())
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let dims = self.vae.dims();
        let values: Vec<f32> = rows.iter().flat_map(|row| &self.train[row * dims..(row + 1) * dims]).copied().collect();
        let x = Vae::<L>::tensor(&values, dims).traced(self.vae.alloc_grads());
        let noise = self.vae.noise(rows.len(), clock.seed, clock.step);
        let loss = -self.vae.elbo(x, noise).mean();
        let value = f64::from(loss.as_vec()[0]);
        let mut grads = loss.backward();
        self.adam.get_mut().update(&mut self.vae, &mut grads)?;
        Ok(value)
    }

    fn validate(&mut self) -> Result<Option<f64>> {
        if self.valid.is_empty() {
            return Ok(None);
        }
        let dims = self.vae.dims();
        let rows = self.valid.len() / dims;
        // The same noise every time, so that epochs compare.
        let elbos = self.vae.elbo(Vae::<L>::tensor(&self.valid, dims), self.vae.noise(rows, self.seed, 0)).as_vec();
        Ok(Some(-elbos.iter().map(|e| f64::from(*e)).sum::<f64>() / rows as f64))
    }

    fn save(&self, archive: &mut Archive) {
        put_module(archive, "vae", &self.vae, &mut self.adam.borrow_mut());
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        take_module(archive, "vae", &mut self.vae, self.adam.get_mut())
    }
}
