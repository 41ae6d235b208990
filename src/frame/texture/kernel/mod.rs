//! The inner loop of Gibbs sampling: what a pixel would cost at every level.

#[cfg(target_arch = "x86_64")]
mod avx;

use super::{Bins, Feature, MOST_BINS};
use std::ops::RangeInclusive;

/// Responses that are looked up together. Their costs are added in this many sums.
pub(super) const LANES: usize = 16;

/// Responses that see a pixel, each with the weight that it sees it with; their number is a multiple of [`LANES`].
#[derive(Clone, Copy)]
pub(super) struct Patch<'a> {
    pub(super) linear: (&'a [f32], &'a [f32]),
    /// Those of the second window, where the responses of two are squared and added.
    pub(super) square: Option<(&'a [f32], &'a [f32])>,
}

/// The energy of a level as sums that [`total`] adds up: so many, whatever the processor, so that all agree.
pub(super) type Level = [f64; LANES / 2];

/// What a response costs, by its bin.
#[derive(Clone, Debug)]
pub(super) struct Costs {
    bins: Bins,
    table: [f32; MOST_BINS],
    /// Whether the steps of all responses there can be, also those beyond the first bin and the last, are so few that the last bits of a
    /// step say what it costs.
    wraps: bool,
}

impl Costs {
    /// The potential of a feature, in single precision.
    pub(super) fn of(feature: &Feature, potential: &[f64]) -> Self {
        let bins = feature.bins();
        let mut table = [0.0; MOST_BINS];
        table.iter_mut().zip(potential).for_each(|(to, from)| *to = *from as f32);
        let few = |steps: &RangeInclusive<i64>| steps.end().saturating_sub(*steps.start()) < MOST_BINS as i64;
        let steps = bins.steps(feature.range()).filter(few);
        if let Some(steps) = steps.clone() {
            let last = bins.count() as i64 - 1;
            for step in steps {
                table[step.rem_euclid(MOST_BINS as i64) as usize] = potential[step.clamp(0, last) as usize] as f32;
            }
        }
        Self { bins, table, wraps: steps.is_some() }
    }
}

/// Adds `Σ λ(bin of r + (g − level) w)` to the energy of each level `g`. The responses have to be exact.
pub(super) fn add_energies(patch: Patch, level: u8, costs: &Costs, energies: &mut [Level]) {
    #[cfg(target_arch = "x86_64")]
    {
        if avx::has_avx512() {
            // SAFETY: the processor has AVX-512.
            return unsafe { avx::add_energies_512(patch, level, costs, energies) };
        }
        if avx::has_avx2() {
            // SAFETY: the processor has AVX2.
            return unsafe { avx::add_energies_256(patch, level, costs, energies) };
        }
    }
    plain(patch, level, costs, energies);
}

/// The same one by one.
#[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "the vectors' own is compared with it"))]
fn plain(patch: Patch, level: u8, costs: &Costs, energies: &mut [Level]) {
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
            sums[i % LANES] += costs.table[costs.bins.of(response)];
        }
        for (i, energy) in energy.iter_mut().enumerate() {
            *energy += f64::from(sums[i]) + f64::from(sums[i + LANES / 2]);
        }
    }
}

/// The energy of a level.
pub(super) fn total(sums: &Level) -> f64 {
    let pairs: [f64; LANES / 4] = std::array::from_fn(|i| sums[i] + sums[i + LANES / 4]);
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::Filter, random::Seed};
    use rand::RngExt;

    #[test]
    fn vectors_add_the_same_energies_to_the_last_bit() {
        let mut rng = Seed(3).stream("test", 0);
        for (n, count, two, wraps) in [
            (16, 3, false, false),
            (64, 17, false, false),
            (64, 17, false, true),
            (160, 32, true, false),
            (48, 31, true, false),
            (96, 31, false, false),
        ] {
            // In steps of a power of two, as the weights of a feature are.
            let mut numbers =
                |n: usize| (0..n).map(|_| rng.random_range(-4096..4096) as f32 / 1024.0).collect::<Vec<_>>();
            let [a, b, c, d] = [(); 4].map(|()| numbers(n));
            let mut table = [0.0; MOST_BINS];
            table.iter_mut().zip(numbers(count)).for_each(|(to, from)| *to = from);
            let bins = match count {
                31 => Bins::Octaves { scale: 0.5 },
                // No response reaches beyond 32.
                _ if wraps => Bins::Even { low: -12.0, width: 4.0, count },
                _ => Bins::Even { low: -5.0, width: 10.0 / count as f32, count },
            };
            if wraps {
                (-7..0).for_each(|step: i32| table[step.rem_euclid(MOST_BINS as i32) as usize] = table[0]);
            }
            let costs = Costs { bins, table, wraps };
            let patch = Patch { linear: (&a, &b), square: two.then_some((&c, &d)) };
            let mut expected = vec![[1.0; 8]; 11];
            plain(patch, 4, &costs, &mut expected);
            let mut found = vec![[1.0; 8]; 11];
            add_energies(patch, 4, &costs, &mut found);
            assert_eq!(found, expected);
            #[cfg(target_arch = "x86_64")]
            if avx::has_avx2() {
                let mut found = vec![[1.0; 8]; 11];
                // SAFETY: the processor has AVX2.
                unsafe { avx::add_energies_256(patch, 4, &costs, &mut found) };
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn steps_that_are_few_need_no_comparison() {
        let costs = |filter: Filter, width: f32, levels| {
            let bins = Bins::Even { low: -2.0, width, count: 17 };
            let feature = Feature::new(filter, bins, levels).unwrap();
            Costs::of(&feature, &(0..17).map(f64::from).collect::<Vec<_>>())
        };
        // From −7 to 7: steps of −20 to 36 are too many, of −5 to 9 are not.
        assert!(!costs(Filter::gradient_x(), 0.25, 8).wraps);
        let few = costs(Filter::gradient_x(), 1.0, 8);
        assert!(few.wraps);
        assert_eq!([few.table[0], few.table[9], few.table[31], few.table[27]], [0.0, 9.0, 0.0, 0.0]);
        // From 0 to 7: steps of 8 to 36 go around, and all beyond 16 cost as much.
        let around = costs(Filter::intensity(), 0.25, 8);
        assert!(around.wraps);
        assert_eq!([around.table[8], around.table[16], around.table[31], around.table[4]], [8.0, 16.0, 16.0, 16.0]);
    }
}
