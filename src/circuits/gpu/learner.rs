//! Learning on a GPU by EM.

use super::{passes::Passes, resident::Resident};
use crate::{
    Error, Result,
    archive::Archive,
    circuits::{Circuit, Em, Heads, Rule, pass::heads::RowWeights},
    data::{Rows, fingerprint},
    evidence::Fingerprint,
    train::{Clock, Learner, is_lower},
};

/// As [`EmLearner`](crate::circuits::EmLearner), on a GPU.
pub(in crate::circuits) struct GpuLearner<'a> {
    passes: Passes,
    train: &'a dyn Rows,
    /// The head of each row.
    heads: Heads<'a>,
    valid: Option<&'a dyn Rows>,
    em: Em,
    /// Rows that had no flow, in all steps together.
    left_out: usize,
}

impl<'a> GpuLearner<'a> {
    /// `batch`: rows of a step.
    pub(in crate::circuits) fn new(
        circuit: Circuit,
        (train, heads): (&'a dyn Rows, Heads<'a>),
        valid: Option<&'a dyn Rows>,
        em: Em,
        batch: usize,
    ) -> Result<Self> {
        em.check()?;
        if !matches!(em.rule, Rule::MiniBatch | Rule::FullBatch) {
            return Err(Error::Usage("on a GPU circuits learn by the rules mini-batch and full-batch".into()));
        }
        check(&circuit, train)?;
        circuit.check_weights(RowWeights { heads, weights: None }, train.len())?;
        let valid = valid.filter(|rows| !rows.is_empty());
        if let Some(rows) = valid {
            check(&circuit, rows)?;
            circuit.check_weights(RowWeights::default(), rows.len())?;
        }
        let passes = Passes::new(Resident::new(circuit, batch.max(1))?)?;
        Ok(Self { passes, train, heads, valid, em, left_out: 0 })
    }

    /// How often a row had no flow, as single precision did not reach it.
    pub(in crate::circuits) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The circuit, learned.
    pub(in crate::circuits) fn into_circuit(self) -> Result<Circuit> {
        self.passes.circuit.fetch()
    }

    /// Adds the flows of rows; gives the sum of their log-likelihoods, and how many they are.
    fn collect(&mut self, rows: &[usize]) -> Result<(f64, f64)> {
        let (mut total, mut left_out) = (0.0, 0);
        self.passes.for_each(self.train, rows, self.heads, true, |_, mut found| {
            left_out += found.lost.len();
            found.lost.iter().for_each(|b| found.log_probs[*b] = 0.0);
            total += found.log_probs.iter().sum::<f64>();
        })?;
        self.left_out += left_out;
        Ok((total, (rows.len() - left_out) as f64))
    }
}

/// Refuses what a GPU does not compute.
pub(super) fn check(circuit: &Circuit, rows: &dyn Rows) -> Result<()> {
    circuit.check(rows)?;
    let mut soft = Vec::new();
    if !rows.is_empty() {
        rows.read_evidence(&[0], &mut soft)?;
    }
    if circuit.is_real() || !soft.is_empty() {
        return Err(Error::Usage(
            "on a GPU circuits are of categories: real numbers and soft evidence are for the CPU".into(),
        ));
    }
    Ok(())
}

impl Learner for GpuLearner<'_> {
    fn describe(&self) -> String {
        format!("{}, {:?}{}, on a GPU", self.passes.circuit.stale(), self.em, self.heads.describe())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let (total, counted) = self.collect(rows)?;
        if counted <= 0.0 {
            return Ok(0.0);
        }
        if self.em.rule == Rule::MiniBatch {
            self.passes.circuit.maximise(&self.em, self.em.step(clock))?;
        }
        Ok(-total / counted)
    }

    fn end_epoch(&mut self, _clock: &Clock) -> Result<()> {
        if self.em.rule == Rule::FullBatch {
            self.passes.circuit.maximise(&self.em, 1.0)?;
        }
        Ok(())
    }

    fn validate(&mut self) -> Result<Option<Vec<f64>>> {
        let Some(rows) = self.valid else { return Ok(None) };
        let (log_probs, _) = self.passes.score(rows)?;
        Ok(Some(log_probs.into_iter().map(|p| -p).collect()))
    }

    /// As [`EmLearner`](crate::circuits::EmLearner) ends: a step from all rows follows mini-batches.
    fn end(&mut self) -> Result<()> {
        if self.em.rule != Rule::MiniBatch {
            return Ok(());
        }
        let (before, rows) = (self.passes.circuit.fetch()?, (0..self.train.len()).collect::<Vec<_>>());
        let loss = self.validate()?;
        self.passes.circuit.clear()?;
        if self.collect(&rows)?.1 > 0.0 {
            self.passes.circuit.maximise(&self.em, 1.0)?;
        }
        if loss.zip(self.validate()?).is_some_and(|(before, after)| is_lower(&before, &after)) {
            self.passes.circuit.replace(|circuit| {
                *circuit = before;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn save(&self, archive: &mut Archive) {
        // Which fails only where the GPU has: the next step says so.
        if let Ok(circuit) = self.passes.circuit.fetch() {
            circuit.put_weights(archive);
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.passes.circuit.clear()?;
        self.passes.circuit.replace(|circuit| circuit.take_weights(archive))
    }
}
