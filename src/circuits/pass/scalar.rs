//! The numbers a circuit computes with: f32, or f64 where exactness is tested.

use crate::simd::{exp, exp_single};
use std::{
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, MulAssign},
};

/// A floating-point number whose exponent can be read and set.
pub trait Scalar:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + MulAssign
    + crate::archive::Number
    + 'static
{
    /// Whether this is `f32`.
    const SINGLE: bool;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// A column whose largest value is below this has lost too much to underflow.
    const UNDERFLOW: Self;

    /// The nearest value.
    fn of(value: f64) -> Self;
    /// The same value.
    fn f64(self) -> f64;
    /// `eˣ` as precisely as the type tells, in code that becomes vectors.
    fn exp_of(x: f64) -> Self;
    /// `e` of `self = m · 2^e` with `1 ≤ m < 2`; `self` is normal and positive.
    fn exponent(self) -> i32;
    /// `2^−e`, for an exponent of a value that is not [`Self::UNDERFLOW`].
    fn pow2_neg(e: i32) -> Self;
}

macro_rules! real {
    ($type:ty, $bits:ty, $mantissa:expr, $bias:expr, $underflowed:expr, $exp:path) => {
        impl Scalar for $type {
            const SINGLE: bool = size_of::<Self>() == 4;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const UNDERFLOW: Self = $underflowed;
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn exp_of(x: f64) -> Self {
                $exp(x)
            }
            #[inline(always)]
            fn exponent(self) -> i32 {
                (self.to_bits() >> $mantissa) as i32 - $bias
            }
            #[inline(always)]
            fn pow2_neg(e: i32) -> Self {
                <$type>::from_bits((($bias - e) as $bits) << $mantissa)
            }
        }
    };
}
// 2^−64 and 2^−512: half of the exponents that there are.
real!(f32, u32, 23, 127, 5.421_011e-20, exp_single);
real!(f64, u64, 52, 1023, 7.458_340_731_200_207e-155, exp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_two_scales_into_one_to_two() {
        for value in [1.0_f32, 1.5, 2.0, 3.9e-19, 7e18, f32::UNDERFLOW] {
            let scaled = value * f32::pow2_neg(value.exponent());
            assert!((1.0..2.0).contains(&scaled), "{value} → {scaled}");
        }
        assert_eq!(f32::UNDERFLOW, 2.0_f32.powi(-64));
        assert_eq!(f64::UNDERFLOW, 2.0_f64.powi(-512));
        assert_eq!(0.375_f64.exponent(), -2);
    }
}
