//! Masks that come back.

use super::Sampler;
use crate::{
    Error, Result,
    diffusion::{Absorbing, Steps},
    nn::Size,
};

/// Steps that hide again some of what was shown, so that it can be said better; for the absorbing process.
///
/// ```text
/// x_t shown    (1 − σ) x_t + σ mask
/// x_t hidden   (ᾱ_s − (1 − σ) ᾱ_t) / (1 − ᾱ_t) x̂_0 + (1 − ᾱ_s − σ ᾱ_t) / (1 − ᾱ_t) mask          0 ≤ σ ≤ min(1, (1 − ᾱ_s) / ᾱ_t)
/// ```
///
/// Every `σ` has the marginals of the process. Source: Wang et al. 2025 (ReMDM).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Remask {
    /// `σ = min(η, σ_max)`
    Cap(f64),
    /// `σ = η σ_max`
    Rescale(f64),
}

impl Remask {
    /// # Errors
    /// When `η` is not within 0..=1.
    pub fn check(self) -> Result<Self> {
        let (Self::Cap(eta) | Self::Rescale(eta)) = self;
        match (0.0..=1.0).contains(&eta) {
            true => Ok(self),
            false => Err(Error::out_of_range("eta", eta, "0 ≤ eta ≤ 1")),
        }
    }
}

impl<K: Size, S: Size> Sampler<Absorbing<K, S>> for Remask {
    fn law(&self, process: &Absorbing<K, S>, steps: &Steps, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let (s, t) = steps.step(i);
        let (before, after) = (process.schedule().at(s), process.schedule().at(t));
        let most = if after.kept > 0.0 { (before.lost / after.kept).min(1.0) } else { 1.0 };
        let sigma = match self {
            // Nothing is hidden in the data.
            _ if s == 0 => 0.0,
            Self::Cap(eta) => eta.min(most),
            Self::Rescale(eta) => eta * most,
        };
        into.fill(0.0);
        let mask = process.mask();
        if xt == mask {
            let shown = (before.kept - (1.0 - sigma) * after.kept) / after.lost;
            into.iter_mut().zip(log_x0).for_each(|(to, log)| *to = shown * log.exp());
            into[mask] = (1.0 - shown).max(0.0);
        } else {
            into[xt] = 1.0 - sigma;
            into[mask] = sigma;
        }
    }
}
