//! Affine functions, each written as its paper writes it.

use super::Transform;
use crate::{math::mean_and_deviation, nn::Real};

/// MAF's function of `p = (μ, α)`.
///
/// ```text
/// z = (x − μ) e^−α      x = z e^α + μ      log dz/dx = −α
/// ```
/// Source: Papamakarios, Pavlakou and Murray 2017, eq. 3 and 4.
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine;

/// MAF's function of `p = (μ, a)` with a bound on how far it stretches, so that it cannot overflow far from the data.
///
/// ```text
/// z = (x − μ) e^−α      α = a / (1 + |a| / log 1000)      log dz/dx = −α
/// ```
///
/// No scale is above 1000 or below a thousandth. What zuko and others do in place of [`Affine`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounded;

/// RealNVP's function of `p = (s, t)`.
///
/// ```text
/// z = x e^s + t      x = (z − t) e^−s      log dz/dx = s
/// ```
/// Source: Dinh, Sohl-Dickstein and Bengio 2017, eq. 7 and 8.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scale;

/// RealNVP's function of images, of `p = (a, t, g)`: a scale within bounds that are learned.
///
/// ```text
/// z = x e^s + t      s = g tanh a      log dz/dx = s
/// ```
///
/// `g` is one number a channel. Source: the code of Dinh, Sohl-Dickstein and Bengio 2017, but for the order of shift and scale,
/// which is that of the paper's eq. 7.
#[derive(Clone, Copy, Debug, Default)]
pub struct TanhScale;

/// NICE's rescaling, of `p = (d)`.
///
/// ```text
/// z = x e^d      x = z e^−d      log dz/dx = d
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch;

/// NICE's function of `p = (m)`.
///
/// ```text
/// z = x + m      x = z − m      log dz/dx = 0
/// ```
/// Source: Dinh, Krueger and Bengio 2015, §3.2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shift;

/// The gated function of inverse autoregressive flows, of `p = (m, s)`: it shrinks, and begins near the identity.
///
/// ```text
/// z = σ x + (1 − σ) m      σ = sigmoid(s + 2)      log dz/dx = log σ
/// ```
/// Source: Kingma et al. 2016, eq. 14 and algorithm 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gated;

impl Transform for Affine {
    const WIDTH: usize = 2;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        ((x - p[0]) * (-p[1]).exp(), -p[1])
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        (z * p[1].exp() + p[0], p[1])
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let dx = dz * (-p[1]).exp();
        dp[0] -= dx;
        dp[1] -= dx * (x - p[0]) + dl;
        dx
    }
}

impl Bounded {
    /// `p` of [`Affine`], and `1 + |a| / log 1000`.
    #[inline(always)]
    fn affine<E: Real>(p: &[E]) -> ([E; 2], E) {
        let over = E::ONE + p[1].abs() / E::of(3.0 * std::f64::consts::LN_10);
        ([p[0], p[1] / over], over)
    }
}

impl Transform for Bounded {
    const WIDTH: usize = 2;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        Affine::forward(x, &Self::affine(p).0)
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        Affine::inverse(z, &Self::affine(p).0)
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let (p, over) = Self::affine(p);
        let mut own = [E::default(); 2];
        let dx = Affine::backward(x, &p, dz, dl, &mut own);
        dp[0] += own[0];
        dp[1] += own[1] / (over * over);
        dx
    }
}

impl Transform for Scale {
    const WIDTH: usize = 2;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        (x * p[0].exp() + p[1], p[0])
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        ((z - p[1]) * (-p[0]).exp(), -p[0])
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let dx = dz * p[0].exp();
        dp[0] += dx * x + dl;
        dp[1] += dz;
        dx
    }

    /// Mean 0 and deviation 1.
    fn start(values: &[f64]) -> Option<Vec<f64>> {
        let (mean, deviation) = mean_and_deviation(values);
        Some(vec![-deviation.ln(), -mean / deviation])
    }
}

impl TanhScale {
    /// `p` of [`Scale`], and `tanh a`.
    #[inline(always)]
    fn scale<E: Real>(p: &[E]) -> ([E; 2], E) {
        let tanh = p[0].tanh();
        ([p[2] * tanh, p[1]], tanh)
    }
}

impl Transform for TanhScale {
    const WIDTH: usize = 3;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        Scale::forward(x, &Self::scale(p).0)
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        Scale::inverse(z, &Self::scale(p).0)
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let (scale, tanh) = Self::scale(p);
        let mut own = [E::default(); 2];
        let dx = Scale::backward(x, &scale, dz, dl, &mut own);
        dp[0] += own[0] * p[2] * (E::ONE - tanh * tanh);
        dp[1] += own[1];
        dp[2] += own[0] * tanh;
        dx
    }
}

impl Transform for Stretch {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        (x * p[0].exp(), p[0])
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        (z * (-p[0]).exp(), -p[0])
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let dx = dz * p[0].exp();
        dp[0] += dx * x + dl;
        dx
    }
}

impl Transform for Shift {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        (x + p[0], E::default())
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        (z - p[0], E::default())
    }

    #[inline(always)]
    fn backward<E: Real>(_: E, _: &[E], dz: E, _: E, dp: &mut [E]) -> E {
        dp[0] += dz;
        dz
    }
}

/// `s + 2`, where the gate is 0.88.
const OPEN: f64 = 2.0;

impl Transform for Gated {
    const WIDTH: usize = 2;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        let gate = p[1] + E::of(OPEN);
        let open = gate.sigmoid();
        (open * x + (E::ONE - open) * p[0], -(-gate).softplus())
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        let gate = p[1] + E::of(OPEN);
        let open = gate.sigmoid();
        ((z - (E::ONE - open) * p[0]) / open, (-gate).softplus())
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let open = (p[1] + E::of(OPEN)).sigmoid();
        dp[0] += dz * (E::ONE - open);
        dp[1] += (E::ONE - open) * (dz * open * (x - p[0]) + dl);
        dz * open
    }
}
