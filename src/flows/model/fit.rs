//! From the columns of a table to a learned flow.

use super::{
    AnyFlow, FlowKind, FlowModel,
    kind::{Learnable, Spec, Use},
};
use crate::{
    Result,
    data::{Table, fingerprint},
    flows::{Flow, FlowLearner, TableFlow},
    nn::optim::{AdamConfig, Schedule},
    notebook::Job,
    random::Seed,
    train::{Checkpoint, History, Plan, Progress, quiet, train},
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Everything `limbeck fit` can be told of a flow.
///
/// ```
/// # use limbeck::prelude::*;
/// let rows = Oracle::Moons.sample(500, Seed(0))?;
/// let settings = FitFlow { layers: 2, hidden: 16, epochs: 3, ..FitFlow::new(FlowKind::Maf) };
/// let (flow, history): (FlowModel, History) = settings.fit(&rows, None, Seed(0))?;
/// assert!(flow.evidence(&rows)?.mean() > -4.0);
/// assert_eq!(flow.sample(10, Seed(1))?.len(), 10);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitFlow {
    /// Which flow to build.
    pub kind: FlowKind,
    /// Layers; of couplings, pairs of them.
    pub layers: usize,
    /// Units in each of the two hidden layers of a network.
    pub hidden: usize,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// Adam's rate; it falls along a cosine to a hundredth.
    pub rate: f64,
    /// The largest norm of a gradient.
    pub clip: f64,
}

impl Default for FitFlow {
    fn default() -> Self {
        Self::new(FlowKind::Maf)
    }
}

/// Trains the bijection it is given.
struct Learn<'a> {
    settings: &'a FitFlow,
    rows: &'a Table,
    valid: Option<&'a Table>,
    seed: Seed,
    checkpoint: Option<Checkpoint>,
    watch: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl Use for Learn<'_> {
    type Output = (Box<dyn AnyFlow>, History);

    fn with<B: Learnable>(self, bijection: B) -> Result<Self::Output> {
        let Self { settings, rows, valid, seed, checkpoint, watch } = self;
        let d = rows.names().len();
        if settings.kind == FlowKind::Rbig {
            let model = TableFlow::started(Flow::normal(bijection), d, rows)?;
            return Ok((Box::new(model), History::default()));
        }
        let steps = settings.epochs.saturating_mul(rows.len().div_ceil(settings.batch.max(1)) as u64);
        let rate = Schedule::constant(settings.rate).cosine(steps.max(1), 0.01);
        let adam = AdamConfig { rate, clip: Some(settings.clip), ..AdamConfig::default() };
        let mut learner = FlowLearner::new(Flow::normal(bijection), d, rows, valid, adam)?;
        let patience = (settings.patience > 0 && valid.is_some()).then_some(settings.patience);
        let plan = Plan { epochs: settings.epochs, batch: settings.batch, seed, patience, checkpoint };
        let history = train(&mut learner, rows.len(), &plan, watch)?;
        Ok((Box::new(learner.into_model()), history))
    }
}

impl FitFlow {
    /// The usual settings for a flow.
    pub fn new(kind: FlowKind) -> Self {
        let rate = if kind == FlowKind::Gaussianization { 1e-2 } else { 1e-3 };
        let layers = if kind == FlowKind::Rbig { 20 } else { 5 };
        Self { kind, layers, hidden: 64, epochs: 200, batch: 128, patience: 30, rate, clip: 5.0 }
    }

    /// Learns the flow. With no `valid` rows, training goes to its last epoch.
    ///
    /// # Errors
    /// When a setting is out of its range, a value of the table is missing, or a number stops being finite.
    pub fn fit(&self, rows: &Table, valid: Option<&Table>, seed: Seed) -> Result<(FlowModel, History)> {
        self.fit_with(rows, valid, seed, None, &mut quiet)
    }

    /// As [`Self::fit`], with a checkpoint, and a watcher that hears of every step and may stop the training.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_with(
        &self,
        rows: &Table,
        valid: Option<&Table>,
        seed: Seed,
        checkpoint: Option<Checkpoint>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(FlowModel, History)> {
        let Self { kind, hidden, .. } = *self;
        let layers = if kind == FlowKind::Made { 1 } else { self.layers };
        let learn = Learn { settings: self, rows, valid, seed: seed.child("fit", 0), checkpoint, watch };
        let spec = Spec { kind, layers, hidden };
        let (flow, history) = spec.build(rows.names().len(), seed.child("flow", 0), learn)?;
        Ok((FlowModel { kind, layers, hidden, data: fingerprint(rows)?, flow }, history))
    }

    /// Starts the same in the background of a notebook, with its progress as the job's.
    pub fn start(&self, rows: Table, valid: Option<Table>, seed: Seed) -> Job<Result<(FlowModel, History)>> {
        let settings = self.clone();
        Job::spawn(settings.kind.name(), move |handle| {
            settings.fit_with(&rows, valid.as_ref(), seed, None, &mut |progress| {
                handle.report(progress.step as f64 / progress.steps as f64, progress.line());
                if handle.should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
    }
}
