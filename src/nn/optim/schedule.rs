//! Learning rates over the steps of a run.

use std::f64::consts::PI;

use crate::{Error, Result};

/// How the rate falls once it is warm.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Decay {
    /// It stays.
    Constant,
    /// `floor + (1 − floor) ½ (1 + cos(π t / steps))` of the peak, and `floor` of it after `steps`.
    Cosine {
        /// Steps from the peak to the floor.
        steps: u64,
        /// The fraction of the peak that is left.
        floor: f64,
    },
    /// Multiplied by `factor` after every `every` steps.
    Step {
        /// Steps between two falls.
        every: u64,
        /// What a fall leaves.
        factor: f64,
    },
}

/// A learning rate: a linear warm-up to a peak, then a [`Decay`].
///
/// ```text
/// rate(t) = peak · t / warm_up                 for t ≤ warm_up
///           peak · decay(t − warm_up)          after
/// ```
///
/// Steps count from 1.
///
/// ```
/// use limbeck::nn::optim::Schedule;
///
/// let rate = Schedule::constant(0.1).warmed_up(4).cosine(10, 0.0);
/// assert_eq!(rate.at(2), 0.05);
/// assert_eq!(rate.at(4), 0.1);
/// assert!(rate.at(14) < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Schedule {
    /// The largest rate.
    pub peak: f64,
    /// Steps of the linear warm-up; 0 for none.
    pub warm_up: u64,
    /// What follows.
    pub decay: Decay,
}

impl Schedule {
    /// The same rate at every step.
    pub const fn constant(peak: f64) -> Self {
        Self { peak, warm_up: 0, decay: Decay::Constant }
    }

    /// Rises linearly over `steps` first.
    pub const fn warmed_up(self, steps: u64) -> Self {
        Self { warm_up: steps, ..self }
    }

    /// Falls by a cosine over `steps` to `floor` times the peak.
    pub const fn cosine(self, steps: u64, floor: f64) -> Self {
        Self { decay: Decay::Cosine { steps, floor }, ..self }
    }

    /// Falls by `factor` after every `every` steps.
    pub const fn step(self, every: u64, factor: f64) -> Self {
        Self { decay: Decay::Step { every, factor }, ..self }
    }

    /// The rate at a step, counted from 1.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * step as f64 / self.warm_up as f64;
        }
        let after = step - self.warm_up;
        self.peak
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Cosine { steps, floor } => {
                    let t = if steps == 0 { 1.0 } else { (after as f64 / steps as f64).min(1.0) };
                    floor + (1.0 - floor) * 0.5 * (1.0 + (PI * t).cos())
                }
                Decay::Step { every, factor } => factor.powf((after / every.max(1)) as f64),
            }
    }

    /// Fails unless every rate is finite and not negative.
    pub(crate) fn check(&self) -> Result<()> {
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine { floor, .. } => floor,
            Decay::Step { factor, .. } => factor,
        };
        if !(self.peak >= 0.0 && self.peak.is_finite()) {
            return Err(Error::invalid(format!(
                "the learning rate is {}; it must be finite and not negative",
                self.peak
            )));
        }
        if !(0.0..=1.0).contains(&factor) {
            return Err(Error::invalid(format!("the learning rate falls to {factor} of itself; it must be 0 to 1")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_their_formula() {
        assert_eq!(Schedule::constant(0.3).at(1_000_000), 0.3);
        let warm = Schedule::constant(1.0).warmed_up(10);
        assert_eq!((warm.at(1), warm.at(10), warm.at(11)), (0.1, 1.0, 1.0));
        let cosine = Schedule::constant(1.0).warmed_up(10).cosine(100, 0.2);
        assert!((cosine.at(60) - 0.6).abs() < 1e-12);
        assert!((cosine.at(110) - 0.2).abs() < 1e-12 && (cosine.at(9999) - 0.2).abs() < 1e-12);
        let step = Schedule::constant(1.0).step(10, 0.5);
        assert_eq!((step.at(9), step.at(10), step.at(25)), (1.0, 0.5, 0.25));
        assert!(Schedule::constant(f64::NAN).check().is_err());
        assert!(Schedule::constant(1.0).step(1, 1.5).check().is_err());
    }
}
