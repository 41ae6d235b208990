//! Changes to a circuit that is there: its parameters, its structure.

mod compose;
mod grow;
mod mix;
mod multiply;
mod parameters;
pub(super) mod prune;

pub use grow::Grow;
pub use prune::{Edge, PruneBy, Pruned};
