//! A circuit for a reader: its diagram, and its summary.

mod draw;
mod summary;

pub use summary::Summary;
