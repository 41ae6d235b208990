//! Code compiled for the widest vectors of the processor it runs on.

/// An expression compiled for AVX-512 or AVX2 where the processor has it, with all that it calls and that is `#[inline(always)]`. No
/// multiply-add is contracted, so the result is the same.
macro_rules! vectorised {
    ($work:expr) => {
        // Without the attribute a large closure stays outside, and is compiled as the rest of the program is.
        $crate::simd::widest(
            #[inline(always)]
            || $work,
        )
    };
}
pub(crate) use vectorised;

/// See [`vectorised!`].
#[inline(always)]
pub(crate) fn widest<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;

        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
            // SAFETY: the processor has just said that it has all four.
            return unsafe { with_avx512(work) };
        }
        if has!("avx2") {
            // SAFETY: the processor has just said that it has AVX2.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

/// `eˣ` to the last digit or two, in code that becomes vectors; 0 below `e⁻⁷⁰⁷`, ∞ above `e⁷⁰⁷`.
#[inline(always)]
pub(crate) fn exp(x: f64) -> f64 {
    let (shifted, _, r) = reduced(x);
    // Taylor's series: the next term is below 10⁻¹⁷.
    let mut p = 1.0 / 6_227_020_800.0;
    for factorial in
        [479_001_600.0, 39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0, 720.0, 120.0, 24.0, 6.0, 2.0]
    {
        p = p * r + 1.0 / factorial;
    }
    let p = (p * r * r + r) + 1.0;
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let inside = p * power;
    let inside = if x < -707.0 { 0.0 } else { inside };
    if x > 707.0 { f64::INFINITY } else { inside }
}

/// `eˣ` in single precision, of a number that single precision would not hold well enough; below 3 units in the last place.
#[inline(always)]
pub(crate) fn exp_single(x: f64) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (_, n, r) = reduced(x);
    power_and_rest(n as f32 + ROUND, r as f32)
}

/// `x = n ln 2 + r` with `|r| ≤ ½ ln 2`: `n` as the last bits of a number, `n` itself, and `r`.
#[inline(always)]
fn reduced(x: f64) -> (f64, f64, f64) {
    // Adding 1.5·2⁵² rounds to the nearest integer.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 0.693_147_180_369_123_8;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    (shifted, n, (x - n * LN2_HIGH) - n * LN2_LOW)
}

/// Added to a number, 1.5·2²³ rounds it to the nearest integer, which is then in its last bits.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// `2ⁿ eʳ` of `n + ROUND`, for `|r| ≤ ½ ln 2`.
#[inline(always)]
pub(crate) fn power_and_rest(shifted: f32, r: f32) -> f32 {
    let p = 1.392_618_2e-3;
    let p = p * r + 8.363_178e-3;
    let p = p * r + 4.166_655_5e-2;
    let p = p * r + 1.666_657_7e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // Two factors, because 2ⁿ alone leaves the exponent's range where the product is still finite or subnormal.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |k: i32| f32::from_bits((k.wrapping_add(127) as u32) << 23);
    p * power(half) * power(n.wrapping_sub(half))
}

/// The largest value, −∞ of none; NaN is passed over.
#[inline(always)]
pub(crate) fn largest(values: &[f64]) -> f64 {
    const LANES: usize = 8;
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f64::NEG_INFINITY; LANES];
    for chunk in whole {
        (0..LANES).for_each(|i| lanes[i] = larger(lanes[i], chunk[i]));
    }
    lanes.into_iter().chain(rest.iter().copied()).fold(f64::NEG_INFINITY, larger)
}

/// The sum of all values, in partial sums.
#[inline(always)]
pub(crate) fn sum(values: &[f64]) -> f64 {
    sum_of(values, |x| *x)
}

/// The sum of what is made of each value, in partial sums.
#[inline(always)]
pub(crate) fn sum_of<T>(values: &[T], of: impl Fn(&T) -> f64) -> f64 {
    const LANES: usize = 8;
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in whole {
        (0..LANES).for_each(|i| lanes[i] += of(&chunk[i]));
    }
    lanes.into_iter().chain(rest.iter().map(of)).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_for_wide_vectors_gives_the_same_bits() {
        let x: Vec<f64> = (-4000..=4000).map(|i| f64::from(i) * 0.173).collect();
        let of = |x: &f64| super::exp(*x) * 1.1 + x / (1.0 + super::exp(-x));
        let single = |x: &f64| super::exp_single(*x) * 1.1 + *x as f32;
        let plain: Vec<(u64, u32)> = x.iter().map(|x| (of(x).to_bits(), single(x).to_bits())).collect();
        let mut wide = vec![(0, 0); x.len()];
        vectorised!(wide.iter_mut().zip(&x).for_each(|(to, x)| to.0 = of(x).to_bits()));
        vectorised!(wide.iter_mut().zip(&x).for_each(|(to, x)| to.1 = single(x).to_bits()));
        assert_eq!(wide, plain);
        assert_eq!(vectorised!(super::sum(&x)).to_bits(), super::sum(&x).to_bits());
    }

    #[test]
    fn exp_is_right_to_the_last_digits_where_it_is_a_normal_number() {
        for i in -70_000..=70_000 {
            let x = f64::from(i) * 0.010_1;
            if x.abs() > 707.0 {
                continue;
            }
            let (found, want) = (super::exp(x), x.exp());
            assert!((found / want - 1.0).abs() < 5e-16, "{x}: {found} for {want}");
            if x.abs() < 87.0 {
                let single = f64::from(super::exp_single(x));
                assert!((single / want - 1.0).abs() < 2e-7, "{x}: {single} for {want}");
            }
        }
        assert_eq!([0.0, -710.0, f64::NEG_INFINITY, 710.0].map(super::exp), [1.0, 0.0, 0.0, f64::INFINITY]);
        assert!(super::exp(f64::NAN).is_nan() && super::exp_single(f64::NAN).is_nan());
        assert_eq!([f64::NEG_INFINITY, -1e9, 0.0, 1e9].map(super::exp_single), [0.0, 0.0, 1.0, f32::INFINITY]);
    }
}
