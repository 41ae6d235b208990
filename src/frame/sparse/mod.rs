//! Sparse FRAME: a sketch of wavelets, each with how much its response is favoured.

mod learn;
mod pursuit;
#[cfg(test)]
mod tests;

pub use learn::{Learning, learn};
pub use pursuit::{Sketch, sketch};

use super::{Filter, samplers::LogDensity};
use crate::{Error, Result};

/// A wavelet at its place: the pixels it lies on, and its weights there, with `Σ B² = 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Wavelet {
    /// Which filter of the dictionary it is.
    pub filter: usize,
    /// The row and the column it lies on.
    pub at: [usize; 2],
    pixels: Vec<(u32, f64)>,
}

impl Wavelet {
    /// A filter of one window, laid on a pixel of an image; what is beyond the edges is left out, and the rest has norm 1.
    ///
    /// # Errors
    /// When the filter has two windows, the pixel is outside, or nothing of the filter lies inside.
    pub fn new(filters: &[Filter], filter: usize, at: [usize; 2], [height, width]: [usize; 2]) -> Result<Self> {
        let [window] = filters[filter].windows() else {
            return Err(Error::invalid(format!("{} is no wavelet: it has two windows", filters[filter])));
        };
        if at[0] >= height || at[1] >= width {
            return Err(Error::invalid(format!("a wavelet at {at:?} of an image of {height} × {width}")));
        }
        let ([_, wide], origin) = (window.size(), window.origin());
        let place = |(tap, weight): (usize, &f64)| {
            let i = (at[0] + tap / wide).checked_sub(origin[0]).filter(|i| *i < height)?;
            let j = (at[1] + tap % wide).checked_sub(origin[1]).filter(|j| *j < width)?;
            (*weight != 0.0).then_some(((i * width + j) as u32, *weight))
        };
        let mut pixels: Vec<(u32, f64)> = window.weights().iter().enumerate().filter_map(place).collect();
        let norm = pixels.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
        if norm <= 1e-9 {
            return Err(Error::invalid(format!("nothing of {} lies inside at {at:?}", filters[filter])));
        }
        pixels.iter_mut().for_each(|(_, w)| *w /= norm);
        Ok(Self { filter, at, pixels })
    }

    /// `⟨I, B⟩`.
    pub fn response(&self, image: &[f64]) -> f64 {
        self.pixels.iter().map(|(pixel, weight)| weight * image[*pixel as usize]).sum()
    }

    /// `I ← I + c B`.
    pub fn add_to(&self, image: &mut [f64], times: f64) {
        self.pixels.iter().for_each(|(pixel, weight)| image[*pixel as usize] += times * weight);
    }
}

/// A law of images in which some wavelets respond more strongly than in noise.
///
/// ```text
/// p(I; λ) = 1/Z(λ) exp(Σ_i λ_i |⟨I, B_i⟩|) N(I; 0, 1)
/// ```
///
/// Where the wavelets are orthonormal their responses are independent, with the density `∝ exp(λ|r| − r²/2)`, and `log Z` is
/// `Σ log 2 + λ²/2 + log Φ(λ)`. Source: Xie, Hu, Zhu, Wu 2014.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseFrame {
    size: [usize; 2],
    wavelets: Vec<Wavelet>,
    weights: Vec<f64>,
}

impl SparseFrame {
    /// Of these wavelets on images of a size, all weights 0.
    ///
    /// # Errors
    /// When the size is none, or a wavelet lies outside.
    pub fn new(size: [usize; 2], wavelets: Vec<Wavelet>) -> Result<Self> {
        let sites = size[0].checked_mul(size[1]).filter(|n| *n > 0).unwrap_or(0);
        let inside = wavelets.iter().flat_map(|w| &w.pixels).all(|(pixel, _)| (*pixel as usize) < sites);
        if sites == 0 || !inside {
            return Err(Error::invalid(format!("wavelets outside an image of {} × {}", size[0], size[1])));
        }
        let weights = vec![0.0; wavelets.len()];
        Ok(Self { size, wavelets, weights })
    }

    /// Height and width of its images.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The wavelets.
    pub fn wavelets(&self) -> &[Wavelet] {
        &self.wavelets
    }

    /// `λ`, one a wavelet.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Sets `λ`.
    ///
    /// # Errors
    /// When there are more or fewer than wavelets, or one is not finite.
    pub fn set_weights(&mut self, weights: Vec<f64>) -> Result<()> {
        if weights.len() != self.wavelets.len() || weights.iter().any(|w| !w.is_finite()) {
            let (given, own) = (weights.len(), self.wavelets.len());
            return Err(Error::invalid(format!("{given} weights for {own} wavelets, or one that is not finite")));
        }
        self.weights = weights;
        Ok(())
    }

    /// `|⟨I, B_i⟩|` of every wavelet.
    pub fn responses(&self, image: &[f64]) -> Vec<f64> {
        self.wavelets.iter().map(|wavelet| wavelet.response(image).abs()).collect()
    }
}

impl LogDensity for SparseFrame {
    type Number = f64;

    fn dims(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
        use rayon::prelude::*;
        let each = |(image, slopes): (&[f64], &mut [f64])| {
            let mut log_prob = 0.0;
            for (slope, x) in slopes.iter_mut().zip(image) {
                *slope = -x;
                log_prob -= 0.5 * x * x;
            }
            for (wavelet, weight) in self.wavelets.iter().zip(&self.weights) {
                let response = wavelet.response(image);
                log_prob += weight * response.abs();
                wavelet.add_to(slopes, weight * response.signum());
            }
            log_prob
        };
        let dims = LogDensity::dims(self);
        Ok(points.par_chunks_exact(dims).zip(slopes.par_chunks_exact_mut(dims)).map(each).collect())
    }
}
