//! Flows as densities of data: tables, images, rows of zeros and ones; and how they learn.

mod bernoulli;
mod images;
mod learn;
mod points;
mod table;

pub use bernoulli::{BernoulliMade, MadeLearner, MadeLikelihood};
pub use images::{ImageFlow, ImageLearner, ImageLikelihood, MultiScale, mint_net, multi_scale};
pub use learn::{FlowLearner, TableLikelihood};
pub use points::{to_points, to_rows};
pub use table::TableFlow;

#[cfg(test)]
mod tests;
