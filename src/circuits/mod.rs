//! Probabilistic circuits: structures, learning by expectation-maximisation, and exact queries.
//!
//! Values are block floating point: a column of a block holds linear values and one power of two, so a pass costs no
//! logarithm but the last. Columns that lose too much that way are computed again in log space (`exact.rs`).
//!
//! Rows may be categories, some of them missing ([`Discrete`](crate::data::Discrete)); likelihoods of categories
//! ([`Soft`](crate::data::Soft)); or real numbers ([`RealCircuit`]).
//!
//! Which structure allows which query, exactly:
//!
//! | query | [`Circuit`], any structure | [`Deterministic`]: `chow-liu`, `naive-bayes` |
//! |---|---|---|
//! | likelihood, marginal | [`Circuit::log_prob`], [`Circuit::evidence`] | the same |
//! | all conditionals of single variables, their moments | [`Circuit::conditionals`] | the same |
//! | sampling, inpainting | [`Circuit::sample`], [`Circuit::complete`] | the same |
//! | covariance, most useful next variable | [`Circuit::covariance`], [`Circuit::next_variable`] | the same |
//! | lossless compression | [`Circuit::compress`] | the same |
//! | loss of a pruned edge | [`Circuit::loss_of_pruning`] | the same |
//! | most probable completion | [`Circuit::map`]: a lower bound | [`Deterministic::map`]: exact |
//! | entropy | – | [`Deterministic::entropy`] |
//! | cross-entropy and KL of two with one graph | – | [`Deterministic::cross_entropy_under`], [`Deterministic::kl`] |
//!
//! A [`RealCircuit`] answers the first three rows: densities and their marginals, moments, and sampling.

mod circuit;
mod edit;
mod file;
#[cfg(feature = "cuda")]
mod gpu;
mod graph;
mod leaf;
mod learn;
mod model;
mod pass;
mod query;
mod reals;
mod scope;
mod show;
mod structure;
#[cfg(test)]
mod tests;

pub use crate::model::Moments;
pub use circuit::Circuit;
pub use edit::{Edge, Grow, PruneBy, Pruned};
pub use graph::{Block, Graph, Kind};
pub use leaf::Leaf;
pub(crate) use learn::learn;
pub use learn::{CircuitLayer, Em, EmLearner, FitCircuit, FitReals, Logits, Rule, Traced};
pub use model::FAMILY;
pub use pass::{Heads, Layout, Scalar};
pub use query::{Conditionals, Deterministic};
pub use reals::RealCircuit;
pub use show::Summary;
pub use structure::{Structure, SumProduct, Tree, mutual_information};
