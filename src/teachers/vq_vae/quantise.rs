//! The choice of a code, and what learns by it.

use crate::{
    flows::{Batch, PerRow},
    nn::{
        Device, Real,
        ops::{
            cpu::{Matrix, Threads, matmul},
            rowwise,
        },
    },
};
use dfdx::{
    shapes::HasShape,
    tensor::{Tape, Tensor},
};
use std::sync::Arc;

/// The nearest code of each row, `argmin_k ‖h − e_k‖`; of equally near ones the first.
pub(super) fn nearest<E: Real>(rows: &[E], codebook: &[E], width: usize) -> Vec<usize> {
    let (n, k) = (rows.len() / width, codebook.len() / width);
    let mut products = vec![E::default(); n * k];
    let (rows, codes) = (Matrix::new(rows, n, width), Matrix::new(codebook, k, width));
    matmul(&mut products, false, rows, codes.transpose(), Threads::Pool);
    let square = |code: &[E]| code.iter().fold(E::default(), |sum, x| sum + *x * *x);
    let squares: Vec<E> = codebook.chunks_exact(width).map(square).collect();
    let two = E::ONE + E::ONE;
    let row = |products: &[E]| {
        let distance = |k: usize| squares[k] - two * products[k];
        (1..k).fold(0, |best, k| if distance(k) < distance(best) { k } else { best })
    };
    products.chunks_exact(k).map(row).collect()
}

/// Rows in place of which their codes are.
pub(super) struct Quantised<E: Real, Dev: Device<E>, T: Tape<E, Dev>> {
    /// The codes, through which gradients pass to the rows as if they were these.
    pub(super) codes: Batch<usize, E, Dev, T>,
    /// Of each row `β ‖h − sg(e)‖²`.
    pub(super) commit: PerRow<E, Dev, T>,
    /// Of each code `Σ ‖sg(h) − e‖²` over the rows that have it.
    pub(super) follow: PerRow<E, Dev, T>,
}

/// The codes `found` in place of the rows.
pub(super) fn quantised<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    rows: Batch<usize, E, Dev, T>,
    codebook: &Tensor<(usize, usize), E, Dev>,
    found: &[usize],
    commitment: E,
) -> Quantised<E, Dev, T> {
    let (codes, width) = *codebook.shape();
    let (said, book) = (rows.as_vec(), codebook.as_vec());
    let chosen: Vec<E> = found.iter().flat_map(|k| &book[k * width..(k + 1) * width]).copied().collect();
    let step: Vec<E> = chosen.iter().zip(&said).map(|(e, h)| *e - *h).collect();
    // Of each code, how many rows have it, and their sum and their squares.
    let (mut counts, mut sums, mut squares) =
        (vec![E::default(); codes], vec![E::default(); codes * width], vec![E::default(); codes]);
    for (k, row) in found.iter().zip(said.chunks_exact(width)) {
        counts[*k] += E::ONE;
        sums[k * width..].iter_mut().zip(row).for_each(|(sum, h)| *sum += *h);
        squares[*k] += row.iter().fold(E::default(), |sum, h| sum + *h * *h);
    }
    let two = E::ONE + E::ONE;
    let (chosen, sums, counts) = (Arc::<[E]>::from(chosen), Arc::<[E]>::from(sums), Arc::<[E]>::from(counts));
    let commit = {
        let (target, again) = (chosen.clone(), chosen);
        let gap = move |i: usize, h: &[E]| -> E {
            h.iter().zip(&target[i * width..]).fold(E::default(), |sum, (h, e)| sum + (*h - *e) * (*h - *e))
        };
        rowwise(
            rows.retaped::<T>(),
            move |i, h| commitment * gap(i, h),
            move |i, h, d, into| {
                let each = into.iter_mut().zip(h).zip(&again[i * width..]);
                each.for_each(|((into, h), e)| *into += d * commitment * two * (*h - *e));
            },
        )
    };
    let follow = {
        let (total, number) = (sums.clone(), counts.clone());
        rowwise(
            codebook.retaped::<T>(),
            move |k, e| {
                let (square, product) = e
                    .iter()
                    .zip(&total[k * width..])
                    .fold((E::default(), E::default()), |(square, product), (e, sum)| {
                        (square + *e * *e, product + *e * *sum)
                    });
                number[k] * square - two * product + squares[k]
            },
            move |k, e, d, into| {
                let each = into.iter_mut().zip(e).zip(&sums[k * width..]);
                each.for_each(|((into, e), sum)| *into += d * two * (counts[k] * *e - *sum));
            },
        )
    };
    let step = rows.device().tensor_from_vec(step, (found.len(), width));
    Quantised { codes: rows + step, commit, follow }
}
