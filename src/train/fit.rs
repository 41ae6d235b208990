//! Settings that become a model.

use super::{Checkpoint, Estimate, History, Progress, watch};
use crate::{Error, Result, data::Rows, notebook::Job, random::Seed};
use serde::{Serialize, de::DeserializeOwned};
use std::{ops::ControlFlow, path::PathBuf};

/// What a run is told beside its settings and its rows.
pub struct Run<'a> {
    /// Root of all randomness.
    pub seed: Seed,
    /// Where to keep a checkpoint, if anywhere.
    pub checkpoint: Option<Checkpoint>,
    /// Whether to compute on a GPU, which is an error where none answers or the model has no code for one.
    pub gpu: bool,
    /// Parts of it that are done at a time, where it has parts that know nothing of each other. What is made does not depend on it.
    pub jobs: usize,
    /// Hears of every step, and may end the training.
    pub watch: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl<'a> Run<'a> {
    /// On the CPU, one part after the other, without a checkpoint.
    pub fn new(seed: Seed, watch: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Self {
        Self { seed, checkpoint: None, gpu: false, jobs: 1, watch }
    }
}

/// Refuses epochs, rows in a batch, a rate and a norm to clip gradients at that are none.
pub(crate) fn check_training((epochs, batch): (u64, usize), (rate, clip): (f64, f64)) -> Result<()> {
    for (name, value) in [("epochs", epochs), ("batch", batch as u64)] {
        if value == 0 {
            return Err(Error::out_of_range(name, value, "1 ≤ value"));
        }
    }
    for (name, value) in [("rate", rate), ("clip", clip)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(Error::out_of_range(name, value, "0 < value < ∞"));
        }
    }
    Ok(())
}

impl Run<'_> {
    /// # Errors
    /// Where the run is to be on a GPU, for which `what` has no code.
    pub fn on_cpu(&self, what: &str) -> Result<()> {
        match self.gpu {
            false => Ok(()),
            true => Err(Error::Usage(format!("{what} learns on the CPU alone: leave out --gpu"))),
        }
    }

    /// Does a part of the run, which has a seed of its own and a checkpoint beside that of the run.
    ///
    /// # Errors
    /// Those of the part; and where the watcher ended it [`Error::Interrupted`], or without a checkpoint that it was stopped: what
    /// would come after it is not to be made of half a part.
    pub fn part<T>(&mut self, name: &str, seed: Seed, work: impl FnOnce(Run) -> Result<T>) -> Result<T> {
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| checkpoint.part(name));
        let file = self.checkpoint.as_ref().map(|file| file.path.display().to_string());
        let (mut stopped, outer) = (None, &mut *self.watch);
        let mut watch = |progress: &Progress| {
            let flow = outer(progress);
            if flow.is_break() && progress.step < progress.steps {
                stopped = Some(progress.step);
            }
            flow
        };
        let made = work(Run { seed, checkpoint, gpu: self.gpu, jobs: self.jobs, watch: &mut watch });
        let step = match &made {
            // A part of the part: what goes on is the whole run.
            Err(Error::Interrupted { step, .. }) => *step,
            _ => match stopped {
                Some(step) => step,
                None => return made,
            },
        };
        Err(match file {
            Some(file) => Error::Interrupted { step, checkpoint: format!("{file} (its part {name})") },
            None => Error::invalid(format!("stopped in its part {name}, at step {step}: there is no model yet")),
        })
    }
}

/// What kind of columns a model is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Categories.
    Categories,
    /// Real numbers.
    Reals,
}

/// Settings that check themselves, and become a model when they are shown rows.
pub trait Fit: Serialize + DeserializeOwned + Clone + Send + 'static {
    /// What is learned.
    type Model: Send + 'static;

    /// The name of the model, as on the command line.
    fn name(&self) -> &str;

    /// # Errors
    /// That name the setting which is out of its range, or does not go with another.
    fn check(&self) -> Result<()>;

    /// What kind of columns the model is of.
    fn reads(&self) -> Reads;

    /// Files that are read beside the rows, each with the setting that names it.
    fn files(&self) -> Vec<(&'static str, PathBuf)> {
        vec![]
    }

    /// What a run on such rows with so many [`Run::jobs`] will take, where that can be said before.
    ///
    /// # Errors
    /// When the rows do not fit the settings.
    fn estimate(&self, _rows: &dyn Rows, _jobs: usize) -> Result<Option<Estimate>> {
        Ok(None)
    }

    /// Learns a model from rows. With no `valid` rows, or none in them, training goes to its last step.
    ///
    /// # Errors
    /// As [`Self::check`]; also when the rows do not fit the model or cannot be read, or a number stops being finite.
    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(Self::Model, History)>;

    /// The same without a checkpoint, watched by the reader of a notebook alone.
    ///
    /// # Errors
    /// As [`Self::fit_with`].
    fn fit(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, seed: Seed) -> Result<(Self::Model, History)> {
        self.fit_with(rows, valid, Run::new(seed, &mut watch()))
    }

    /// Starts the same in the background of a notebook, with its progress as the job's.
    fn start<R: Rows + Send + 'static>(
        &self,
        rows: R,
        valid: Option<R>,
        seed: Seed,
    ) -> Job<Result<(Self::Model, History)>> {
        let settings = self.clone();
        Job::spawn(self.name(), move |handle| {
            let mut watch = |progress: &Progress| {
                handle.report(progress.step as f64 / progress.steps as f64, progress.line());
                if handle.should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let valid = valid.as_ref().map(|rows| rows as &dyn Rows);
            settings.fit_with(&rows, valid, Run::new(seed, &mut watch))
        })
    }
}
