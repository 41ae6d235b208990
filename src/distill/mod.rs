//! One model made into another: flows by the divergence between them, circuits by the latent variables of a teacher.

mod accounting;
mod estimate;
mod fit;
mod flows;
mod parallel;
mod settings;
mod soft;
mod student;
#[cfg(test)]
mod tests;

pub use accounting::Accounting;
pub use flows::{Divergence, FlowDistiller, FlowDivergence, divergence};
pub use parallel::{ParallelDistiller, ParallelDivergence};
pub use settings::{FitStudent, entries};
pub use soft::SoftPatches;
pub use student::{Student, latents};
