//! The loop itself.

use super::{History, Progress, Record, checkpoint::State};
use crate::{Error, Result, archive::Archive, data::Batches, random::Seed};
use std::{
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

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

    /// Mean loss on the validation rows, nats a row; `None` where there are none.
    ///
    /// # Errors
    /// As [`Self::step`].
    fn validate(&mut self) -> Result<Option<f64>>;

    /// Puts everything that the next step depends on into the archive.
    fn save(&self, archive: &mut Archive);

    /// Takes it back.
    ///
    /// # Errors
    /// When an array is missing or of another shape.
    fn load(&mut self, archive: &Archive) -> Result<()>;
}

/// How long to train, in what batches, and what to keep.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Root of all randomness.
    pub seed: Seed,
    /// Epochs without a lower validation loss before training ends; the learner goes back to its best epoch.
    pub patience: Option<u64>,
    /// Where to keep a checkpoint, if anywhere.
    pub checkpoint: Option<Checkpoint>,
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

impl Plan {
    /// `epochs` passes in batches of `batch` rows, without early stopping or checkpoints.
    pub fn new(epochs: u64, batch: usize, seed: Seed) -> Self {
        Self { epochs, batch, seed, patience: None, checkpoint: None }
    }
}

/// Trains `learner` on `rows` rows. `watch` hears of every step and may end the training; a checkpoint is kept then too.
///
/// With a [`Plan::patience`], the learner ends as it was at its best epoch.
///
/// # Errors
/// Those of the learner; [`Error::NotFinite`] when a loss is NaN; also when a checkpoint cannot be written,
/// or the one to resume from is of another run.
pub fn train(
    learner: &mut impl Learner,
    rows: usize,
    plan: &Plan,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<History> {
    if rows == 0 {
        return Err(Error::invalid("there is no row to learn from"));
    }
    if plan.epochs == 0 {
        return Err(Error::out_of_range("epochs", 0, "1 ≤ epochs"));
    }
    if plan.batch == 0 {
        return Err(Error::out_of_range("batch", 0, "1 ≤ batch"));
    }
    let in_epoch = Batches::count(rows, plan.batch) as u64;
    let steps = in_epoch * plan.epochs;
    let mut state = match &plan.checkpoint {
        Some(c) if c.resume && c.path.exists() => State::load(&c.path, learner, plan, rows)?,
        _ => State::default(),
    };
    let before = state.history.last().map_or(0.0, |r| r.seconds);
    let began = Instant::now();
    let mut saved = Instant::now();
    let mut valid = state.history.records().iter().rev().find_map(|r| r.valid);
    'epochs: for epoch in state.step / in_epoch + 1..=plan.epochs {
        if state.done {
            break;
        }
        let skip = (state.step - (epoch - 1) * in_epoch) as usize;
        for batch in Batches::new(rows, plan.batch, plan.seed, epoch).skip(skip) {
            let step = state.step + 1;
            let clock = Clock { step, steps, epoch, seed: plan.seed };
            let loss = learner.step(&batch, &clock)?;
            if loss.is_nan() {
                let batch =
                    format!("batch {} of epoch {epoch}, which begins with row {}", (step - 1) % in_epoch + 1, batch[0]);
                return Err(Error::NotFinite { step, problem: format!("the loss is NaN in {batch}") });
            }
            let mut record = Record { step, epoch, loss, valid: None, seconds: 0.0 };
            if step % in_epoch == 0 {
                learner.end_epoch(&clock)?;
                record.valid = learner.validate()?;
                valid = record.valid.or(valid);
                state.done = plan.patience.is_some_and(|patience| remember(&mut state, &record, learner, patience));
            }
            record.seconds = before + began.elapsed().as_secs_f64();
            state.step = step;
            state.history.push(record);
            state.done |= step == steps;
            let flow = watch(&Progress { step, steps, epoch, loss, valid });
            if let Some(Checkpoint { path, every, .. }) = &plan.checkpoint
                && (saved.elapsed() >= *every || state.done || flow.is_break())
            {
                state.save(path, learner, plan, rows)?;
                saved = Instant::now();
            }
            if state.done || flow.is_break() {
                break 'epochs;
            }
        }
    }
    if let (Some(_), Some((_, _, best))) = (plan.patience, &state.best) {
        learner.load(best)?;
    }
    Ok(state.history)
}

