//! What a likelihood number *is*: exact, a bound, an estimate, or unnormalised; of which rows, in which space.

mod any;
mod fingerprint;
mod space;

pub use any::AnyEvidence;
pub use fingerprint::Fingerprint;
pub use space::Space;

use crate::{Error, Result};
use std::marker::PhantomData;

/// What is known of a log-likelihood. Sealed: [`Exact`], [`LowerBound`], [`Estimate`], [`Unnormalised`].
pub trait Certainty: sealed::Sealed {
    /// The name in reports: `exact`, `lower_bound`, `estimate`, `unnormalised`.
    const NAME: &'static str;
}
/// A certainty whose densities integrate to at most one, so that it measures a code length.
pub trait Normalised: Certainty {}

/// The log-likelihood itself.
#[derive(Clone, Copy, Debug)]
pub enum Exact {}
/// A number that the log-likelihood is never below: an ELBO, an IWAE bound.
#[derive(Clone, Copy, Debug)]
pub enum LowerBound {}
/// A number that the log-likelihood may be above or below, by as much as its interval says: one whose normalising constant was
/// sampled, as by annealed importance sampling.
#[derive(Clone, Copy, Debug)]
pub enum Estimate {}
/// A log-density without its constant: only differences within one model mean anything.
#[derive(Clone, Copy, Debug)]
pub enum Unnormalised {}

mod sealed {
    use super::{AnyEvidence, Certainty, Estimate, Evidence, Exact, LowerBound, Unnormalised};

    pub trait Sealed: Sized {
        fn any(evidence: Evidence<Self>) -> AnyEvidence
        where
            Self: Certainty;
    }
    macro_rules! sealed {
        ($($kind:ident $name:literal),+) => {$(
            impl Sealed for $kind {
                fn any(evidence: Evidence<Self>) -> AnyEvidence {
                    AnyEvidence::$kind(evidence)
                }
            }
            impl Certainty for $kind {
                const NAME: &'static str = $name;
            }
        )+};
    }
    sealed!(Exact "exact", LowerBound "lower_bound", Estimate "estimate", Unnormalised "unnormalised");
}
impl Normalised for Exact {}
impl Normalised for LowerBound {}

/// Per-sample log-likelihoods in nats, with what they mean.
///
/// ```
/// # use limbeck::evidence::{Evidence, Exact, Space};
/// let two_fair_coins = Evidence::<Exact>::new(vec![0.25_f64.ln(); 10], Space::Raw, 2)?;
/// assert_eq!(two_fair_coins.bits_per_dim()?, 1.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
/// An ELBO is not ranked with an exact likelihood, and neither an unnormalised density nor an estimate is a code length: neither
/// compiles (`tests/compile_fail/evidence_*.rs`).
#[derive(Clone, Debug)]
pub struct Evidence<K: Certainty> {
    log_probs: Vec<f64>,
    space: Space,
    dims: usize,
    known: usize,
    rows: Option<Fingerprint>,
    /// By how much the mean may be too high, and too low, nats. Zero where nothing was drawn.
    interval: (f64, f64),
    certainty: PhantomData<K>,
}

