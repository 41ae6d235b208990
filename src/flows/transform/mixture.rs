//! The distribution function of a mixture, made normal.

use super::Transform;
use crate::{
    linalg::normal,
    math::{log_sum_exp, log_sum_exp_of, mean_and_deviation},
    nn::Real,
    simd::{exp, sum, vectorised},
};
use std::fmt::Debug;

/// A symmetric unimodal distribution on ℝ, on the logarithmic scale.
pub trait Kernel: Copy + Debug + Default + Send + Sync + 'static {
    /// The scale, in deviations of the data, of a kernel density estimate of one point; it falls with the number of points to
    /// the power −⅕.
    const WIDTH_OF_KERNEL: f64;

    /// `log F(t)`.
    fn log_cdf(t: f64) -> f64;
    /// `log f(t)`.
    fn log_density(t: f64) -> f64;
    /// `log F(t)`, `log F(−t)` and `log f(t)`.
    fn logs(t: f64) -> [f64; 3] {
        [Self::log_cdf(t), Self::log_cdf(-t), Self::log_density(t)]
    }
    /// `F(t)`, `F(−t)` and `f(t)`, where they are to be had in code that becomes vectors.
    fn linear(_t: f64) -> Option<[f64; 3]> {
        None
    }
    /// `log f(t) − log F(t)` far out on the left, where the difference of the two has lost its digits.
    fn log_hazard(t: f64) -> f64;
    /// `−d log f(t) / dt`.
    fn fall(t: f64) -> f64;
    /// `F⁻¹`, given the logarithms of a probability and of what is left of one.
    fn quantile(log_p: f64, log_rest: f64) -> f64;
}

impl Kernel for crate::flows::Normal {
    // Silverman's rule.
    const WIDTH_OF_KERNEL: f64 = 1.06;

    fn log_cdf(t: f64) -> f64 {
        normal::log_cdf(t)
    }
    fn log_density(t: f64) -> f64 {
        normal::log_density(t)
    }
    fn log_hazard(t: f64) -> f64 {
        if t > -2.0 { normal::log_density(t) - normal::log_cdf(t) } else { normal::log_hazard(t) }
    }
    fn fall(t: f64) -> f64 {
        t
    }
    fn quantile(log_p: f64, log_rest: f64) -> f64 {
        normal::quantile(log_p, log_rest)
    }
}

impl Kernel for crate::flows::Logistic {
    // (4 √π / π⁴)^⅕, as in the code of Meng et al. 2020.
    const WIDTH_OF_KERNEL: f64 = 0.592_116_4;

    fn log_cdf(t: f64) -> f64 {
        -Real::softplus(-t)
    }
    fn log_density(t: f64) -> f64 {
        -t.abs() - 2.0 * (-t.abs()).exp().ln_1p()
    }
    fn logs(t: f64) -> [f64; 3] {
        // One exponential and one logarithm for all three.
        let above = (-t.abs()).exp().ln_1p();
        [-((-t).max(0.0) + above), -(t.max(0.0) + above), -t.abs() - 2.0 * above]
    }
    #[inline(always)]
    fn linear(t: f64) -> Option<[f64; 3]> {
        let e = exp(-t.abs());
        let (near, far) = (1.0 / (1.0 + e), e / (1.0 + e));
        let right = t > 0.0;
        Some([if right { near } else { far }, if right { far } else { near }, near * far])
    }
    fn log_hazard(t: f64) -> f64 {
        -Real::softplus(t)
    }
    fn fall(t: f64) -> f64 {
        (0.5 * t).tanh()
    }
    fn quantile(log_p: f64, log_rest: f64) -> f64 {
        log_p - log_rest
    }
}

/// The distribution function of a mixture of `K` distributions, followed by the normal quantile: what it makes of `x` is normal
/// where `x` has that mixture's distribution.
///
/// ```text
/// F(x) = Σ_k w_k B((x − a_k) / e^s_k)      z = Φ⁻¹(F(x))      log dz/dx = log F′(x) + ½ z² + ½ log 2π
/// ```
///
/// Parameters: `K` logits of the weights, `K` places `a`, `K` logarithms of scales `s`. Computed in double precision from the
/// logarithms of `F` and of `1 − F`, whichever is smaller, so that both tails keep their digits. With a normal base the
/// density of `x` is the mixture's own: an autoregressive layer of these is a MADE with mixture heads.
/// Source: Meng et al. 2020 (Gaussianization flows), eq. 6 to 8; Papamakarios et al. 2017, §3.4.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixture<B, const K: usize, S = Free>(std::marker::PhantomData<(B, S)>);

/// A [`Mixture`] that cannot overflow far from the data, where a network says what it is: no scale is above 1000 or below a
/// thousandth, as in [`Bounded`](super::Bounded).
///
/// ```text
/// s / (1 + |s| / log 1000)      in place of s
/// ```
pub type BoundedMixture<B, const K: usize> = Mixture<B, K, Within>;

