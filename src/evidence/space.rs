//! The space a likelihood lives in.

use std::fmt;

/// The space a likelihood is a density (or a probability) on.
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// Probabilities of the discrete values themselves.
    Raw,
    /// Densities over real values in the units of the data.
    Continuous,
    /// Densities over `[0, levels)^D`: discrete data plus uniform noise. A lower bound on [`Space::Raw`] in expectation.
    Dequantised {
        /// Number of levels of the discrete data.
        levels: u32,
    },
    /// Densities after `logit(λ + (1 − 2λ) x / levels)`.
    Logit {
        /// The margin that keeps values off the boundary.
        lambda: f64,
        /// Number of levels of the discrete data.
        levels: u32,
    },
    /// Probabilities after a named transform of the colours, which may not be invertible.
    Colours {
        /// The transform, as `YCoCg-R`.
        transform: &'static str,
        /// Whether every image can be recovered from its transform.
        lossless: bool,
    },
    /// Of the upper left quarter of pictures alone.
    Quarter(Box<Space>),
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw => write!(f, "raw"),
            Self::Continuous => write!(f, "continuous"),
            Self::Dequantised { levels } => write!(f, "dequantised ({levels} levels)"),
            Self::Logit { lambda, levels } => write!(f, "logit (λ = {lambda}, {levels} levels)"),
            Self::Colours { transform, lossless: true } => write!(f, "{transform}"),
            Self::Colours { transform, lossless: false } => write!(f, "{transform} (lossy)"),
            Self::Quarter(space) => write!(f, "{space}, upper left quarter"),
        }
    }
}
