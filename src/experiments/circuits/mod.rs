//! Circuits side by side: their flow, the rules of EM, the structures, pruning, and compression.

mod compression;
mod digits;
mod fashion;
mod flow;
mod pictures;
mod pruning;
mod rules;
mod structures;

use super::{Experiment, Lab};
use crate::{
    Result,
    data::{Discrete, Rows, Split, shipped},
};

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("circuits-flow", "The flow of a row over a small circuit", flow::run),
    Experiment::new("digits", "A hidden Chow-Liu tree learned from digits", digits::run),
    Experiment::new("fashion", "Circuits on Fashion-MNIST, beside published numbers", fashion::run),
    Experiment::new("circuits-em", "The rules of EM", rules::run),
    Experiment::new("circuits-structures", "Structures by size", structures::run),
    Experiment::new("circuits-pruning", "What pruning costs, and its bound", pruning::run),
    Experiment::new("circuits-compression", "Lossless compression and its bound", compression::run),
];

/// Training, validation and test rows of the digits.
fn digits(lab: &Lab) -> Result<[Discrete; 3]> {
    let digits = shipped::digits()?.discrete();
    let split = Split::random(digits.len(), 0.1, 0.2, lab.seed);
    Ok([&split.train, &split.valid, &split.test].map(|rows| digits.select(rows)))
}
