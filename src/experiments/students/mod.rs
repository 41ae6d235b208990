//! Teachers, and the circuits that learn from them.

mod accounting;
mod growing;
mod pipeline;
mod sizes;
mod teachers;

use super::Experiment;

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("students-growing", "A circuit that grows: flows, and clusters round after round", growing::run),
    Experiment::new(
        "students-accounting",
        "When a student beats its teacher: bounds, likelihoods, gaps",
        accounting::run,
    ),
    Experiment::new("students-sizes", "Circuits by size and by who taught them", sizes::run),
    Experiment::new("students-teachers", "Teachers of different families", teachers::run),
];
