//! Learning by expectation-maximisation: the parameters become the flows they carried, normalised.

use super::counts::Counts;
use crate::{
    Error, Result,
    archive::Archive,
    circuits::{
        Circuit, Scalar,
        pass::downward::Flows,
        pass::heads::{Heads, RowWeights},
        pass::upward::{Purpose, Workspace},
        pass::weights::Matrix,
    },
    data::{Rows, fingerprint},
    evidence::Fingerprint,
    train::{Clock, Learner, is_lower},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// When flows become parameters, and how many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// One M-step an epoch, from the flows of all rows; never lowers the likelihood when the pseudocount is 0.
    FullBatch,
    /// One M-step a batch, part of the way.
    #[default]
    MiniBatch,
    /// One M-step a batch, from flows that are forgotten slowly: before each batch of `B` rows they are multiplied by
    /// `max(0, 1 − (B + α) / memory)`.
    SlowForgetting,
    /// One step a batch, smaller for a node that the batch uses less than the circuit expects, with momentum.
    Anemone,
}

/// How flows become parameters.
///
/// ```text
/// θ_new = (F(n, c) + α / |in(n)|) / (F(n) + α)        θ ← (1 − step) θ + step θ_new
/// Anemone: θ_new ∝ step F̂(n, c) + (1 − step) p_TD(n) θ     F̂: moving average of the flow a row
/// ```
/// Source: Peharz et al. 2016; the mini-batch step as in Juice.jl and PyJuice; Anemone: Liu et al. 2025.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Given")]
pub struct Em {
    /// When, and from which flows.
    pub rule: Rule,
    /// `α`: rows' worth of the uniform distribution, added to every node at every M-step. [`Rule::Anemone`] counts in shares
    /// of a row: there 10⁻⁶ is usual.
    pub pseudocount: f64,
    /// The step of the first batch, in `(0, 1]`. Of [`Rule::MiniBatch`] and [`Rule::Anemone`] alone.
    pub first_step: f64,
    /// The step of the last batch; in between it falls along a cosine.
    pub last_step: f64,
    /// Rows that [`Rule::SlowForgetting`] remembers.
    pub memory: f64,
    /// How much of the average flow [`Rule::Anemone`] keeps at a batch, in `[0, 1)`.
    pub momentum: f64,
}

/// What a file says of it: where it is silent, the usual value of its rule is taken.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    rule: Rule,
    pseudocount: Option<f64>,
    first_step: Option<f64>,
    last_step: Option<f64>,
    memory: Option<f64>,
    momentum: Option<f64>,
}

impl From<Given> for Em {
    fn from(given: Given) -> Self {
        let usual = Self::usual(given.rule);
        Self {
            rule: given.rule,
            pseudocount: given.pseudocount.unwrap_or(usual.pseudocount),
            first_step: given.first_step.unwrap_or(usual.first_step),
            last_step: given.last_step.unwrap_or(usual.last_step),
            memory: given.memory.unwrap_or(usual.memory),
            momentum: given.momentum.unwrap_or(usual.momentum),
        }
    }
}

impl Default for Em {
    fn default() -> Self {
        Self::usual(Rule::default())
    }
}

impl Em {
    /// The usual settings of a rule.
    pub fn usual(rule: Rule) -> Self {
        let steps = Self { rule, pseudocount: 0.1, first_step: 0.5, last_step: 0.05, memory: 10_000.0, momentum: 0.9 };
        match rule {
            Rule::Anemone => Self { pseudocount: 1e-6, first_step: 0.4, last_step: 0.4, ..steps },
            _ => steps,
        }
    }

    /// Full batches without a pseudocount: EM as in the textbook.
    pub fn exact() -> Self {
        Self { rule: Rule::FullBatch, pseudocount: 0.0, ..Self::default() }
    }

