//! The inner loops: matrix products, tables of leaves, and column scales. Columns (rows of data) are innermost.

#[cfg(target_arch = "x86_64")]
mod avx;
#[cfg(test)]
mod tests;

use crate::circuits::Scalar;
use gemm::Parallelism;

/// Columns of a tile: what one thread takes through the whole circuit. A multiple of 16, as the vector kernels need.
pub(crate) const TILE: usize = 128;
/// Up to this many nodes on each side, a product without packing is faster.
#[cfg(target_arch = "x86_64")]
const SMALL: usize = 72;

/// A matrix in memory: its elements, and how many lie between rows and between columns.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T>(pub(crate) &'a [T], pub(crate) usize, pub(crate) usize);

impl<'a, T> View<'a, T> {
    /// `columns` lie side by side in every row.
    pub(crate) fn rows(values: &'a [T], columns: usize) -> Self {
        Self(values, columns, 1)
    }

    pub(crate) fn transposed(self) -> Self {
        Self(self.0, self.2, self.1)
    }

    /// Whether a matrix of this size is inside.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.1 + (columns - 1) * self.2 < self.0.len()
    }
}

/// What becomes of a product.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a, T> {
    /// It is stored.
    Store,
    /// It is added to what is there.
    Add,
    /// It is multiplied, element by element, by this block, and stored.
    Multiply(&'a [T]),
}

/// `dst (m, n) = a (m, k) · b (k, n)`, and what follows, for blocks `b` and `dst` of `n ≤ TILE` columns. One thread.
pub(crate) fn product<T: Scalar>([m, n, k]: [usize; 3], dst: &mut [T], then: Then<T>, a: View<T>, b: &[T]) {
    #[cfg(target_arch = "x86_64")]
    if T::SINGLE && m <= SMALL && k <= SMALL && avx::available() {
        assert!(n <= TILE && dst.len() >= m * TILE && b.len() >= k * TILE && a.holds(m, k));
        // SAFETY: the features are there, `T` is `f32`, and whole rows of a tile are in range.
        unsafe {
            let (a, b) = (avx::At(a.0.as_ptr().cast(), a.1, a.2), avx::At(b.as_ptr().cast(), TILE, 1));
            let then = match then {
                Then::Store => avx::Then::Store,
                Then::Add => avx::Then::Add,
                Then::Multiply(by) => {
                    assert!(by.len() >= m * TILE);
                    avx::Then::Multiply(by.as_ptr().cast())
                }
            };
            avx::product([m, n, k], dst.as_mut_ptr().cast(), TILE, then, a, b);
        }
        return;
    }
    gemm([m, n, k], dst, TILE, matches!(then, Then::Add), a, View::rows(b, TILE));
    if let Then::Multiply(by) = then {
        dst[..m * TILE].iter_mut().zip(by).for_each(|(d, by)| *d *= *by);
    }
}

/// `dst (m, k) += a (m, n) · b (k, n)ᵀ` for blocks `a` and `b` of `n ≤ TILE` columns, `a` zero up to the next multiple of 8.
/// `dst` is part of a matrix with `columns` columns. One thread.
pub(crate) fn outer<T: Scalar>([m, k, n]: [usize; 3], dst: &mut [T], columns: usize, a: &[T], b: &[T]) {
    #[cfg(target_arch = "x86_64")]
    if T::SINGLE && m <= SMALL && k <= SMALL && avx::available() {
        assert!(n <= TILE && a.len() >= m * TILE && b.len() >= k * TILE && View::rows(dst, columns).holds(m, k));
        // SAFETY: the features are there, `T` is `f32`, and whole rows of a tile are in range.
        unsafe {
            let (a, b) = (avx::At(a.as_ptr().cast(), TILE, 1), avx::At(b.as_ptr().cast(), TILE, 1));
            avx::outer([m, k, n], dst.as_mut_ptr().cast(), columns, a, b);
        }
        return;
    }
    gemm([m, k, n], dst, columns, true, View::rows(a, TILE), View::rows(b, TILE).transposed());
}

