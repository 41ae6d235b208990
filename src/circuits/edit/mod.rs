//! Changes to a circuit that is there: its parameters, its structure.

mod parameters;
pub(super) mod prune;

pub use prune::{Edge, PruneBy, Pruned};
