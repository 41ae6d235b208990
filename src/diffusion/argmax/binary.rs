//! A category as its bits, one number each.

use super::{Lift, log_normal};
use crate::nn::Real;

/// The digits of a category in base 2, the highest first: a number above zero for a one.
///
/// ```text
/// u ~ N(m, e^s)      v_j = (2 b_j − 1) softplus(u_j)
/// log q(v | x) = log q(u | x) − Σ_j log σ(u_j)
/// ```
///
/// Where `K` is no power of two some numbers stand for no category, and a model spends mass on them: see
/// [`ArgmaxFlow::unused`](super::ArgmaxFlow::unused). Parameters: a mean and a logarithm of a deviation for each bit. Source:
/// Hoogeboom et al. 2021, §3.2 (Cartesian products of argmax flows), with the released code's symmetric form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary {
    /// `K`
    pub categories: usize,
}

impl Binary {
    fn bits(&self) -> usize {
        (usize::BITS - self.categories.saturating_sub(1).leading_zeros()).max(1) as usize
    }

    fn sign<E: Real>(&self, x: usize, j: usize) -> E {
        if x >> (self.bits() - 1 - j) & 1 == 1 { E::ONE } else { -E::ONE }
    }
}

impl Lift for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn categories(&self) -> usize {
        self.categories
    }

    fn numbers(&self) -> usize {
        self.bits()
    }

    fn parameters(&self) -> usize {
        2 * self.bits()
    }

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        let (means, logs) = parameters.split_at(self.bits());
        let mut log_q = E::default();
        for (j, v) in v.iter_mut().enumerate() {
            let u = means[j] + logs[j].exp() * noise[j];
            *v = self.sign::<E>(x, j) * u.softplus();
            log_q += log_normal(noise[j], logs[j]) + (-u).softplus();
        }
        log_q
    }

    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        let n = self.bits();
        let (means, logs) = parameters.split_at(n);
        for j in 0..n {
            let share = (means[j] + logs[j].exp() * noise[j]).sigmoid();
            let du = dv[j] * self.sign::<E>(x, j) * share - dq * (E::ONE - share);
            into[j] += du;
            into[n + j] += du * noise[j] * logs[j].exp() - dq;
        }
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        let code = v.iter().fold(0, |code, v| code << 1 | usize::from(*v > 0.0));
        Some(code).filter(|code| *code < self.categories)
    }
}
