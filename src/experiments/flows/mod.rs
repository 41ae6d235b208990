//! Normalizing flows: on densities whose entropy is known, layer by layer, their cost, and on tables.

mod cost;
mod distillation;
mod gaussianization;
mod images;
mod layers;
mod mint;
mod plane;
mod sound;
mod speed;
mod tables;

use super::{Experiment, Lab};
use crate::{
    Result,
    data::{Continuous, Oracle},
    flows::FlowModel,
    random::Seed,
};
use std::time::Instant;

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("flows-plane", "Every flow on densities whose entropy is known", plane::run),
    Experiment::new("flows-gaussianization", "Gaussianization by learning and by iteration", gaussianization::run),
    Experiment::new("flows-layers", "A grid, a density and points after every layer", layers::run),
    Experiment::new("flows-cost", "Passes and milliseconds, both ways, by dimension", cost::run).only_named(),
    Experiment::new("flows-distillation", "A flow distilled by three divergences", distillation::run),
    Experiment::new("flows-speed", "What a distilled flow draws in a second", speed::run).only_named(),
    Experiment::new("flows-sound", "Parallel WaveNet on a sound", sound::run),
    Experiment::new("flows-mint", "The inverse of a MintNet layer, step by step", mint::run),
    Experiment::new("flows-images", "Flows of images: bits a dimension, and what they draw", images::run),
    Experiment::new("flows-tables", "Which flow for which table", tables::run),
];

/// How far a panel of a density reaches.
fn reach(oracle: Oracle) -> f64 {
    match oracle {
        Oracle::Moons => 2.2,
        Oracle::Checkerboard => 5.0,
        _ => 3.5,
    }
}

/// Training, validation and test rows.
fn rows(lab: &Lab, oracle: Oracle, seed: Seed) -> Result<[Continuous; 3]> {
    let train = lab.budget.pick(3000, 20_000);
    Ok([
        oracle.sample(train, seed.child("train", 0))?,
        oracle.sample(train / 5, seed.child("valid", 0))?,
        oracle.sample(10_000, seed.child("test", 0))?,
    ])
}

/// How far a flow is from the entropy of what it has learned, and the standard error of that.
fn gap(oracle: Oracle, flow: &FlowModel, test: &Continuous) -> Result<(f64, f64)> {
    let evidence = flow.evidence(test)?;
    Ok((oracle.gap(&evidence), evidence.standard_error()))
}

/// Milliseconds of the fastest of some runs.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let time = |_| {
        let began = Instant::now();
        run();
        began.elapsed().as_secs_f64() * 1e3
    };
    (0..15).map(time).fold(f64::INFINITY, f64::min)
}
