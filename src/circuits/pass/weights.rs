//! The weights of a sum block: dense, block-sparse or row by row, whichever its zeros allow.

use crate::circuits::{
    Scalar,
    pass::kernels::{TILE, Then, View, axpy, dot, outer, product},
};
use std::ops::Range;

/// Rows and columns of a block of a block-sparse matrix.
const SIDE: usize = 16;
/// A matrix with at least this share of its edges is dense.
const DENSE: f64 = 0.5;
/// A matrix whose blocks have at least this share of their edges is stored by blocks.
const BLOCKS: f64 = 0.25;

/// How the weights of a sum block lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All edges.
    Full,
    /// The 16 × 16 blocks that have an edge.
    Blocks,
    /// The edges alone, row by row.
    Sparse,
}

/// The weights from one child to a sum block, a row a node. An edge of weight zero does not exist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix<T> {
    rows: usize,
    columns: usize,
    pattern: Pattern,
    /// Row after row what the pattern holds.
    pub(crate) values: Vec<T>,
}

/// Which columns are stored. Rows come in groups: one row a group, or [`SIDE`].
#[derive(Clone, Debug, PartialEq)]
struct Pattern {
    layout: Layout,
    /// Where each group's entries begin in `columns`; one more for the end. Empty for a dense matrix.
    starts: Vec<usize>,
    /// Columns, or first columns of blocks, in order.
    columns: Vec<usize>,
    /// Where each group's values begin.
    offsets: Vec<usize>,
}

impl<T: Scalar> Matrix<T> {
    /// A dense matrix of `rows` times `columns` values.
    pub(crate) fn dense(rows: usize, columns: usize, values: Vec<T>) -> Self {
        assert_eq!(values.len(), rows * columns);
        let pattern = Pattern { layout: Layout::Full, starts: vec![], columns: vec![], offsets: vec![] };
        Self { rows, columns, pattern, values }
    }

    /// The same in double precision.
    pub(crate) fn widened(&self) -> Matrix<f64> {
        let values = self.values.iter().map(|value| value.f64()).collect();
        Matrix { rows: self.rows, columns: self.columns, pattern: self.pattern.clone(), values }
    }

    /// The same matrix in the layout that its zeros ask for.
    pub(crate) fn packed(&self) -> Self {
        let all = (self.rows * self.columns) as f64;
        let edges = self.edges();
        if edges as f64 >= DENSE * all {
            return self.in_layout(Layout::Full);
        }
        let blocks = self.in_layout(Layout::Blocks);
        if edges as f64 >= BLOCKS * blocks.values.len() as f64 { blocks } else { self.in_layout(Layout::Sparse) }
    }

    /// The same matrix in a given layout.
    pub(crate) fn in_layout(&self, layout: Layout) -> Self {
        let full = self.to_dense();
        let side = match layout {
            Layout::Full => return Self::dense(self.rows, self.columns, full),
            Layout::Blocks => SIDE,
            Layout::Sparse => 1,
        };
        let mut pattern = Pattern { layout, starts: vec![0], columns: vec![], offsets: vec![0] };
        let mut values = Vec::new();
        for group in full.chunks(side * self.columns) {
            let begin = pattern.columns.len();
            for first in (0..self.columns).step_by(side) {
                let last = (first + side).min(self.columns);
                if group.chunks_exact(self.columns).any(|row| row[first..last].iter().any(|w| *w != T::ZERO)) {
                    pattern.columns.push(first);
                }
            }
            for row in group.chunks_exact(self.columns) {
                for first in &pattern.columns[begin..] {
                    values.extend_from_slice(&row[*first..(first + side).min(self.columns)]);
                }
            }
            pattern.starts.push(pattern.columns.len());
            pattern.offsets.push(values.len());
        }
        Self { rows: self.rows, columns: self.columns, pattern, values }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn layout(&self) -> Layout {
        self.pattern.layout
    }

    /// Number of edges.
    pub(crate) fn edges(&self) -> usize {
        self.values.iter().filter(|w| **w != T::ZERO).count()
    }

    fn side(&self) -> usize {
        if self.layout() == Layout::Blocks { SIDE } else { 1 }
    }

    /// The groups of rows: their rows, the first columns of what is stored, and where their values are.
    fn groups(&self) -> impl Iterator<Item = (Range<usize>, &[usize], Range<usize>)> {
        let (side, p) = (self.side(), &self.pattern);
        (0..p.starts.len().saturating_sub(1)).map(move |g| {
            let rows = g * side..((g + 1) * side).min(self.rows);
            (rows, &p.columns[p.starts[g]..p.starts[g + 1]], p.offsets[g]..p.offsets[g + 1])
        })
    }

    /// Where in `values` a row's are.
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        if self.layout() == Layout::Full {
            return row * self.columns..(row + 1) * self.columns;
        }
        let (g, side) = (row / self.side(), self.side());
        let rows = side.min(self.rows - g * side);
        let width = (self.pattern.offsets[g + 1] - self.pattern.offsets[g]) / rows;
        let begin = self.pattern.offsets[g] + (row - g * side) * width;
        begin..begin + width
    }

