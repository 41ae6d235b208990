//! The two number types that the fused kernels are written for.

use crate::simd::{ROUND, power_and_rest};
use dfdx::dtypes::Dtype;

/// `f32` for work, `f64` for checking a gradient against finite differences.
///
/// The elementary functions of `f32` are branch-free polynomials that the compiler turns into vector code; their relative
/// error is below 3 units in the last place. They keep NaN, and saturate as the true functions round: `exp` gives 0 and ∞.
pub trait Real: Dtype + std::fmt::Display + std::ops::Neg<Output = Self> {
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;

    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// This value in double precision.
    fn wide(self) -> f64;
    /// `eˣ`.
    fn exp(self) -> Self;
    /// `tanh x`.
    fn tanh(self) -> Self;
    /// `√x`.
    fn sqrt(self) -> Self;
    /// `|x|`.
    fn abs(self) -> Self;
    /// `log x`.
    fn ln(self) -> Self;
    /// `log (1 + x)`, exact near zero.
    fn ln_1p(self) -> Self;

    /// `log (1 + eˣ)`, exact in both tails.
    #[inline(always)]
    fn softplus(self) -> Self {
        let above = if self > Self::default() { self } else { Self::default() };
        above + (-self.abs()).exp().ln_1p()
    }

    /// The logistic function `1 / (1 + e⁻ˣ)`.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

impl Real for f64 {
    const EPSILON: Self = f64::EPSILON;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
}

impl Real for f32 {
    const EPSILON: Self = f32::EPSILON;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        // x = n ln 2 + r with |r| ≤ ½ ln 2, so eˣ = 2ⁿ eʳ.
        const LN2_HIGH: f32 = 0.691_406_25;
        const LN2_LOW: f32 = 0.001_740_930_6;
        // Outside these the result is 0 or ∞; a comparison, unlike `clamp`, leaves NaN alone.
        let x = if self > 89.0 { 89.0 } else { self };
        let x = if x < -104.0 { -104.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN2_HIGH) - n * LN2_LOW;
        power_and_rest(shifted, r)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        let x = f32::abs(self);
        let u = x * x;
        let p = -6.045_165e-3;
        let p = p * u + 2.096_133e-2;
        let p = p * u - 5.384_326_3e-2;
        let p = p * u + 1.333_271_9e-1;
        let p = p * u - 3.333_332_8e-1;
        let near = x + x * u * p;
        let far = 1.0 - 2.0 / (Real::exp(x + x) + 1.0);
        let magnitude = if x < 0.625 { near } else { far };
        magnitude.copysign(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f32::ln_1p(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, range: f32) -> f64 {
        let n = 400_001;
        (0..n)
            .map(|i| range * (2.0 * i as f32 / (n - 1) as f32 - 1.0))
            .filter(|x| *x != 0.0)
            .map(|x| ((f64::from(f(x)) - exact(f64::from(x))) / exact(f64::from(x))).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn elementary_functions_are_accurate() {
        let ulp = f64::from(f32::EPSILON) / 2.0;
        assert!(worst(<f32 as Real>::exp, f64::exp, 87.0) < 3.0 * ulp);
        assert!(worst(<f32 as Real>::tanh, f64::tanh, 12.0) < 3.0 * ulp);
        assert!(worst(<f32 as Real>::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 80.0) < 4.0 * ulp);
    }

    #[test]
    fn limits_are_those_of_the_true_functions() {
        assert_eq!(<f32 as Real>::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(<f32 as Real>::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(<f32 as Real>::exp(100.0), f32::INFINITY);
        assert_eq!(<f32 as Real>::exp(0.0), 1.0);
        assert!(<f32 as Real>::exp(-100.0) > 0.0, "subnormal results are kept");
        assert!(<f32 as Real>::exp(f32::NAN).is_nan());
        assert!(<f32 as Real>::tanh(f32::NAN).is_nan());
        assert_eq!(<f32 as Real>::tanh(f32::NEG_INFINITY), -1.0);
        assert_eq!(<f32 as Real>::tanh(-0.0).to_bits(), (-0.0_f32).to_bits());
    }
}
