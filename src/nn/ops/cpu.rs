//! What the kernels of every op share on the CPU: matrix products, parallel elementwise maps, and reading a tensor in place.

use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Cpu, Storage, Tensor},
};
use gemm::Parallelism;
use rayon::prelude::*;

use super::Real;
use crate::simd::vectorised;

/// Elements that one task of an elementwise map works on. Fixed, so that results do not depend on the number of threads.
pub(crate) const CHUNK: usize = 1 << 13;
/// The fewest elements worth more than one task: waking a thread costs as much as some ten thousand of them.
const PARALLEL: usize = 1 << 16;

/// A product of matrices with fewer results than this is summed in another order. Where a row is to come out the same whatever
/// stands beside it, there must be as many; see [`is_steady`].
pub(crate) const FEW: usize = 257;
/// `gemm` 0.19 cuts no sum of so many terms, whatever the sizes of the matrices and of the caches.
const DEEP: usize = 512;

/// Whether a product of matrices sums each of its results as one with more columns does; with more rows, where it has two at least.
pub(crate) fn is_steady(rows: usize, columns: usize) -> bool {
    columns > 1 && rows * columns >= FEW
}

/// How many of so many terms, one at least, are summed at a time, the parts of the sum then one after another.
pub(crate) fn part(terms: usize) -> usize {
    terms.div_ceil(terms.div_ceil(DEEP))
}

/// A matrix that lies in a slice: element `(i, j)` is at `i · row + j · column`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, E> {
    data: &'a [E],
    rows: usize,
    columns: usize,
    row: usize,
    column: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// Row after row.
    pub(crate) fn new(data: &'a [E], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, rows, columns, row: columns, column: 1 }
    }

    /// Row after row, the rows `stride` apart: a block of columns of a wider matrix, from its first element on.
    pub(crate) fn block(data: &'a [E], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows == 0 || (columns <= stride && (rows - 1) * stride + columns <= data.len()));
        Self { data, rows, columns, row: stride, column: 1 }
    }

    pub(crate) fn transpose(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row: self.column, column: self.row, ..self }
    }
}

/// Whether a product may use the threads of the current pool.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Threads {
    /// This thread alone: the caller is one of many tasks.
    One,
    /// All of the pool.
    Pool,
}

/// `out ← [keep] out + a b`, with `out` stored row after row.
pub(crate) fn matmul<E: Real>(out: &mut [E], keep: bool, a: Matrix<E>, b: Matrix<E>, threads: Threads) {
    assert_eq!(out.len(), a.rows * b.columns);
    matmul_block(out, b.columns, keep, a, b, threads);
}

