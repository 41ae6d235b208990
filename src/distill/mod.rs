//! One density made into another: distillation by the divergence between them.

mod flows;

pub use flows::{Divergence, FlowDistiller, divergence};