/// Keeps the learner when it is better than ever; says whether patience is at its end.
fn remember(state: &mut State, record: &Record, learner: &impl Learner, patience: u64) -> bool {
    let Some(loss) = record.valid else { return false };
    if state.best.as_ref().is_none_or(|(lowest, _, _)| loss < *lowest) {
        let mut archive = Archive::default();
        learner.save(&mut archive);
        state.best = Some((loss, record.epoch, archive));
    }
    state.best.as_ref().is_some_and(|(_, epoch, _)| record.epoch - epoch >= patience)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    /// Moves a number towards the rows it sees, with noise: any lost or repeated step shows.
    struct Wanderer {
        at: f64,
        validations: f64,
    }

    impl Learner for Wanderer {
        fn describe(&self) -> String {
            "wanderer".into()
        }
        fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
            let noise: f64 = clock.seed.stream("noise", clock.step).random();
            for row in rows {
                self.at += 0.01 * (*row as f64 - self.at) + noise;
            }
            Ok(self.at)
        }
        fn validate(&mut self) -> Result<Option<f64>> {
            self.validations += 1.0;
            Ok(Some((self.validations - 3.0).abs()))
        }
        fn save(&self, archive: &mut Archive) {
            archive.put("at", &[2], &[self.at, self.validations]);
        }
        fn load(&mut self, archive: &Archive) -> Result<()> {
            let at: Vec<f64> = archive.get("at", &[2])?;
            (self.at, self.validations) = (at[0], at[1]);
            Ok(())
        }
    }

    fn plan(folder: &tempfile::TempDir) -> Plan {
        let path = folder.path().join("checkpoint");
        let checkpoint = Some(Checkpoint { path, every: Duration::ZERO, resume: true });
        Plan { checkpoint, ..Plan::new(6, 4, Seed(5)) }
    }

    fn losses(history: &History) -> Vec<(u64, u64, Option<f64>)> {
        history.records().iter().map(|r| (r.step, r.loss.to_bits(), r.valid)).collect()
    }

    #[test]
    fn a_run_stopped_after_any_step_ends_where_the_whole_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = Wanderer { at: 0.0, validations: 0.0 };
        let history = train(&mut whole, 10, &Plan { checkpoint: None, ..plan(&folder) }, &mut quiet_watch).unwrap();
        for stop in 1..18 {
            let folder = tempfile::tempdir().unwrap();
            let mut first = Wanderer { at: 0.0, validations: 0.0 };
            let mut until =
                |p: &Progress| if p.step == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            train(&mut first, 10, &plan(&folder), &mut until).unwrap();
            let mut second = Wanderer { at: 99.0, validations: 99.0 };
            let resumed = train(&mut second, 10, &plan(&folder), &mut quiet_watch).unwrap();
            assert_eq!(losses(&resumed), losses(&history), "stopped after step {stop}");
            assert_eq!(second.at.to_bits(), whole.at.to_bits());
        }
    }

    fn quiet_watch(p: &Progress) -> ControlFlow<()> {
        super::super::quiet(p)
    }

    #[test]
    fn patience_ends_training_and_goes_back_to_the_best_epoch() {
        let mut learner = Wanderer { at: 0.0, validations: 0.0 };
        let plan = Plan { patience: Some(2), ..Plan::new(100, 4, Seed(5)) };
        let history = train(&mut learner, 10, &plan, &mut quiet_watch).unwrap();
        assert_eq!(history.last().unwrap().epoch, 5);
        assert_eq!(learner.validations, 3.0);
    }

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut learner = Wanderer { at: 0.0, validations: 0.0 };
        train(&mut learner, 10, &plan(&folder), &mut quiet_watch).unwrap();
        let other = Plan { seed: Seed(6), ..plan(&folder) };
        let error = train(&mut learner, 10, &other, &mut quiet_watch).unwrap_err().to_string();
        assert!(error.contains("seed 5") && error.contains("seed 6"), "{error}");
    }

    #[test]
    fn a_loss_that_is_not_a_number_stops_training() {
        struct Broken;
        impl Learner for Broken {
            fn describe(&self) -> String {
                "broken".into()
            }
            fn step(&mut self, _: &[usize], clock: &Clock) -> Result<f64> {
                Ok(if clock.step == 4 { f64::NAN } else { 1.0 })
            }
            fn validate(&mut self) -> Result<Option<f64>> {
                Ok(None)
            }
            fn save(&self, _: &mut Archive) {}
            fn load(&mut self, _: &Archive) -> Result<()> {
                Ok(())
            }
        }
        let error = train(&mut Broken, 10, &Plan::new(2, 4, Seed(0)), &mut quiet_watch).unwrap_err().to_string();
        assert!(error.starts_with("training stopped at step 4: the loss is NaN in batch 1 of epoch 2"), "{error}");
    }
}
