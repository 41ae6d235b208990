//! The one training loop: batches, steps, a record of each, early stopping, checkpoints, and resuming bit for bit.

mod checkpoint;
mod history;
mod progress;
mod run;

pub use history::{History, Record};
pub use progress::{Bar, Progress, quiet};
pub use run::{Checkpoint, Clock, Learner, Plan, train};
