//! What a likelihood number *is*: exact, a lower bound, or unnormalised; of which data, in which space.

use crate::{Error, Result};
use std::{fmt, marker::PhantomData};

/// What is known of a log-likelihood. Sealed: [`Exact`], [`LowerBound`], [`Unnormalised`].
pub trait Kind: sealed::Sealed {
    /// The name in reports: `exact`, `lower_bound`, `unnormalised`.
    const NAME: &'static str;
}
/// A kind whose densities integrate to at most one, so that it measures a code length.
pub trait Normalised: Kind {}

/// The log-likelihood itself.
#[derive(Clone, Copy, Debug)]
pub enum Exact {}
/// A number that the log-likelihood is never below: an ELBO, an IWAE bound.
#[derive(Clone, Copy, Debug)]
pub enum LowerBound {}
/// A log-density without its constant: only differences within one model mean anything.
#[derive(Clone, Copy, Debug)]
pub enum Unnormalised {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Exact {}
    impl Sealed for super::LowerBound {}
    impl Sealed for super::Unnormalised {}
}
impl Kind for Exact {
    const NAME: &'static str = "exact";
}
impl Kind for LowerBound {
    const NAME: &'static str = "lower_bound";
}
impl Kind for Unnormalised {
    const NAME: &'static str = "unnormalised";
}
impl Normalised for Exact {}
impl Normalised for LowerBound {}

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
        }
    }
}

/// Per-sample log-likelihoods in nats, with what they mean.
///
/// ```
/// # use limbeck::evidence::{Evidence, Exact, Space};
/// let two_fair_coins = Evidence::<Exact>::new(vec![0.25_f64.ln(); 10], Space::Raw, 2)?;
/// assert_eq!(two_fair_coins.bits_per_dim()?, 1.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
/// An ELBO is not ranked with an exact likelihood, and an unnormalised density has no bits per dimension:
/// neither compiles (`tests/compile_fail/evidence_*.rs`).
#[derive(Clone, Debug)]
pub struct Evidence<K: Kind> {
    log_probs: Vec<f64>,
    space: Space,
    dims: usize,
    known: usize,
    kind: PhantomData<K>,
}

impl<K: Kind> Evidence<K> {
    /// `log_probs` in nats, one a sample, of data with `dims` dimensions each.
    ///
    /// # Errors
    /// When there is no sample, no dimension, or a NaN. −∞ is a value like any other.
    pub fn new(log_probs: Vec<f64>, space: Space, dims: usize) -> Result<Self> {
        if log_probs.is_empty() || dims == 0 {
            return Err(Error::invalid("evidence needs at least one sample of at least one dimension"));
        }
        if let Some(row) = log_probs.iter().position(|p| p.is_nan()) {
            return Err(Error::invalid(format!("the log-likelihood of sample {row} is NaN")));
        }
        let known = log_probs.len() * dims;
        Ok(Self { log_probs, space, dims, known, kind: PhantomData })
    }

    /// The same of samples with missing values: of all dimensions of all samples, `known` have one.
    ///
    /// # Errors
    /// When `known` is more than there are.
    pub fn of_known(self, known: usize) -> Result<Self> {
        if known > self.len() * self.dims {
            return Err(Error::invalid(format!("{known} known values of {} × {}", self.len(), self.dims)));
        }
        Ok(Self { known, ..self })
    }

    /// Nats, one a sample.
    pub fn log_probs(&self) -> &[f64] {
        &self.log_probs
    }

    /// The space the likelihoods live in.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Dimensions a sample.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.log_probs.len()
    }

    /// Never true: evidence of no sample cannot be made.
    pub fn is_empty(&self) -> bool {
        self.log_probs.is_empty()
    }

    /// Mean log-likelihood, nats a sample.
    pub fn mean(&self) -> f64 {
        self.log_probs.iter().sum::<f64>() / self.len() as f64
    }

    /// Standard error of [`Self::mean`], nats. Zero for a single sample.
    pub fn standard_error(&self) -> f64 {
        if self.len() < 2 {
            return 0.0;
        }
        let (n, mean) = (self.len() as f64, self.mean());
        let variance = self.log_probs.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (variance / n).sqrt()
    }

    /// Mean difference `self − other` over the same samples and its standard error, nats.
    ///
    /// # Errors
    /// [`Error::Incomparable`] in different spaces; [`Error::Invalid`] for different samples.
    pub fn minus(&self, other: &Self) -> Result<(f64, f64)> {
        self.comparable(other)?;
        if self.len() != other.len() || self.dims != other.dims {
            return Err(Error::invalid(format!(
                "paired evidence needs the same samples: {} × {} against {} × {}",
                self.len(),
                self.dims,
                other.len(),
                other.dims
            )));
        }
        let differences = self.log_probs.iter().zip(&other.log_probs).map(|(a, b)| a - b).collect();
        let paired = Self::new(differences, self.space.clone(), self.dims)?;
        Ok((paired.mean(), paired.standard_error()))
    }

    fn comparable(&self, other: &Self) -> Result<()> {
        if self.space == other.space {
            return Ok(());
        }
        Err(Error::Incomparable {
            left: self.space.to_string(),
            right: other.space.to_string(),
            reason: "bring both to one space first (`into_dequantised` adds the log-determinant)",
        })
    }
}

