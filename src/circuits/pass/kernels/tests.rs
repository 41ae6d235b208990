use super::*;
use crate::random::Seed;
use rand::RngExt;

fn random<T: Scalar>(n: usize, seed: u64) -> Vec<T> {
    let mut rng = Seed(seed).stream("kernel", 0);
    (0..n).map(|_| T::of(rng.random::<f64>())).collect()
}

/// Both kinds of number, and sizes on both sides of every boundary.
fn sizes(check: impl Fn([usize; 3])) {
    for m in [1, 4, 5, 8, 17, 73] {
        for k in [1, 3, 8, 16, 74] {
            for n in [1, 7, 16, 33, TILE] {
                check([m, k, n]);
            }
        }
    }
}

fn close<T: Scalar>(got: T, want: f64, what: &str) {
    let tolerance = if T::SINGLE { 1e-5 } else { 1e-12 };
    assert!((got.f64() - want).abs() <= tolerance * want.abs().max(1.0), "{what}: {got:?} for {want}");
}

fn products<T: Scalar>() {
    sizes(|[m, k, n]| {
        let (a, b) = (random::<T>(m * k, 1), random::<T>(k * TILE, 2));
        for (form, transposed) in [(0, false), (1, false), (0, true), (2, true)] {
            let mut dst = random::<T>(m * TILE, 3);
            let (before, by) = (dst.clone(), random::<T>(m * TILE, 4));
            let then = [Then::Store, Then::Add, Then::Multiply(&by)][form];
            let view = if transposed { View::rows(&a, m).transposed() } else { View::rows(&a, k) };
            product([m, n, k], &mut dst, then, view, &b);
            for i in 0..m {
                for c in 0..n {
                    let weight = |j: usize| if transposed { a[j * m + i] } else { a[i * k + j] };
                    let sum: f64 = (0..k).map(|j| weight(j).f64() * b[j * TILE + c].f64()).sum();
                    let at = i * TILE + c;
                    let want = [sum, before[at].f64() + sum, sum * by[at].f64()][form];
                    close(dst[at], want, &format!("{m}×{k}×{n}"));
                }
            }
        }
    });
}

fn outers<T: Scalar>() {
    sizes(|[m, k, n]| {
        let (mut a, b) = (random::<T>(m * TILE, 1), random::<T>(k * TILE, 2));
        a.chunks_exact_mut(TILE).for_each(|row| row[n..].fill(T::ZERO));
        let columns = k + 2;
        let mut dst = random::<T>(m * columns, 3);
        let before = dst.clone();
        outer([m, k, n], &mut dst, columns, &a, &b);
        for i in 0..m {
            for j in 0..columns {
                let dot: f64 = (0..n).map(|c| a[i * TILE + c].f64() * b[j.min(k - 1) * TILE + c].f64()).sum();
                let want = before[i * columns + j].f64() + if j < k { dot } else { 0.0 };
                close(dst[i * columns + j], want, &format!("{m}×{k}×{n}"));
            }
        }
    });
}

fn tables<T: Scalar>() {
    for units in [1, 5, 8, 24] {
        for n in [1, 8, 19, TILE] {
            let (table, rows) = (random::<T>(6 * units, 1), 6);
            let codes: Vec<u16> = (0..n).map(|b| if b % 5 == 4 { u16::MAX } else { (b * 7 % 6) as u16 }).collect();
            let row = |b: usize| (codes[b] as usize).min(rows - 1);
            let mut block = random::<T>(units * TILE, 2);
            gather(&table, units, &codes, &mut block);
            for (u, b) in (0..units).flat_map(|u| (0..n).map(move |b| (u, b))) {
                assert_eq!(block[u * TILE + b], table[row(b) * units + u]);
            }
            let mut sums = vec![T::ZERO; 6 * units];
            scatter(&mut sums, units, &codes, &block);
            for (r, u) in (0..rows).flat_map(|r| (0..units).map(move |u| (r, u))) {
                let want: f64 = (0..n).filter(|b| row(*b) == r).map(|b| block[u * TILE + b].f64()).sum();
                close(sums[r * units + u], want, &format!("row {r}, unit {u} of {units}"));
            }
        }
    }
}

#[test]
fn kernels_compute_what_they_say() {
    products::<f32>();
    products::<f64>();
    outers::<f32>();
    outers::<f64>();
    tables::<f32>();
    tables::<f64>();
}
