//! Diffusion over categories, and flows of what categories are lifted to.

mod grams;
mod joint;
mod maps;
mod text;

use super::Experiment;
use crate::{
    Result,
    data::{Discrete, Rows},
    diffusion::{ArgmaxFlow, ArgmaxLearner, Lift, Network},
    flows::Bijection,
    nn::optim::{AdamConfig, Schedule},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::{nn::TensorCollection, tensor::Cpu};

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("text", "One text, by every way that there is", text::run).only_named(),
    Experiment::new("maps", "One segmentation, seven ways", maps::run).only_named(),
    Experiment::new("joint", "A circuit as the output of a denoiser", joint::run).only_named(),
];

/// An argmax flow that has learned: as a diffusion model does, at a rate that warms up and falls along a cosine.
fn trained<L, N, B>(
    model: ArgmaxFlow<L, N, B>,
    rows: &Discrete,
    (epochs, batch): (u64, usize),
    seed: Seed,
) -> Result<ArgmaxFlow<L, N, B>>
where
    L: Lift,
    N: Network<f32, Cpu, Categories = usize>,
    B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    let steps = epochs * rows.len().div_ceil(batch) as u64;
    let rate = Schedule::constant(2e-3).warmed_up(steps / 20).cosine(steps, 0.01);
    let adam = AdamConfig { rate, clip: Some(100.0), ..AdamConfig::default() };
    let mut learner = ArgmaxLearner::new(model, rows, None, adam, seed)?;
    train(&mut learner, &Plan::new(epochs, batch, seed), &mut quiet)?;
    Ok(learner.into_model())
}
