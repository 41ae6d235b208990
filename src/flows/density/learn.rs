//! Learning a flow by maximum likelihood.

use super::TableFlow;
use crate::{
    Result,
    data::{Rows, fingerprint},
    evidence::Fingerprint,
    flows::{Base, Bijection, Flow, LEAST_BATCH, Normal},
    nn::{Device, optim::AdamConfig},
    train::{Clock, GradientLearner, Loss, Objective, Phase, name_of},
};
use dfdx::{
    nn::TensorCollection,
    prelude::MeanTo,
    shapes::Dim,
    tensor::{Cpu, Gradients, Trace},
};
use std::marker::PhantomData;

/// The mean negative log-density of the columns of a table.
pub struct TableLikelihood<'a, D, B, P = Normal, Dev = Cpu> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    model: PhantomData<(D, B, P, Dev)>,
}

/// A flow that learns from a table by maximum likelihood with Adam; a [`Learner`](crate::train::Learner) for
/// [`train`](crate::train::train()).
pub type FlowLearner<'a, D, B, P = Normal, Dev = Cpu> = GradientLearner<TableLikelihood<'a, D, B, P, Dev>, Dev>;

impl<'a, D: Dim, B, P: Base, Dev: Device<f32>> FlowLearner<'a, D, B, P, Dev>
where
    B: Bijection<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    /// `valid` decides when to stop, if the plan has a patience. The bijection is shown training rows first: [`Phase::Start`].
    ///
    /// # Errors
    /// When rows have another number of columns than the flow, a value is missing, or a setting of Adam is out of range.
    pub fn new(
        device: &Dev,
        flow: Flow<B, P>,
        dims: D,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        adam: AdamConfig,
    ) -> Result<Self> {
        let model = TableFlow::new(device, flow, dims, train)?;
        valid.map_or(Ok(()), |valid| model.check(valid))?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(TableLikelihood { train, valid, model: PhantomData }, model, adam)
    }
}

impl<D: Dim, B, P: Base, Dev: Device<f32>> Objective<Dev> for TableLikelihood<'_, D, B, P, Dev>
where
    B: Bijection<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    type Model = TableFlow<D, B, P, Dev>;

    fn describe(&self, _: &Self::Model) -> String {
        format!("flow, {}", name_of::<B>())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(&self, model: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], _: &Clock) -> Result<Loss<Dev>> {
        let x = model.standardised(self.train, rows)?.traced(grads);
        Ok(-model.flow.sequential().log_prob(x).mean())
    }

    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |log_probs: Vec<f64>| log_probs.into_iter().map(|p| -p).collect();
        self.valid.map(|valid| model.log_probs(valid).map(losses)).transpose()
    }

    fn least_batch(&self, model: &Self::Model) -> usize {
        if self.has_statistics(model) { LEAST_BATCH } else { 1 }
    }

    fn check(&self, model: &Self::Model) -> Result<()> {
        model.flow.bijection.check()
    }

    fn has_statistics(&self, model: &Self::Model) -> bool {
        model.flow.bijection.has_statistics()
    }

    fn adapt(&self, model: &mut Self::Model, phase: Phase) -> Result<()> {
        model.adapt(self.train, phase)
    }
}
