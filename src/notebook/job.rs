//! Work in the background of a notebook: started in one cell, looked at and stopped from later ones.

use std::{
    any::Any,
    cell::RefCell,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    display::emit,
    env::strict,
    lines::{ProgressLines, seconds},
};
use crate::{Error, Result};

/// Work on a thread of its own. Dropping it asks the work to stop and does not wait.
///
/// ```
/// # use limbeck::notebook::{Job, JobHandle};
/// let job: Job<u64> = Job::spawn("sum", |handle: &JobHandle| {
///     let mut sum = 0;
///     for i in 0..1000 {
///         if handle.should_stop() {
///             break;
///         }
///         sum += i;
///         handle.report(i as f64 / 1000.0, format!("sum {sum}"));
///     }
///     sum
/// });
/// job.watch(60.0);
/// assert_eq!(job.join()?, 499_500);
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// The work prints nothing itself: the kernel would show it in whichever cell runs next. It reports, and [`status`](Job::status)
/// and [`watch`](Job::watch) print in the cell that asks. A panic in it is the error of [`join`](Job::join).
#[must_use = "a job that is dropped is asked to stop"]
pub struct Job<T> {
    handle: JobHandle,
    thread: Option<io::Result<JoinHandle<std::result::Result<T, String>>>>,
}

/// The work's side of a [`Job`].
#[derive(Clone)]
pub struct JobHandle(Arc<Shared>);

struct Shared {
    name: String,
    stop: AtomicBool,
    started: Instant,
    progress: Mutex<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    fraction: f64,
    message: String,
    /// How long the work took, once it has ended.
    took: Option<Duration>,
    panicked: bool,
}

impl JobHandle {
    fn new(name: &str) -> Self {
        Self(Arc::new(Shared {
            name: name.to_owned(),
            stop: AtomicBool::new(false),
            started: Instant::now(),
            progress: Mutex::default(),
        }))
    }

    /// Whether [`Job::stop`] was called: the work then returns what it has.
    pub fn should_stop(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Says how far the work is (`fraction` in 0..=1) and how it goes. Cheap enough for every step; replaces the last report.
    pub fn report(&self, fraction: f64, message: impl Into<String>) {
        let mut progress = self.progress();
        progress.fraction = fraction.clamp(0.0, 1.0);
        progress.message = message.into();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Nothing between lock and unlock leaves a half-written report, so a poisoned one is as good.
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, panic: Option<&str>) {
        let mut progress = self.progress();
        progress.took = Some(self.0.started.elapsed());
        match panic {
            Some(why) => {
                progress.panicked = true;
                progress.message = why.to_owned();
            }
            None if !self.should_stop() => progress.fraction = 1.0,
            None => {}
        }
    }
}

impl<T: Send + 'static> Job<T> {
    /// Starts `work` on a new thread. If the system gives none, the job has ended and [`join`](Job::join) says why.
    pub fn spawn(name: &str, work: impl FnOnce(&JobHandle) -> T + Send + 'static) -> Self {
        let handle = JobHandle::new(name);
        let theirs = handle.clone();
        let thread = thread::Builder::new().name(name.replace('\0', " ")).spawn(move || {
            let result = contained(|| work(&theirs));
            theirs.end(result.as_ref().err().map(String::as_str));
            result
        });
        if let Err(why) = &thread {
            handle.end(Some(&why.to_string()));
        }
        Self { handle, thread: Some(thread) }
    }

    /// Waits for the work and gives its result.
    ///
    /// # Errors
    /// The work panicked, or its thread could not be started.
    pub fn join(mut self) -> Result<T> {
        let failed =
            |why: &dyn fmt::Display| Error::invalid(format_args!("job `{}` failed: {why}", self.handle.0.name));
        match self.thread.take() {
            Some(Ok(thread)) => match thread.join() {
                Ok(result) => result.map_err(|why| failed(&why)),
                Err(payload) => Err(failed(&panic_message(&*payload))),
            },
            Some(Err(why)) => Err(failed(&why)),
            None => Err(failed(&"it was joined before")),
        }
    }
}