/// `out ← [keep] out + a b`, with `out` a block of columns of a matrix whose rows are `stride` apart, from its first element on.
pub(crate) fn matmul_block<E: Real>(
    out: &mut [E],
    stride: usize,
    keep: bool,
    a: Matrix<E>,
    b: Matrix<E>,
    threads: Threads,
) {
    assert_eq!(a.columns, b.rows);
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    assert!(b.columns <= stride && (a.rows - 1) * stride + b.columns <= out.len());
    if a.columns == 0 {
        if !keep {
            out.chunks_mut(stride).take(a.rows).for_each(|row| row[..b.columns].fill(E::default()));
        }
        return;
    }
    let parallelism = match threads {
        Threads::Pool if rayon::current_num_threads() > 1 => Parallelism::Rayon(0),
        _ => Parallelism::None,
    };
    // `gemm` would cut long sums by the sizes of the matrices and of the processor's caches.
    let part = if is_steady(a.rows, b.columns) { part(a.columns) } else { a.columns };
    for begin in (0..a.columns).step_by(part) {
        // SAFETY: `Matrix`'s constructors and the assertions above keep every index `i · row + j · column` inside its slice, and `out`
        // is borrowed exclusively. `gemm` accepts f32 and f64, which are the only implementors of `Real`.
        unsafe {
            gemm::gemm(
                a.rows,
                b.columns,
                part.min(a.columns - begin),
                out.as_mut_ptr(),
                1,
                stride as isize,
                keep || begin > 0,
                a.data.as_ptr().add(begin * a.column),
                a.column as isize,
                a.row as isize,
                b.data.as_ptr().add(begin * b.row),
                b.column as isize,
                b.row as isize,
                E::ONE,
                E::ONE,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// Whether a tensor's elements lie row after row, each in a place of its own: not so of one that was broadcast or permuted.
pub(crate) fn is_contiguous<S: Shape, E: Real>(tensor: &Tensor<S, E, Cpu>) -> bool {
    let shape = tensor.shape().concrete();
    if tensor.shape().num_elements() == 0 {
        return true;
    }
    let at = |index: S::Concrete| std::ptr::from_ref(&tensor[index]);
    let first = at(S::Concrete::default());
    let mut stride = 1;
    (0..S::NUM_DIMS).rev().all(|axis| {
        let mut next = S::Concrete::default();
        next[axis] = 1;
        let as_it_should = shape[axis] == 1 || at(next) == first.wrapping_add(stride);
        stride *= shape[axis];
        as_it_should
    })
}

/// The elements of a contiguous tensor, without a copy.
///
/// # Panics
/// When it is not contiguous; callers pass what `try_contiguous` returned.
pub(crate) fn view<S: Shape, E: Real>(tensor: &Tensor<S, E, Cpu>) -> &[E] {
    let length = tensor.shape().num_elements();
    if length == 0 {
        return &[];
    }
    assert!(is_contiguous(tensor), "a tensor that was broadcast or permuted: make it contiguous first");
    let first: &E = &tensor[S::Concrete::default()];
    // SAFETY: dfdx keeps a tensor's elements in one `Vec`. A contiguous tensor has its first element at the start of that
    // `Vec` and exactly `length` elements, and the borrow of `tensor` keeps it alive and unchanged.
    unsafe { std::slice::from_raw_parts(first, length) }
}

/// The elements of a gradient.
///
/// A function of its own, because under a bound `Cpu: Device<E>` the compiler no longer sees what `Cpu` stores.
pub(crate) fn buffer<E: Real>(gradient: &mut <Cpu as Storage<E>>::Vec) -> &mut Vec<E> {
    gradient
}

/// The elements of a gradient, to read.
pub(crate) fn elements<E: Real>(gradient: &<Cpu as Storage<E>>::Vec) -> &[E] {
    gradient
}

/// Applies `f` to every element of `out`.
pub(crate) fn map<E: Real>(out: &mut [E], f: impl Fn(E) -> E + Sync) {
    let work = |chunk: &mut [E]| vectorised!(chunk.iter_mut().for_each(|x| *x = f(*x)));
    if out.len() < PARALLEL || rayon::current_num_threads() == 1 {
        work(out);
    } else {
        out.par_chunks_mut(CHUNK).for_each(work);
    }
}

/// Replaces every element of `out` by `f(out, other)`.
pub(crate) fn zip<E: Real>(out: &mut [E], other: &[E], f: impl Fn(E, E) -> E + Sync) {
    assert_eq!(out.len(), other.len());
    let work = |(out, other): (&mut [E], &[E])| {
        vectorised!(out.iter_mut().zip(other).for_each(|(x, y)| *x = f(*x, *y)));
    };
    if out.len() < PARALLEL || rayon::current_num_threads() == 1 {
        work((out, other));
    } else {
        out.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(work);
    }
}

/// Adds `other` to `out`.
pub(crate) fn add<E: Real>(out: &mut [E], other: &[E]) {
    zip(out, other, |x, y| x + y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::numbers;

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others_where_there_are_not_few() {
        rows_alike::<f32>();
        rows_alike::<f64>();
    }

    fn rows_alike<E: Real>() {
        for (n, k) in [(32, 32), (128, 128), (27, 128), (6, 32), (1, 64), (27, 1024), (64, 700)] {
            let (a, b): (Vec<E>, Vec<E>) = (numbers(300 * k, 1), numbers(n * k, 2));
            let of = |m: usize| {
                let mut out = vec![E::default(); m * n];
                let b = Matrix::new(&b, n, k).transpose();
                matmul(&mut out, false, Matrix::new(&a[..m * k], m, k), b, Threads::One);
                out
            };
            let all = of(300);
            let least = FEW.div_ceil(n).max(2);
            assert!((least..300).all(|m| of(m)[..] == all[..m * n]), "{n} × {k}");
        }
    }
}
