//! Monotone rational-quadratic splines.

use super::Transform;
use crate::nn::Real;

/// A monotone rational-quadratic spline on `[−BOUND, BOUND]` with `BINS` bins, and the identity outside.
///
/// ```text
/// ξ = (x − x_k) / w_k      s = h_k / w_k
/// z = y_k + h_k (s ξ² + δ_k ξ(1−ξ)) / (s + (δ_k+1 + δ_k − 2s) ξ(1−ξ))
/// dz/dx = s² (δ_k+1 ξ² + 2s ξ(1−ξ) + δ_k (1−ξ)²) / (s + (δ_k+1 + δ_k − 2s) ξ(1−ξ))²
/// ```
///
/// Parameters: `BINS` logits of widths, `BINS` of heights, and `BINS − 1` numbers for the slopes between bins; all zero is the
/// identity. No bin is narrower than a thousandth of the interval, no slope below 10⁻³. The slope at both ends is 1, so that
/// the function has no kink there. Source: Durkan et al. 2019 (neural spline flows), eq. 4 to 8.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spline<const BINS: usize = 8, const BOUND: usize = 3>;

/// The smallest width and height of a bin as a share of the interval, and the smallest slope.
const LEAST: f64 = 1e-3;
/// `softplus` of this and [`LEAST`] together are 1.
const EVEN: f64 = 0.539_742_417_236_952_1;

/// Where a number lies: what the formula of a bin needs.
struct Bin<E> {
    number: usize,
    x: E,
    width: E,
    y: E,
    height: E,
    slopes: [E; 2],
}

/// The formula in a bin.
struct Curve<E> {
    xi: E,
    slope: E,
    /// `ξ(1 − ξ)`.
    q: E,
    numerator: E,
    denominator: E,
    /// The bracket in the numerator of `dz/dx`.
    bracket: E,
}

impl<const BINS: usize, const BOUND: usize> Spline<BINS, BOUND> {
    const OK: () = assert!(BINS >= 2 && BINS <= 500 && BOUND >= 1, "a spline has 2 to 500 bins and a positive bound");

    /// Shares that add up to one, none below [`LEAST`]; and the plain softmax behind them.
    #[inline(always)]
    fn shares<E: Real>(logits: &[E]) -> ([E; BINS], [E; BINS]) {
        let largest = logits.iter().fold(logits[0], |a, b| if *b > a { *b } else { a });
        let (mut soft, mut total) = ([E::default(); BINS], E::default());
        for (soft, logit) in soft.iter_mut().zip(logits) {
            *soft = (*logit - largest).exp();
            total += *soft;
        }
        let rest = E::of(1.0 - LEAST * BINS as f64);
        let mut shares = soft;
        for (share, soft) in shares.iter_mut().zip(&mut soft) {
            *soft /= total;
            *share = E::of(LEAST) + rest * *soft;
        }
        (shares, soft)
    }

    #[inline(always)]
    fn slope<E: Real>(p: &[E], knot: usize) -> E {
        if knot == 0 || knot == BINS {
            E::ONE
        } else {
            E::of(LEAST) + (p[2 * BINS + knot - 1] + E::of(EVEN)).softplus()
        }
    }

    /// The bin in which `x` lies, or `z` where `by_height`.
    #[inline(always)]
    fn bin<E: Real>(at: E, p: &[E], by_height: bool) -> Bin<E> {
        let () = Self::OK;
        let (widths, _) = Self::shares(&p[..BINS]);
        let (heights, _) = Self::shares(&p[BINS..2 * BINS]);
        let side = E::of(2.0 * BOUND as f64);
        let (mut x, mut y) = (E::of(-(BOUND as f64)), E::of(-(BOUND as f64)));
        let mut number = 0;
        // The last bin takes what rounding leaves over.
        while number + 1 < BINS {
            let (next_x, next_y) = (x + side * widths[number], y + side * heights[number]);
            if at < if by_height { next_y } else { next_x } {
                break;
            }
            (x, y, number) = (next_x, next_y, number + 1);
        }
        Bin {
            number,
            x,
            width: side * widths[number],
            y,
            height: side * heights[number],
            slopes: [Self::slope(p, number), Self::slope(p, number + 1)],
        }
    }

    #[inline(always)]
    fn inside<E: Real>(x: E) -> bool {
        let bound = E::of(BOUND as f64);
        x > -bound && x < bound
    }
}