impl<T> Job<T> {
    /// Asks the work to stop; it does at its next look at [`JobHandle::should_stop`].
    pub fn stop(&self) {
        self.handle.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the work has ended, in whichever way: [`join`](Job::join) then does not wait.
    pub fn is_finished(&self) -> bool {
        self.handle.progress().took.is_some()
    }

    /// How far the work is, now. Ending a cell with this shows it as one line.
    pub fn status(&self) -> JobStatus {
        let progress = self.handle.progress().clone();
        let state = match progress.took {
            Some(_) if progress.panicked => JobState::Failed,
            Some(_) if self.handle.should_stop() => JobState::Stopped,
            Some(_) => JobState::Finished,
            None if self.handle.should_stop() => JobState::Stopping,
            None => JobState::Running,
        };
        JobStatus {
            name: self.handle.0.name.clone(),
            state,
            fraction: progress.fraction,
            message: progress.message,
            elapsed: progress.took.unwrap_or_else(|| self.handle.0.started.elapsed()),
        }
    }

    /// Prints a line every couple of seconds till the work ends or `seconds` have gone by, whichever comes first, and its status then.
    ///
    /// The work goes on if time is up. Interrupting the cell instead loses every variable of the notebook.
    pub fn watch(&self, seconds: f64) {
        const PARTS: usize = 1000;
        let patience =
            Duration::try_from_secs_f64(seconds).unwrap_or(if seconds > 0.0 { Duration::MAX } else { Duration::ZERO });
        let began = Instant::now();
        let mut lines = ProgressLines::new();
        while !self.is_finished() && began.elapsed() < patience {
            // Never all parts: the last line is the status below.
            let done = (self.handle.progress().fraction * (PARTS - 1) as f64) as usize;
            if lines.due(done, PARTS) {
                println!("{}", self.status());
            }
            thread::sleep(Duration::from_millis(50).min(patience.saturating_sub(began.elapsed())));
        }
        println!("{}", self.status());
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Job({})", self.status())
    }
}

/// Where a [`Job`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It works.
    Running,
    /// It was asked to stop and has not yet.
    Stopping,
    /// It ended by itself.
    Finished,
    /// It ended after it was asked to stop.
    Stopped,
    /// It panicked, or its thread could not be started.
    Failed,
}

/// A [`Job`] at one moment; prints as one line.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStatus {
    /// The name it was spawned under.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// How much of it is done, in 0..=1, as last reported.
    pub fraction: f64,
    /// What it last reported, or why it failed.
    pub message: String,
    /// Time since it started, or from its start to its end.
    pub elapsed: Duration,
}

impl JobStatus {
    /// Shows the line.
    pub fn evcxr_display(&self) {
        emit("text/plain", &self.to_string());
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let state = format!("{:?}", self.state).to_lowercase();
        write!(f, "{}: {state}  {:3.0}%", self.name, 100.0 * self.fraction)?;
        if !self.message.is_empty() {
            write!(f, "  {}", self.message)?;
        }
        match strict() {
            true => Ok(()),
            false => write!(f, "  {}", seconds(self.elapsed)),
        }
    }
}

thread_local! {
    /// On the thread of a job: the panic it is dying of, once the hook of `notebook::init` has seen it.
    static KEPT: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// For the panic hook: takes the panic if this thread belongs to a job, which reports it as its result.
pub(super) fn keep_panic(text: &str) -> bool {
    KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| *kept = Some(text.to_owned())).is_some())
}

fn contained<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    KEPT.set(Some(None));
    // The state that `work` leaves behind is dropped with it or seen only through the report's lock.
    let result = catch_unwind(AssertUnwindSafe(work));
    let kept = KEPT.take().flatten();
    result.map_err(|payload| kept.unwrap_or_else(|| panic_message(&*payload).to_owned()))
}

/// What a panic said.
pub(super) fn panic_message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_result_comes_back_and_the_last_report_stays() {
        let job = Job::spawn("count", |handle| {
            handle.report(0.25, "a quarter");
            17
        });
        job.watch(60.0);
        let status = job.status();
        assert_eq!((status.state, status.fraction, status.message.as_str()), (JobState::Finished, 1.0, "a quarter"));
        assert_eq!(job.join().unwrap(), 17);
    }

    #[test]
    fn a_job_stops_when_asked() {
        let job = Job::spawn("endless", |handle| {
            let mut turns = 0_u64;
            while !handle.should_stop() {
                turns += 1;
                thread::sleep(Duration::from_millis(1));
            }
            turns
        });
        assert!(!job.is_finished());
        job.watch(0.1);
        assert_eq!(job.status().state, JobState::Running);
        job.stop();
        job.watch(60.0);
        assert_eq!(job.status().state, JobState::Stopped);
        assert!(job.join().unwrap() > 0);
    }

    #[test]
    fn a_panic_is_an_error_value() {
        let job: Job<()> = Job::spawn("faulty", |_| panic!("no such {}", "tape"));
        job.watch(60.0);
        let status = job.status();
        assert_eq!(status.state, JobState::Failed);
        assert!(status.message.contains("no such tape"), "{status}");
        let error = job.join().unwrap_err().to_string();
        assert!(error.contains("`faulty`") && error.contains("no such tape"), "{error}");
    }

    #[test]
    fn a_dropped_job_is_asked_to_stop() {
        let (send, stopped) = mpsc::channel();
        drop(Job::spawn("forgotten", move |handle| {
            while !handle.should_stop() {
                thread::sleep(Duration::from_millis(1));
            }
            send.send(()).unwrap();
        }));
        stopped.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn the_hook_keeps_a_panic_only_on_the_thread_of_a_job() {
        assert!(!keep_panic("mine"));
        let kept = contained(|| -> () {
            assert!(keep_panic("theirs (x.rs:3)"));
            panic!("theirs");
        });
        assert_eq!(kept.unwrap_err(), "theirs (x.rs:3)");
        assert!(!keep_panic("mine"));
    }

    #[test]
    fn a_watch_of_no_time_does_not_wait() {
        let job = Job::spawn("slow", |handle| {
            while !handle.should_stop() {
                thread::yield_now();
            }
        });
        for seconds in [0.0, -1.0, f64::NAN] {
            job.watch(seconds);
            assert_eq!(job.status().state, JobState::Running);
        }
    }
}
