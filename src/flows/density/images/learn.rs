//! Learning a flow of images by maximum likelihood.

use super::ImageFlow;
use crate::{
    Error, Result,
    data::{Images, fingerprint},
    evidence::Fingerprint,
    flows::Bijection,
    nn::{Device, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, Phase, Trained, name_of},
};
use dfdx::{
    nn::TensorCollection,
    prelude::MeanTo,
    tensor::{Cpu, Gradients, Trace},
};
use std::marker::PhantomData;

/// The mean negative log-density of the logits of images, with fresh noise in every batch: another λ, another number.
pub struct ImageLikelihood<'a, const C: usize, const H: usize, const W: usize, B, Dev = Cpu> {
    train: &'a Images<C, H, W>,
    valid: Option<&'a Images<C, H, W>>,
    seed: Seed,
    model: PhantomData<fn() -> ImageFlow<C, H, W, B, Dev>>,
}

/// A flow of images that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type ImageLearner<'a, const C: usize, const H: usize, const W: usize, B, Dev = Cpu> =
    GradientLearner<ImageLikelihood<'a, C, H, W, B, Dev>, Dev>;

/// Images that the bijection is shown before the first step.
const FIRST: usize = 512;

impl<'a, const C: usize, const H: usize, const W: usize, B, Dev: Device<f32>> ImageLearner<'a, C, H, W, B, Dev>
where
    B: Bijection<usize, f32, Dev> + TensorCollection<f32, Dev>,
{
    /// `valid` decides when to stop, if the plan has a patience. The bijection is shown some training images first:
    /// [`Phase::Start`]. `seed` is that of the noise.
    ///
    /// # Errors
    /// When images have another number of levels than the flow, or a setting of Adam is out of range.
    pub fn new(
        model: ImageFlow<C, H, W, B, Dev>,
        train: &'a Images<C, H, W>,
        valid: Option<&'a Images<C, H, W>>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        if valid.as_ref().is_some_and(|valid| valid.levels() != train.levels()) {
            return Err(Error::invalid("training and validation images of different levels"));
        }
        Self::of(ImageLikelihood { train, valid, seed, model: PhantomData }, model, adam)
    }
}

impl<const C: usize, const H: usize, const W: usize, B, Dev: Device<f32>> Objective<Dev>
    for ImageLikelihood<'_, C, H, W, B, Dev>
where
    B: Bijection<usize, f32, Dev> + TensorCollection<f32, Dev>,
{
    type Model = ImageFlow<C, H, W, B, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        format!("flow of images, λ = {}, noise {}, {}", model.logit.lambda(), self.seed.0, name_of::<B>())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        let of = |images: &Images<C, H, W>| fingerprint(&images.discrete());
        Ok([Some(of(self.train)?), self.valid.map(of).transpose()?])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let images = self.train.select(rows);
        let x = model.logits(&images, clock.seed.child("noise", clock.step))?.0;
        Ok(-model.flow.sequential().log_prob(x.traced(grads)).mean())
    }

    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let noise = self.seed.child("valid", 0);
        let losses = |valid| Ok(model.log_probs(valid, noise)?.into_iter().map(|p| -p).collect());
        self.valid.map(losses).transpose()
    }

    fn check(&self, model: &Self::Model) -> Result<()> {
        model.flow.bijection.check()
    }

    fn adapt(&self, model: &mut Self::Model, phase: Phase) -> Result<()> {
        if phase == Phase::Start {
            let first = self.train.select(&(0..self.train.len().min(FIRST)).collect::<Vec<_>>());
            let logits = model.logits(&first, self.seed.child("start", 0))?.0;
            model.flow.bijection.adapt(logits, phase);
        }
        Ok(())
    }
}

impl<const C: usize, const H: usize, const W: usize, B, Dev: Device<f32>> Trained<Dev> for ImageFlow<C, H, W, B, Dev>
where
    B: TensorCollection<f32, Dev>,
{
    type Module = B;

    fn module(&self) -> &B {
        &self.flow.bijection
    }

    fn module_mut(&mut self) -> &mut B {
        &mut self.flow.bijection
    }
}
