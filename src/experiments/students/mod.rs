//! Teachers, and the circuits that learn from them.

mod accounting;
mod pipeline;
mod sizes;

use super::Experiment;

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new(
        "students-accounting",
        "When a student beats its teacher: bounds, likelihoods, gaps",
        accounting::run,
    ),
    Experiment::new("students-sizes", "Circuits by size and by who taught them", sizes::run),
];
