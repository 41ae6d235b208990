//! The first step of a round: the heads learn from the rows of their clusters.

use crate::{
    Result,
    circuits::{Circuit, Em, Heads, learn},
    data::Rows,
    train::{History, Plan, Run},
};
use serde::{Deserialize, Serialize};

/// How the heads learn, and what is pruned then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Learn {
    /// Passes over the rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// How flows become parameters.
    pub em: Em,
    /// Edges over which flows no more than this much of a row, on average, are pruned.
    pub unused: f64,
}

impl Default for Learn {
    fn default() -> Self {
        let em = Em { pseudocount: 0.1, first_step: 0.1, last_step: 0.01, ..Em::default() };
        Self { epochs: 50, batch: 256, em, unused: 1e-4 }
    }
}

impl Learn {
    /// Step 1: EM for `E log p(x | label(x))`, and pruning.
    ///
    /// # Errors
    /// When a setting is out of range, or the rows do not fit the circuit or the labels.
    pub fn run(&self, circuit: Circuit, rows: &dyn Rows, labels: &[u32], run: Run) -> Result<(Circuit, History)> {
        let heads = Heads::Labels(labels);
        let plan = Plan { checkpoint: run.checkpoint, ..Plan::new(self.epochs, self.batch, run.seed) };
        let (learned, history) = learn(circuit, (rows, heads), None, self.em, &plan, (run.gpu, run.watch))?;
        Ok((if self.unused > 0.0 { learned.prune_unused(self.unused, rows, heads)? } else { learned }, history))
    }
}
