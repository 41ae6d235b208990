//! From rows to a learned circuit.

use crate::{
    Result,
    circuits::{Circuit, Em, EmLearner, Graph, Leaf, Structure},
    data::{Discrete, Rows},
    notebook::Job,
    random::Seed,
    train::{Checkpoint, History, Plan, Progress, train},
};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// Everything `limbeck fit` can be told of a circuit.
///
/// ```
/// # use limbeck::prelude::*;
/// let digits = shipped::digits()?.discrete();
/// let settings = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(4)) };
/// let (circuit, history): (Circuit, History) = settings.fit(&digits, None, Seed(0))?;
/// assert_eq!(history.epochs().len(), 2);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitCircuit {
    /// Which circuit to build.
    pub structure: Structure,
    /// The distributions at its leaves.
    pub leaf: Leaf,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// How flows become parameters.
    pub em: Em,
}

impl Default for FitCircuit {
    fn default() -> Self {
        Self::new(Structure::hclt(16))
    }
}

impl FitCircuit {
    /// The usual settings for a structure.
    pub fn new(structure: Structure) -> Self {
        Self { structure, leaf: Leaf::Categorical, epochs: 60, batch: 128, patience: 10, em: Em::default() }
    }

    /// The circuit before its parameters are learned: random, its leaves around how often each value is seen.
    ///
    /// # Errors
    /// As [`Structure::graph`] and [`Circuit::random`].
    pub fn start_circuit(&self, rows: &dyn Rows, seed: Seed) -> Result<Circuit> {
        let graph = self.structure.graph(rows, seed)?;
        let kinds = self.structure.leaves(rows.schema(), self.leaf)?;
        self.begin(graph, rows, &kinds, seed)
    }

    pub(crate) fn begin(&self, graph: Graph, rows: &dyn Rows, kinds: &[Leaf], seed: Seed) -> Result<Circuit> {
        let schema = rows.schema().clone();
        let mut circuit = Circuit::randomised(self.structure.name(), graph, schema, kinds, seed.child("circuit", 0))?;
        circuit.begin_near(rows, seed.child("circuit", 1))?;
        Ok(circuit)
    }

    /// Learns the structure where it is learned, then the parameters. With no `valid` rows, training goes to its last epoch.
    ///
    /// # Errors
    /// As [`Self::start_circuit`] and [`train`].
    pub fn fit(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, seed: Seed) -> Result<(Circuit, History)> {
        self.fit_with(rows, valid, seed, None, &mut crate::train::quiet)
    }

    /// As [`Self::fit`], with a checkpoint, and a watcher that hears of every step and may stop the training.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_with(
        &self,
        rows: &dyn Rows,
        valid: Option<&dyn Rows>,
        seed: Seed,
        checkpoint: Option<Checkpoint>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(Circuit, History)> {
        let learner = EmLearner::new(self.start_circuit(rows, seed)?, rows, valid, self.em)?;
        self.train(learner, rows.len(), seed, checkpoint, watch)
    }

    pub(crate) fn train(
        &self,
        mut learner: EmLearner,
        rows: usize,
        seed: Seed,
        checkpoint: Option<Checkpoint>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(Circuit, History)> {
        let patience = (self.patience > 0 && learner.validates()).then_some(self.patience);
        let plan = Plan { epochs: self.epochs, batch: self.batch, seed, patience, checkpoint };
        let history = train(&mut learner, rows, &plan, watch)?;
        Ok((learner.into_circuit(), history))
    }

    /// Starts the same in the background of a notebook, with its progress as the job's.
    pub fn start(&self, rows: Discrete, valid: Option<Discrete>, seed: Seed) -> Job<Result<(Circuit, History)>> {
        let settings = self.clone();
        Job::spawn(settings.structure.name(), move |handle| {
            let valid = valid.as_ref().map(|rows| rows as &dyn Rows);
            settings.fit_with(&rows, valid, seed, None, &mut |progress| {
                handle.report(progress.step as f64 / progress.steps as f64, progress.line());
                if handle.should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
    }
}
