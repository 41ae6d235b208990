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

/// One record a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    records: Vec<Record>,
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

    pub(super) fn save(&self, archive: &mut Archive) {
        let rows: Vec<f64> = self
            .records
            .iter()
            .flat_map(|r| [r.step as f64, r.epoch as f64, r.loss, r.valid.unwrap_or(f64::NAN), r.seconds])
            .collect();
        archive.put("history", &[self.records.len(), 5], &rows);
    }

    pub(super) fn load(archive: &Archive) -> Result<Self> {
        let rows: Vec<f64> = archive.get_all("history")?;
        let record = |r: &[f64]| Record {
            step: r[0] as u64,
            epoch: r[1] as u64,
            loss: r[2],
            valid: (!r[3].is_nan()).then_some(r[3]),
            seconds: r[4],
        };
        Ok(Self { records: rows.chunks_exact(5).map(record).collect() })
    }
}
