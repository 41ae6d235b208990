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

mod chow_liu;
mod circuit;
mod codec;
mod conditional;
mod deterministic;
mod draw;
mod em;
mod evaluate;
mod exact;
mod families;
mod file;
mod fit;
mod flow;
mod gaussian;
mod graph;
mod inputs;
mod kernels;
mod layer;
mod leaf;
mod map;
mod module;
mod moments;
mod plan;
mod prune;
mod real;
mod reals;
mod sample;
mod scope;
mod structure;
mod summary;
#[cfg(test)]
mod tests;

pub use chow_liu::{Tree, mutual_information};
pub use circuit::Circuit;
pub use conditional::Conditionals;
pub use deterministic::Deterministic;
pub use em::{Em, EmLearner, Rule};
pub use fit::FitCircuit;
pub use graph::{Block, Graph, Kind};
pub use layer::Layout;
pub use leaf::Leaf;
pub use module::{CircuitLayer, Logits, Traced};
pub use moments::Moments;
pub use prune::{Edge, PruneBy, Pruned};
pub use real::Real;
pub use reals::RealCircuit;
pub use structure::{Layer, Structure};
pub use summary::Summary;
