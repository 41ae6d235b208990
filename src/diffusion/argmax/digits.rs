//! A category as digits, each with numbers of its own.

use super::Lift;
use crate::{nn::Real, random::Stream};

/// The digits of a category in base `M`, the highest first, each lifted like a category of its own: a Cartesian product of argmax
/// flows.
///
/// ```text
/// x = Σ_j M^(n−1−j) c_j      n = ⌈log_M K⌉      log q(v | x) = Σ_j log q(v_j | c_j)
/// ```
///
/// With `M` much smaller than `K` there are fewer numbers. Where `K` is no power of `M` some digits stand for no category: see
/// [`ArgmaxFlow::unused`](super::ArgmaxFlow::unused). In base 2, [`Binary`](super::Binary) needs half as many numbers. Source:
/// Hoogeboom et al. 2021, §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits<L> {
    /// How a digit is lifted; its categories are the base.
    pub digit: L,
    /// `K`
    pub categories: usize,
}

impl<L: Lift> Digits<L> {
    /// Digits of a category.
    fn digits(&self) -> usize {
        let base = self.digit.categories().max(2);
        let mut left = self.categories.saturating_sub(1) / base;
        let mut digits = 1;
        while left > 0 {
            left /= base;
            digits += 1;
        }
        digits
    }

    /// The digit at a place of a category.
    fn at(&self, x: usize, place: usize) -> usize {
        let base = self.digit.categories().max(2);
        (place + 1..self.digits()).fold(x, |x, _| x / base) % base
    }
}

impl<L: Lift> Lift for Digits<L> {
    fn name(&self) -> &'static str {
        self.digit.name()
    }

    fn categories(&self) -> usize {
        self.categories
    }

    fn numbers(&self) -> usize {
        self.digits() * self.digit.numbers()
    }

    fn parameters(&self) -> usize {
        self.digits() * self.digit.parameters()
    }

    fn noise(&self, rng: &mut Stream) -> f64 {
        self.digit.noise(rng)
    }

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        let (n, p) = (self.digit.numbers(), self.digit.parameters());
        let each = v.chunks_exact_mut(n).zip(noise.chunks_exact(n)).zip(parameters.chunks_exact(p)).enumerate();
        each.fold(E::default(), |log_q, (j, ((v, noise), parameters))| {
            log_q + self.digit.lift(self.at(x, j), parameters, noise, v)
        })
    }

    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        let (n, p) = (self.digit.numbers(), self.digit.parameters());
        let each = into.chunks_exact_mut(p).zip(parameters.chunks_exact(p)).enumerate();
        for (j, (into, parameters)) in each {
            let at = j * n..(j + 1) * n;
            self.digit.slopes(self.at(x, j), parameters, &noise[at.clone()], &dv[at], dq, into);
        }
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        let base = self.digit.categories().max(2);
        let code = v
            .chunks_exact(self.digit.numbers())
            .try_fold(0_usize, |code, v| Some(code * base + self.digit.category(v)?))?;
        Some(code).filter(|code| *code < self.categories)
    }
}
