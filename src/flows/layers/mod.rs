//! The bijections of rows of coordinates that flows are made of.

mod autoregressive;
mod coupling;
mod elementwise;
mod linear;
mod logit;
mod mint;
mod norm;
mod part;
mod permutation;
mod sequence;
mod triangular;
mod wave;

pub use autoregressive::{Autoregressive, Conditional, ConditionalAutoregressive, Given, Maf};
pub use coupling::{AdditiveCoupling, AffineCoupling, Coupling, ImageCoupling, ImageMask, Mask};
pub use elementwise::{ActNorm, Elementwise, Rescale};
pub use linear::{Householder, Lu, Rotation};
pub use logit::Logit;
pub use mint::{Mint, Solved, Solver};
pub use norm::BatchNorm;
pub(crate) use norm::LEAST_BATCH;
pub use part::{Blocks, First};
pub use permutation::Permute;
pub use sequence::{CausalFlow, SequenceCoupling};
pub use triangular::{AffineInOrder, Linear};
pub use wave::Wave;
