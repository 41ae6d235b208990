//! The inner loops on f32 for processors with AVX2 and FMA: products too small for a packing matrix product to pay, and the
//! tables of leaves.
//!
//! Columns are innermost and taken 16 at a time, so every row of a block must have room for a multiple of 16 of them.

use std::arch::x86_64::*;

/// Whether the functions of this file may be called.
pub(super) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Rows of `dst` that one pass over the inner dimension computes.
const ROWS: usize = 6;

/// A matrix by its first element, with the elements between rows and between columns.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) *const f32, pub(super) usize, pub(super) usize);

/// What becomes of a product.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// It is stored.
    Store,
    /// It is added to what is there.
    Add,
    /// It is multiplied, element by element, by a block whose first element this is, and stored.
    Multiply(*const f32),
}

/// `dst (m, n) = a (m, k) · b (k, n)`, and what follows. The columns of `b`, `dst` and the factors lie side by side.
///
/// # Safety
/// [`available`]; every element in range, where `n` is rounded up to a multiple of 16.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn product([m, n, k]: [usize; 3], dst: *mut f32, row: usize, then: Then, a: At, b: At) {
    let mut column = 0;
    while column < n {
        let mut i = 0;
        while i < m {
            let rows = (m - i).min(ROWS);
            // SAFETY: `i + rows ≤ m` and `column` is below `n` rounded up.
            unsafe {
                let dst = dst.add(i * row + column);
                let (a, b) = (At(a.0.add(i * a.1), a.1, a.2), At(b.0.add(column), b.1, 1));
                let then = match then {
                    Then::Multiply(by) => Then::Multiply(by.add(i * row + column)),
                    other => other,
                };
                match rows {
                    6 => strip::<6>(k, dst, row, then, a, b),
                    5 => strip::<5>(k, dst, row, then, a, b),
                    4 => strip::<4>(k, dst, row, then, a, b),
                    3 => strip::<3>(k, dst, row, then, a, b),
                    2 => strip::<2>(k, dst, row, then, a, b),
                    _ => strip::<1>(k, dst, row, then, a, b),
                }
            }
            i += rows;
        }
        column += 16;
    }
}

/// `R` rows and 16 columns of a product.
///
/// # Safety
/// As [`product`].
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn strip<const R: usize>(k: usize, dst: *mut f32, row: usize, then: Then, a: At, b: At) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        if let Then::Add = then {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [_mm256_loadu_ps(dst.add(r * row)), _mm256_loadu_ps(dst.add(r * row + 8))];
            }
        }
        let (mut left, mut right) = (a.0, b.0);
        for _ in 0..k {
            let values = [_mm256_loadu_ps(right), _mm256_loadu_ps(right.add(8))];
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = _mm256_broadcast_ss(&*left.add(r * a.1));
                sums[0] = _mm256_fmadd_ps(weight, values[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(weight, values[1], sums[1]);
            }
            left = left.add(a.2);
            right = right.add(b.1);
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            if let Then::Multiply(by) = then {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_mul_ps(*sum, _mm256_loadu_ps(by.add(r * row + 8 * i)));
                }
            }
            _mm256_storeu_ps(dst.add(r * row), sums[0]);
            _mm256_storeu_ps(dst.add(r * row + 8), sums[1]);
        }
    }
}

