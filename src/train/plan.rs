//! How long to train, and what to keep.

use crate::{Error, Result, data::Batches, random::Seed};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long to train, in what batches, and what to keep.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When training ends.
    pub length: Length,
    /// Rows in a batch.
    pub batch: usize,
    /// Root of all randomness.
    pub seed: Seed,
    /// Epochs without a lower validation loss before training ends; the learner goes back to its best epoch.
    pub patience: Option<u64>,
    /// Where to keep a checkpoint, if anywhere.
    pub checkpoint: Option<Checkpoint>,
    /// The settings of the fit as text, where there are some: a run goes on with the settings it began with.
    pub settings: String,
}

/// When training ends, if nothing ends it early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After as many passes over the training rows.
    Epochs(u64),
    /// After as many steps: for a learner that draws its rows itself, where a step is an epoch, or for part of a pass.
    Steps(u64),
}

/// A file that a run can be continued from.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The file.
    pub path: PathBuf,
    /// The least time between two writes; the last step is always written.
    pub every: Duration,
    /// Whether to go on from the file, if there is one.
    pub resume: bool,
}

impl Checkpoint {
    /// Refuses files with the names of parts (or that begin with these), where they are not to be gone on with.
    pub(crate) fn refuse_parts(&self, names: &[&str]) -> Result<()> {
        let own = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let files = std::fs::read_dir(folder).map_err(Error::io(folder))?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_part = |path: &PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            names.iter().any(|name| file.starts_with(&format!("{own}.{name}")))
        };
        match files.filter(|_| !self.resume).filter(is_part).min() {
            None => Ok(()),
            Some(part) => {
                let remedy = "--resume goes on with it; take another file, or remove its parts, to begin anew";
                Err(Error::file(part, format!("is there already, as a part of such a run would be: {remedy}")))
            }
        }
    }

    /// That of a part of the run, in a file of its own beside this.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        let mut file = self.path.file_name().unwrap_or_default().to_os_string();
        file.push(format!(".{name}"));
        Self { path: self.path.with_file_name(file), ..self.clone() }
    }
}

impl Plan {
    /// `epochs` passes in batches of `batch` rows, without early stopping or checkpoints.
    pub fn new(epochs: u64, batch: usize, seed: Seed) -> Self {
        Self { length: Length::Epochs(epochs), batch, seed, patience: None, checkpoint: None, settings: String::new() }
    }

    /// `steps` steps with `batch` rows each, without early stopping or checkpoints.
    pub fn steps(steps: u64, batch: usize, seed: Seed) -> Self {
        Self { length: Length::Steps(steps), ..Self::new(0, batch, seed) }
    }

    /// Steps in an epoch, and in all.
    pub(super) fn count(&self, rows: Option<usize>, least: usize) -> Result<(u64, u64)> {
        if self.batch == 0 {
            return Err(Error::out_of_range("batch", 0, "1 ≤ batch"));
        }
        let batch = rows.map_or(self.batch, |rows| self.batch.min(rows));
        if batch < least {
            let found = format!("batches of {batch} rows, and the model's statistics need {least} at least");
            return Err(Error::Usage(format!("{found}: a larger batch, or more rows")));
        }
        if rows == Some(0) {
            return Err(Error::invalid("there is no row to learn from"));
        }
        let in_epoch = rows.map_or(1, |rows| Batches::count(rows, self.batch, least) as u64);
        let steps = match (self.length, rows) {
            (Length::Epochs(0), _) => return Err(Error::out_of_range("epochs", 0, "1 ≤ epochs")),
            (Length::Steps(0), _) => return Err(Error::out_of_range("steps", 0, "1 ≤ steps")),
            (Length::Epochs(_), None) => {
                return Err(Error::Usage("there are no rows to pass over: plan steps (`Plan::steps`)".into()));
            }
            (Length::Epochs(epochs), Some(_)) => in_epoch.checked_mul(epochs),
            (Length::Steps(steps), _) => Some(steps),
        };
        let most = || Error::Usage(format!("{:?} of {in_epoch} steps each: more than can be counted", self.length));
        Ok((in_epoch, steps.ok_or_else(most)?))
    }
}
