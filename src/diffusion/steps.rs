//! The steps in which noise is taken away.

use super::process::{Process, settled};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the last step, to the data, reads what the denoiser says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// Like every other step, `p(x_0 | x_1) ∝ q(x_1 | x_0) x̂_0`: the released code of Hoogeboom et al. 2021, and right for a denoiser
    /// that does not look at its own place.
    #[default]
    Posterior,
    /// As it is, `p(x_0 | x_1) = x̂_0`: their eq 14. A denoiser then has to learn, for this step alone, to trust what it sees.
    Direct,
}

/// Some of the moments of a process, in which it is gone through backwards: all of them, or fewer for a quicker, looser pass.
///
/// A bound over fewer steps is a bound as well; the posterior from one step to another is in closed form (Austin et al. 2021, §3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// `0 = t_0 < t_1 < … < t_n = T`
    moments: Vec<usize>,
    decoder: Decoder,
}

impl Steps {
    /// All steps of a process.
    pub fn all(process: &impl Process, decoder: Decoder) -> Self {
        Self { moments: (0..=process.steps()).collect(), decoder }
    }

    /// So many steps, spread evenly.
    ///
    /// # Errors
    /// When there is none, or there are more than the process has.
    pub fn strided(process: &impl Process, steps: usize, decoder: Decoder) -> Result<Self> {
        let all = process.steps();
        if !(1..=all).contains(&steps) {
            return Err(Error::invalid(format!("{steps} steps of a process of {all}; from 1 to {all} are possible")));
        }
        let moments = (0..=steps).map(|i| (i as u128 * all as u128 / steps as u128) as usize).collect();
        Ok(Self { moments, decoder })
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.moments.len() - 1
    }

    /// Never true: there is at least one step.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Step `i`, from 1: from the moment `t` back to the moment `s`.
    pub fn step(&self, i: usize) -> (usize, usize) {
        (self.moments[i - 1], self.moments[i])
    }

    /// How the last step reads what the denoiser says.
    pub fn decoder(&self) -> Decoder {
        self.decoder
    }

    fn is_direct<P: Process>(&self, process: &P, s: usize, xt: usize) -> bool {
        s == 0 && self.decoder == Decoder::Direct && !settled(process, xt)
    }

    /// Nats of step `i` at a position: [`Process::step`], or `−log x̂_0` of the last where that is direct.
    pub fn nats<P: Process>(&self, process: &P, i: usize, (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        let (s, t) = self.step(i);
        match self.is_direct(process, s, xt) {
            true => -log_x0[x0],
            false => process.step((s, t), (x0, xt), log_x0),
        }
    }

    /// Adds `scale` times the slopes of [`Self::nats`] along the logits to `into`.
    pub fn slopes<P: Process>(
        &self,
        process: &P,
        i: usize,
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        let (s, t) = self.step(i);
        match self.is_direct(process, s, xt) {
            true => cross_entropy_slopes(x0, log_x0, scale, into),
            false => process.step_slopes((s, t), (x0, xt), log_x0, scale, into),
        }
    }

    /// `p(x_s | x_t)` of every state in step `i`; of the last over the categories, and nothing of a mask.
    pub fn reverse<P: Process>(&self, process: &P, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let (s, t) = self.step(i);
        if self.is_direct(process, s, xt) {
            into.fill(0.0);
            into.iter_mut().zip(log_x0).for_each(|(to, log)| *to = log.exp());
        } else {
            process.reverse(s, t, xt, log_x0, into);
        }
    }
}

/// Adds `scale` times the slopes of `−log x̂_0(x_0)` along the logits.
pub(super) fn cross_entropy_slopes(x0: usize, log_x0: &[f64], scale: f64, into: &mut [f64]) {
    into.iter_mut().zip(log_x0).for_each(|(to, log)| *to += scale * crate::simd::exp(*log));
    into[x0] -= scale;
}
