//! Sentences of sources, tested at our scale on several seeds, and the ledger of their verdicts.

use crate::{Error, Result, archive::write_atomically, math::student, notebook::Budget};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// What the seeds of a claim say: the interval of their mean and their ranks, which must agree. The ranks ask for no normal
/// distribution, and no single seed decides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval is on the side of the claim, and the ranks are below a chance of 5 %.
    Holds,
    /// The same on the other side.
    Fails,
    /// Anything else.
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
    /// What each seed was given: rows, epochs or steps.
    pub budget: String,
    /// Where a number comes from that decides, if there is one: the source, or this project.
    pub threshold: String,
    /// One a seed.
    pub values: Vec<f64>,
}

impl Claim {
    /// A claim with what was measured.
    pub fn new(sentence: &str, source: &str, measure: &str, values: &[f64]) -> Self {
        let [sentence, source, measure] = [sentence, source, measure].map(String::from);
        Self { sentence, source, measure, budget: String::new(), threshold: "none".into(), values: values.to_vec() }
    }

    /// What each seed was given.
    #[must_use]
    pub fn budget(self, budget: impl Into<String>) -> Self {
        Self { budget: budget.into(), ..self }
    }

    /// A number that decides, and whose it is.
    #[must_use]
    pub fn threshold(self, threshold: &str) -> Self {
        Self { threshold: threshold.into(), ..self }
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

    /// How often signs at random would give ranks as far on the side of the claim, and on the other: Wilcoxon's signed ranks,
    /// exactly. Equal values share their ranks, and zeros none.
    pub fn ranks(&self) -> [f64; 2] {
        let mut sizes: Vec<f64> = self.values.iter().copied().filter(|v| *v != 0.0).collect();
        sizes.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        // Twice the ranks, which are whole numbers where ties share theirs.
        let rank = |v: &f64| {
            let below = sizes.iter().filter(|w| w.abs() < v.abs()).count();
            2 * below + sizes.iter().filter(|w| w.abs() == v.abs()).count() + 1
        };
        let ranks: Vec<usize> = sizes.iter().map(rank).collect();
        let sum = |sign: f64| ranks.iter().zip(&sizes).filter(|(_, v)| **v * sign > 0.0).map(|(r, _)| r).sum::<usize>();
        // How likely each sum is.
        let mut chances = vec![1.0];
        for rank in &ranks {
            let mut next = vec![0.0; chances.len() + rank];
            for (i, chance) in chances.iter().enumerate() {
                next[i] += chance / 2.0;
                next[i + rank] += chance / 2.0;
            }
            chances = next;
        }
        [1.0, -1.0].map(|sign| chances[sum(sign)..].iter().sum())
    }

    /// What the seeds say.
    pub fn verdict(&self) -> Verdict {
        const CHANCE: f64 = 0.05;
        let [for_it, against] = self.ranks();
        match self.interval() {
            (low, _) if low > 0.0 && for_it < CHANCE => Verdict::Holds,
            (_, high) if high < 0.0 && against < CHANCE => Verdict::Fails,
            _ => Verdict::Undecided,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    claim: String,
    source: String,
    measure: String,
    #[serde(default)]
    budget: String,
    #[serde(default)]
    threshold: String,
    scale: String,
    seeds: usize,
    mean: f64,
    low: f64,
    high: f64,
    /// The smaller of [`Claim::ranks`].
    #[serde(default)]
    ranks: f64,
    verdict: String,
}

/// Enters claims into the ledger, in place of those of the same words, budget and scale.
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
            budget: claim.budget.clone(),
            threshold: claim.threshold.clone(),
            scale: scale.to_string(),
            seeds: claim.values.len(),
            mean: round(claim.mean()),
            low: round(low),
            high: round(high),
            ranks: round(claim.ranks().into_iter().fold(1.0, f64::min)),
            verdict: claim.verdict().name().into(),
        };
        let key = |e: &Entry| [&e.claim, &e.budget, &e.scale].map(String::clone);
        match entries.iter_mut().find(|e| key(e) == key(&entry)) {
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
        assert_eq!(verdict(&[-1.0, -1.1, -0.9, -1.2, -1.0]), Verdict::Fails);
        // Three seeds are too few for ranks.
        assert_eq!(verdict(&[-1.0, -1.1, -0.9]), Verdict::Undecided);
        assert_eq!(verdict(&[1.0, -1.0, 0.5, 2.0]), Verdict::Undecided);
        assert_eq!(verdict(&[1.0]), Verdict::Undecided);
        // 31 of 32 sums of the ranks 1 to 5 are below 15; ties share 1.5 each.
        let ranks = |values: &[f64]| Claim::new("", "", "", values).ranks();
        assert_eq!(ranks(&[1.0, 2.0, 3.0, 4.0, 5.0]), [1.0 / 32.0, 1.0]);
        assert_eq!(ranks(&[1.0, -2.0, 3.0, 4.0, 5.0]), [3.0 / 32.0, 30.0 / 32.0]);
        assert_eq!(ranks(&[1.0, -1.0, 0.0]), [0.75, 0.75]);
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
        let means: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').nth(7).unwrap()).collect();
        assert_eq!(means, ["5.05", "2.05", "7.05"]);
    }
}
