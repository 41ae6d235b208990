//! What chains and learning are watched by.

mod convergence;
mod watch;

pub use convergence::Traces;
pub use watch::{Collapse, Pulse, Watch};
