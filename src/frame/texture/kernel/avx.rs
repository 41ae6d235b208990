//! [`super::add_energies`] for processors with AVX-512 or AVX2: a table of 32 costs is looked up in vectors.

use super::super::features::{COARSE, WINGS};
use super::{Bins, Costs, LANES, Level, MOST_BINS, Patch};
use std::arch::x86_64::*;

pub(super) fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
}

pub(super) fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

/// Levels whose sums are held in registers together.
const TOGETHER: usize = 8;

/// # Safety
/// The processor has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn add_energies_512(
    patch: Patch,
    level: u8,
    Costs { bins, table, wraps }: &Costs,
    energies: &mut [Level],
) {
    // SAFETY: the table holds two vectors.
    let (first, second) = unsafe { (_mm512_loadu_ps(table.as_ptr()), _mm512_loadu_ps(table.as_ptr().add(16))) };
    let cost = |bin: __m512i| _mm512_permutex2var_ps(first, bin, second);
    match *bins {
        Bins::Even { low, width, count } => {
            let (low, scale) = (_mm512_set1_ps(low), _mm512_set1_ps(1.0 / width));
            let last = _mm512_set1_ps((count - 1) as f32);
            let steps = |response| _mm512_mul_ps(_mm512_sub_ps(response, low), scale);
            if *wraps {
                return add_512(patch, level, energies, |response| cost(_mm512_cvttps_epi32(steps(response))));
            }
            add_512(patch, level, energies, |response| {
                let steps = steps(response);
                cost(_mm512_cvttps_epi32(_mm512_min_ps(_mm512_max_ps(steps, _mm512_setzero_ps()), last)))
            });
        }
        Bins::Octaves { scale } => {
            let (begin, half) = (_mm512_set1_epi32(scale.to_bits() as i32), _mm512_set1_ps(1.125 * scale));
            let (last, middle) = (_mm512_set1_epi32(WINGS as i32), _mm512_set1_epi32(WINGS as i32));
            add_512(patch, level, energies, |response| {
                let bits = _mm512_castps_si512(_mm512_add_ps(_mm512_abs_ps(response), half));
                let away = _mm512_min_epi32(_mm512_srli_epi32::<COARSE>(_mm512_sub_epi32(bits, begin)), last);
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(response, _mm512_setzero_ps());
                let bin = _mm512_add_epi32(middle, away);
                cost(_mm512_mask_sub_epi32(bin, below, middle, away))
            });
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add_512(patch: Patch, level: u8, energies: &mut [Level], cost: impl Fn(__m512) -> __m512) {
    for (block, energies) in energies.chunks_mut(TOGETHER).enumerate() {
        let mut sums = [_mm512_setzero_ps(); TOGETHER];
        let changes: [__m512; TOGETHER] =
            std::array::from_fn(|g| _mm512_set1_ps((block * TOGETHER + g) as f32 - f32::from(level)));
        for at in (0..patch.linear.0.len()).step_by(LANES) {
            // SAFETY: the slices of a patch are of one length, a multiple of 16.
            let load = |of: &[f32]| unsafe { _mm512_loadu_ps(of[at..at + LANES].as_ptr()) };
            let (r, w) = (load(patch.linear.0), load(patch.linear.1));
            match patch.square {
                None => {
                    for (sum, change) in sums.iter_mut().zip(changes) {
                        *sum = _mm512_add_ps(*sum, cost(_mm512_fmadd_ps(change, w, r)));
                    }
                }
                Some((responses, weights)) => {
                    let (s, x) = (load(responses), load(weights));
                    for (sum, change) in sums.iter_mut().zip(changes) {
                        let linear = _mm512_fmadd_ps(change, w, r);
                        let other = _mm512_fmadd_ps(change, x, s);
                        let response = _mm512_add_ps(_mm512_mul_ps(linear, linear), _mm512_mul_ps(other, other));
                        *sum = _mm512_add_ps(*sum, cost(response));
                    }
                }
            }
        }
        for (energy, sum) in energies.iter_mut().zip(sums) {
            let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(sum)));
            let both = _mm512_add_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(sum)), _mm512_cvtps_pd(upper));
            // SAFETY: a level is a vector.
            unsafe { _mm512_storeu_pd(energy.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(energy.as_ptr()), both)) };
        }
    }
}

