//! The Julesz ensemble: all images with the histograms of an observed one, and synthesis by annealing.

use super::{
    Feature, Field, Frame,
    learner::{Shares, distance, normalised},
};
use crate::{
    Error, Result,
    random::{Stream, categorical},
};

/// Draws images with the histograms of an observed one, whatever their likelihood by any law.
///
/// ```text
/// q(I) ∝ exp(−1/T Σ_α |H⁽ᵅ⁾(I) − H⁽ᵅ⁾_obs|₁),    T → 0
/// ```
///
/// In the limit of large images it is what [`Frame`] is with the potentials of greatest likelihood, and none has to be learned.
/// Source: Zhu, Liu, Wu 2000.
#[derive(Clone, Debug)]
pub struct Julesz {
    law: Frame,
    /// Shares of responses by bin, feature after feature.
    shares: Vec<Shares>,
}

impl Julesz {
    /// Of features and of how often the observed image responds how strongly, shares that add up to 1.
    ///
    /// # Errors
    /// When there are not as many shares as bins, or they are no shares.
    pub fn new(law: Frame, shares: Vec<Vec<f64>>) -> Result<Self> {
        let bins = |feature: &Feature| feature.bins().count();
        let fits = shares.len() == law.features().len()
            && shares.iter().zip(law.features()).all(|(shares, feature)| shares.len() == bins(feature));
        let sound = |shares: &Vec<f64>| {
            shares.iter().all(|s| (0.0..=1.0).contains(s)) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9
        };
        match fits && shares.iter().all(sound) {
            true => Ok(Self { law, shares }),
            false => {
                Err(Error::invalid("shares by bin that add up to 1 are needed, as many of each feature as it has bins"))
            }
        }
    }

    /// How far an image's histograms are from the observed ones: the mean of `½ |h − h_obs|₁` over the features, within [0, 1].
    pub fn distance(&self, image: &Field) -> f64 {
        let away = image.histograms().into_iter().zip(&self.shares);
        let features = self.shares.len().max(1) as f64;
        away.map(|(counts, shares)| distance(&normalised(counts), shares)).sum::<f64>() / features
    }

    /// Draws every pixel anew given all others, at a temperature.
    pub fn sweep(&self, image: &mut Field, temperature: f64, rng: &mut Stream) {
        let mut counts = image.histograms();
        let wanted: Vec<Vec<f64>> = self
            .shares
            .iter()
            .zip(&counts)
            .map(|(shares, counts)| {
                let all: f64 = counts.iter().sum();
                shares.iter().map(|share| share * all).collect()
            })
            .collect();
        let levels = self.law.levels();
        let [height, width] = image.size();
        let mut moves = vec![0.0; super::MOST_BINS];
        let mut energies = vec![0.0; levels];
        for at in (0..height * width).map(|v| [v / width, v % width]) {
            energies.fill(0.0);
            let own = image.pixels()[at[0] * width + at[1]];
            for (look, (counts, wanted)) in counts.iter().zip(&wanted).enumerate() {
                image.gather(look, at);
                for (level, energy) in energies.iter_mut().enumerate() {
                    moves.fill(0.0);
                    image.moves(look, level as f32 - f32::from(own), &mut moves);
                    let away = counts.iter().zip(wanted).zip(&moves);
                    *energy += away.map(|((n, want), change)| (n + change - want).abs()).sum::<f64>();
                }
            }
            let least = energies.iter().copied().fold(f64::INFINITY, f64::min);
            let weights: Vec<f64> = energies.iter().map(|e| ((least - e) / temperature).exp()).collect();
            let level = categorical(&weights, rng).unwrap_or(usize::from(own)) as u8;
            if level != own {
                for (look, counts) in counts.iter_mut().enumerate() {
                    image.gather(look, at);
                    image.moves(look, f32::from(level) - f32::from(own), counts);
                }
                image.set(at, level);
            }
        }
    }

    /// Sweeps from a temperature down, by `factor` each. Returns the distance after each.
    pub fn anneal(&self, image: &mut Field, sweeps: usize, first: f64, factor: f64, rng: &mut Stream) -> Vec<f64> {
        let mut temperature = first;
        (0..sweeps)
            .map(|_| {
                self.sweep(image, temperature, rng);
                temperature *= factor;
                self.distance(image)
            })
            .collect()
    }
}
