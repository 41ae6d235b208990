//! The weights of a sketch, by maximum likelihood.

use super::SparseFrame;
use crate::{
    Error, Result,
    frame::samplers::{Chains, Hmc, Sampler},
    random::Seed,
};

/// How weights are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// Steps.
    pub steps: usize,
    /// `λ_i ← λ_i + rate (mean |⟨I_m, B_i⟩| − mean over the chains)`; it falls as `1 / (1 + 10 t / steps)`.
    pub rate: f64,
    /// Number of chains, which persist.
    pub chains: usize,
    /// How they walk.
    pub walk: Hmc,
    /// Steps of theirs for each of learning.
    pub every: usize,
}

/// Learns the weights of a law from images; returns the chains, and the mean amount by which mean responses differed at each step.
///
/// # Errors
/// When there is no image or they are of another size, a setting is out of its range, or a chain runs away.
pub fn learn(
    law: &mut SparseFrame,
    images: &[Vec<f64>],
    how: &Learning,
    seed: Seed,
) -> Result<(Chains<f64>, Vec<f64>)> {
    let [height, width] = law.size();
    if images.is_empty() || images.iter().any(|image| image.len() != height * width) {
        return Err(Error::invalid(format!("images of {height} × {width} pixels are needed, one at least")));
    }
    if how.steps == 0 || how.every == 0 || !(how.rate > 0.0 && how.rate.is_finite()) {
        return Err(Error::invalid(format!("{how:?}: steps, and a rate above 0, are needed")));
    }
    let seen = mean_responses(law, images.iter().map(Vec::as_slice));
    let mut chains = Chains::normal(how.chains, height * width, 1.0, seed.child("chains", 0))?;
    let (mut walk, mut gaps) = (how.walk, vec![]);
    for step in 0..how.steps {
        chains.forget();
        walk.steps(law, &mut chains, how.every, seed.child("walk", step as u64))?;
        let drawn = mean_responses(law, chains.points().chunks_exact(height * width));
        let rate = how.rate / (1.0 + 10.0 * step as f64 / how.steps as f64);
        let moved =
            law.weights().iter().zip(seen.iter().zip(&drawn)).map(|(l, (seen, drawn))| l + rate * (seen - drawn));
        let moved = moved.collect();
        gaps.push(seen.iter().zip(&drawn).map(|(a, b)| (a - b).abs()).sum::<f64>() / seen.len().max(1) as f64);
        law.set_weights(moved)?;
    }
    chains.forget();
    Ok((chains, gaps))
}

/// Of every wavelet, the mean of `|⟨I, B⟩|` over images.
fn mean_responses<'a>(law: &SparseFrame, images: impl ExactSizeIterator<Item = &'a [f64]>) -> Vec<f64> {
    let count = images.len().max(1) as f64;
    let mut sums = vec![0.0; law.wavelets().len()];
    for image in images {
        sums.iter_mut().zip(law.responses(image)).for_each(|(sum, r)| *sum += r / count);
    }
    sums
}
