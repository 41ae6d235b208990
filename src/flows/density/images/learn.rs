//! Learning a flow of images by maximum likelihood.

use super::ImageFlow;
use crate::{
    Error, Result,
    archive::Archive,
    data::Images,
    flows::{Bijection, Phase, density::learn::descend},
    nn::optim::{Adam, AdamConfig},
    random::Seed,
    train::{Clock, Learner, put_module, take_module},
};
use dfdx::{nn::TensorCollection, tensor::Cpu};
use std::cell::RefCell;

/// A flow of images that learns with Adam, with fresh noise in every batch; a [`Learner`] for [`train`](crate::train::train).
pub struct ImageLearner<const C: usize, const H: usize, const W: usize, B> {
    model: ImageFlow<C, H, W, B>,
    adam: RefCell<Adam<Cpu>>,
    train: Images<C, H, W>,
    valid: Option<Images<C, H, W>>,
    seed: Seed,
}

/// Images that the bijection is shown before the first step.
const FIRST: usize = 512;

impl<const C: usize, const H: usize, const W: usize, B> ImageLearner<C, H, W, B>
where
    B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    /// `valid` decides when to stop, if the plan has a patience. The bijection is shown some training images first:
    /// [`Phase::Start`]. `seed` is that of the noise.
    ///
    /// # Errors
    /// When images have another number of levels than the flow, or a setting of Adam is out of range.
    pub fn new(
        mut model: ImageFlow<C, H, W, B>,
        train: Images<C, H, W>,
        valid: Option<Images<C, H, W>>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        if valid.as_ref().is_some_and(|valid| valid.levels() != train.levels()) {
            return Err(Error::invalid("training and validation images of different levels"));
        }
        let first = train.select(&(0..train.len().min(FIRST)).collect::<Vec<_>>());
        let logits = model.logits(&first, seed.child("start", 0))?.0;
        model.flow.bijection.adapt(logits, Phase::Start);
        Ok(Self { model, adam: RefCell::new(Adam::new(adam)?), train, valid, seed })
    }

    /// The density as it is now.
    pub fn model(&self) -> &ImageFlow<C, H, W, B> {
        &self.model
    }

    /// The density.
    pub fn into_model(self) -> ImageFlow<C, H, W, B> {
        self.model
    }
}

impl<const C: usize, const H: usize, const W: usize, B> Learner for ImageLearner<C, H, W, B>
where
    B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    fn describe(&self) -> String {
        format!("flow of images, λ = {}, {}", self.model.logit.lambda(), std::any::type_name::<B>())
    }

    /// The loss is in nats of the logits: another λ, another number.
    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let images = self.train.select(rows);
        let x = self.model.logits(&images, clock.seed.child("noise", clock.step))?.0;
        descend(&mut self.model.flow, self.adam.get_mut(), x)
    }

    fn validate(&mut self) -> Result<Option<f64>> {
        let valid = self.valid.as_ref();
        valid.map(|valid| Ok(-self.model.evidence(valid, self.seed.child("valid", 0))?.mean())).transpose()
    }

    fn save(&self, archive: &mut Archive) {
        put_module(archive, "flow", &self.model.flow.bijection, &mut self.adam.borrow_mut());
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        take_module(archive, "flow", &mut self.model.flow.bijection, self.adam.get_mut())
    }
}
