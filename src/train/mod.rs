//! The one training loop: batches, steps, a record of each, early stopping, checkpoints, and resuming bit for bit.

mod checkpoint;
mod history;
mod module;
mod progress;
mod run;

pub use history::{History, Record};
pub(crate) use module::{put_module, take_module};
pub use progress::{Bar, Progress, quiet};
pub use run::{Checkpoint, Clock, Learner, Plan, train};
