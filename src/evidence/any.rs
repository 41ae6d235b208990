//! Evidence whose certainty is known at run time alone.

use super::{Certainty, Estimate, Evidence, Exact, LowerBound, Space, Unnormalised};
use crate::Result;

/// Evidence of any kind, as a model gives it whose family is not known.
#[derive(Clone, Debug)]
pub enum AnyEvidence {
    /// The log-likelihood itself.
    Exact(Evidence<Exact>),
    /// Numbers that it is never below.
    LowerBound(Evidence<LowerBound>),
    /// Numbers that it may be above or below.
    Estimate(Evidence<Estimate>),
    /// Log-densities without their constant.
    Unnormalised(Evidence<Unnormalised>),
}

macro_rules! each {
    ($any:expr, $evidence:ident => $value:expr) => {
        match $any {
            Self::Exact($evidence) => $value,
            Self::LowerBound($evidence) => $value,
            Self::Estimate($evidence) => $value,
            Self::Unnormalised($evidence) => $value,
        }
    };
}

impl AnyEvidence {
    /// Which kind it is: [`Certainty::NAME`].
    pub fn certainty(&self) -> &'static str {
        fn name<K: Certainty>(_: &Evidence<K>) -> &'static str {
            K::NAME
        }
        each!(self, e => name(e))
    }

    /// Nats, one a sample.
    pub fn log_probs(&self) -> &[f64] {
        each!(self, e => e.log_probs())
    }

    /// The space the likelihoods live in.
    pub fn space(&self) -> &Space {
        each!(self, e => e.space())
    }

    /// Mean log-likelihood, nats a sample.
    pub fn mean(&self) -> f64 {
        each!(self, e => e.mean())
    }

    /// Standard error of [`Self::mean`], nats.
    pub fn standard_error(&self) -> f64 {
        each!(self, e => e.standard_error())
    }

    /// The least and the largest that [`Self::mean`] may be, where it is an estimate, or a bound that was drawn.
    pub fn interval(&self) -> Option<(f64, f64)> {
        match self {
            Self::Estimate(estimate) => Some(estimate.interval()),
            Self::LowerBound(bound) => Some(bound.interval()).filter(|(low, high)| low < high),
            _ => None,
        }
    }

    /// Code length, bits a dimension, where it is one: of an estimate in the middle, of what is unnormalised never.
    pub fn bits_per_dim(&self) -> Option<f64> {
        match self {
            Self::Exact(exact) => exact.bits_per_dim().ok(),
            Self::LowerBound(bound) => bound.bits_per_dim().ok(),
            Self::Estimate(estimate) => estimate.bits(-estimate.log_probs.iter().sum::<f64>()).ok(),
            Self::Unnormalised(_) => None,
        }
    }

    /// As [`Evidence::of_mapped`].
    ///
    /// # Errors
    /// As there.
    pub fn of_mapped(self, space: Space) -> Result<Self> {
        Ok(each!(self, e => e.of_mapped(space)?.any()))
    }

    /// The likelihood itself, where it is that.
    pub fn exact(&self) -> Option<&Evidence<Exact>> {
        match self {
            Self::Exact(exact) => Some(exact),
            _ => None,
        }
    }
}
