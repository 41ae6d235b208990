//! Normalizing flows: bijections with their log-determinants, and densities by a change of variables.
//!
//! Which direction is one pass is in the type: a [`Flow`] has `log_prob` where its bijection is [`FastForward`] and `sample`
//! where it is [`FastInverse`]; the other direction is behind [`Flow::sequential`]. An inverse autoregressive flow is
//! `Inverse<Maf>`, the same type turned round.

mod base;
mod bijection;
mod density;
mod flow;
mod layers;
mod model;
#[cfg(test)]
mod tests;
mod transform;

pub use crate::{
    nn::{Grid, Stack},
    train::Phase,
};
pub use base::{Base, Logistic, Modes, Normal, Student, TableBase, Uniform};
pub use bijection::{Batch, Bijection, FastForward, FastInverse, Inverse, PerRow, VolumePreserving, WithLogDet};
pub use density::{
    BernoulliMade, FlowLearner, ImageFlow, ImageLearner, ImageLikelihood, MadeLearner, MadeLikelihood, MultiScale,
    TableFlow, TableLikelihood, mint_net, multi_scale, to_points, to_rows,
};
pub use flow::{Flow, Sequential};
pub(crate) use layers::LEAST_BATCH;
pub use layers::{
    ActNorm, AdditiveCoupling, AffineCoupling, AffineInOrder, Autoregressive, BatchNorm, Blocks, CausalFlow,
    Conditional, ConditionalAutoregressive, Coupling, Elementwise, First, Given, Householder, ImageCoupling, ImageMask,
    Linear, Logit, Lu, Maf, Mask, Mint, Permute, Rescale, Rotation, SequenceCoupling, Solved, Solver, Wave,
};
pub use model::{FAMILY, FitFlow, FlowKind, FlowModel};
pub(crate) use transform::reparameterised;
pub use transform::{
    Affine, Bounded, BoundedMixture, Free, Gated, Kernel, Mixture, Scale, Scales, Shift, Spline, Stretch, TanhScale,
    Transform, Within,
};