impl<K: Normalised> Evidence<K> {
    /// Code length, bits a dimension: `−Σ log p / (dimensions with a value · ln 2)`.
    ///
    /// # Errors
    /// [`Error::Incomparable`] in logit space, where it would not be one: use [`Self::into_dequantised`] first.
    /// Also where no value is known.
    pub fn bits_per_dim(&self) -> Result<f64> {
        if self.known == 0 {
            return Err(Error::invalid("every value is missing: there is no dimension to share the bits among"));
        }
        if let Space::Logit { .. } = self.space {
            return Err(Error::Incomparable {
                left: self.space.to_string(),
                right: "bits".into(),
                reason: "add the transform's log-determinant with `into_dequantised`",
            });
        }
        Ok(-self.log_probs.iter().sum::<f64>() / (self.known as f64 * std::f64::consts::LN_2))
    }

    /// An exact likelihood or a bound, taken as the lower bound that it is.
    pub fn as_lower_bound(&self) -> Evidence<LowerBound> {
        Evidence {
            log_probs: self.log_probs.clone(),
            space: self.space.clone(),
            dims: self.dims,
            known: self.known,
            kind: PhantomData,
        }
    }

    /// Leaves logit space by adding `log_det`, nats a sample: the log-determinant of the map from `[0, levels)^D` to the logits.
    ///
    /// # Errors
    /// When this is not logit space, or there are not as many log-determinants as samples.
    pub fn into_dequantised(self, log_det: &[f64]) -> Result<Self> {
        let Space::Logit { levels, .. } = self.space else {
            return Err(Error::invalid(format!(
                "only logit space has a log-determinant to add; this is {}",
                self.space
            )));
        };
        if log_det.len() != self.len() {
            return Err(Error::invalid(format!("{} log-determinants for {} samples", log_det.len(), self.len())));
        }
        let log_probs = self.log_probs.iter().zip(log_det).map(|(p, d)| p + d).collect();
        Self::new(log_probs, Space::Dequantised { levels }, self.dims)
    }
}

impl Evidence<Exact> {
    /// How far `bound` lies below on average, nats a sample: the variational gap.
    ///
    /// # Errors
    /// As [`Evidence::minus`].
    pub fn gap_to(&self, bound: &Evidence<LowerBound>) -> Result<(f64, f64)> {
        self.as_lower_bound().minus(bound)
    }
}

/// Names with their evidence, best mean first.
///
/// # Errors
/// [`Error::Incomparable`] when two live in different spaces or have different dimensions.
pub fn rank<'a, K: Normalised>(entries: &[(&'a str, &Evidence<K>)]) -> Result<Vec<(&'a str, f64)>> {
    if let Some((_, first)) = entries.first() {
        for (_, other) in entries {
            first.comparable(other)?;
            if first.dims != other.dims {
                return Err(Error::invalid(format!("{} dimensions against {}", first.dims, other.dims)));
            }
        }
    }
    let mut ranking: Vec<_> = entries.iter().map(|(name, evidence)| (*name, evidence.mean())).collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(ranking)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coins(n: usize, space: Space) -> Evidence<Exact> {
        Evidence::new(vec![0.5_f64.ln(); n], space, 1).unwrap()
    }

    #[test]
    fn a_fair_coin_is_one_bit() {
        assert!((coins(3, Space::Raw).bits_per_dim().unwrap() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn minus_infinity_is_kept() {
        let impossible = Evidence::<Exact>::new(vec![0.0, f64::NEG_INFINITY], Space::Raw, 1).unwrap();
        assert_eq!(impossible.mean(), f64::NEG_INFINITY);
        assert_eq!(impossible.bits_per_dim().unwrap(), f64::INFINITY);
        assert!(Evidence::<Exact>::new(vec![f64::NAN], Space::Raw, 1).is_err());
    }

    #[test]
    fn logit_nats_are_not_bits_until_the_determinant_is_added() {
        let logit = coins(2, Space::Logit { lambda: 0.05, levels: 256 });
        assert!(logit.bits_per_dim().unwrap_err().to_string().contains("into_dequantised"));
        assert!(rank(&[("a", &logit), ("b", &coins(2, Space::Raw))]).is_err());
        let raw = logit.into_dequantised(&[-1.0, -1.0]).unwrap();
        assert_eq!(raw.space(), &Space::Dequantised { levels: 256 });
        assert!((raw.mean() - (0.5_f64.ln() - 1.0)).abs() < 1e-15);
    }

    #[test]
    fn a_ranking_puts_the_likelier_first_and_a_gap_is_a_difference() {
        let good = Evidence::<Exact>::new(vec![-1.0, -2.0], Space::Raw, 3).unwrap();
        let bad = Evidence::<Exact>::new(vec![-2.0, -4.0], Space::Raw, 3).unwrap();
        assert_eq!(rank(&[("bad", &bad), ("good", &good)]).unwrap()[0].0, "good");
        let (gap, error) = good.gap_to(&bad.as_lower_bound()).unwrap();
        assert_eq!((gap, error), (1.5, 0.5));
    }
}
