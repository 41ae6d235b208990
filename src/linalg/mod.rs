//! Numerical methods that no family owns.

mod kmeans;
pub(crate) mod normal;

pub use kmeans::{Clustered, KMeans};
