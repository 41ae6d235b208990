//! Learning by expectation-maximisation: the parameters become the flows they carried, normalised.

use super::{Hclt, Real, Tree, evaluate::Workspace, flow::Flows};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Discrete, Rows},
    notebook::Job,
    random::Seed,
    train::{Checkpoint, Clock, History, Learner, Plan, Progress, train},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// How flows become parameters.
///
/// ```text
/// θ_new = (F(n, c) + α / |in(n)|) / (F(n) + α)        θ ← (1 − step) θ + step θ_new
/// ```
/// Source: Peharz et al. 2016; the mini-batch step as in Juice.jl and PyJuice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Em {
    /// One M-step an epoch, from the flows of all rows; never lowers the likelihood when `pseudocount` is 0.
    pub full_batch: bool,
    /// `α`: rows' worth of the uniform distribution, added to every node at every M-step.
    pub pseudocount: f64,
    /// The step of the first mini-batch, in `(0, 1]`.
    pub first_step: f64,
    /// The step of the last mini-batch; in between it falls along a cosine.
    pub last_step: f64,
}

impl Default for Em {
    fn default() -> Self {
        Self { full_batch: false, pseudocount: 0.1, first_step: 1.0, last_step: 0.05 }
    }
}

impl Em {
    /// Full batches without a pseudocount: EM as in the textbook.
    pub fn exact() -> Self {
        Self { full_batch: true, pseudocount: 0.0, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [("first_step", self.first_step), ("last_step", self.last_step)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::out_of_range(name, value, "0 < step ≤ 1"));
            }
        }
        if !(self.pseudocount >= 0.0 && self.pseudocount.is_finite()) {
            return Err(Error::out_of_range("pseudocount", self.pseudocount, "0 ≤ pseudocount"));
        }
        Ok(())
    }

    fn step(&self, clock: &Clock) -> f64 {
        let fall = (1.0 + (std::f64::consts::PI * clock.progress()).cos()) / 2.0;
        self.last_step + (self.first_step - self.last_step) * fall
    }
}

/// A circuit that learns from rows by EM; a [`Learner`] for [`train`].
pub struct EmLearner<'a, T: Real = f32> {
    circuit: Hclt<T>,
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    em: Em,
    flows: Flows<T>,
    workspace: Workspace<T>,
}

impl<'a, T: Real> EmLearner<'a, T> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When the rows do not fit the circuit, or a setting is out of range.
    pub fn new(circuit: Hclt<T>, train: &'a dyn Rows, valid: Option<&'a dyn Rows>, em: Em) -> Result<Self> {
        em.check()?;
        circuit.check(train)?;
        valid.map_or(Ok(()), |rows| circuit.check(rows))?;
        let (flows, workspace) = (Flows::new(&circuit), Workspace::new(true));
        Ok(Self { circuit, train, valid: valid.filter(|rows| !rows.is_empty()), em, flows, workspace })
    }

    /// The circuit as it is now.
    pub fn circuit(&self) -> &Hclt<T> {
        &self.circuit
    }

    /// The circuit, learned.
    pub fn into_circuit(self) -> Hclt<T> {
        self.circuit
    }

    fn learn(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let (circuit, flows) = (&self.circuit, &mut self.flows);
        let mut total = 0.0;
        self.workspace.for_each_block(circuit, self.train, rows, |tiles| {
            flows.add(circuit, tiles);
            total += tiles.iter().flat_map(|tile| &tile.log_probs[..tile.n]).sum::<f64>();
            Ok(())
        })?;
        if !self.em.full_batch {
            self.maximise(self.em.step(clock));
        }
        Ok(-total / rows.len() as f64)
    }

    fn maximise(&mut self, step: f64) {
        self.circuit.maximise(&self.flows, self.em.pseudocount, step);
        self.flows.clear();
    }
}

impl<T: Real> Learner for EmLearner<'_, T> {
    fn describe(&self) -> String {
        let (vars, states) = (self.circuit.vars(), self.circuit.states);
        format!("hclt of {vars} variables and {states} states, {:?}", self.em)
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        // Inside the pool once, rather than at every parallel loop.
        rayon::scope(|_| self.learn(rows, clock))
    }

    fn end_epoch(&mut self, _: &Clock) -> Result<()> {
        if self.em.full_batch {
            self.maximise(1.0);
        }
        Ok(())
    }
    fn validate(&mut self) -> Result<Option<f64>> {
        let Some(rows) = self.valid else { return Ok(None) };
        let log_probs = self.circuit.log_prob(rows)?;
        Ok(Some(-log_probs.iter().sum::<f64>() / log_probs.len() as f64))
    }

    fn save(&self, archive: &mut Archive) {
        self.circuit.put_weights(archive);
        if self.em.full_batch {
            let flows = &self.flows;
            archive.put("flows/root", &[flows.root.len()], &flows.root);
            archive.put("flows/rows", &[2], &[flows.rows, flows.impossible]);
            for (v, (edge, leaf)) in flows.edges.iter().zip(&flows.leaves).enumerate() {
                archive.put(&format!("flows/edge/{v}"), &[edge.len()], edge);
                archive.put(&format!("flows/leaf/{v}"), &[leaf.len()], leaf);
            }
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.circuit.take_weights(archive)?;
        self.flows.clear();
        if self.em.full_batch {
            let flows = &mut self.flows;
            flows.root = archive.get("flows/root", &[flows.root.len()])?;
            let rows: Vec<f64> = archive.get("flows/rows", &[2])?;
            (flows.rows, flows.impossible) = (rows[0], rows[1]);
            for (v, (edge, leaf)) in flows.edges.iter_mut().zip(&mut flows.leaves).enumerate() {
                *edge = archive.get(&format!("flows/edge/{v}"), &[edge.len()])?;
                *leaf = archive.get(&format!("flows/leaf/{v}"), &[leaf.len()])?;
            }
        }
        Ok(())
    }
}

