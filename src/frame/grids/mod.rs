//! Multi-grid learning: small pictures first, and every larger grid begins where the one below has come to.

mod ladder;
mod learn;
#[cfg(test)]
mod tests;

pub use ladder::{Ground, Rung, Rungs, Side};
pub use learn::{GridContrast, MultiGrid};

/// A pixel of a grid is so many times as high and as wide as one of the next.
pub const STEP: usize = 4;
