//! The loop itself.

use super::{
    Checkpoint, Clock, History, Learner, Plan, Progress, Record,
    checkpoint::{Best, Lock, State, identity},
    validation::{far_out, is_lower, is_usable},
};
use crate::{Error, Result, archive::Archive, data::Batches};
use std::{ops::ControlFlow, time::Instant};

/// Trains `learner`. `watch` hears of every step and may end the training; a checkpoint is kept then too.
///
/// With a [`Plan::patience`], the learner ends as it was at its best epoch. A validation loss that is infinite is recorded, and
/// never the best; [`History::warnings`] then says so.
///
/// # Errors
/// Those of the learner; [`Error::NotFinite`] when a loss is NaN; also when a checkpoint cannot be written,
/// or the one to resume from is of another run.
pub fn train(
    learner: &mut dyn Learner,
    plan: &Plan,
    watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<History> {
    let rows = learner.rows();
    let least = learner.least_batch();
    let (in_epoch, steps) = plan.count(rows, least)?;
    let _lock = plan.checkpoint.as_ref().map(|c| Lock::of(&c.path)).transpose()?;
    let identity = plan.checkpoint.as_ref().map(|_| identity(learner, plan)).transpose()?.unwrap_or_default();
    let mut state = match &plan.checkpoint {
        Some(c) if c.resume && c.path.exists() => State::load(&c.path, learner, &identity)?,
        _ => State::default(),
    };
    let before = state.history.last().map_or(0.0, |r| r.seconds);
    let began = Instant::now();
    let mut saved = Instant::now();
    let mut valid = state.history.records().iter().rev().find_map(|r| r.valid);
    'epochs: for epoch in state.step / in_epoch + 1..=steps.div_ceil(in_epoch) {
        if state.done {
            break;
        }
        let skip = (state.step - (epoch - 1) * in_epoch) as usize;
        for batch in Batches::new(rows.unwrap_or(plan.batch), (plan.batch, least), plan.seed, epoch).skip(skip) {
            let step = state.step + 1;
            let clock = Clock { step, steps, epoch, seed: plan.seed };
            let loss = learner.step(&batch, &clock).and_then(|loss| match loss.is_nan() {
                true => Err(Error::NotFinite { step, problem: "the loss is NaN".into() }),
                false => Ok(loss),
            });
            let loss = loss.map_err(|error| diverged(error, &state, plan, (step - 1) % in_epoch + 1, epoch))?;
            let mut record = Record { step, epoch, loss, valid: None, seconds: 0.0 };
            if step % in_epoch == 0 || step == steps {
                learner.end_epoch(&clock)?;
                let losses = learner.validate()?;
                record.valid = losses.as_ref().map(|losses| losses.iter().sum::<f64>() / losses.len() as f64);
                valid = record.valid.or(valid);
                if let (Some(patience), Some(losses)) = (plan.patience, losses) {
                    state.done = remember(&mut state, record.epoch, losses, learner, patience);
                }
            }
            record.seconds = before + began.elapsed().as_secs_f64();
            state.step = step;
            state.history.push(record);
            state.done |= step == steps;
            let flow = watch(&Progress { step, steps, epoch, loss, valid });
            if let Some(Checkpoint { path, every, .. }) = &plan.checkpoint
                && (saved.elapsed() >= *every || state.done || flow.is_break())
            {
                state.save(path, learner, &identity)?;
                saved = Instant::now();
            }
            if state.done || flow.is_break() {
                break 'epochs;
            }
        }
    }
    if let (Some(_), Some(best)) = (plan.patience, &state.best) {
        learner.load(&best.learner)?;
        let far = far_out(&best.losses).iter().filter(|far| **far).count();
        if far > 0 {
            let all = best.losses.len();
            state.history.note(format!(
                "{far} of {all} validation rows lie far from the others under the model; they do not decide which epoch is the best"
            ));
        }
    }
    learner.end()?;
    Ok(state.history)
}

/// Keeps the learner when it is better than ever; says whether patience is at its end.
fn remember(state: &mut State, epoch: u64, losses: Vec<f64>, learner: &dyn Learner, patience: u64) -> bool {
    let better = state.best.as_ref().map_or_else(|| is_usable(&losses), |best| is_lower(&losses, &best.losses));
    if better {
        let mut archive = Archive::default();
        learner.save(&mut archive);
        state.best = Some(Best { losses, epoch, learner: archive });
    }
    state.best.as_ref().is_some_and(|best| epoch - best.epoch >= patience)
}

