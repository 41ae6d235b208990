//! Normalizing flows: bijections with their log-determinants, and densities by a change of variables.
//!
//! Which direction is one pass is in the type: a [`Flow`] has `log_prob` where its bijection is [`FastForward`] and `sample`
//! where it is [`FastInverse`]; the other direction is behind [`Flow::sequential`]. An inverse autoregressive flow is
//! `Inverse<Maf>`, the same type turned round.

mod base;
mod bijection;
mod coupling;
mod fit;
mod flow;
mod maf;
mod permutation;
#[cfg(test)]
mod tests;

pub use base::{Base, Logistic, Normal};
pub use bijection::{Bijection, FastForward, FastInverse, Inverse, PerRow, Rows, VolumePreserving};
pub use coupling::{AdditiveCoupling, AffineCoupling, Moves, Rescale};
pub use fit::FlowLearner;
pub use flow::{Flow, Sequential};
pub use maf::Maf;
pub use permutation::Permute;
