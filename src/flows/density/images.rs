//! Flows of images: whole-number pixels made continuous, and brought from the unit cube to all of ℝᴰ.

use crate::{
    Error, Result,
    data::{Images, fingerprint},
    evidence::{Evidence, Exact, Space},
    flows::{Bijection, Flow, Logit, bijection::Batch},
    nn::Device,
    random::Seed,
};
use dfdx::tensor::Cpu;
use rand::RngExt;

mod learn;
mod multi_scale;
#[cfg(test)]
mod tests;

pub use learn::{ImageLearner, ImageLikelihood};
pub use multi_scale::{MultiScale, mint_net, multi_scale};

/// A density over images of whole-number pixels: uniform noise is added, the sum is divided by the number of levels, and what the
/// bijection sees is the logit of that.
///
/// ```text
/// x′ = (x + u) / levels, u ~ U[0, 1)      y = logit(λ + (1 − 2λ) x′)      z = f(y)
/// ```
///
/// Source: Dinh, Sohl-Dickstein and Bengio 2017, §4.1; Papamakarios et al. 2017, appendix C.
#[derive(Clone, Debug)]
pub struct ImageFlow<const C: usize, const H: usize, const W: usize, B, Dev = Cpu> {
    flow: Flow<B>,
    device: Dev,
    logit: Logit,
    levels: usize,
}

/// Images that one call of the flow works on.
const BLOCK: usize = 256;

impl<const C: usize, const H: usize, const W: usize, B, Dev: Device<f32>> ImageFlow<C, H, W, B, Dev>
where
    B: Bijection<usize, f32, Dev>,
{
    /// A flow of images with `levels` levels, whose pixels keep `lambda` away from 0 and 1.
    ///
    /// # Errors
    /// When `lambda` is out of range, there are no levels, or the bijection has statistics of batches, which one with fresh
    /// noise in every batch has no use for.
    pub fn new(device: &Dev, bijection: B, lambda: f64, levels: usize) -> Result<Self> {
        if bijection.has_statistics() {
            return Err(Error::invalid("batch norm in a flow of images; ActNorm is there for that"));
        }
        if !(1..=256).contains(&levels) {
            return Err(Error::out_of_range("levels", levels, "1 ≤ levels ≤ 256"));
        }
        Ok(Self { flow: Flow::normal(bijection), device: device.clone(), logit: Logit::new(lambda)?, levels })
    }

    /// The flow of logits.
    pub fn flow(&self) -> &Flow<B> {
        &self.flow
    }

    /// The logits of images with noise of that seed, and the log-determinants of the map from `[0, levels)ᴰ` to them, nats.
    ///
    /// # Errors
    /// When the images have another number of levels.
    pub fn logits(&self, images: &Images<C, H, W>, seed: Seed) -> Result<(Batch<usize, f32, Dev>, Vec<f64>)> {
        if images.levels() != self.levels {
            let (found, wanted) = (images.levels(), self.levels);
            return Err(Error::invalid(format!("images of {found} levels; the flow is of {wanted}")));
        }
        let mut noise = seed.stream("dequantisation", 0);
        // In single precision a pixel and its noise may add up to 1, whose logit is infinite where λ is 0.
        let below_one = 1.0 - f32::EPSILON;
        let value =
            |p: &u8| ((f32::from(*p) + noise.random::<f32>()) / self.levels as f32).clamp(f32::EPSILON, below_one);
        let values = images.pixels().iter().map(value).collect();
        let cube: Batch<usize, f32, Dev> = self.device.tensor_from_vec(values, (images.len(), C * H * W));
        let (logits, log_det) = self.logit.forward(cube);
        let stretch = (C * H * W) as f64 * (self.levels as f64).ln();
        Ok((logits, log_det.as_vec().into_iter().map(|l| f64::from(l) - stretch).collect()))
    }

    /// Densities of the logits of images with noise of that seed, as exact evidence in the space of that λ;
    /// [`Self::dequantised`] leaves it.
    ///
    /// # Errors
    /// As [`Self::logits`]; also when a density is NaN.
    pub fn evidence(&self, images: &Images<C, H, W>, seed: Seed) -> Result<Evidence<Exact>> {
        let space = Space::Logit { lambda: self.logit.lambda(), levels: self.levels as u32 };
        let log_probs = self.log_probs(images, seed)?;
        Ok(Evidence::new(log_probs, space, C * H * W)?.of_rows(fingerprint(&images.discrete())?))
    }

    fn log_probs(&self, images: &Images<C, H, W>, seed: Seed) -> Result<Vec<f64>> {
        let values = self.logits(images, seed)?.0.as_vec();
        let mut log_probs = Vec::with_capacity(images.len());
        for block in values.chunks(BLOCK * C * H * W) {
            let rows = self.device.tensor_from_vec(block.to_vec(), (block.len() / (C * H * W), C * H * W));
            log_probs.extend(self.flow.sequential().log_probs(rows));
        }
        Ok(log_probs)
    }

    /// Densities of images with noise of that seed over `[0, levels)ᴰ`: their bits a dimension are comparable whatever λ.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn dequantised(&self, images: &Images<C, H, W>, seed: Seed) -> Result<Evidence<Exact>> {
        self.evidence(images, seed)?.into_dequantised(&self.logits(images, seed)?.1)
    }

    /// `n` independent images.
    ///
    /// # Errors
    /// When `n` is 0, or a coordinate of a sample is NaN.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Images<C, H, W>> {
        self.images(&self.flow.sequential().sample((n, C * H * W), &self.device, seed))
    }

    /// The images whose logits these are.
    ///
    /// # Errors
    /// When there is no row, or a number is NaN.
    pub fn images(&self, logits: &Batch<usize, f32, Dev>) -> Result<Images<C, H, W>> {
        let values = self.logit.inverse(logits.clone()).0.as_vec();
        if let Some(i) = values.iter().position(|x| x.is_nan()) {
            return Err(Error::invalid(format!("image {}: a logit is NaN", i / (C * H * W))));
        }
        let top = (self.levels - 1) as f32;
        let pixels = values.into_iter().map(|x| (x * self.levels as f32).floor().clamp(0.0, top) as u8).collect();
        Images::new(pixels, Vec::new(), self.levels)
    }
}