    /// The columns of what [`Self::row`] gives, in order.
    pub(crate) fn row_columns(&self, row: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let side = self.side();
        let (dense, entries) = match self.layout() {
            Layout::Full => (0..self.columns, &[][..]),
            _ => {
                let g = row / side;
                (0..0, &self.pattern.columns[self.pattern.starts[g]..self.pattern.starts[g + 1]])
            }
        };
        dense.chain(entries.iter().flat_map(move |first| *first..(first + side).min(self.columns)))
    }

    /// Weight and column of every entry of a row that is stored, in order.
    #[inline(always)]
    pub(crate) fn for_each_edge(&self, row: usize, mut each: impl FnMut(T, usize)) {
        let weights = &self.values[self.row(row)];
        match self.layout() {
            Layout::Full => weights.iter().enumerate().for_each(|(column, weight)| each(*weight, column)),
            _ => weights.iter().zip(self.row_columns(row)).for_each(|(weight, column)| each(*weight, column)),
        }
    }

    /// The weight of an edge; 0 where there is none.
    #[cfg(test)]
    pub(crate) fn weight(&self, row: usize, column: usize) -> T {
        let range = self.row(row);
        if self.layout() == Layout::Full {
            return self.values[range.start + column];
        }
        let at = self.row_columns(row).position(|c| c == column);
        at.map_or(T::ZERO, |i| self.values[range.start + i])
    }

    /// All weights, row after row.
    pub(crate) fn to_dense(&self) -> Vec<T> {
        self.spread(&self.values)
    }

    /// `stored`, which lies like [`Self::values`], as a full matrix.
    pub(crate) fn spread(&self, stored: &[T]) -> Vec<T> {
        if self.layout() == Layout::Full {
            return stored.to_vec();
        }
        let mut full = vec![T::ZERO; self.rows * self.columns];
        for row in 0..self.rows {
            for (column, value) in self.row_columns(row).zip(&stored[self.row(row)]) {
                full[row * self.columns + column] = *value;
            }
        }
        full
    }

    /// `dst (rows, n) = W · b (columns, n)`, and what follows.
    #[inline(always)]
    pub(crate) fn times(&self, b: &[T], dst: &mut [T], n: usize, then: Then<T>) {
        if self.layout() == Layout::Full {
            return product([self.rows, n, self.columns], dst, then, View::rows(&self.values, self.columns), b);
        }
        if !matches!(then, Then::Add) {
            dst[..self.rows * TILE].fill(T::ZERO);
        }
        for (rows, entries, values) in self.groups() {
            let values = &self.values[values];
            let width = values.len() / rows.len();
            let dst = &mut dst[rows.start * TILE..rows.end * TILE];
            let mut at = 0;
            for first in entries {
                let size = self.side().min(self.columns - first);
                let b = &b[first * TILE..(first + size) * TILE];
                match self.layout() {
                    Layout::Sparse => axpy(dst, values[at], b, n),
                    _ => product([rows.len(), n, size], dst, Then::Add, View::rows(&values[at..], width), b),
                }
                at += size;
            }
        }
        follow(dst, self.rows, then);
    }

