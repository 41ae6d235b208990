//! Dequantisation: noise from [0, 1) on a row of zeros and a one.

use super::{Lift, argmax, log_normal};
use crate::{nn::Real, random::Stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

/// Where the noise of [`OneHot`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseOf {
    /// Uniform.
    Uniform,
    /// A sigmoid of normal numbers: variational dequantisation (Ho et al. 2019).
    Variational,
}

/// What argmax flows are compared with: the category as zeros and a one, with noise from [0, 1) on each, as ordinal data have it.
///
/// ```text
/// v = onehot(x) + u      log q(v | x) = 0, or with u = σ(w), w ~ N(m, e^s):   log N(w) − Σ log u_i (1 − u_i)
/// ```
///
/// A flow that puts mass beside the cells of the categories loses it: numbers stand for a category where one of them is in
/// `[1, 2)` and all others in `[0, 1)`. Source: Hoogeboom et al. 2021, §6.2; Uria et al. 2013.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHot {
    /// `K`
    pub categories: usize,
    /// Where the noise comes from.
    pub noise: NoiseOf,
}

impl Lift for OneHot {
    fn name(&self) -> &'static str {
        match self.noise {
            NoiseOf::Uniform => "uniform dequantisation",
            NoiseOf::Variational => "variational dequantisation",
        }
    }

    fn categories(&self) -> usize {
        self.categories
    }

    fn numbers(&self) -> usize {
        self.categories
    }

    fn parameters(&self) -> usize {
        2 * self.categories
    }

    fn noise(&self, rng: &mut Stream) -> f64 {
        match self.noise {
            NoiseOf::Uniform => rng.random(),
            NoiseOf::Variational => StandardNormal.sample(rng),
        }
    }

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        let (means, logs) = parameters.split_at(self.categories);
        let mut log_q = E::default();
        for i in 0..self.categories {
            v[i] = match self.noise {
                NoiseOf::Uniform => noise[i],
                NoiseOf::Variational => {
                    let w = means[i] + logs[i].exp() * noise[i];
                    log_q += log_normal(noise[i], logs[i]) + w.softplus() + (-w).softplus();
                    w.sigmoid()
                }
            };
        }
        v[x] += E::ONE;
        log_q
    }

    fn slopes<E: Real>(&self, _: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        if self.noise == NoiseOf::Uniform {
            return;
        }
        let k = self.categories;
        let (means, logs) = parameters.split_at(k);
        for i in 0..k {
            let u = (means[i] + logs[i].exp() * noise[i]).sigmoid();
            let dw = dv[i] * u * (E::ONE - u) + dq * (u + u - E::ONE);
            into[i] += dw;
            into[k + i] += dw * noise[i] * logs[i].exp() - dq;
        }
    }

    /// The largest, wherever it is: a sample beside the cells is the category that it is nearest to.
    fn category(&self, v: &[f64]) -> Option<usize> {
        Some(argmax(v))
    }
}
