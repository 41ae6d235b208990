//! A run on disk, complete enough to go on bit for bit.

use super::{History, Learner, Plan};
use crate::{Error, Result, archive::Archive};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a checkpoint must agree with, and where the run was.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    limbeck: String,
    learner: String,
    rows: usize,
    batch: usize,
    seed: u64,
    step: u64,
    done: bool,
}

/// The state of a run between two steps.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) step: u64,
    pub(super) history: History,
    /// The lowest validation loss, its epoch, and the learner as it was then.
    pub(super) best: Option<(f64, u64, Archive)>,
    /// Whether training ended, by its plan or early.
    pub(super) done: bool,
}

impl State {
    pub(super) fn save(&self, path: &Path, learner: &impl Learner, plan: &Plan, rows: usize) -> Result<()> {
        let mut archive = Archive::new(&Header {
            limbeck: env!("CARGO_PKG_VERSION").into(),
            learner: learner.describe(),
            rows,
            batch: plan.batch,
            seed: plan.seed.0,
            step: self.step,
            done: self.done,
        })?;
        let mut now = Archive::default();
        learner.save(&mut now);
        archive.nest("learner", &now);
        self.history.save(&mut archive);
        if let Some((loss, epoch, state)) = &self.best {
            archive.put("best_loss", &[2], &[*loss, *epoch as f64]);
            archive.nest("best", state);
        }
        archive.save(path)
    }

    /// Puts the learner where the checkpoint left it.
    pub(super) fn load(path: &Path, learner: &mut impl Learner, plan: &Plan, rows: usize) -> Result<Self> {
        let archive = Archive::load(path)?;
        let header: Header = archive.header()?;
        let ours = [
            learner.describe(),
            format!("{rows} rows"),
            format!("batch {}", plan.batch),
            format!("seed {}", plan.seed.0),
        ];
        let theirs = [
            header.learner,
            format!("{} rows", header.rows),
            format!("batch {}", header.batch),
            format!("seed {}", header.seed),
        ];
        if let Some((found, expected)) = theirs.iter().zip(&ours).find(|(a, b)| a != b) {
            let remedy = "continue it with the settings it began with, or begin anew without --resume";
            return Err(Error::file(
                path,
                format!("a checkpoint of another run ({found}; this one: {expected}); {remedy}"),
            ));
        }
        let damaged = || Error::file(path, "a checkpoint without a learner");
        learner.load(&archive.nested("learner").ok_or_else(damaged)?)?;
        let best = match archive.nested("best") {
            Some(state) => {
                let loss: Vec<f64> = archive.get("best_loss", &[2])?;
                Some((loss[0], loss[1] as u64, state))
            }
            None => None,
        };
        Ok(Self { step: header.step, history: History::load(&archive)?, best, done: header.done })
    }
}