/// A number that stopped being one: where, after what, what was kept, and what to change.
fn diverged(error: Error, state: &State, plan: &Plan, batch: u64, epoch: u64) -> Error {
    let Error::NotFinite { step, problem } = error else { return error };
    let before = state.history.last().map_or("the first step".into(), |r| format!("a loss of {:.4} before", r.loss));
    let kept = match &plan.checkpoint {
        Some(c) if c.path.exists() => format!("; {} is as it was last written", c.path.display()),
        _ => String::new(),
    };
    let place = format!("batch {batch} of epoch {epoch}, {before}");
    let remedy = "a smaller rate, a smaller norm to clip gradients at, or larger batches may help";
    Error::NotFinite { step, problem: format!("{problem} ({place}); {remedy}{kept}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evidence::Fingerprint, random::Seed, train::Length};
    use rand::RngExt;
    use std::time::Duration;

    /// Moves a number towards the rows it sees, with noise: any lost or repeated step shows.
    struct Wanderer {
        at: f64,
        validations: f64,
    }

    impl Learner for Wanderer {
        fn describe(&self) -> String {
            "wanderer".into()
        }
        fn rows(&self) -> Option<usize> {
            Some(10)
        }
        fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
            Ok([None, None])
        }
        fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
            let noise: f64 = clock.seed.stream("noise", clock.step).random();
            for row in rows {
                self.at += 0.01 * (*row as f64 - self.at) + noise;
            }
            Ok(self.at)
        }
        fn validate(&mut self) -> Result<Option<Vec<f64>>> {
            self.validations += 1.0;
            Ok(Some(vec![(self.validations - 3.0).abs()]))
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
        let history = train(&mut whole, &Plan { checkpoint: None, ..plan(&folder) }, &mut quiet_watch).unwrap();
        for stop in 1..18 {
            let folder = tempfile::tempdir().unwrap();
            let mut first = Wanderer { at: 0.0, validations: 0.0 };
            let mut until =
                |p: &Progress| if p.step == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            train(&mut first, &plan(&folder), &mut until).unwrap();
            let mut second = Wanderer { at: 99.0, validations: 99.0 };
            let resumed = train(&mut second, &plan(&folder), &mut quiet_watch).unwrap();
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
        let history = train(&mut learner, &plan, &mut quiet_watch).unwrap();
        assert_eq!(history.last().unwrap().epoch, 5);
        assert_eq!(learner.validations, 3.0);
    }

    #[test]
    fn two_runs_do_not_write_one_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(&folder);
        let mut inner = None;
        let mut other = |p: &Progress| {
            if p.step == 2 {
                let mut second = Wanderer { at: 0.0, validations: 0.0 };
                inner = train(&mut second, &plan, &mut quiet_watch).err().map(|e| e.to_string());
            }
            ControlFlow::Continue(())
        };
        train(&mut Wanderer { at: 0.0, validations: 0.0 }, &plan, &mut other).unwrap();
        assert!(inner.unwrap().contains("another run writes this checkpoint"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the lock goes with the run");
    }

    #[test]
    fn a_checkpoint_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut learner = Wanderer { at: 0.0, validations: 0.0 };
        train(&mut learner, &plan(&folder), &mut quiet_watch).unwrap();
        let other = Plan { seed: Seed(6), ..plan(&folder) };
        let error = train(&mut learner, &other, &mut quiet_watch).unwrap_err().to_string();
        assert!(error.contains("(seed: 5 there, 6 here)"), "{error}");
        let longer = Plan { length: Length::Epochs(7), ..plan(&folder) };
        let error = train(&mut learner, &longer, &mut quiet_watch).unwrap_err().to_string();
        assert!(error.contains("length: Epochs(6) there, Epochs(7) here"), "{error}");
    }

    #[test]
    fn a_loss_that_is_not_a_number_stops_training() {
        struct Broken;
        impl Learner for Broken {
            fn describe(&self) -> String {
                "broken".into()
            }
            fn rows(&self) -> Option<usize> {
                Some(10)
            }
            fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
                Ok([None, None])
            }
            fn step(&mut self, _: &[usize], clock: &Clock) -> Result<f64> {
                Ok(if clock.step == 4 { f64::NAN } else { 1.0 })
            }
            fn validate(&mut self) -> Result<Option<Vec<f64>>> {
                Ok(None)
            }
            fn save(&self, _: &mut Archive) {}
            fn load(&mut self, _: &Archive) -> Result<()> {
                Ok(())
            }
        }
        let error = train(&mut Broken, &Plan::new(2, 4, Seed(0)), &mut quiet_watch).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "training stopped at step 4: the loss is NaN (batch 1 of epoch 2, a loss of 1.0000 before)"
            ),
            "{error}"
        );
    }

    /// Loses what it is told to at each validation.
    struct Scripted(Vec<f64>);

    impl Learner for Scripted {
        fn describe(&self) -> String {
            "scripted".into()
        }
        fn rows(&self) -> Option<usize> {
            Some(1)
        }
        fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
            Ok([None, None])
        }
        fn step(&mut self, _: &[usize], _: &Clock) -> Result<f64> {
            Ok(1.0)
        }
        fn validate(&mut self) -> Result<Option<Vec<f64>>> {
            Ok(Some(vec![self.0.remove(0)]))
        }
        fn save(&self, archive: &mut Archive) {
            archive.put("left", &[1], &[self.0.len() as f64]);
        }
        fn load(&mut self, archive: &Archive) -> Result<()> {
            self.0 = vec![archive.get::<f64>("left", &[1])?[0]];
            Ok(())
        }
    }

    #[test]
    fn an_infinite_validation_loss_is_never_the_best_and_ends_nothing() {
        let plan = Plan { patience: Some(2), ..Plan::new(6, 1, Seed(0)) };
        for odd in [f64::INFINITY, f64::NAN, f64::NEG_INFINITY] {
            let mut learner = Scripted(vec![odd, odd, odd, 3.0, odd, 2.0]);
            let history = train(&mut learner, &plan, &mut quiet_watch).unwrap();
            assert_eq!(history.epochs().len(), 6, "{odd}");
            // Back to the last epoch, after which no loss was left.
            assert_eq!(learner.0, [0.0]);
            assert!(
                history.warnings()[0]
                    .starts_with("the validation loss was infinite at 4 of 6 epochs, first at epoch 1")
            );
        }
    }

    #[test]
    fn steps_are_counted_where_there_are_no_rows() {
        struct Counter(Vec<(u64, u64)>);
        impl Learner for Counter {
            fn describe(&self) -> String {
                "counter".into()
            }
            fn rows(&self) -> Option<usize> {
                None
            }
            fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
                Ok([None, None])
            }
            fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
                assert_eq!(rows.len(), 32);
                self.0.push((clock.step, clock.steps));
                Ok(0.0)
            }
            fn validate(&mut self) -> Result<Option<Vec<f64>>> {
                Ok(None)
            }
            fn save(&self, _: &mut Archive) {}
            fn load(&mut self, _: &Archive) -> Result<()> {
                Ok(())
            }
        }
        let mut counter = Counter(vec![]);
        train(&mut counter, &Plan::steps(3, 32, Seed(0)), &mut quiet_watch).unwrap();
        assert_eq!(counter.0, [(1, 3), (2, 3), (3, 3)]);
        let error = train(&mut counter, &Plan::new(3, 32, Seed(0)), &mut quiet_watch).unwrap_err().to_string();
        assert!(error.contains("plan steps"), "{error}");
        let most = Plan::new(6_148_914_691_236_517_206, 3, Seed(0));
        let error =
            train(&mut Wanderer { at: 0.0, validations: 0.0 }, &most, &mut quiet_watch).unwrap_err().to_string();
        assert!(error.contains("more than can be counted"), "{error}");
        // Part of a pass is validated at its end.
        let history = train(&mut Wanderer { at: 0.0, validations: 0.0 }, &Plan::steps(5, 4, Seed(0)), &mut quiet_watch);
        let valid: Vec<bool> = history.unwrap().records().iter().map(|r| r.valid.is_some()).collect();
        assert_eq!(valid, [false, false, true, false, true]);
    }
}
