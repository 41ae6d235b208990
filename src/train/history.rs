//! What happened at each step.

use crate::{Result, archive::Archive};
use polars::prelude::*;

/// One step of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// Counted from 1.
    pub step: u64,
    /// The epoch the step belongs to, counted from 1.
    pub epoch: u64,
    /// Mean loss of the batch before the update, nats a row.
    pub loss: f64,
    /// Mean loss on the validation rows, at the last step of an epoch.
    pub valid: Option<f64>,
    /// Time since training began, interruptions left out.
    pub seconds: f64,
}

/// Numbers of a record in a file.
const COLUMNS: usize = 6;

/// One record a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    records: Vec<Record>,
    notes: Vec<String>,
}

impl History {
    /// The records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The last record, if any step was made.
    pub fn last(&self) -> Option<&Record> {
        self.records.last()
    }

    /// Something that the reader of the model should know.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Mean loss of each epoch with the loss on the validation rows at its end: `(epoch, train, valid)`.
    pub fn epochs(&self) -> Vec<(u64, f64, Option<f64>)> {
        self.records
            .chunk_by(|a, b| a.epoch == b.epoch)
            .map(|steps| {
                let mean = steps.iter().map(|r| r.loss).sum::<f64>() / steps.len() as f64;
                (steps[0].epoch, mean, steps[steps.len() - 1].valid)
            })
            .collect()
    }

    /// The same without times, which differ from run to run.
    pub fn untimed(mut self) -> Self {
        self.records.iter_mut().for_each(|record| record.seconds = 0.0);
        self
    }

    /// At most about `most` steps, evenly spread, and the last of every epoch; means of epochs are of those that are left.
    pub fn thinned(mut self, most: usize) -> Self {
        let every = self.records.len().div_ceil(most.max(1)).max(1);
        let ends = self.records.windows(2).map(|pair| pair[0].epoch != pair[1].epoch).chain([true]);
        let kept: Vec<bool> = ends.enumerate().map(|(i, is_end)| i % every == 0 || is_end).collect();
        let mut kept = kept.into_iter();
        self.records.retain(|_| kept.next().unwrap_or(true));
        self
    }

    /// What went otherwise than it should, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.notes.iter().cloned().chain(self.infinite()).collect()
    }

    /// Whether validation losses were infinite.
    fn infinite(&self) -> Option<String> {
        let losses: Vec<(u64, f64)> = self.records.iter().filter_map(|r| Some((r.epoch, r.valid?))).collect();
        let infinite: Vec<u64> = losses.iter().filter(|(_, loss)| !loss.is_finite()).map(|(epoch, _)| *epoch).collect();
        let first = infinite.first()?;
        Some(format!(
            "the validation loss was infinite at {} of {} epochs, first at epoch {first}: some validation row was impossible \
             under the model; such epochs are never the best",
            infinite.len(),
            losses.len()
        ))
    }

    /// One row a step: `step`, `epoch`, `loss`, `valid`, `seconds`.
    pub fn frame(&self) -> DataFrame {
        let column = |name: &str, value: fn(&Record) -> f64| {
            Column::new(name.into(), self.records.iter().map(value).collect::<Vec<_>>())
        };
        let valid: Vec<Option<f64>> = self.records.iter().map(|r| r.valid).collect();
        let columns = vec![
            Column::new("step".into(), self.records.iter().map(|r| r.step).collect::<Vec<_>>()),
            Column::new("epoch".into(), self.records.iter().map(|r| r.epoch).collect::<Vec<_>>()),
            column("loss", |r| r.loss),
            Column::new("valid".into(), valid),
            column("seconds", |r| r.seconds),
        ];
        DataFrame::new(self.records.len(), columns).expect("columns of one length and different names")
    }

    pub(crate) fn save(&self, archive: &mut Archive) {
        let rows: Vec<f64> = self
            .records
            .iter()
            .flat_map(|r| {
                let (validated, valid) = r.valid.map_or((0.0, 0.0), |valid| (1.0, valid));
                [r.step as f64, r.epoch as f64, r.loss, validated, valid, r.seconds]
            })
            .collect();
        archive.put("history", &[self.records.len(), COLUMNS], &rows);
    }

    pub(crate) fn load(archive: &Archive) -> Result<Self> {
        let rows: Vec<f64> = archive.get_all("history")?;
        let record = |r: &[f64]| Record {
            step: r[0] as u64,
            epoch: r[1] as u64,
            loss: r[2],
            valid: (r[3] != 0.0).then_some(r[4]),
            seconds: r[5],
        };
        Ok(Self { notes: vec![], records: rows.chunks_exact(COLUMNS).map(record).collect() })
    }
}
