//! One density made into another: distillation by the divergence between them.

mod flows;
mod parallel;

pub use flows::{Divergence, FlowDistiller, FlowDivergence, divergence};
pub use parallel::{ParallelDistiller, ParallelDivergence};
