//! Seeded random streams: one root seed, a stream for each purpose, whatever the number of threads.

use crate::simd::sum;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A generator of one stream. Counter-based, so a stream never runs into another.
pub type Stream = ChaCha8Rng;

/// The root of all randomness in a run.
///
/// ```
/// # use limbeck::random::Seed;
/// use rand::RngExt;
/// let seed = Seed(7);
/// let a: f64 = seed.stream("shuffle", 0).random();
/// let b: f64 = seed.stream("shuffle", 0).random();
/// let c: f64 = seed.stream("shuffle", 1).random();
/// assert_eq!(a, b);
/// assert_ne!(a, c);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of a purpose (`"shuffle"`, `"langevin"`) and an index within it (an epoch, a chain, a row).
    ///
    /// The key is the SHA-256 of the seed and the purpose; the index selects the ChaCha stream.
    pub fn stream(self, purpose: &str, index: u64) -> Stream {
        let mut key = Sha256::new();
        key.update(self.0.to_le_bytes());
        key.update(purpose.as_bytes());
        let mut stream = ChaCha8Rng::from_seed(key.finalize().into());
        stream.set_stream(index);
        stream
    }

    /// A seed for a part of the work that has streams of its own.
    pub fn child(self, purpose: &str, index: u64) -> Self {
        Self(self.stream(purpose, index).next_u64())
    }
}

/// Draws an index with probability proportional to `weights`, in f64.
///
/// Returns `None` when no weight is positive. The weights need not sum to one.
pub fn categorical(weights: &[f64], rng: &mut Stream) -> Option<usize> {
    let total = sum(weights);
    if total.is_nan() || total <= 0.0 {
        return None;
    }
    at_mass(weights, rng.random::<f64>() * total)
}

/// The index at which the weights before it and its own are more than `left`.
fn at_mass(weights: &[f64], mut left: f64) -> Option<usize> {
    const CHUNK: usize = 8;
    // By and by: whole chunks are passed over at once.
    let mut last = None;
    for (c, chunk) in weights.chunks(CHUNK).enumerate() {
        let mass = sum(chunk);
        if mass > 0.0 {
            last = Some(c);
            if left < mass {
                break;
            }
            left -= mass;
        }
    }
    let first = last? * CHUNK;
    let chunk = &weights[first..weights.len().min(first + CHUNK)];
    let mut found = None;
    for (index, weight) in chunk.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        found = Some(first + index);
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    found
}

/// A random order of `0..n`.
pub fn permutation(n: usize, rng: &mut Stream) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categorical_follows_its_weights() {
        let weights = [1.0, 0.0, 3.0, 6.0];
        let mut rng = Seed(1).stream("test", 0);
        let draws = 40_000;
        let mut counts = [0.0; 4];
        for _ in 0..draws {
            counts[categorical(&weights, &mut rng).unwrap()] += 1.0;
        }
        assert_eq!(counts[1], 0.0);
        for (count, weight) in counts.iter().zip(weights) {
            let p = weight / 10.0;
            let deviation = (p * (1.0 - p) / draws as f64).sqrt();
            assert!((count / draws as f64 - p).abs() <= 4.0 * deviation, "{counts:?}");
        }
        assert_eq!(categorical(&[0.0, 0.0], &mut rng), None);
    }

    #[test]
    fn rare_categories_are_drawn_as_often_as_they_should_be() {
        // One in 10⁸. The least mass from which on an index is drawn, by bisection:
        let weights = [1.0, 1e-8, 1.0];
        let begin = |index: usize| {
            let (mut low, mut high) = (0.0, 2.0);
            while low < (low + high) / 2.0 && (low + high) / 2.0 < high {
                let middle = (low + high) / 2.0;
                *if at_mass(&weights, middle).unwrap() >= index { &mut high } else { &mut low } = middle;
            }
            high
        };
        assert!((begin(2) - begin(1) - 1e-8).abs() < 1e-15);
        // The largest of Gumbel numbers in single precision draws one that is as rare beside another hardly ever: of their 2²⁴
        // uniform numbers u none is nearer to 1. P = Σ_u P(−log(−log u) + log 10⁻⁸ is the larger), u = 1 − i · 2⁻²⁴; the
        // hundredth term is 10⁻²⁶⁰ of the first.
        let grid = 2.0_f64.powi(-24);
        let drawn: f64 = (1..100).map(|i| grid * (1e8 * (-grid * f64::from(i)).ln_1p()).exp()).sum();
        assert!((drawn - 1.54e-10).abs() < 0.01e-10, "{drawn}");
    }

    #[test]
    fn streams_differ_by_purpose_index_and_seed() {
        let first = |seed: Seed, purpose, index| seed.stream(purpose, index).next_u64();
        let values = [first(Seed(0), "a", 0), first(Seed(0), "a", 1), first(Seed(0), "b", 0), first(Seed(1), "a", 0)];
        for (i, a) in values.iter().enumerate() {
            assert!(values[..i].iter().all(|b| a != b));
        }
    }
}