    /// Anemone with its authors' settings: step 0.4, momentum 0.9, pseudocount 10⁻⁶.
    pub fn anemone() -> Self {
        Self::usual(Rule::Anemone)
    }

    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in [("first_step", self.first_step), ("last_step", self.last_step)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::out_of_range(name, value, "0 < step ≤ 1"));
            }
        }
        let falls = matches!(self.rule, Rule::MiniBatch | Rule::Anemone);
        if falls && self.first_step < self.last_step {
            let (first, last) = (self.first_step, self.last_step);
            return Err(Error::Usage(format!("steps fall: first_step is {first}, and last_step {last} is larger")));
        }
        if !(self.pseudocount >= 0.0 && self.pseudocount.is_finite()) {
            return Err(Error::out_of_range("pseudocount", self.pseudocount, "0 ≤ pseudocount < ∞"));
        }
        if !(self.memory > 0.0 && self.memory.is_finite()) {
            return Err(Error::out_of_range("memory", self.memory, "0 < memory < ∞"));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(Error::out_of_range("momentum", self.momentum, "0 ≤ momentum < 1"));
        }
        Ok(())
    }

    pub(in crate::circuits) fn step(&self, clock: &Clock) -> f64 {
        let fall = (1.0 + (std::f64::consts::PI * clock.progress()).cos()) / 2.0;
        self.last_step + (self.first_step - self.last_step) * fall
    }
}

/// A circuit that learns from rows by EM; a [`Learner`] for [`train`](crate::train::train).
pub struct EmLearner<'a, T: Scalar = f32> {
    circuit: Circuit<T>,
    train: &'a dyn Rows,
    row_weights: RowWeights<'a>,
    valid: Option<(&'a dyn Rows, Heads<'a>)>,
    em: Em,
    flows: Flows<T>,
    /// What is remembered of earlier batches, by the rules that do.
    memory: Option<Counts>,
    workspace: Workspace<T>,
}

impl<'a, T: Scalar> EmLearner<'a, T> {
    pub(crate) fn of(
        circuit: Circuit<T>,
        train: &'a dyn Rows,
        valid: Option<(&'a dyn Rows, Heads<'a>)>,
        row_weights: RowWeights<'a>,
        em: Em,
    ) -> Result<Self> {
        em.check()?;
        circuit.check(train)?;
        circuit.check_weights(row_weights, train.len())?;
        if row_weights.weights.is_some_and(|weights| weights.iter().all(|w| *w == 0.0)) {
            return Err(Error::invalid("weights: all are zero, so there is nothing to learn from"));
        }
        if let Some((rows, heads)) = valid {
            circuit.check(rows)?;
            circuit.check_weights(RowWeights { heads, weights: None }, rows.len())?;
        }
        let (flows, workspace) = (Flows::new(&circuit), Workspace::new(Purpose::Sums));
        let remembers = matches!(em.rule, Rule::SlowForgetting | Rule::Anemone);
        let memory = remembers.then(|| Counts::zeros(&circuit));
        let valid = valid.filter(|(rows, _)| !rows.is_empty());
        Ok(Self { circuit, train, row_weights, valid, em, flows, memory, workspace })
    }

    #[cfg(test)]
    pub(crate) fn model(&self) -> &Circuit<T> {
        &self.circuit
    }

    /// Adds the flows of rows; gives the sum of their log-likelihoods, and how many they are.
    fn collect(&mut self, rows: &[usize]) -> Result<(f64, f64)> {
        let (circuit, flows, mut total) = (&self.circuit, &mut self.flows, 0.0);
        let before = flows.rows;
        self.workspace.for_each_block(circuit, self.train, rows, self.row_weights, |_, tiles| {
            for tile in &*tiles {
                let weights = tile.weights[..tile.n].iter().zip(&tile.log_probs);
                total += weights.filter(|(w, _)| **w > T::ZERO).map(|(w, p)| w.f64() * p).sum::<f64>();
            }
            flows.add(circuit, tiles);
            Ok(())
        })?;
        Ok((total, flows.rows - before))
    }

