//! Sentences of sources, tested at our scale on several seeds, and the ledger of their verdicts.

use crate::{Error, Result, archive::write_atomically, notebook::Budget};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// What the interval of a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is on the side of the claim.
    Holds,
    /// All of it is on the other side.
    Fails,
    /// It has both sides.
    Undecided,
}

impl Verdict {
    /// As in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "does not hold",
            Self::Undecided => "undecided",
        }
    }
}

/// A sentence, and a number for each seed that is positive where the sentence is true.
///
/// ```
/// # use limbeck::experiments::{Claim, Verdict};
/// let claim = Claim::new("A beats B", "A and B 2020", "NLL of B − NLL of A, nats", &[0.3, 0.4, 0.2, 0.35, 0.3]);
/// assert_eq!(claim.verdict(), Verdict::Holds);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// What is claimed.
    pub sentence: String,
    /// Who claims it.
    pub source: String,
    /// What the numbers are, with their unit.
    pub measure: String,
    /// One a seed.
    pub values: Vec<f64>,
}

impl Claim {
    /// A claim with what was measured.
    pub fn new(sentence: &str, source: &str, measure: &str, values: &[f64]) -> Self {
        Self { sentence: sentence.into(), source: source.into(), measure: measure.into(), values: values.to_vec() }
    }

    /// Mean of the values.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The interval that holds the mean of all seeds with a probability of 95 %, by Student's distribution.
    pub fn interval(&self) -> (f64, f64) {
        let (n, mean) = (self.values.len() as f64, self.mean());
        let variance = self.values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student(self.values.len()) * (variance / n).sqrt();
        (mean - half, mean + half)
    }

    /// What the interval says; undecided from fewer than two seeds.
    pub fn verdict(&self) -> Verdict {
        match self.interval() {
            (low, _) if low > 0.0 => Verdict::Holds,
            (_, high) if high < 0.0 => Verdict::Fails,
            _ => Verdict::Undecided,
        }
    }
}

/// The 97.5 % quantile of Student's distribution with `n − 1` degrees of freedom; that of twenty seeds for more.
fn student(n: usize) -> f64 {
    const QUANTILES: [f64; 19] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093,
    ];
    if n < 2 { f64::INFINITY } else { QUANTILES[(n - 2).min(18)] }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    claim: String,
    source: String,
    measure: String,
    scale: String,
    seeds: usize,
    mean: f64,
    low: f64,
    high: f64,
    verdict: String,
}

/// Enters claims into the ledger, in place of those of the same words and scale.
pub(super) fn enter(path: &Path, claims: &[Claim], scale: Budget) -> Result<()> {
    let mut entries: Vec<Entry> = Vec::new();
    if path.exists() {
        let mut reader = csv::Reader::from_path(path).map_err(|e| Error::file(path, e))?;
        entries = reader.deserialize().collect::<std::result::Result<_, _>>().map_err(|e| Error::file(path, e))?;
    }
    let round = |x: f64| (x * 1e4).round() / 1e4;
    for claim in claims {
        let (low, high) = claim.interval();
        let entry = Entry {
            claim: claim.sentence.clone(),
            source: claim.source.clone(),
            measure: claim.measure.clone(),
            scale: scale.to_string(),
            seeds: claim.values.len(),
            mean: round(claim.mean()),
            low: round(low),
            high: round(high),
            verdict: claim.verdict().name().into(),
        };
        match entries.iter_mut().find(|e| e.claim == entry.claim && e.scale == entry.scale) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for entry in &entries {
        writer.serialize(entry).map_err(Error::invalid)?;
    }
    let bytes = writer.into_inner().map_err(Error::invalid)?;
    write_atomically(path, |file| io::Write::write_all(file, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_what_the_interval_says() {
        let verdict = |values: &[f64]| Claim::new("", "", "", values).verdict();
        assert_eq!(verdict(&[1.0, 1.1, 0.9, 1.0, 1.0]), Verdict::Holds);
        assert_eq!(verdict(&[-1.0, -1.1, -0.9]), Verdict::Fails);
        assert_eq!(verdict(&[1.0, -1.0, 0.5, 2.0]), Verdict::Undecided);
        assert_eq!(verdict(&[1.0]), Verdict::Undecided);
        let (low, high) = Claim::new("", "", "", &[1.0, 2.0, 3.0]).interval();
        assert!((low + 0.4841).abs() < 1e-3 && (high - 4.4841).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn the_ledger_keeps_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claims.csv");
        let claim = |sentence: &str, value: f64| Claim::new(sentence, "a source", "nats", &[value, value + 0.1]);
        enter(&path, &[claim("one", 1.0), claim("two", 2.0)], Budget::Small).unwrap();
        enter(&path, &[claim("one", 5.0)], Budget::Small).unwrap();
        enter(&path, &[claim("one", 7.0)], Budget::Full).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let means: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').nth(5).unwrap()).collect();
        assert_eq!(means, ["5.05", "2.05", "7.05"]);
    }
}
