//! The inner loop of Gibbs sampling: what a pixel would cost at every level.

#[cfg(target_arch = "x86_64")]
mod avx;

use super::{Bins, MOST_BINS};

/// Responses that are looked up together. Their costs are added in this many sums, whatever the processor, so that all agree.
pub(super) const LANES: usize = 16;

/// Responses that see a pixel, each with the weight that it sees it with; their number is a multiple of [`LANES`].
#[derive(Clone, Copy)]
pub(super) struct Patch<'a> {
    pub(super) linear: (&'a [f32], &'a [f32]),
    /// Those of the second window, where the responses of two are squared and added.
    pub(super) square: Option<(&'a [f32], &'a [f32])>,
}

/// Adds `Σ λ(bin of r + (g − level) w)` to the energy of each level `g`.
pub(super) fn add_energies(patch: Patch, level: u8, bins: Bins, table: &[f32; MOST_BINS], energies: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    {
        if avx::has_avx512() {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx::add_energies_512(patch, level, bins, table, energies) };
        }
        if avx::has_avx2() {
            // SAFETY: the processor has AVX2.
            return unsafe { avx::add_energies_256(patch, level, bins, table, energies) };
        }
    }
    plain(patch, level, bins, table, energies);
}

/// The same one by one.
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "the vectors' own is compared with it"))]
fn plain(patch: Patch, level: u8, bins: Bins, table: &[f32; MOST_BINS], energies: &mut [f64]) {
    for (g, energy) in energies.iter_mut().enumerate() {
        let change = g as f32 - f32::from(level);
        let mut sums = [0.0_f32; LANES];
        let (responses, weights) = patch.linear;
        for (i, (r, w)) in responses.iter().zip(weights).enumerate() {
            let linear = r + change * w;
            let response = match patch.square {
                None => linear,
                Some((responses, weights)) => {
                    let other = responses[i] + change * weights[i];
                    linear * linear + other * other
                }
            };
            sums[i % LANES] += table[bins.of(response)];
        }
        *energy += total(sums);
    }
}

/// The sums in one order.
fn total(sums: [f32; LANES]) -> f64 {
    let mut sums = sums.map(f64::from);
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;
    use rand::RngExt;

    #[test]
    fn vectors_add_the_same_energies_to_the_last_bit() {
        let mut rng = Seed(3).stream("test", 0);
        for (n, count, two) in [(16, 3, false), (64, 17, false), (160, 32, true), (48, 31, true), (96, 31, false)] {
            let mut numbers = |n: usize| (0..n).map(|_| rng.random::<f32>() * 8.0 - 4.0).collect::<Vec<_>>();
            let [a, b, c, d] = [(); 4].map(|()| numbers(n));
            let mut table = [0.0; MOST_BINS];
            table.iter_mut().zip(numbers(count)).for_each(|(to, from)| *to = from);
            let bins = match count {
                31 => Bins::Octaves { scale: 0.5 },
                _ => Bins::Even { low: -5.0, width: 10.0 / count as f32, count },
            };
            let patch = Patch { linear: (&a, &b), square: two.then_some((&c, &d)) };
            let mut expected = vec![1.0; 11];
            plain(patch, 4, bins, &table, &mut expected);
            let mut found = vec![1.0; 11];
            add_energies(patch, 4, bins, &table, &mut found);
            assert_eq!(found, expected);
            #[cfg(target_arch = "x86_64")]
            if avx::has_avx2() {
                let mut found = vec![1.0; 11];
                // SAFETY: the processor has AVX2.
                unsafe { avx::add_energies_256(patch, 4, bins, &table, &mut found) };
                assert_eq!(found, expected);
            }
        }
    }
}
