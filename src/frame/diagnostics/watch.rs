//! Whether learning an energy runs away, and why.

use std::fmt;

/// What is seen of a model and its chains after a step of learning.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pulse {
    /// Mean `Φ` of the data.
    pub of_data: f64,
    /// Mean `Φ` of the chains.
    pub of_chains: f64,
    /// Mean length of the slope of `log p` along the chains.
    pub slope: f64,
    /// What the chains were carried in the last step, squared, less what noise alone carries: an estimate of `W₂²`.
    pub carried: f64,
    /// Standard deviation of the chains' numbers.
    pub spread: f64,
    /// The greatest amount of a number of theirs.
    pub largest: f64,
}

impl Pulse {
    /// `Φ` of the data less that of the chains: what the likelihood's slope goes along.
    pub fn gap(&self) -> f64 {
        self.of_data - self.of_chains
    }
}

/// What went wrong with a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Collapse {
    /// The gap is many times what it used to be.
    Gap {
        /// Its amount.
        gap: f64,
        /// The median of those before.
        usual: f64,
    },
    /// Chains have left the range of the data.
    Range {
        /// The greatest amount of a number of theirs.
        largest: f64,
        /// The range of the data.
        of_data: f64,
    },
    /// The slopes are so steep that a step goes beyond where they turn: `h` times a slope is longer than the data's range.
    Steep {
        /// How far a step goes.
        stride: f64,
        /// The range of the data.
        of_data: f64,
    },
}

impl fmt::Display for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { gap, usual } => {
                write!(f, "the gap of energies is {gap:.3e}, and was {usual:.3e}: a smaller rate of learning may help")
            }
            Self::Range { largest, of_data } => {
                write!(
                    f,
                    "chains have numbers of {largest:.3e}, the data a range of {of_data:.3e}: smaller steps may help"
                )
            }
            Self::Steep { stride, of_data } => write!(
                f,
                "a step of a chain is {stride:.3e} long, the data have a range of {of_data:.3e}: smaller steps or a smaller rate may help"
            ),
        }
    }
}

/// Watches a run, step after step.
///
/// ```
/// # use limbeck::frame::diagnostics::{Collapse, Pulse, Watch};
/// let mut watch = Watch::new(1.0, 0.005, 64);
/// let usual = Pulse { of_data: 3.0, of_chains: 2.0, slope: 40.0, spread: 0.7, largest: 1.2, ..Pulse::default() };
/// for _ in 0..200 {
///     assert_eq!(watch.see(usual), None);
/// }
/// let wild = Pulse { of_chains: -200.0, ..usual };
/// assert!(matches!(watch.see(wild), Some(Collapse::Gap { .. })));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    of_data: f64,
    step: f64,
    dims: usize,
    gaps: Vec<f64>,
}

/// Gaps that the usual one is the median of. Before there are as many it is not asked: at first a gap grows from nothing.
const MEMORY: usize = 100;

impl Watch {
    /// Of data whose numbers reach over this range, the greatest less the least, with chains of so many numbers that walk by steps of `h`.
    pub fn new(of_data: f64, step: f64, dims: usize) -> Self {
        Self { of_data, step, dims, gaps: Vec::new() }
    }

    /// Takes note of a step. It has collapsed where the gap is more than ten times its running median, a number of the chains is
    /// beyond three times the data's range, or a step is longer than `√dims` times that range; a NaN has, too.
    pub fn see(&mut self, pulse: Pulse) -> Option<Collapse> {
        let Self { of_data, step, dims, .. } = *self;
        let gap = pulse.gap().abs();
        let usual = self.usual();
        let stride = step * pulse.slope;
        // Comparisons that a NaN does not pass.
        let within = |value: f64, bound: f64| value <= bound;
        if !within(pulse.largest, 3.0 * of_data) {
            return Some(Collapse::Range { largest: pulse.largest, of_data });
        }
        if !within(stride, of_data * (dims as f64).sqrt()) {
            return Some(Collapse::Steep { stride, of_data });
        }
        if let Some(usual) = usual.filter(|usual| !within(gap, 10.0 * usual)) {
            return Some(Collapse::Gap { gap, usual });
        }
        self.gaps.push(gap);
        if self.gaps.len() > MEMORY {
            self.gaps.remove(0);
        }
        None
    }

    /// The median of the last gaps, once there are enough.
    fn usual(&self) -> Option<f64> {
        let mut sorted = self.gaps.clone();
        sorted.sort_by(f64::total_cmp);
        (sorted.len() >= MEMORY).then(|| sorted[sorted.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_collapse_is_seen_and_a_steady_run_is_not() {
        let steady = |i: u32| Pulse { of_data: 1.0 + f64::from(i % 7), slope: 10.0, largest: 2.0, ..Pulse::default() };
        let watched = |last: Pulse| {
            let mut watch = Watch::new(1.0, 0.01, 16);
            assert!((0..200).all(|i| watch.see(steady(i)).is_none()));
            watch.see(last)
        };
        assert_eq!(watched(steady(3)), None);
        assert!(matches!(watched(Pulse { of_data: 1e3, ..steady(0) }), Some(Collapse::Gap { usual: 4.0, .. })));
        assert!(matches!(watched(Pulse { largest: 3.5, ..steady(0) }), Some(Collapse::Range { .. })));
        assert!(matches!(watched(Pulse { slope: 1e3, ..steady(0) }), Some(Collapse::Steep { .. })));
        assert!(watched(Pulse { slope: f64::NAN, ..steady(0) }).is_some());
        assert!(watched(Pulse { of_data: f64::NAN, ..steady(0) }).is_some());
    }
}