impl<E: Real> Bin<E> {
    #[inline(always)]
    fn curve(&self, xi: E) -> Curve<E> {
        let [d0, d1] = self.slopes;
        let (slope, rest) = (self.height / self.width, E::ONE - xi);
        let q = xi * rest;
        Curve {
            xi,
            slope,
            q,
            numerator: slope * xi * xi + d0 * q,
            denominator: slope + (d1 + d0 - slope - slope) * q,
            bracket: d1 * xi * xi + (slope + slope) * q + d0 * rest * rest,
        }
    }
}

impl<E: Real> Curve<E> {
    #[inline(always)]
    fn log_slope(&self) -> E {
        (self.slope * self.slope * self.bracket / (self.denominator * self.denominator)).ln()
    }
}

impl<const BINS: usize, const BOUND: usize> Transform for Spline<BINS, BOUND> {
    const WIDTH: usize = 3 * BINS - 1;

    #[inline(always)]
    fn forward<E: Real>(x: E, p: &[E]) -> (E, E) {
        if !Self::inside(x) {
            return (x, E::default());
        }
        let bin = Self::bin(x, p, false);
        let curve = bin.curve((x - bin.x) / bin.width);
        (bin.y + bin.height * curve.numerator / curve.denominator, curve.log_slope())
    }

    #[inline(always)]
    fn inverse<E: Real>(z: E, p: &[E]) -> (E, E) {
        if !Self::inside(z) {
            return (z, E::default());
        }
        let bin = Self::bin(z, p, true);
        let [d0, d1] = bin.slopes;
        let (slope, rise) = (bin.height / bin.width, z - bin.y);
        let bend = d1 + d0 - slope - slope;
        let a = bin.height * (slope - d0) + rise * bend;
        let b = bin.height * d0 - rise * bend;
        let c = -(slope * rise);
        // Never negative but for rounding.
        let discriminant = b * b - E::of(4.0) * a * c;
        let root = if discriminant > E::default() { discriminant.sqrt() } else { E::default() };
        let xi = (c + c) / (-b - root);
        (bin.x + xi * bin.width, -bin.curve(xi).log_slope())
    }

    #[inline(always)]
    fn backward<E: Real>(x: E, p: &[E], dz: E, dl: E, dp: &mut [E]) -> E {
        if !Self::inside(x) {
            return dz;
        }
        let bin = Self::bin(x, p, false);
        let curve = bin.curve((x - bin.x) / bin.width);
        let Curve { xi, slope, q, numerator, denominator, bracket } = curve;
        let [d0, d1] = bin.slopes;
        let (one, two) = (E::ONE, E::of(2.0));
        let (rest, turn) = (one - xi, one - two * xi);
        // Slopes of numerator, denominator and bracket along ξ, s, δ_k and δ_k+1.
        let along = [
            (two * slope * xi + d0 * turn, (d1 + d0 - two * slope) * turn, two * (d1 * xi + slope * turn - d0 * rest)),
            (xi * xi, one - two * q, two * q),
            (q, q, rest * rest),
            (E::default(), q, xi * xi),
        ];
        let share = bin.height / (denominator * denominator);
        let mut slopes = along.map(|(a, d, c)| {
            dz * share * (a * denominator - numerator * d) + dl * (c / bracket - two * d / denominator)
        });
        slopes[1] += dl * two / slope;
        let [d_xi, d_slope, d_first, d_second] = slopes;
        let d_height = dz * numerator / denominator + d_slope / bin.width;
        let d_width = -(d_slope * slope + d_xi * xi) / bin.width;
        let dx = d_xi / bin.width;
        // A bin further left moves the corner; this bin has its own width and height.
        let side = E::of(2.0 * BOUND as f64 * (1.0 - LEAST * BINS as f64));
        let spread = |logits: &[E], dp: &mut [E], corner: E, own: E| {
            let (_, soft) = Self::shares(logits);
            let of = |i: usize| match i.cmp(&bin.number) {
                std::cmp::Ordering::Less => corner,
                std::cmp::Ordering::Equal => own,
                std::cmp::Ordering::Greater => E::default(),
            };
            let mut mean = E::default();
            (0..BINS).for_each(|i| mean += of(i) * soft[i]);
            (0..BINS).for_each(|i| dp[i] += side * soft[i] * (of(i) - mean));
        };
        spread(&p[..BINS], &mut dp[..BINS], -dx, d_width);
        spread(&p[BINS..2 * BINS], &mut dp[BINS..2 * BINS], dz, d_height);
        for (knot, d) in [(bin.number, d_first), (bin.number + 1, d_second)] {
            if knot != 0 && knot != BINS {
                let at = 2 * BINS + knot - 1;
                dp[at] += d * (p[at] + E::of(EVEN)).sigmoid();
            }
        }
        dx
    }
}