impl<K: Certainty> Evidence<K> {
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
        Ok(Self { log_probs, space, dims, known, rows: None, interval: (0.0, 0.0), certainty: PhantomData })
    }

    /// The same, and of which rows: [`fingerprint`](crate::data::fingerprint) tells.
    pub fn of_rows(self, rows: Fingerprint) -> Self {
        Self { rows: Some(rows), ..self }
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

    /// The rows it is of, where that was said.
    pub fn rows(&self) -> Option<Fingerprint> {
        self.rows
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
    /// [`Error::Incomparable`] in different spaces or of other rows; [`Error::Invalid`] for another number of samples.
    pub fn minus(&self, other: &Self) -> Result<(f64, f64)> {
        self.comparable(other)?;
        if self.rows != other.rows {
            let of =
                |rows: Option<Fingerprint>| rows.map_or("rows that were not named".into(), |r| format!("rows {r}"));
            return Err(Error::Incomparable {
                left: of(self.rows),
                right: of(other.rows),
                reason: "a difference is taken row by row; score both on the same rows (`of_rows` names them)",
            });
        }
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

    /// Nats as bits a dimension with a value, where that is a code length.
    fn bits(&self, nats: f64) -> Result<f64> {
        if self.known == 0 {
            return Err(Error::invalid("every value is missing: there is no dimension to share the bits among"));
        }
        let reason = match self.space {
            Space::Logit { .. } => "add the transform's log-determinant with `into_dequantised`",
            Space::Continuous => "a density of real numbers is no code length: it changes with their unit",
            _ => return Ok(bits_per_dim(nats, self.known)),
        };
        Err(Error::Incomparable { left: self.space.to_string(), right: "bits".into(), reason })
    }

    /// The same in another space, where it is of rows that were mapped to that one before the model saw them.
    ///
    /// # Errors
    /// When it is in a space of its own already.
    pub fn of_mapped(self, space: Space) -> Result<Self> {
        match self.space {
            Space::Raw => Ok(Self { space, ..self }),
            own => Err(Error::invalid(format!("evidence in the space {own} is of no rows in {space}"))),
        }
    }

    /// The same as one of any kind.
    pub fn any(self) -> AnyEvidence {
        K::any(self)
    }
}

impl<K: Normalised> Evidence<K> {
    /// Code length, bits a dimension: `−Σ log p / (dimensions with a value · ln 2)`.
    ///
    /// # Errors
    /// [`Error::Incomparable`] in logit space, where it would not be one (use [`Self::into_dequantised`] first), and of real
    /// numbers, whose densities change with their unit. Also where no value is known.
    pub fn bits_per_dim(&self) -> Result<f64> {
        self.bits(-self.log_probs.iter().sum::<f64>())
    }

    /// Standard error of [`Self::bits_per_dim`].
    ///
    /// # Errors
    /// As [`Self::bits_per_dim`].
    pub fn bits_per_dim_error(&self) -> Result<f64> {
        self.bits(self.standard_error() * self.len() as f64)
    }

    /// An exact likelihood or a bound, taken as the lower bound that it is.
    pub fn as_lower_bound(&self) -> Evidence<LowerBound> {
        Evidence {
            log_probs: self.log_probs.clone(),
            space: self.space.clone(),
            dims: self.dims,
            known: self.known,
            rows: self.rows,
            interval: self.interval,
            certainty: PhantomData,
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
        let known = self.known;
        let dequantised = Self::new(log_probs, Space::Dequantised { levels }, self.dims)?.of_known(known)?;
        Ok(Self { rows: self.rows, ..dequantised })
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

/// A certainty whose numbers may have been estimated from draws, and then come with an interval.
pub trait Drawn: Certainty {}
impl Drawn for LowerBound {}
impl Drawn for Estimate {}

impl<K: Drawn> Evidence<K> {
    /// The same, whose mean may be too high by `above` and too low by `below`, nats a sample: the interval of what was estimated. Of
    /// a lower bound that was drawn, it is where the bound itself lies.
    ///
    /// # Errors
    /// When either is negative or NaN.
    pub fn within(self, above: f64, below: f64) -> Result<Self> {
        if !(above >= 0.0 && below >= 0.0) {
            return Err(Error::invalid(format!("an estimate too high by {above} or too low by {below}: both are ≥ 0")));
        }
        Ok(Self { interval: (above, below), ..self })
    }

    /// The least and the largest that [`Evidence::mean`] may be, nats a sample.
    pub fn interval(&self) -> (f64, f64) {
        let (above, below) = self.interval;
        (self.mean() - above, self.mean() + below)
    }

    /// What the estimate would be as a code length, bits a dimension: the least and the largest.
    ///
    /// # Errors
    /// As [`Evidence::bits_per_dim`].
    pub fn bits_per_dim_interval(&self) -> Result<(f64, f64)> {
        let ((low, high), n) = (self.interval(), self.len() as f64);
        Ok((self.bits(-high * n)?, self.bits(-low * n)?))
    }
}

/// `nats / (dims · ln 2)`: a loss in nats a row of `dims` categories, as a code length.
pub fn bits_per_dim(nats: f64, dims: usize) -> f64 {
    // A certain row costs 0, and not −0.
    (nats + 0.0) / (dims as f64 * std::f64::consts::LN_2)
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
        let certain = Evidence::<Exact>::new(vec![0.0; 3], Space::Raw, 2).unwrap();
        assert_eq!(certain.bits_per_dim().unwrap().to_bits(), 0.0_f64.to_bits());
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
    #[test]
    fn other_rows_have_no_difference() {
        let of = |seen: &[u8]| {
            let mut hash = <sha2::Sha256 as sha2::Digest>::new();
            sha2::Digest::update(&mut hash, seen);
            coins(2, Space::Raw).of_rows(Fingerprint::of(hash))
        };
        assert_eq!(of(b"a").minus(&of(b"a")).unwrap(), (0.0, 0.0));
        let error = of(b"a").minus(&of(b"b")).unwrap_err().to_string();
        assert!(error.starts_with("cannot compare rows ca978112ca1bbdca with rows 3e23e8160039594a"), "{error}");
        assert!(of(b"a").gap_to(&coins(2, Space::Raw).as_lower_bound()).is_err());
        let text = serde_json::to_string(&of(b"a").rows()).unwrap();
        assert_eq!(text, "\"ca978112ca1bbdca\"");
        assert_eq!(serde_json::from_str::<Option<Fingerprint>>(&text).unwrap(), of(b"a").rows());
        assert!(serde_json::from_str::<Fingerprint>("\"ca97\"").is_err());
    }

    #[test]
    fn a_density_of_real_numbers_has_no_bits() {
        let error = coins(2, Space::Continuous).bits_per_dim().unwrap_err().to_string();
        assert!(error.contains("changes with their unit"), "{error}");
        assert_eq!(coins(2, Space::Continuous).any().bits_per_dim(), None);
    }

    #[test]
    fn the_error_of_bits_is_that_of_nats_by_dimension() {
        let two = Evidence::<Exact>::new(vec![-1.0, -2.0], Space::Raw, 3).unwrap();
        let per_dim = two.standard_error() / (3.0 * std::f64::consts::LN_2);
        assert!((two.bits_per_dim_error().unwrap() - per_dim).abs() < 1e-15);
    }

    #[test]
    fn an_estimate_comes_with_its_interval() {
        let estimate = Evidence::<Estimate>::new(vec![-1.0, -2.0], Space::Raw, 1).unwrap().within(0.5, 0.25).unwrap();
        assert_eq!(estimate.interval(), (-2.0, -1.25));
        let (low, high) = estimate.bits_per_dim_interval().unwrap();
        assert_eq!((low, high), (1.25 / std::f64::consts::LN_2, 2.0 / std::f64::consts::LN_2));
        let any = estimate.clone().any();
        assert_eq!((any.certainty(), any.interval()), ("estimate", Some((-2.0, -1.25))));
        assert!(low < any.bits_per_dim().unwrap() && any.bits_per_dim().unwrap() < high);
        assert!(estimate.within(f64::NAN, 0.0).is_err());
    }
}
