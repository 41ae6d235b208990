//! What the training loop trains.

use crate::{Result, archive::Archive, evidence::Fingerprint, random::Seed};

/// When a step happens.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Counted from 1.
    pub step: u64,
    /// Steps in all, if nothing ends the training early.
    pub steps: u64,
    /// Counted from 1.
    pub epoch: u64,
    /// Root of the randomness of this step: `clock.seed.stream(purpose, clock.step)`.
    pub seed: Seed,
}

impl Clock {
    /// How much of the training has passed before this step, from 0 to below 1.
    pub fn progress(&self) -> f64 {
        (self.step - 1) as f64 / self.steps.max(1) as f64
    }
}

/// A model and its optimiser, as the training loop sees them.
///
/// All randomness of a step comes from its [`Clock`], and all state is in [`Self::save`]: then a resumed run ends
/// where the uninterrupted one does, bit for bit.
pub trait Learner {
    /// The model and its settings, to tell a checkpoint of another run.
    fn describe(&self) -> String;

    /// Number of training rows; none where every step draws its own.
    fn rows(&self) -> Option<usize>;

    /// Rows that a batch has at least; a smaller rest joins the batch before it.
    fn least_batch(&self) -> usize {
        1
    }

    /// The training rows, and those for validation, to tell a checkpoint of other data.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn data(&self) -> Result<[Option<Fingerprint>; 2]>;

    /// Learns from the rows with these indices; returns their mean loss before the update, nats a row.
    ///
    /// # Errors
    /// When a row cannot be read, or a number stops being finite.
    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64>;

    /// Called after the last step of each epoch.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn end_epoch(&mut self, _clock: &Clock) -> Result<()> {
        Ok(())
    }

    /// The loss of every validation row, nats; `None` where there are none.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn validate(&mut self) -> Result<Option<Vec<f64>>>;

    /// Called when training has ended, in whatever way, and the model is about to be used.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    /// Puts everything that the next step depends on into the archive.
    fn save(&self, archive: &mut Archive);

    /// Takes it back.
    ///
    /// # Errors
    /// When an array is missing or of another shape.
    fn load(&mut self, archive: &Archive) -> Result<()>;
}
