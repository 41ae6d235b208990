//! Progressive growing: clusters of rows, and a circuit with a head for each, which refine each other.
//!
//! A round is four steps, each a function that can be called alone:
//!
//! | step | | |
//! |---|---|---|
//! | learn | [`Learn::run`] | each head from the rows of its cluster; edges that nothing uses are pruned |
//! | relabel | [`relabel`] | each row goes to the head that finds it likeliest |
//! | select | [`Select::of`] | the clusters whose rows are least likely are to be divided |
//! | expand | [`Expand::run`] | these are clustered anew by their features, and their heads copied with what matters below |
//!
//! [`Growing`] runs rounds until there are as many clusters as wanted. Source: Liu et al. 2023 (LVD-PG), §4; where the published
//! code does otherwise, that is a setting.

mod clusters;
mod expand;
mod fit;
mod growing;
mod learn;
mod select;
#[cfg(test)]
mod tests;

pub use clusters::{Cluster, Clusters, relabel};
pub use expand::Expand;
pub(crate) use fit::check_growth;
pub use fit::{FitGrown, entries};
pub use growing::{Growing, Grown, Round};
pub use learn::Learn;
pub use select::{More, Select};
