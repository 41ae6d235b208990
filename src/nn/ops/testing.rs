//! What the tests of every op share: seeded numbers, and gradients by central differences.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Real;

/// `n` numbers in (−1, 1).
pub(crate) fn numbers<E: Real>(n: usize, seed: u64) -> Vec<E> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| E::of(2.0 * rng.random::<f64>() - 1.0)).collect()
}

/// `∂f/∂x` at `x` by central differences.
pub(crate) fn numeric_gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    (0..x.len())
        .map(|i| {
            let at = |shift: f64| {
                let mut x = x.to_vec();
                x[i] += shift;
                f(&x)
            };
            (at(step) - at(-step)) / (2.0 * step)
        })
        .collect()
}

/// Fails unless every pair differs by at most `tolerance`, relative to the larger of 1 and the largest value.
#[track_caller]
pub(crate) fn assert_close<E: Real>(a: &[E], b: &[E], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1.0, |m: f64, x| m.max(x.wide().abs()));
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let difference = (x.wide() - y.wide()).abs();
        assert!(difference <= tolerance * scale, "element {i}: {x} against {y}");
    }
}