    fn learn(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let (total, counted) = self.collect(rows)?;
        // Rows of weight zero alone teach nothing.
        if counted <= 0.0 {
            return Ok(0.0);
        }
        if self.em.rule != Rule::FullBatch {
            self.maximise(self.em.step(clock), clock);
        }
        Ok(-total / counted)
    }

    fn maximise(&mut self, step: f64, clock: &Clock) {
        let (circuit, em) = (&mut self.circuit, &self.em);
        match (em.rule, &mut self.memory) {
            (Rule::SlowForgetting, Some(memory)) => {
                memory.scale((1.0 - (self.flows.rows + em.pseudocount) / em.memory).max(0.0));
                memory.add(circuit, &self.flows, 1.0);
                memory.maximise(circuit, em.pseudocount);
            }
            (Rule::Anemone, Some(memory)) => {
                memory.scale(em.momentum);
                memory.add(circuit, &self.flows, (1.0 - em.momentum) / self.flows.rows);
                let correction = 1.0 - em.momentum.powf(clock.step as f64);
                circuit.anemone_step(memory, correction, em.pseudocount, step);
            }
            _ => circuit.maximise(&self.flows, em.pseudocount, step),
        }
        self.flows.clear();
    }
}

impl<'a> EmLearner<'a> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When the rows do not fit the circuit, or a setting is out of range.
    pub fn new(circuit: Circuit, train: &'a dyn Rows, valid: Option<&'a dyn Rows>, em: Em) -> Result<Self> {
        Self::of(circuit, train, valid.map(|rows| (rows, Heads::Only)), RowWeights::default(), em)
    }

    /// The same with a weight for each training row, as if it stood there that often.
    ///
    /// # Errors
    /// As [`Self::new`]; also when a weight is negative or missing, or all are zero.
    pub fn weighted(circuit: Circuit, train: &'a dyn Rows, weights: &'a [f32], em: Em) -> Result<Self> {
        Self::of(circuit, train, None, RowWeights { weights: Some(weights), heads: Heads::Only }, em)
    }

    /// For a circuit with several heads: which of them each training row belongs to, and each validation row.
    ///
    /// # Errors
    /// As [`Self::new`]; also when `heads` is of other rows, or names heads that are not there.
    pub fn with_heads(
        circuit: Circuit,
        (train, heads): (&'a dyn Rows, Heads<'a>),
        valid: Option<(&'a dyn Rows, Heads<'a>)>,
        em: Em,
    ) -> Result<Self> {
        Self::of(circuit, train, valid, RowWeights { heads, weights: None }, em)
    }

    /// The circuit as it is now.
    pub fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    /// The circuit, learned.
    pub fn into_circuit(self) -> Circuit {
        self.circuit
    }
}

