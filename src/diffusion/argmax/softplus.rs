//! Softplus thresholding.

use super::{Lift, argmax, log_normal};
use crate::nn::Real;

/// Normal numbers, of which all but the one of the category are pushed below it.
///
/// ```text
/// u ~ N(m, e^s)      T = v_x = u_x      v_i = T − softplus(T − u_i)
/// log q(v | x) = log q(u | x) − Σ_{i ≠ x} log σ(T − u_i)
/// ```
///
/// Parameters: `K` means `m`, `K` logarithms of deviations `s`. Source: Hoogeboom et al. 2021, algorithm 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftplusThreshold {
    /// `K`
    pub categories: usize,
}

impl Lift for SoftplusThreshold {
    fn name(&self) -> &'static str {
        "softplus-thresholding"
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

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        let (means, logs) = parameters.split_at(self.categories);
        let mut log_q = E::default();
        for i in 0..self.categories {
            v[i] = means[i] + logs[i].exp() * noise[i];
            log_q += log_normal(noise[i], logs[i]);
        }
        let top = v[x];
        for (_, v) in v.iter_mut().enumerate().filter(|(i, _)| *i != x) {
            let below = top - *v;
            log_q += (-below).softplus();
            *v = top - below.softplus();
        }
        log_q
    }

    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        let k = self.categories;
        let (means, logs) = parameters.split_at(k);
        let u = |i: usize| means[i] + logs[i].exp() * noise[i];
        let (top, mut dtop) = (u(x), dv[x]);
        let mut along = |i: usize, du: E| {
            into[i] += du;
            into[k + i] += du * noise[i] * logs[i].exp() - dq;
        };
        for i in (0..k).filter(|i| *i != x) {
            let share = (top - u(i)).sigmoid();
            dtop += (dv[i] - dq) * (E::ONE - share);
            along(i, dv[i] * share + dq * (E::ONE - share));
        }
        along(x, dtop);
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        Some(argmax(v))
    }
}
