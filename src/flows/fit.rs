//! Learning a flow by maximum likelihood.

use super::{Base, Bijection, Flow};
use crate::{
    Error, Result,
    archive::Archive,
    data::Table,
    evidence::{Evidence, Exact, Space},
    math::mean_and_deviation,
    nn::{
        NamedArray, load_params,
        optim::{Adam, AdamConfig},
        params,
    },
    train::{Clock, Learner},
};
use dfdx::{
    nn::{TensorCollection, ZeroGrads},
    prelude::{Backward, MeanTo},
    shapes::Const,
    tensor::{Cpu, Tensor, TensorFromVec, Trace},
};
use std::cell::RefCell;

/// A flow that learns from a table by maximum likelihood with Adam; a [`Learner`] for [`train`](crate::train::train).
///
/// The columns are standardised first: the flow is of `(x − mean) / deviation`, and its densities are those of the table all the
/// same.
pub struct FlowLearner<const D: usize, B, P> {
    flow: Flow<B, P>,
    /// Behind a cell, as reading its moments makes those that are not there yet.
    adam: RefCell<Adam<Cpu>>,
    device: Cpu,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
    train: Vec<f32>,
    valid: Vec<f32>,
}

impl<const D: usize, B, P> FlowLearner<D, B, P>
where
    B: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
    P: Base,
{
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When a table has not `D` columns, a value is missing, or a setting of Adam is out of range.
    pub fn new(flow: Flow<B, P>, train: &Table, valid: Option<&Table>, adam: AdamConfig) -> Result<Self> {
        let column = |c: usize| {
            let values: Vec<f64> = (0..train.len()).map(|row| train.row(row)[c]).collect();
            mean_and_deviation(&values)
        };
        let frame = (0..train.names().len()).map(column).collect();
        let mut learner = Self {
            flow,
            adam: RefCell::new(Adam::new(adam)?),
            device: Cpu::default(),
            frame,
            train: vec![],
            valid: vec![],
        };
        learner.train = learner.standardised(train)?;
        if let Some(valid) = valid {
            learner.valid = learner.standardised(valid)?;
        }
        Ok(learner)
    }

    /// The flow, of standardised columns.
    pub fn flow(&self) -> &Flow<B, P> {
        &self.flow
    }

    /// Densities of rows in the units of the table, as exact evidence.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>> {
        let stretch: f64 = self.frame.iter().map(|(_, deviation)| deviation.ln()).sum();
        let log_probs = self.log_probs(&self.standardised(rows)?);
        Evidence::new(log_probs.into_iter().map(|p| p - stretch).collect(), Space::Continuous, D)
    }

    fn standardised(&self, rows: &Table) -> Result<Vec<f32>> {
        if rows.names().len() != D {
            return Err(Error::invalid(format!("a table of {} columns; the flow is of {D}", rows.names().len())));
        }
        let mut values = Vec::with_capacity(rows.len() * D);
        for row in 0..rows.len() {
            for ((x, (mean, deviation)), name) in rows.row(row).iter().zip(&self.frame).zip(rows.names()) {
                if x.is_nan() {
                    return Err(Error::invalid(format!("row {row}, column {name}: a flow has no missing values")));
                }
                values.push(((x - mean) / deviation) as f32);
            }
        }
        Ok(values)
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor<(usize, Const<D>), f32, Cpu> {
        let rows = values.len() / D;
        self.device.tensor_from_vec(values, (rows, Const))
    }

    fn log_probs(&self, values: &[f32]) -> Vec<f64> {
        const BLOCK: usize = 4096;
        let blocks = values.chunks(BLOCK * D);
        let each = blocks.flat_map(|block| self.flow.sequential().log_prob(self.tensor(block.to_vec())).as_vec());
        each.map(f64::from).collect()
    }
}

impl<const D: usize, B, P> Learner for FlowLearner<D, B, P>
where
    B: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
    P: Base,
{
    fn describe(&self) -> String {
        format!("flow, {}", std::any::type_name::<B>())
    }

    fn step(&mut self, rows: &[usize], _: &Clock) -> Result<f64> {
        let values = rows.iter().flat_map(|row| &self.train[row * D..(row + 1) * D]).copied().collect();
        let x = self.tensor(values).traced(self.flow.bijection.alloc_grads());
        let loss = -self.flow.sequential().log_prob(x).mean();
        let value = f64::from(loss.as_vec()[0]);
        let mut grads = loss.backward();
        self.adam.get_mut().update(&mut self.flow.bijection, &mut grads)?;
        Ok(value)
    }

    fn validate(&mut self) -> Result<Option<f64>> {
        let log_probs = self.log_probs(&self.valid);
        Ok((!log_probs.is_empty()).then(|| -log_probs.iter().sum::<f64>() / log_probs.len() as f64))
    }

    fn save(&self, archive: &mut Archive) {
        for (name, shape, values) in params(&self.flow.bijection) {
            archive.put(&format!("flow/{name}"), &shape, &values);
        }
        for (name, shape, values) in self.adam.borrow_mut().state(&self.flow.bijection) {
            archive.put(&format!("adam/{name}"), &shape, &values);
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        let mut arrays: Vec<NamedArray> = params(&self.flow.bijection);
        for (name, shape, values) in &mut arrays {
            *values = archive.get(&format!("flow/{name}"), shape)?;
        }
        load_params(&mut self.flow.bijection, &arrays)?;
        let adam = self.adam.get_mut();
        let mut state = adam.state(&self.flow.bijection);
        for (name, shape, values) in &mut state {
            *values = archive.get(&format!("adam/{name}"), shape)?;
        }
        adam.load_state(&self.flow.bijection, &state)
    }
}
