//! Gumbel numbers whose largest is known where it is.

use super::{Lift, argmax, log_normal, log_softplus};
use crate::{nn::Real, random::Stream};
use rand_distr::{Distribution, Exp1};

/// Gumbel numbers: that of the category first, as the largest of all is distributed; the others below it.
///
/// ```text
/// φ_max = log Σ e^φ_i      T = v_x = φ_max − log g_x      v_i = −log(e^−T + g_i e^−φ_i)      g ~ Exp(1)
/// log q(v | x) = log Gumbel(v_x; φ_max) + Σ_{i ≠ x} log TruncGumbel(v_i; φ_i, T)
///              = log g_x − g_x + Σ_{i ≠ x} (φ_i − v_i − g_i)
/// ```
///
/// Parameters: `K` logits `φ`. Where `p(v)` is a product of Gumbels with the same `φ`, the bound is tight:
/// `log p(v) − log q(v | x) = log softmax(φ)_x` for every `v`. Source: Hoogeboom et al. 2021, algorithm 4, eqs 8-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gumbel {
    /// `K`
    pub categories: usize,
}

/// The numbers, given `g`. Returns `Σ_{i ≠ x} (φ_i − v_i)`.
fn numbers<E: Real>(x: usize, phi: &[E], log_g: impl Fn(usize) -> E, v: &mut [E]) -> E {
    let top = log_sum_exp(phi) - log_g(x);
    let mut sum = E::default();
    for i in 0..phi.len() {
        if i == x {
            v[i] = top;
        } else {
            // −log(e^−T + e^(log g − φ))
            let (a, b) = (-top, log_g(i) - phi[i]);
            v[i] = -(a + (b - a).softplus());
            sum += phi[i] - v[i];
        }
    }
    sum
}

fn log_sum_exp<E: Real>(phi: &[E]) -> E {
    let most = phi.iter().copied().fold(E::of(f64::NEG_INFINITY), |m, x| if x > m { x } else { m });
    most + phi.iter().map(|x| (*x - most).exp()).fold(E::default(), |sum, x| sum + x).ln()
}

/// Slopes along `φ` (added to `into`), and along the logarithm of each `g` but for what it is in `log q` itself.
fn slopes_of_numbers<E: Real>(
    x: usize,
    phi: &[E],
    v: &[E],
    dv: &[E],
    dq: E,
    into: &mut [E],
    mut along_log_g: impl FnMut(usize, E),
) {
    let mut dtop = dv[x];
    for i in (0..phi.len()).filter(|i| *i != x) {
        // v_i also lowers log q; of what moves it, T has the share r.
        let (d, r) = (dv[i] - dq, (v[i] - v[x]).exp());
        dtop += d * r;
        into[i] += dq + d * (E::ONE - r);
        along_log_g(i, -d * (E::ONE - r));
    }
    along_log_g(x, -dtop);
    let total = log_sum_exp(phi);
    into.iter_mut().zip(phi).for_each(|(to, phi)| *to += dtop * (*phi - total).exp());
}

impl Lift for Gumbel {
    fn name(&self) -> &'static str {
        "gumbel"
    }

    fn categories(&self) -> usize {
        self.categories
    }

    fn numbers(&self) -> usize {
        self.categories
    }

    fn parameters(&self) -> usize {
        self.categories
    }

    /// `g`
    fn noise(&self, rng: &mut Stream) -> f64 {
        let g: f64 = Exp1.sample(rng);
        // Zero in single precision would be a number beyond all.
        g.max(f64::from(f32::MIN_POSITIVE))
    }

    fn lift<E: Real>(&self, x: usize, phi: &[E], g: &[E], v: &mut [E]) -> E {
        let sum = numbers(x, phi, |i| g[i].ln(), v);
        g.iter().fold(sum + g[x].ln(), |log_q, g| log_q - *g)
    }

    fn slopes<E: Real>(&self, x: usize, phi: &[E], g: &[E], dv: &[E], dq: E, into: &mut [E]) {
        let mut v = vec![E::default(); phi.len()];
        numbers(x, phi, |i| g[i].ln(), &mut v);
        slopes_of_numbers(x, phi, &v, dv, dq, into, |_, _| ());
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        Some(argmax(v))
    }
}

/// The same with noise that is learned: `g = −log u` of `u` that is a sigmoid of normal numbers.
///
/// ```text
/// w ~ N(m, e^s)      u = σ(w)      g = −log u = softplus(−w)
/// log q(v | x) = log N(w) − Σ log(1 − u_i) + log g_x + Σ_{i ≠ x} (φ_i − v_i)
/// ```
///
/// Parameters: `K` means, `K` logarithms of deviations, `K` logits `φ`. Source: Hoogeboom et al. 2021, §3.1 (Gumbel thresholding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GumbelThreshold {
    /// `K`
    pub categories: usize,
}

impl GumbelThreshold {
    fn w<E: Real>(&self, parameters: &[E], noise: &[E], i: usize) -> E {
        parameters[i] + parameters[self.categories + i].exp() * noise[i]
    }
}

impl Lift for GumbelThreshold {
    fn name(&self) -> &'static str {
        "gumbel-thresholding"
    }

    fn categories(&self) -> usize {
        self.categories
    }

    fn numbers(&self) -> usize {
        self.categories
    }

    fn parameters(&self) -> usize {
        3 * self.categories
    }

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        let (k, phi) = (self.categories, &parameters[2 * self.categories..]);
        let log_g = |i: usize| log_softplus(-self.w(parameters, noise, i));
        let sum = numbers(x, phi, log_g, v) + log_g(x);
        (0..k).fold(sum, |log_q, i| {
            // −log(1 − u) = softplus(w)
            log_q + log_normal(noise[i], parameters[k + i]) + self.w(parameters, noise, i).softplus()
        })
    }

    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        let (k, phi) = (self.categories, &parameters[2 * self.categories..]);
        let log_g = |i: usize| log_softplus(-self.w(parameters, noise, i));
        let mut v = vec![E::default(); k];
        numbers(x, phi, log_g, &mut v);
        let (of_w, of_phi) = into.split_at_mut(2 * k);
        let mut along = |i: usize, dlog_g: E| {
            let w = self.w(parameters, noise, i);
            let rest = (-w).sigmoid();
            // d log g / dw = −(1 − u) / g
            let fall = if w > E::of(15.0) { E::ONE } else { rest / (-w).softplus() };
            let dlog_g = if i == x { dlog_g + dq } else { dlog_g };
            let dw = dq * (E::ONE - rest) - dlog_g * fall;
            of_w[i] += dw;
            of_w[k + i] += dw * noise[i] * parameters[k + i].exp() - dq;
        };
        slopes_of_numbers(x, phi, &v, dv, dq, of_phi, &mut along);
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        Some(argmax(v))
    }
}