/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add_energies_256(
    patch: Patch,
    level: u8,
    Costs { bins, table, wraps }: &Costs,
    energies: &mut [Level],
) {
    // SAFETY: every bin is below 32, the length of the table.
    let cost = |bin: __m256i| unsafe { _mm256_i32gather_ps::<4>(table.as_ptr(), bin) };
    match *bins {
        Bins::Even { low, width, count } => {
            let (low, scale) = (_mm256_set1_ps(low), _mm256_set1_ps(1.0 / width));
            let last = _mm256_set1_ps((count - 1) as f32);
            let steps = |response| _mm256_mul_ps(_mm256_sub_ps(response, low), scale);
            if *wraps {
                let bits = _mm256_set1_epi32(MOST_BINS as i32 - 1);
                let bin = |response| _mm256_and_si256(_mm256_cvttps_epi32(steps(response)), bits);
                return add_256(patch, level, energies, |response| cost(bin(response)));
            }
            add_256(patch, level, energies, |response| {
                let steps = steps(response);
                cost(_mm256_cvttps_epi32(_mm256_min_ps(_mm256_max_ps(steps, _mm256_setzero_ps()), last)))
            });
        }
        Bins::Octaves { scale } => {
            let (begin, half) = (_mm256_set1_epi32(scale.to_bits() as i32), _mm256_set1_ps(1.125 * scale));
            let middle = _mm256_set1_epi32(WINGS as i32);
            let sign = _mm256_set1_ps(-0.0);
            add_256(patch, level, energies, |response| {
                let bits = _mm256_castps_si256(_mm256_add_ps(_mm256_andnot_ps(sign, response), half));
                let away = _mm256_srli_epi32::<{ COARSE as i32 }>(_mm256_sub_epi32(bits, begin));
                let away = _mm256_min_epi32(away, middle);
                let below = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LT_OQ>(response, _mm256_setzero_ps()));
                // −away = (away ⊕ −1) + 1.
                let signed = _mm256_sub_epi32(_mm256_xor_si256(away, below), below);
                cost(_mm256_add_epi32(middle, signed))
            });
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn add_256(patch: Patch, level: u8, energies: &mut [Level], cost: impl Fn(__m256) -> __m256) {
    for (block, energies) in energies.chunks_mut(TOGETHER).enumerate() {
        let mut sums = [[_mm256_setzero_ps(); 2]; TOGETHER];
        for at in (0..patch.linear.0.len()).step_by(8) {
            // SAFETY: the slices of a patch are of one length, a multiple of 16.
            let load = |of: &[f32]| unsafe { _mm256_loadu_ps(of[at..at + 8].as_ptr()) };
            let (r, w) = (load(patch.linear.0), load(patch.linear.1));
            let half = at / 8 % 2;
            for (g, sums) in sums.iter_mut().enumerate() {
                let change = _mm256_set1_ps((block * TOGETHER + g) as f32 - f32::from(level));
                let linear = _mm256_add_ps(r, _mm256_mul_ps(change, w));
                let response = match patch.square {
                    None => linear,
                    Some((responses, weights)) => {
                        let other = _mm256_add_ps(load(responses), _mm256_mul_ps(change, load(weights)));
                        _mm256_add_ps(_mm256_mul_ps(linear, linear), _mm256_mul_ps(other, other))
                    }
                };
                sums[half] = _mm256_add_ps(sums[half], cost(response));
            }
        }
        for (energy, sums) in energies.iter_mut().zip(sums) {
            let low = sums.map(|sum| _mm256_cvtps_pd(_mm256_castps256_ps128(sum)));
            let high = sums.map(|sum| _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(sum)));
            for (energy, [a, b]) in energy.chunks_exact_mut(4).zip([low, high]) {
                // SAFETY: half of a level is a vector.
                let sum = unsafe { _mm256_add_pd(_mm256_loadu_pd(energy.as_ptr()), _mm256_add_pd(a, b)) };
                // SAFETY: as above.
                unsafe { _mm256_storeu_pd(energy.as_mut_ptr(), sum) };
            }
        }
    }
}
