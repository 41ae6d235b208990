//! Numerical methods that no family owns.

mod kmeans;

pub use kmeans::{Clustered, KMeans};