    /// `dst (columns, n) = Wᵀ · q (rows, n)`, and what follows.
    #[inline(always)]
    pub(crate) fn transposed_times(&self, q: &[T], dst: &mut [T], n: usize, then: Then<T>) {
        if self.layout() == Layout::Full {
            let weights = View::rows(&self.values, self.columns).transposed();
            return product([self.columns, n, self.rows], dst, then, weights, q);
        }
        if !matches!(then, Then::Add) {
            dst[..self.columns * TILE].fill(T::ZERO);
        }
        for (rows, entries, values) in self.groups() {
            let values = &self.values[values];
            let width = values.len() / rows.len();
            let q = &q[rows.start * TILE..rows.end * TILE];
            let mut at = 0;
            for first in entries {
                let size = self.side().min(self.columns - first);
                let dst = &mut dst[first * TILE..(first + size) * TILE];
                match self.layout() {
                    Layout::Sparse => axpy(dst, values[at], q, n),
                    _ => {
                        let weights = View::rows(&values[at..], width).transposed();
                        product([size, n, rows.len()], dst, Then::Add, weights, q);
                    }
                }
                at += size;
            }
        }
        follow(dst, self.columns, then);
    }

    /// `sums += q (rows, n) · b (columns, n)ᵀ` where there are edges; `sums` lies like [`Self::values`].
    #[inline(always)]
    pub(crate) fn add_outer(&self, q: &[T], b: &[T], sums: &mut [T], n: usize) {
        if self.layout() == Layout::Full {
            return outer([self.rows, self.columns, n], sums, self.columns, q, b);
        }
        for (rows, entries, values) in self.groups() {
            let sums = &mut sums[values];
            let width = sums.len() / rows.len();
            let q = &q[rows.start * TILE..rows.end * TILE];
            let mut at = 0;
            for first in entries {
                let size = self.side().min(self.columns - first);
                let b = &b[first * TILE..(first + size) * TILE];
                match self.layout() {
                    Layout::Sparse => sums[at] += dot(q, b, n),
                    _ => outer([rows.len(), size, n], &mut sums[at..], width, q, b),
                }
                at += size;
            }
        }
    }
}

/// Multiplies a sparse product, which has been summed up in its place.
#[inline(always)]
fn follow<T: Scalar>(dst: &mut [T], rows: usize, then: Then<T>) {
    if let Then::Multiply(by) = then {
        dst[..rows * TILE].iter_mut().zip(by).for_each(|(d, by)| *d *= *by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use rand::RngExt;

    fn random(n: usize, seed: u64, keep: f64) -> Vec<f64> {
        let mut rng = Seed(seed).stream("layer", 0);
        (0..n).map(|_| if rng.random_bool(keep) { rng.random::<f64>() } else { 0.0 }).collect()
    }

    #[test]
    fn the_layouts_agree() {
        for (rows, columns, keep) in [(5, 7, 0.5), (16, 32, 0.02), (33, 50, 0.1), (20, 17, 0.0)] {
            let dense = Matrix::dense(rows, columns, random(rows * columns, 1, keep));
            let (b, q) = (random(columns * TILE, 2, 1.0), random(rows * TILE, 3, 1.0));
            let compute = |m: &Matrix<f64>| {
                let (mut up, mut down) = (vec![1.0; rows * TILE], vec![1.0; columns * TILE]);
                let mut sums = vec![0.0; m.values.len()];
                m.times(&b, &mut up, TILE, Then::Add);
                m.transposed_times(&q, &mut down, TILE, Then::Multiply(&b));
                m.add_outer(&q, &b, &mut sums, TILE);
                (up, down, m.spread(&sums))
            };
            let want = compute(&dense);
            for layout in [Layout::Blocks, Layout::Sparse] {
                let other = dense.in_layout(layout);
                assert_eq!((other.to_dense(), other.layout()), (dense.values.clone(), layout));
                assert_eq!(other.edges(), dense.edges());
                for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                    assert_eq!(other.weight(r, c), dense.weight(r, c));
                }
                let got = compute(&other);
                let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
                assert!(near(&got.0, &want.0) && near(&got.1, &want.1));
                // Of the sums, those of edges count.
                let edges = dense.values.iter().enumerate().filter(|(_, w)| **w != 0.0);
                assert!(edges.clone().all(|(i, _)| (got.2[i] - want.2[i]).abs() < 1e-12));
            }
        }
    }

    #[test]
    fn the_zeros_choose_the_layout() {
        let matrix = |keep: &dyn Fn(usize, usize) -> bool| {
            let values = (0..64 * 64).map(|i| f64::from(u8::from(keep(i / 64, i % 64)))).collect();
            Matrix::dense(64, 64, values).packed().layout()
        };
        assert_eq!(matrix(&|_, _| true), Layout::Full);
        assert_eq!(matrix(&|r, c| r / 16 == c / 16), Layout::Blocks);
        assert_eq!(matrix(&|r, c| (r * 7 + c) % 32 == 0), Layout::Sparse);
    }
}
