//! Normalizing flows: bijections with their log-determinants, and densities by a change of variables.
//!
//! Which direction is one pass is in the type: a [`Flow`] has `log_prob` where its bijection is [`FastForward`] and `sample`
//! where it is [`FastInverse`]; the other direction is behind [`Flow::sequential`]. An inverse autoregressive flow is
//! `Inverse<Maf>`, the same type turned round.

mod autoregressive;
mod base;
mod bijection;
mod coupling;
mod elementwise;
mod fit;
mod flow;
mod grid;
mod images;
mod linear;
mod logit;
mod made;
mod mint;
mod model;
mod norm;
mod part;
mod permutation;
mod points;
mod stack;
mod table;
#[cfg(test)]
mod tests;
mod transform;
mod triangular;
mod wave;

pub use crate::nn::Stack;
pub use autoregressive::{Autoregressive, Conditional, ConditionalAutoregressive, Given, Maf};
pub use base::{Base, Logistic, Modes, Normal, Uniform};
pub use bijection::{Bijection, FastForward, FastInverse, Inverse, Moved, PerRow, Phase, Rows, VolumePreserving};
pub use coupling::{AdditiveCoupling, AffineCoupling, Coupling, ImageCoupling, ImageMoves, Moves};
pub use elementwise::{ActNorm, Elementwise, Rescale};
pub use fit::FlowLearner;
pub use flow::{Flow, Sequential};
pub use grid::Grid;
pub use images::{ImageFlow, ImageLearner, MultiScale, mint_net, multi_scale};
pub use linear::{Householder, Lu, Rotation};
pub use logit::Logit;
pub use made::{BernoulliMade, MadeLearner};
pub use mint::{Mint, Solved, Solver};
pub use model::{FitFlow, FlowKind, FlowModel};
pub use norm::BatchNorm;
pub use part::{Blocks, First};
pub use permutation::Permute;
pub use points::{to_points, to_rows};
pub use table::TableFlow;
pub(crate) use transform::reparameterised;
pub use transform::{Affine, Bell, Bounded, Gated, Mixture, Scale, Shift, Spline, Stretch, Tamed, Transform};
pub use triangular::{AffineInOrder, Linear};
pub use wave::Wave;