/// What the logarithm of a scale is for a parameter.
pub trait Scales: Copy + Debug + Default + Send + Sync + 'static {
    /// The logarithm, and its slope in the parameter.
    fn log_scale(s: f64) -> (f64, f64);
}

/// The parameter itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Free;

impl Scales for Free {
    fn log_scale(s: f64) -> (f64, f64) {
        (s, 1.0)
    }
}

/// Within a factor of 1000.
#[derive(Clone, Copy, Debug, Default)]
pub struct Within;

impl Scales for Within {
    fn log_scale(s: f64) -> (f64, f64) {
        let over = 1.0 + s.abs() / (3.0 * std::f64::consts::LN_10);
        (s / over, 1.0 / (over * over))
    }
}

/// A mixture at a point.
struct At<const K: usize> {
    weights: [f64; K],
    log_weights: [f64; K],
    scales: [f64; K],
    /// `(x − a) / e^s`.
    t: [f64; K],
    log_p: f64,
    log_rest: f64,
    log_density: f64,
}

/// What the parts of a mixture are at a point, each weighted.
struct Parts<const K: usize> {
    /// `w F(t)`, `w F(−t)`, `w f(t) / e^s`.
    each: [[f64; K]; 3],
    /// Their sums.
    sums: [f64; 3],
}

/// A sum below this may have lost digits of its parts to underflow.
const TOO_SMALL: f64 = 1e-280;

impl<B: Kernel, const K: usize, S: Scales> Mixture<B, K, S> {
    fn at<E: Real>(x: f64, p: &[E]) -> At<K> {
        let none = [0.0; K];
        let mut at =
            At { weights: none, log_weights: none, scales: none, t: none, log_p: 0.0, log_rest: 0.0, log_density: 0.0 };
        vectorised!(Self::place(x, p, &mut at));
        let logs = match Self::parts(&at) {
            Some(parts) => parts.sums.map(f64::ln),
            None => {
                let each = at.t.map(B::logs);
                let mix = |i: usize| std::array::from_fn::<f64, K, _>(|k| at.log_weights[k] + each[k][i]);
                let density: [f64; K] = std::array::from_fn(|k| mix(2)[k] - at.scales[k].ln());
                [log_sum_exp_of(&mix(0)), log_sum_exp_of(&mix(1)), log_sum_exp_of(&density)]
            }
        };
        At { log_p: logs[0], log_rest: logs[1], log_density: logs[2], ..at }
    }

    /// Fills in weights, scales and distances.
    #[inline(always)]
    fn place<E: Real>(x: f64, p: &[E], at: &mut At<K>) {
        let (logits, places, logs) = (&p[..K], &p[K..2 * K], &p[2 * K..3 * K]);
        let largest = logits.iter().fold(f64::NEG_INFINITY, |m, l| if l.wide() > m { l.wide() } else { m });
        for k in 0..K {
            at.log_weights[k] = logits[k].wide() - largest;
            at.weights[k] = exp(at.log_weights[k]);
            at.scales[k] = exp(S::log_scale(logs[k].wide()).0);
            at.t[k] = (x - places[k].wide()) / at.scales[k];
        }
        let total = sum(&at.weights);
        let log_total = total.ln();
        for k in 0..K {
            at.weights[k] /= total;
            at.log_weights[k] -= log_total;
        }
    }

    /// The parts as they are, unless that loses digits.
    fn parts(at: &At<K>) -> Option<Parts<K>> {
        B::linear(0.0)?;
        let mut parts = Parts { each: [[0.0; K]; 3], sums: [0.0; 3] };
        vectorised!(Self::fill(at, &mut parts));
        parts.sums.iter().all(|sum| *sum > TOO_SMALL).then_some(parts)
    }

    #[inline(always)]
    fn fill(at: &At<K>, parts: &mut Parts<K>) {
        for k in 0..K {
            let [left, right, density] = B::linear(at.t[k]).unwrap_or_default();
            parts.each[0][k] = at.weights[k] * left;
            parts.each[1][k] = at.weights[k] * right;
            parts.each[2][k] = at.weights[k] * density / at.scales[k];
        }
        (0..3).for_each(|i| parts.sums[i] = sum(&parts.each[i]));
    }

    /// What each part is of the whole: `w F(t) / F`, `w F(−t) / (1 − F)`, and the same of the density.
    fn shares(at: &At<K>) -> [[f64; K]; 3] {
        if let Some(Parts { each, sums }) = Self::parts(at) {
            return std::array::from_fn(|i| each[i].map(|part| part / sums[i]));
        }
        let totals = [at.log_p, at.log_rest, at.log_density];
        let each = at.t.map(B::logs);
        std::array::from_fn(|i| {
            std::array::from_fn(|k| {
                let scale = if i == 2 { at.scales[k].ln() } else { 0.0 };
                (at.log_weights[k] + each[k][i] - scale - totals[i]).exp()
            })
        })
    }
}

