//! A lift whatever its type.

use super::{Binary, Gumbel, GumbelThreshold, Lift, NoiseOf, OneHot, SoftplusThreshold};
use crate::{nn::Real, random::Stream};
use serde::{Deserialize, Serialize};

/// From categories to numbers, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiftKind {
    /// [`SoftplusThreshold`]
    Softplus,
    /// [`Gumbel`]
    Gumbel,
    /// [`GumbelThreshold`]
    GumbelThreshold,
    /// [`Binary`]
    Bits,
    /// [`OneHot`] with uniform noise.
    Uniform,
    /// [`OneHot`] with noise that is learned.
    Variational,
}

impl LiftKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Uniform, Self::Variational, Self::Softplus, Self::Gumbel, Self::GumbelThreshold, Self::Bits];

    /// The lift of so many categories.
    pub fn of(self, categories: usize) -> AnyLift {
        match self {
            Self::Softplus => AnyLift::Softplus(SoftplusThreshold { categories }),
            Self::Gumbel => AnyLift::Gumbel(Gumbel { categories }),
            Self::GumbelThreshold => AnyLift::GumbelThreshold(GumbelThreshold { categories }),
            Self::Bits => AnyLift::Bits(Binary { categories }),
            Self::Uniform => AnyLift::OneHot(OneHot { categories, noise: NoiseOf::Uniform }),
            Self::Variational => AnyLift::OneHot(OneHot { categories, noise: NoiseOf::Variational }),
        }
    }
}

/// One of the lifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyLift {
    /// Softplus thresholding.
    Softplus(SoftplusThreshold),
    /// Gumbel numbers.
    Gumbel(Gumbel),
    /// Gumbel thresholding.
    GumbelThreshold(GumbelThreshold),
    /// Bits.
    Bits(Binary),
    /// Dequantisation.
    OneHot(OneHot),
}

macro_rules! each {
    ($any:expr, $lift:ident => $value:expr) => {
        match $any {
            AnyLift::Softplus($lift) => $value,
            AnyLift::Gumbel($lift) => $value,
            AnyLift::GumbelThreshold($lift) => $value,
            AnyLift::Bits($lift) => $value,
            AnyLift::OneHot($lift) => $value,
        }
    };
}

impl Lift for AnyLift {
    fn name(&self) -> &'static str {
        each!(self, lift => lift.name())
    }

    fn categories(&self) -> usize {
        each!(self, lift => lift.categories())
    }

    fn numbers(&self) -> usize {
        each!(self, lift => lift.numbers())
    }

    fn parameters(&self) -> usize {
        each!(self, lift => lift.parameters())
    }

    fn noise(&self, rng: &mut Stream) -> f64 {
        each!(self, lift => lift.noise(rng))
    }

    fn lift<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], v: &mut [E]) -> E {
        each!(self, lift => lift.lift(x, parameters, noise, v))
    }

    fn slopes<E: Real>(&self, x: usize, parameters: &[E], noise: &[E], dv: &[E], dq: E, into: &mut [E]) {
        each!(self, lift => lift.slopes(x, parameters, noise, dv, dq, into));
    }

    fn category(&self, v: &[f64]) -> Option<usize> {
        each!(self, lift => lift.category(v))
    }
}
