//! What a denoiser is trained for, and how its bound is estimated.

mod bound;
mod learn;
#[cfg(test)]
mod tests;
mod times;

pub use bound::{Bound, Endless, Now};
pub use learn::{DiffusionLearner, DiffusionLoss, Objectives};
pub use times::Times;
