//! Learning an argmax flow by its bound.

use super::{ArgmaxFlow, Lift};
use crate::{
    Result,
    data::{Rows, fingerprint},
    diffusion::{Network, denoiser::history},
    evidence::Fingerprint,
    flows::{Base, Bijection},
    nn::{Device, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, name_of},
};
use dfdx::{
    nn::TensorCollection,
    prelude::MeanTo,
    tensor::{Cpu, Gradients},
};
use std::marker::PhantomData;

/// The negative ELBO of rows, nats a row.
pub struct ArgmaxLoss<'a, L, N, B, P, Dev = Cpu> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    seed: Seed,
    model: PhantomData<ArgmaxFlow<L, N, B, P, Dev>>,
}

/// An [`ArgmaxFlow`] that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type ArgmaxLearner<'a, L, N, B, P, Dev = Cpu> = GradientLearner<ArgmaxLoss<'a, L, N, B, P, Dev>, Dev>;

impl<'a, L: Lift, N, B, P: Base, Dev: Device<f32>> ArgmaxLearner<'a, L, N, B, P, Dev>
where
    N: Network<f32, Dev, Categories = usize>,
    B: Bijection<usize, f32, Dev> + TensorCollection<f32, Dev>,
{
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows are of other categories, or a setting of Adam is out of range.
    pub fn new(
        model: ArgmaxFlow<L, N, B, P, Dev>,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        model.check(train)?;
        valid.map_or(Ok(()), |valid| model.check(valid))?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(ArgmaxLoss { train, valid, seed, model: PhantomData }, model, adam)
    }
}

impl<L: Lift, N, B, P: Base, Dev: Device<f32>> Objective<Dev> for ArgmaxLoss<'_, L, N, B, P, Dev>
where
    N: Network<f32, Dev, Categories = usize>,
    B: Bijection<usize, f32, Dev> + TensorCollection<f32, Dev>,
{
    type Model = ArgmaxFlow<L, N, B, P, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let (lift, encoder, flow) = (model.lift().name(), model.parts.0.describe(), name_of::<B>());
        format!("argmax flow by {lift}, encoder: {encoder}, {flow}, validation seed {}", self.seed.0)
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let mut codes = Vec::new();
        self.train.read(rows, &mut codes)?;
        let width = codes.len() / rows.len().max(1);
        for (row, codes) in rows.iter().zip(codes.chunks(width.max(1))) {
            model.whole(self.train, *row, codes)?;
        }
        let mut rng = clock.seed.stream("noise", clock.step);
        Ok(-model.draw_bound(&codes, &mut rng, history(&model.parts.0.device(), grads)).mean())
    }

    /// With the same noise every time, so that epochs compare.
    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |valid| -> Result<Vec<f64>> {
            Ok(model.evidence(valid, 1, self.seed)?.log_probs().iter().map(|p| -p).collect())
        };
        self.valid.map(losses).transpose()
    }
}
