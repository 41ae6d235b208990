//! The inner loops: matrix products and column scales.

use super::Real;
use gemm::Parallelism;

/// Runs `work` compiled for the widest vectors this processor has; what it calls must be inlined into it.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

/// How a matrix lies in memory: elements between rows, and between columns.
#[derive(Clone, Copy)]
pub(super) struct Strides(pub(super) isize, pub(super) isize);

/// `dst (m, n) = a (m, k) · b (k, n)`, or `+=` when `add`. One thread.
#[allow(clippy::too_many_arguments, reason = "the arguments of a matrix product")]
pub(super) fn product<T: Real>(
    [m, n, k]: [usize; 3],
    dst: &mut [T],
    at: Strides,
    add: bool,
    (a, a_at): (&[T], Strides),
    (b, b_at): (&[T], Strides),
) {
    let last = |rows: usize, columns: usize, s: Strides| {
        rows.saturating_sub(1) * s.0 as usize + columns.saturating_sub(1) * s.1 as usize
    };
    assert!(last(m, n, at) < dst.len() && last(m, k, a_at) < a.len() && last(k, n, b_at) < b.len());
    // SAFETY: the last element of each matrix is inside its slice, as just checked; strides are not negative.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            at.1,
            at.0,
            add,
            a.as_ptr(),
            a_at.1,
            a_at.0,
            b.as_ptr(),
            b_at.1,
            b_at.0,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Multiplies a block of `(states, stride)` by another, element by element; `largest` takes the largest value of each column.
#[inline(always)]
pub(super) fn multiply<T: Real>(block: &mut [T], by: &[T], stride: usize, largest: &mut [T]) {
    largest.fill(T::ZERO);
    let n = largest.len();
    for (row, by) in block.chunks_exact_mut(stride).zip(by.chunks_exact(stride)) {
        for ((value, by), largest) in row[..n].iter_mut().zip(&by[..n]).zip(largest.iter_mut()) {
            *value *= *by;
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
}

/// The largest value of each column of a block of `(states, stride)`.
#[inline(always)]
pub(super) fn column_maxima<T: Real>(block: &[T], stride: usize, largest: &mut [T]) {
    largest.fill(T::ZERO);
    let n = largest.len();
    for row in block.chunks_exact(stride) {
        for (value, largest) in row[..n].iter().zip(largest.iter_mut()) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
}

/// Brings every column's largest value into `1..2` by a power of two, added to `exponents`.
///
/// A column that is [`Real::FAINT`] is marked in `faint` and left as it is. `largest` becomes scratch.
#[inline(always)]
pub(super) fn rescale<T: Real>(
    block: &mut [T],
    stride: usize,
    largest: &mut [T],
    exponents: &mut [i32],
    faint: &mut [bool],
) {
    for ((largest, exponent), faint) in largest.iter_mut().zip(exponents).zip(faint) {
        if *largest >= T::FAINT {
            let e = largest.exponent();
            *exponent += e;
            *largest = T::pow2_neg(e);
        } else {
            *faint = true;
            *largest = T::ONE;
        }
    }
    let n = largest.len();
    for row in block.chunks_exact_mut(stride) {
        for (value, factor) in row[..n].iter_mut().zip(largest.iter()) {
            *value *= *factor;
        }
    }
}

/// Adds each column of a block of `(states, stride)` to the row of `sums` that `columns` names for it.
#[inline(always)]
pub(super) fn scatter<T: Real>(
    sums: &mut [T],
    block: &[T],
    stride: usize,
    columns: impl Iterator<Item = usize> + Clone,
) {
    const LANES: usize = 8;
    let states = block.len() / stride;
    for first in (0..states).step_by(LANES) {
        let last = (first + LANES).min(states);
        if last - first == LANES {
            let rows: [&[T]; LANES] = std::array::from_fn(|i| &block[(first + i) * stride..(first + i + 1) * stride]);
            for (b, row) in columns.clone().enumerate() {
                let sums = &mut sums[row * states + first..row * states + last];
                for (sum, values) in sums.iter_mut().zip(rows) {
                    *sum += values[b];
                }
            }
        } else {
            for (b, row) in columns.clone().enumerate() {
                for state in first..last {
                    sums[row * states + state] += block[state * stride + b];
                }
            }
        }
    }
}

/// `dst = a / b`, and zero where `b` is.
#[inline(always)]
pub(super) fn divide<T: Real>(dst: &mut [T], a: &[T], stride: usize, n: usize) {
    for (dst, a) in dst.chunks_exact_mut(stride).zip(a.chunks_exact(stride)) {
        for (b, a) in dst[..n].iter_mut().zip(&a[..n]) {
            *b = if *b > T::ZERO { *a / *b } else { T::ZERO };
        }
    }
}