/// Logarithms of probabilities below which two densities have lost the digits of their difference.
const FAR: f64 = -1e6;

impl<const K: usize> At<K> {
    /// `z` and `log dz/dx`.
    fn value<B: Kernel>(&self) -> (f64, f64) {
        let z = normal::quantile(self.log_p, self.log_rest);
        (z, self.log_slope::<B>(z))
    }

    /// `log dz/dx` where `x` goes to `z`.
    fn log_slope<B: Kernel>(&self, z: f64) -> f64 {
        let side = if self.log_p <= self.log_rest { 1.0 } else { -1.0 };
        let log_p = self.log_p.min(self.log_rest);
        if log_p > FAR {
            return self.log_density - normal::log_density(z);
        }
        // By hazards: both sides have the same distribution function.
        let part = |k: usize| self.log_weights[k] + B::log_cdf(side * self.t[k]) - log_p;
        let hazard = |k: usize| B::log_hazard(side * self.t[k]) - self.scales[k].ln();
        let total = log_sum_exp((0..K).map(part));
        let log_hazard = log_sum_exp((0..K).map(|k| part(k) + hazard(k))) - total;
        log_hazard - normal::log_hazard(side * z)
    }
}

impl<B: Kernel, const K: usize, S: Scales> Transform for Mixture<B, K, S> {
    const WIDTH: usize = 3 * K;

    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        let (z, log_slope) = Self::at(x.wide(), p).value::<B>();
        (E::of(z), E::of(log_slope))
    }

    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        let z = z.wide();
        let (log_p, log_rest) = (normal::log_cdf(z), normal::log_cdf(-z));
        // The quantiles of the parts are on both sides of the mixture's own.
        let quantile = B::quantile(log_p, log_rest);
        let ends = |k: usize| p[K + k].wide() + S::log_scale(p[2 * K + k].wide()).0.exp() * quantile;
        let (mut low, mut high) =
            (0..K).map(ends).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        // Newton on the smaller logarithm, kept between the ends, which close in on it.
        let lower = log_p <= log_rest;
        let mut x = 0.5 * (low + high);
        for _ in 0..200 {
            let at = Self::at(x, p);
            let excess = if lower { at.log_p - log_p } else { log_rest - at.log_rest };
            if excess > 0.0 {
                high = x
            } else {
                low = x
            }
            let slope = (at.log_density - if lower { at.log_p } else { at.log_rest }).exp();
            let newton = x - excess / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            if (next - x).abs() <= 1e-13 * (1.0 + x.abs()) {
                x = next;
                break;
            }
            x = next;
        }
        let at = Self::at(x, p);
        (E::of(x), E::of(-at.log_slope::<B>(z)))
    }

    /// Places at the quantiles of the values, all scales that of a kernel density estimate.
    fn start(values: &[f64]) -> Option<Vec<f64>> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let place = |k: usize| sorted[((k as f64 + 0.5) / K as f64 * sorted.len() as f64) as usize];
        let (_, deviation) = mean_and_deviation(values);
        let scale = deviation * B::WIDTH_OF_KERNEL * (K as f64).powf(-0.2);
        Some([vec![0.0; K], (0..K).map(place).collect(), vec![scale.ln(); K]].concat())
    }

    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        let at = Self::at(x.wide(), p);
        let (z, log_slope) = at.value::<B>();
        let (dl, log_normal) = (dl.wide(), normal::log_density(z));
        // `log dz/dx` depends on the parameters through `log F′`, and through z.
        let dz = dz.wide() + dl * z;
        let lower = at.log_p <= at.log_rest;
        let [left, right, shares] = Self::shares(&at);
        // F, 1 − F and F′ over φ(z).
        let [of_left, of_right, of_density] =
            [at.log_p, at.log_rest, at.log_density].map(|log| (log - log_normal).exp());
        let mut dx = dz * log_slope.exp();
        for k in 0..K {
            let (t, scale, weight, share) = (at.t[k], at.scales[k], at.weights[k], shares[k]);
            // How much more of the part than of the mixture lies to the left.
            let more = if lower { (left[k] - weight) * of_left } else { (weight - right[k]) * of_right };
            let (density, fall) = (share * of_density, B::fall(t));
            dp[k] += E::of(dz * more + dl * (share - weight));
            dp[K + k] += E::of(-dz * density + dl * share * fall / scale);
            let (_, slope) = S::log_scale(p[2 * K + k].wide());
            dp[2 * K + k] += E::of((-dz * density * t * scale + dl * share * (fall * t - 1.0)) * slope);
            dx -= dl * share * fall / scale;
        }
        E::of(dx)
    }
}