/// `dst (m, n) = a (m, k) · b (k, n)`, or `+=`, with `columns` elements between the rows of `dst`. One thread.
fn gemm<T: Scalar>([m, n, k]: [usize; 3], dst: &mut [T], columns: usize, add: bool, a: View<T>, b: View<T>) {
    assert!(View::rows(dst, columns).holds(m, n) && a.holds(m, k) && b.holds(k, n));
    let [a_at, b_at] = [&a, &b].map(|v| (v.2 as isize, v.1 as isize));
    // SAFETY: each matrix is inside its slice, as just checked.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            columns as isize,
            add,
            a.0.as_ptr(),
            a_at.0,
            a_at.1,
            b.0.as_ptr(),
            b_at.0,
            b_at.1,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// The last row of `table (rows, units)`, which codes beyond it mean; a column of `block (units, TILE)` for each code is there.
#[inline(always)]
fn last_row<T>(table: &[T], units: usize, codes: &[u16], block: &[T]) -> usize {
    assert!(
        codes.len() <= TILE && block.len() >= units * TILE && !table.is_empty() && table.len().is_multiple_of(units)
    );
    table.len() / units - 1
}

/// Column `b` of `block (units, TILE)` becomes row `codes[b]` of `table (rows, units)`; a code beyond its rows takes the last.
#[inline(always)]
pub(crate) fn gather<T: Scalar>(table: &[T], units: usize, codes: &[u16], block: &mut [T]) {
    let last = last_row(table, units, codes, block);
    #[allow(unused_mut, reason = "processors without the vector kernels begin here")]
    let mut begin = 0;
    #[cfg(target_arch = "x86_64")]
    if T::SINGLE && units.is_multiple_of(8) && avx::available() {
        for (i, eight) in codes.as_chunks::<8>().0.iter().enumerate() {
            let rows = eight.map(|code| last.min(code as usize));
            // SAFETY: the features are there, `T` is `f32`; `last_row` has checked that rows and columns are in range.
            unsafe { avx::gather(table.as_ptr().cast(), units, rows, block.as_mut_ptr().add(8 * i).cast(), TILE) };
        }
        begin = codes.len() / 8 * 8;
    }
    for (b, code) in codes.iter().enumerate().skip(begin) {
        let row = last.min(*code as usize) * units;
        for (values, value) in block.chunks_exact_mut(TILE).zip(&table[row..row + units]) {
            values[b] = *value;
        }
    }
}

/// Adds column `b` of `block (units, TILE)` to row `codes[b]` of `table (rows, units)`; a code beyond its rows to the last.
#[inline(always)]
pub(crate) fn scatter<T: Scalar>(table: &mut [T], units: usize, codes: &[u16], block: &[T]) {
    let last = last_row(table, units, codes, block);
    #[allow(unused_mut, reason = "processors without the vector kernels begin here")]
    let mut begin = 0;
    #[cfg(target_arch = "x86_64")]
    if T::SINGLE && units.is_multiple_of(8) && avx::available() {
        for (i, eight) in codes.as_chunks::<8>().0.iter().enumerate() {
            let rows = eight.map(|code| last.min(code as usize));
            // SAFETY: the features are there, `T` is `f32`; `last_row` has checked that rows and columns are in range.
            unsafe { avx::scatter(table.as_mut_ptr().cast(), units, rows, block.as_ptr().add(8 * i).cast(), TILE) };
        }
        begin = codes.len() / 8 * 8;
    }
    for (b, code) in codes.iter().enumerate().skip(begin) {
        let row = last.min(*code as usize) * units;
        for (values, sum) in block.chunks_exact(TILE).zip(&mut table[row..row + units]) {
            *sum += values[b];
        }
    }
}

/// `dst += weight · row`, over `n` columns.
#[inline(always)]
pub(crate) fn axpy<T: Scalar>(dst: &mut [T], weight: T, row: &[T], n: usize) {
    dst[..n].iter_mut().zip(&row[..n]).for_each(|(d, x)| *d += weight * *x);
}

/// `Σ a · b` over `n` columns, in eight partial sums.
#[inline(always)]
pub(crate) fn dot<T: Scalar>(a: &[T], b: &[T], n: usize) -> T {
    let mut sums = [T::ZERO; 8];
    for (a, b) in a[..n].chunks(8).zip(b[..n].chunks(8)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += *a * *b);
    }
    sums.into_iter().fold(T::ZERO, |total, sum| total + sum)
}

