//! The one training loop: batches, steps, a record of each, early stopping, checkpoints, and resuming bit for bit. What learns by
//! gradients is an [`Objective`]; settings that become a model are a [`Fit`].

mod checkpoint;
mod estimate;
mod fit;
mod gradient;
mod history;
mod learner;
mod parts;
mod plan;
mod progress;
mod run;
mod validation;

pub use estimate::{Estimate, PartEstimate};
pub(crate) use fit::check_training;
pub use fit::{Fit, Reads, Run};
pub(crate) use gradient::name_of;
pub use gradient::{GradientLearner, Loss, Objective, Phase, Trained};
pub use history::{History, Record};
pub use learner::{Clock, Learner};
pub use plan::{Checkpoint, Length, Plan};
pub use progress::{Bar, Progress, quiet, watch};
pub use run::train;
pub(crate) use validation::is_lower;
