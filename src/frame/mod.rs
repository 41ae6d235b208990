//! FRAME: filters, random fields, and maximum entropy, from 1998 to its energies of today.

mod dcgan;
pub mod deep;
pub mod diagnostics;
mod energy;
mod filters;
pub mod grids;
pub mod jko;
mod learn;
pub mod log_z;
mod model;
mod pictures;
pub mod quality;
pub mod samplers;
pub mod sparse;
mod texture;
pub mod transport;

pub use dcgan::Dcgan;
pub use energy::{ConvNet, Energy, Head, Points, Scores, Scoring};
pub use filters::{Bank, Filter, Window};
pub use learn::{Contrast, Estimator, Matching, Particles, Passage, Transport};
pub use model::{BankKind, FAMILY, FitFrame, FrameModel};
pub use pictures::Pictures;
pub use texture::{
    Bins, Borders, Choice, Counts, Feature, Field, Frame, FrameLearner, Gain, Julesz, MOST_BINS, Moments, Proof,
    Pursuit, Rule, Seen,
};
