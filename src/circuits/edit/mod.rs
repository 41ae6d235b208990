//! Changes to the structure of a learned circuit.

pub(super) mod prune;

pub use prune::{Edge, PruneBy, Pruned};