/// Multiplies a block of `(states, stride)` by another, element by element; `largest` takes the largest value of each column.
#[inline(always)]
pub(crate) fn multiply<T: Scalar>(block: &mut [T], by: &[T], stride: usize, largest: &mut [T]) {
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
pub(crate) fn column_maxima<T: Scalar>(block: &[T], stride: usize, largest: &mut [T]) {
    largest.fill(T::ZERO);
    let n = largest.len();
    for row in block.chunks_exact(stride) {
        for (value, largest) in row[..n].iter().zip(largest.iter_mut()) {
            *largest = if *value > *largest { *value } else { *largest };
        }
    }
}

/// Where some column's largest value has left `2^−16..2^16`, brings every column's into `1..2` by a power of two that is
/// added to `exponents`.
///
/// A column that is [`Scalar::UNDERFLOW`] is marked in `underflowed` and left as it is. `largest` becomes scratch.
#[inline(always)]
pub(crate) fn settle<T: Scalar>(
    block: &mut [T],
    stride: usize,
    largest: &mut [T],
    exponents: &mut [i32],
    underflowed: &mut [bool],
) {
    let (low, high) = (T::of(1.0 / 65536.0), T::of(65536.0));
    if largest.iter().all(|l| (*l >= low) & (*l <= high)) {
        return;
    }
    for ((largest, exponent), underflowed) in largest.iter_mut().zip(exponents).zip(underflowed) {
        if *largest >= T::UNDERFLOW {
            let e = largest.exponent();
            *exponent += e;
            *largest = T::pow2_neg(e);
        } else {
            *underflowed = true;
            *largest = T::ONE;
        }
    }
    scale_columns(block, stride, largest);
}

/// Divides each column by the power of two that takes its exponent up to `highest`; what is then too small is zero.
pub(crate) fn align<T: Scalar>(block: &mut [T], stride: usize, exponents: &mut [i32], highest: &[i32]) {
    let mut factors = [T::ONE; TILE];
    let factors = &mut factors[..highest.len()];
    for ((factor, exponent), highest) in factors.iter_mut().zip(exponents).zip(highest) {
        *factor = T::of((f64::from(*exponent) - f64::from(*highest)).exp2());
        *exponent = *highest;
    }
    scale_columns(block, stride, factors);
}

#[inline(always)]
fn scale_columns<T: Scalar>(block: &mut [T], stride: usize, factors: &[T]) {
    for row in block.chunks_exact_mut(stride) {
        for (value, factor) in row[..factors.len()].iter_mut().zip(factors) {
            *value *= *factor;
        }
    }
}

/// `dst = a / dst`, and zero where `dst` is and in the columns after `n`.
#[inline(always)]
pub(crate) fn divide_into<T: Scalar>(a: &[T], dst: &mut [T], stride: usize, n: usize) {
    for (dst, a) in dst.chunks_exact_mut(stride).zip(a.chunks_exact(stride)) {
        for (b, a) in dst[..n].iter_mut().zip(&a[..n]) {
            *b = if *b > T::ZERO { *a / *b } else { T::ZERO };
        }
        dst[n..].fill(T::ZERO);
    }
}

/// `dst = a / b`, and zero where `b` is and in the columns after `n`.
#[inline(always)]
pub(crate) fn divide<T: Scalar>(a: &[T], b: &[T], dst: &mut [T], stride: usize, n: usize) {
    for (dst, (a, b)) in dst.chunks_exact_mut(stride).zip(a.chunks_exact(stride).zip(b.chunks_exact(stride))) {
        for (dst, (a, b)) in dst[..n].iter_mut().zip(a[..n].iter().zip(&b[..n])) {
            *dst = if *b > T::ZERO { *a / *b } else { T::ZERO };
        }
        dst[n..].fill(T::ZERO);
    }
}
