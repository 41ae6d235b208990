//! Uniform noise that stays where it is.

use super::Sampler;
use crate::{
    Error, Result,
    diffusion::{Process, Steps, Uniform},
    nn::Size,
};

/// Steps that keep as much of what stands there as can be, as DDIM's do for real numbers; for the uniform process.
///
/// ```text
/// q_σ(x_s | x_t, x_0) = C(σ x_t + (ᾱ_s − σ ᾱ_t) x_0 + ((1 − ᾱ_s) − (1 − ᾱ_t) σ) / K)     0 ≤ σ ≤ (1 − ᾱ_s) / (1 − ᾱ_t)
/// ```
///
/// Every `σ` has the marginals of the process; the largest adds no fresh noise. For `x_0` stands `q(x_0 | x_t)`, in which it is
/// linear. Source: Song et al. 2021 (DDIM), appendix A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ddim {
    /// `σ` as a share of the largest.
    share: f64,
}

impl Ddim {
    /// With that share of the largest `σ`.
    ///
    /// # Errors
    /// When it is not within 0..=1.
    pub fn new(share: f64) -> Result<Self> {
        match (0.0..=1.0).contains(&share) {
            true => Ok(Self { share }),
            false => Err(Error::out_of_range("share", share, "0 ≤ share ≤ 1")),
        }
    }
}

impl<K: Size> Sampler<Uniform<K>> for Ddim {
    fn law(&self, process: &Uniform<K>, steps: &Steps, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let (s, t) = steps.step(i);
        let (before, after) = (process.schedule().at(s), process.schedule().at(t));
        let sigma = if after.lost > 0.0 { self.share * before.lost / after.lost } else { 0.0 };
        process.seen(t, xt, log_x0, into);
        let fresh = (before.lost - after.lost * sigma) / into.len() as f64;
        into.iter_mut().for_each(|p| *p = (before.kept - sigma * after.kept) * *p + fresh);
        into[xt] += sigma;
    }
}