/// `dst (m, k) += a (m, n) · b (k, n)ᵀ`. The columns of `a` and `b` lie side by side.
///
/// # Safety
/// [`available`]; every element in range, where `n` is rounded up to a multiple of 8, and `a` zero beyond `n`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn outer([m, k, n]: [usize; 3], dst: *mut f32, row: usize, a: At, b: At) {
    let mut i = 0;
    while i < m {
        let rows = (m - i).min(4);
        let mut j = 0;
        while j < k {
            let columns = (k - j).min(3);
            // SAFETY: `i + rows ≤ m` and `j + columns ≤ k`.
            unsafe {
                let dst = dst.add(i * row + j);
                let (a, b) = (At(a.0.add(i * a.1), a.1, 1), At(b.0.add(j * b.1), b.1, 1));
                match (rows, columns) {
                    (4, 3) => dots::<4, 3>(n, dst, row, a, b),
                    (4, 2) => dots::<4, 2>(n, dst, row, a, b),
                    (4, _) => dots::<4, 1>(n, dst, row, a, b),
                    _ => {
                        for r in 0..rows {
                            for c in 0..columns {
                                let (a, b) = (At(a.0.add(r * a.1), a.1, 1), At(b.0.add(c * b.1), b.1, 1));
                                dots::<1, 1>(n, dst.add(r * row + c), row, a, b);
                            }
                        }
                    }
                }
            }
            j += columns;
        }
        i += rows;
    }
}

/// Inner products of `R` rows with `C` rows.
///
/// # Safety
/// As [`outer`].
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn dots<const R: usize, const C: usize>(n: usize, dst: *mut f32, row: usize, a: At, b: At) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); C]; R];
        let mut at = 0;
        while at < n {
            let right: [__m256; C] = std::array::from_fn(|c| _mm256_loadu_ps(b.0.add(c * b.1 + at)));
            for (r, sums) in sums.iter_mut().enumerate() {
                let left = _mm256_loadu_ps(a.0.add(r * a.1 + at));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = _mm256_fmadd_ps(left, right, *sum);
                }
            }
            at += 8;
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                *dst.add(r * row + c) += total(*sum);
            }
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn total(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// Turns 8 rows of 8 into 8 columns.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(r: [__m256; 8]) -> [__m256; 8] {
    let pair = |i: usize| (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1]));
    let ((a, b), (c, d), (e, f), (g, h)) = (pair(0), pair(2), pair(4), pair(6));
    let low = |x, y| _mm256_shuffle_ps::<0x44>(x, y);
    let high = |x, y| _mm256_shuffle_ps::<0xEE>(x, y);
    let (a, b, c, d) =
        ([low(a, c), high(a, c)], [low(b, d), high(b, d)], [low(e, g), high(e, g)], [low(f, h), high(f, h)]);
    let first = |x, y| _mm256_permute2f128_ps::<0x20>(x, y);
    let second = |x, y| _mm256_permute2f128_ps::<0x31>(x, y);
    [
        first(a[0], c[0]),
        first(a[1], c[1]),
        first(b[0], d[0]),
        first(b[1], d[1]),
        second(a[0], c[0]),
        second(a[1], c[1]),
        second(b[0], d[0]),
        second(b[1], d[1]),
    ]
}

/// For eight columns, the eight rows of a `(·, units)` table that `rows` names, as columns of `dst`.
///
/// # Safety
/// [`available`]; every element in range.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn gather(table: *const f32, units: usize, rows: [usize; 8], dst: *mut f32, row: usize) {
    // SAFETY: the caller's.
    unsafe {
        for first in (0..units / 8).map(|i| i * 8) {
            let columns = transpose(rows.map(|r| _mm256_loadu_ps(table.add(r * units + first))));
            for (i, column) in columns.into_iter().enumerate() {
                _mm256_storeu_ps(dst.add((first + i) * row), column);
            }
        }
    }
}

/// Adds eight columns of `src` to the rows of a `(·, units)` table that `rows` names.
///
/// # Safety
/// [`available`]; every element in range.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn scatter(table: *mut f32, units: usize, rows: [usize; 8], src: *const f32, row: usize) {
    // SAFETY: the caller's.
    unsafe {
        for first in (0..units / 8).map(|i| i * 8) {
            let values = transpose(std::array::from_fn(|i| _mm256_loadu_ps(src.add((first + i) * row))));
            for (r, values) in rows.into_iter().zip(values) {
                let at = table.add(r * units + first);
                _mm256_storeu_ps(at, _mm256_add_ps(_mm256_loadu_ps(at), values));
            }
        }
    }
}