impl<T: Scalar> Learner for EmLearner<'_, T> {
    fn describe(&self) -> String {
        format!("{}, {:?}{}", self.circuit, self.em, self.row_weights.heads.describe())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(|(rows, _)| fingerprint(rows)).transpose()?])
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        // Inside the pool once, rather than at every parallel loop.
        rayon::scope(|_| self.learn(rows, clock))
    }

    fn end_epoch(&mut self, clock: &Clock) -> Result<()> {
        if self.em.rule == Rule::FullBatch {
            self.maximise(1.0, clock);
        }
        Ok(())
    }

    fn validate(&mut self) -> Result<Option<Vec<f64>>> {
        let Some((rows, heads)) = self.valid else { return Ok(None) };
        let (log_probs, _) = self.circuit.score(rows, RowWeights { heads, weights: None })?;
        Ok(Some(log_probs.into_iter().map(|p| -p).collect()))
    }

    /// Mini-batches end with the noise of their last steps: a step from all rows follows, unless the validation rows are worse
    /// off for it.
    fn end(&mut self) -> Result<()> {
        if self.em.rule != Rule::MiniBatch {
            return Ok(());
        }
        let (before, rows) = (self.circuit.clone(), (0..self.train.len()).collect::<Vec<_>>());
        let loss = self.validate()?;
        self.flows.clear();
        rayon::scope(|_| self.collect(&rows))?;
        if self.flows.rows > 0.0 {
            self.circuit.maximise(&self.flows, self.em.pseudocount, 1.0);
        }
        self.flows.clear();
        if loss.zip(self.validate()?).is_some_and(|(before, after)| is_lower(&before, &after)) {
            self.circuit = before;
        }
        Ok(())
    }

    fn save(&self, archive: &mut Archive) {
        self.circuit.put_weights(archive);
        if self.em.rule == Rule::FullBatch {
            archive.put("flows/rows", &[2], &[self.flows.rows, self.flows.impossible]);
            self.flows
                .sums
                .arrays()
                .enumerate()
                .for_each(|(i, array)| archive.put(&format!("flows/{i}"), &[array.len()], array));
        }
        if let Some(memory) = &self.memory {
            memory.put(archive);
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.circuit.take_weights(archive)?;
        self.flows.clear();
        if self.em.rule == Rule::FullBatch {
            let rows: Vec<f64> = archive.get("flows/rows", &[2])?;
            (self.flows.rows, self.flows.impossible) = (rows[0], rows[1]);
            for (i, array) in self.flows.sums.arrays_mut().enumerate() {
                *array = archive.get(&format!("flows/{i}"), &[array.len()])?;
            }
        }
        if let Some(memory) = &mut self.memory {
            memory.take(archive)?;
        }
        Ok(())
    }
}

impl<T: Scalar> Circuit<T> {
    /// One M-step: `θ ← (1 − step) θ + step θ_new`. A node without flow and without pseudocount keeps its parameters.
    pub(crate) fn maximise(&mut self, flows: &Flows<T>, pseudocount: f64, step: f64) {
        self.weights.par_iter_mut().zip(&flows.sums.edges).for_each(|(parts, flows)| {
            for row in 0..parts[0].rows() {
                update_row(parts, flows, row, pseudocount, step);
            }
        });
        self.leaves.par_iter_mut().zip(&flows.sums.leaves).for_each(|(leaves, flows)| {
            leaves.maximise(flows, pseudocount, step);
        });
    }
}

/// The M-step of one sum node, whose edges lie in a row of each matrix.
fn update_row<T: Scalar>(parts: &mut [Matrix<T>], flows: &[Vec<T>], row: usize, pseudocount: f64, step: f64) {
    let (mut total, mut edges) = (pseudocount, 0);
    for (matrix, flows) in parts.iter().zip(flows) {
        let range = matrix.row(row);
        let (sum, count) = dot_and_count(&matrix.values[range.clone()], &flows[range]);
        total += sum;
        edges += count;
    }
    if total <= 0.0 || edges == 0 {
        return;
    }
    let (keep, scale, share) = (1.0 - step, step / total, pseudocount / edges as f64);
    let (keep, scale, share) = (T::of(keep), T::of(scale), T::of(scale * share));
    for (matrix, flows) in parts.iter_mut().zip(flows) {
        let range = matrix.row(row);
        for (weight, flow) in matrix.values[range.clone()].iter_mut().zip(&flows[range]) {
            let new = *weight * (keep + scale * *flow) + share;
            *weight = if *weight > T::ZERO { new } else { T::ZERO };
        }
    }
}

/// `Σ w f`, and how many `w` are not zero, in partial sums that vectorise.
fn dot_and_count<T: Scalar>(weights: &[T], flows: &[T]) -> (f64, usize) {
    const LANES: usize = 8;
    let (mut sums, mut counts) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    for (weights, flows) in weights.chunks(LANES).zip(flows.chunks(LANES)) {
        for (i, (w, f)) in weights.iter().zip(flows).enumerate() {
            sums[i] += *w * *f;
            counts[i] += if *w > T::ZERO { T::ONE } else { T::ZERO };
        }
    }
    let sum = |lanes: [T; LANES]| lanes.iter().map(|x| x.f64()).sum::<f64>();
    (sum(sums), sum(counts) as usize)
}