impl<T: Real> Hclt<T> {
    /// One M-step: `θ ← (1 − step) θ + step θ_new`. A node without flow and without pseudocount keeps its parameters.
    pub(super) fn maximise(&mut self, flows: &Flows<T>, pseudocount: f64, step: f64) {
        let h = self.states;
        update(&mut self.weights.root, |i, _| flows.root[i].f64(), pseudocount, step);
        self.weights.edges.par_iter_mut().zip(&flows.edges).for_each(|(weights, flows)| {
            for (row, flows) in weights.chunks_exact_mut(h).zip(flows.chunks_exact(h)) {
                update(row, |i, weight| weight * flows[i].f64(), pseudocount, step);
            }
        });
        self.weights.leaves.par_iter_mut().zip(&flows.leaves).for_each(|(weights, flows)| {
            let k = weights.len() / h;
            let missing = &flows[k * h..];
            for (state, row) in weights.chunks_exact_mut(k).enumerate() {
                // A missing value counts as what the leaf expects it to be.
                let expected = missing[state].f64();
                update(row, |a, weight| flows[a * h + state].f64() + expected * weight, pseudocount, step);
            }
        });
    }
}

/// `count(i, weight)` is the flow over the `i`-th edge of a node.
fn update<T: Real>(row: &mut [T], count: impl Fn(usize, f64) -> f64, pseudocount: f64, step: f64) {
    let total = row.iter().enumerate().map(|(i, w)| count(i, w.f64())).sum::<f64>() + pseudocount;
    if total <= 0.0 {
        return;
    }
    let (share, scale) = (pseudocount / row.len() as f64, step / total);
    for (i, weight) in row.iter_mut().enumerate() {
        *weight = T::of((1.0 - step) * weight.f64() + scale * (count(i, weight.f64()) + share));
    }
}

/// Everything `limbeck fit hclt` can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitHclt {
    /// Latent states a variable.
    pub states: usize,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// How flows become parameters.
    pub em: Em,
}

impl Default for FitHclt {
    fn default() -> Self {
        Self { states: 16, epochs: 60, batch: 128, patience: 10, em: Em::default() }
    }
}

impl FitHclt {
    /// Learns the tree, then the parameters. With no `valid` rows, training goes to its last epoch.
    ///
    /// ```
    /// # use limbeck::prelude::*;
    /// let digits = shipped::digits()?.discrete();
    /// let settings = FitHclt { states: 4, epochs: 2, ..FitHclt::default() };
    /// let (circuit, history): (Hclt, History) = settings.fit(&digits, None, Seed(0))?;
    /// assert_eq!(history.epochs().len(), 2);
    /// # Ok::<(), limbeck::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`train`] and [`Hclt::random`].
    pub fn fit(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, seed: Seed) -> Result<(Hclt, History)> {
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
    ) -> Result<(Hclt, History)> {
        let tree = Tree::chow_liu(rows, seed)?;
        let circuit = Hclt::random(rows.schema().clone(), tree, self.states, seed.child("hclt", 0))?;
        let mut learner = EmLearner::new(circuit, rows, valid, self.em)?;
        let patience = (self.patience > 0 && learner.valid.is_some()).then_some(self.patience);
        let plan = Plan { epochs: self.epochs, batch: self.batch, seed, patience, checkpoint };
        let history = train(&mut learner, rows.len(), &plan, watch)?;
        Ok((learner.into_circuit(), history))
    }

    /// Starts the same in the background of a notebook, with its progress as the job's.
    pub fn start(&self, rows: Discrete, valid: Option<Discrete>, seed: Seed) -> Job<Result<(Hclt, History)>> {
        let settings = self.clone();
        Job::spawn("hclt", move |handle| {
            let valid = valid.as_ref().map(|rows| rows as &dyn Rows);
            settings.fit_with(&rows, valid, seed, None, &mut |progress| {
                handle.report(progress.step as f64 / progress.steps as f64, progress.line());
                if handle.should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
    }
}
