//! Probabilistic circuits: a hidden Chow-Liu tree, learned by expectation-maximisation, with exact marginals and conditionals.
//!
//! Values are block floating point: a column of a region's block holds linear values and one power of two, so a pass costs
//! no logarithm but the last. Columns that lose too much that way are computed again in log space ([`exact`](self)).

mod chow_liu;
mod conditional;
mod em;
mod evaluate;
mod exact;
mod file;
mod flow;
mod hclt;
mod kernels;
mod real;
mod sample;
#[cfg(test)]
mod tests;

pub use chow_liu::{Tree, mutual_information};
pub use conditional::Conditionals;
pub use em::{Em, EmLearner, FitHclt};
pub use hclt::Hclt;
pub use real::Real;
