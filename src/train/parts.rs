//! Parts of a run that know nothing of each other.

use super::{Checkpoint, Progress, Run};
use crate::{Error, Result, random::Seed};
use std::{
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// How long a thread without work waits before it looks for some.
const PAUSE: Duration = Duration::from_micros(200);

impl Run<'_> {
    /// Does parts that know nothing of each other, [`Self::jobs`] at a time, and gives what they make in their order. Each has a seed
    /// and a checkpoint of its own.
    ///
    /// # Errors
    /// As [`Self::part`]: of those that failed, the first in their order. The others end at their next step.
    pub fn parts<T: Send>(
        &mut self,
        parts: &[(String, Seed)],
        work: impl Fn(usize, Run) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let jobs = self.jobs;
        if jobs <= 1 || parts.len() <= 1 {
            let each = parts.iter().enumerate();
            return each.map(|(i, (name, seed))| self.part(name, *seed, |run| work(i, run))).collect();
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (seed, checkpoint, gpu) = (self.seed, &self.checkpoint, self.gpu);
        let made: Vec<Mutex<Option<Result<T>>>> = parts.iter().map(|_| Mutex::new(None)).collect();
        std::thread::scope(|scope| {
            let (say, said) = mpsc::channel();
            for _ in 0..jobs.min(parts.len()) {
                let (say, next, stop, made, work) = (say.clone(), &next, &stop, &made, &work);
                scope.spawn(move || {
                    // The run's own watcher is asked where it lives.
                    let mut watch = |progress: &Progress| {
                        let _ = say.send(*progress);
                        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    };
                    let mut run = Run { checkpoint: checkpoint.clone(), gpu, ..Run::new(seed, &mut watch) };
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        let Some((name, seed)) = parts.get(i).filter(|_| !stop.load(Ordering::Relaxed)) else { break };
                        let result = run.part(name, *seed, |run| work(i, run));
                        stop.fetch_or(result.is_err(), Ordering::Relaxed);
                        *made[i].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    }
                });
            }
            drop(say);
            loop {
                match said.try_recv() {
                    Ok(progress) => {
                        stop.fetch_or((self.watch)(&progress).is_break(), Ordering::Relaxed);
                    }
                    Err(mpsc::TryRecvError::Disconnected) => break,
                    // This thread may be one of the pool, or all of it: it does its share of the work.
                    Err(mpsc::TryRecvError::Empty) => {
                        if rayon::yield_now() != Some(rayon::Yield::Executed) {
                            std::thread::sleep(PAUSE);
                        }
                    }
                }
            }
        });
        let made = made.into_iter().map(|made| made.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (mut done, mut failed) = (Vec::new(), None);
        for made in made.flatten() {
            match made {
                Ok(made) => done.push(made),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if done.len() == parts.len() => Ok(done),
            // Stopped between two parts.
            None => Err(match &self.checkpoint {
                Some(Checkpoint { path, .. }) => Error::Interrupted { step: 0, checkpoint: path.display().to_string() },
                None => Error::invalid("stopped between two of its parts: there is no model yet"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part takes three steps.
    fn steps(run: &mut Run, i: usize) -> Result<(usize, u64)> {
        for step in 1..=3 {
            if (run.watch)(&Progress { step, steps: 3, epoch: 1, loss: i as f64, valid: None }).is_break() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        if i == 4 { Err(Error::invalid("the fifth fails")) } else { Ok((i, run.seed.0)) }
    }

    #[test]
    fn parts_come_back_in_order_whatever_the_number_of_jobs() {
        let parts = |n: u64| (0..n).map(|i| (format!("part-{i}"), Seed(10 + i))).collect::<Vec<_>>();
        let mut heard = 0;
        for jobs in [1, 2, 7] {
            let mut watch = |_: &Progress| {
                heard += 1;
                ControlFlow::Continue(())
            };
            let mut run = Run { jobs, ..Run::new(Seed(0), &mut watch) };
            let made = run.parts(&parts(4), |i, mut run| steps(&mut run, i)).unwrap();
            assert_eq!(made, [(0, 10), (1, 11), (2, 12), (3, 13)]);
            let error = run.parts(&parts(6), |i, mut run| steps(&mut run, i)).unwrap_err().to_string();
            assert_eq!(error, "the fifth fails");
        }
        assert!(heard >= 3 * 4 * 3, "{heard} steps were told");
    }

    #[test]
    fn a_watcher_that_has_heard_enough_ends_all_of_them() {
        for jobs in [1, 3] {
            let mut left = 2;
            let mut watch = |_: &Progress| {
                left -= 1;
                if left <= 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let parts: Vec<(String, Seed)> = (0..40).map(|i| (format!("part-{i}"), Seed(i))).collect();
            let mut run = Run { jobs, ..Run::new(Seed(0), &mut watch) };
            let error = run.parts(&parts, |i, mut run| steps(&mut run, i % 4)).unwrap_err().to_string();
            assert!(error.contains("stopped"), "{error}");
        }
    }
}
