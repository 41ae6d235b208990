//! Learning a flow by maximum likelihood.

use crate::{
    Result,
    archive::Archive,
    data::Table,
    flows::{Base, Bijection, Flow, Phase, Rows, TableFlow},
    nn::optim::{Adam, AdamConfig},
    train::{Clock, Learner, put_module, take_module},
};
use dfdx::{
    nn::{TensorCollection, ZeroGrads},
    prelude::{Backward, MeanTo},
    shapes::Dim,
    tensor::{Cpu, Trace},
};
use std::cell::RefCell;

/// A flow that learns from a table by maximum likelihood with Adam; a [`Learner`] for [`train`](crate::train::train).
pub struct FlowLearner<D, B, P> {
    model: TableFlow<D, B, P>,
    /// Behind a cell, as reading its moments makes those that are not there yet.
    adam: RefCell<Adam<Cpu>>,
    train: Vec<f32>,
    valid: Vec<f32>,
    /// Whether the statistics of the bijection are those of all training rows.
    settled: bool,
}

impl<D: Dim, B, P> FlowLearner<D, B, P>
where
    B: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
    P: Base,
{
    /// `valid` decides when to stop, if the plan has a patience. The bijection is shown the training rows first:
    /// [`Phase::Start`].
    ///
    /// # Errors
    /// When a table has another number of columns than the flow, a value is missing, or a setting of Adam is out of range.
    pub fn new(flow: Flow<B, P>, dims: D, train: &Table, valid: Option<&Table>, adam: AdamConfig) -> Result<Self> {
        let mut model = TableFlow::new(flow, dims, train)?;
        let adam = RefCell::new(Adam::new(adam)?);
        let valid = valid.map(|valid| model.standardised(valid)).transpose()?.unwrap_or_default();
        let train = model.standardised(train)?;
        model.adapt(&train, Phase::Start);
        Ok(Self { model, adam, train, valid, settled: false })
    }

    /// The density as it is now.
    pub fn model(&mut self) -> &TableFlow<D, B, P> {
        self.settle();
        &self.model
    }

    /// The density.
    pub fn into_model(mut self) -> TableFlow<D, B, P> {
        self.settle();
        self.model
    }

    fn settle(&mut self) {
        if !self.settled && self.model.flow.bijection.has_statistics() {
            self.model.adapt(&self.train, Phase::Settle);
        }
        self.settled = true;
    }
}

/// One step of Adam on the mean negative log-density of these rows, which it returns.
pub(crate) fn descend<D: Dim, B, P>(flow: &mut Flow<B, P>, adam: &mut Adam<Cpu>, x: Rows<D, f32, Cpu>) -> Result<f64>
where
    B: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
    P: Base,
{
    let loss = -flow.sequential().log_prob(x.traced(flow.bijection.alloc_grads())).mean();
    let value = f64::from(loss.as_vec()[0]);
    adam.update(&mut flow.bijection, &mut loss.backward())?;
    Ok(value)
}

impl<D: Dim, B, P> Learner for FlowLearner<D, B, P>
where
    B: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
    P: Base,
{
    fn describe(&self) -> String {
        format!("flow, {}", std::any::type_name::<B>())
    }

    fn step(&mut self, rows: &[usize], _: &Clock) -> Result<f64> {
        if self.settled && self.model.flow.bijection.has_statistics() {
            self.model.adapt(&[], Phase::Learn);
        }
        self.settled = false;
        let d = self.model.names().len();
        let values = rows.iter().flat_map(|row| &self.train[row * d..(row + 1) * d]).copied().collect();
        let x = self.model.tensor(values);
        descend(&mut self.model.flow, self.adam.get_mut(), x)
    }

    fn validate(&mut self) -> Result<Option<f64>> {
        if self.valid.is_empty() {
            return Ok(None);
        }
        self.settle();
        let log_probs = self.model.log_probs(&self.valid);
        Ok(Some(-log_probs.iter().sum::<f64>() / log_probs.len() as f64))
    }

    fn save(&self, archive: &mut Archive) {
        put_module(archive, "flow", &self.model.flow.bijection, &mut self.adam.borrow_mut());
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        take_module(archive, "flow", &mut self.model.flow.bijection, self.adam.get_mut())?;
        // Whatever the statistics were of before, the next step is one of learning.
        self.model.adapt(&[], Phase::Learn);
        self.settled = false;
        Ok(())
    }
}
