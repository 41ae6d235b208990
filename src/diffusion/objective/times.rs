//! At which moments a denoiser is trained.

use crate::{Error, Result, archive::Archive, random::Stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// How the moments of the rows of a batch are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Times {
    /// Each by itself, all as often.
    Uniform,
    /// Spread evenly over the rows of the batch, from a common random start.
    #[default]
    Stratified,
    /// A step as often as it costs much: in proportion to the root of the mean square of its nats so far. Of steps alone, not of
    /// continuous time.
    Importance,
}

/// Draws of a step before its costs count.
const WARM: f32 = 10.0;
/// How much of what was is kept of a mean square.
const KEPT: f32 = 0.9;

/// What each step has cost so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Past {
    squares: Vec<f32>,
    counts: Vec<f32>,
}

impl Past {
    pub(super) fn of(steps: usize) -> Self {
        Self { squares: vec![0.0; steps], counts: vec![0.0; steps] }
    }

    /// How often each step is to be drawn; none while one of them is hardly known.
    ///
    /// The step to the data is drawn as often as the one before it: its cost is of another kind.
    pub(super) fn weights(&self) -> Option<Vec<f64>> {
        if self.counts.is_empty() || self.counts.iter().any(|n| *n <= WARM) {
            return None;
        }
        let mut weights: Vec<f64> = self.squares.iter().map(|h| (f64::from(*h) + 1e-10).sqrt() + 1e-4).collect();
        if let [first, second, ..] = weights.as_mut_slice() {
            *first = *second;
        }
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        Some(weights)
    }

    /// A step was drawn, and cost that much: one after the other, so that two draws of a step in a batch both count.
    pub(super) fn add(&mut self, step: usize, nats: f64) {
        let square = (nats * nats) as f32;
        self.squares[step] = KEPT * self.squares[step] + (1.0 - KEPT) * square;
        self.counts[step] += 1.0;
    }

    pub(super) fn save(&self, archive: &mut Archive) {
        archive.put("times/squares", &[self.squares.len()], &self.squares);
        archive.put("times/counts", &[self.counts.len()], &self.counts);
    }

    pub(super) fn load(&mut self, archive: &Archive) -> Result<()> {
        let read = |name: &str, n: usize| -> Result<Vec<f32>> {
            let values: Vec<f32> = archive.get(name, &[n])?;
            match values.iter().all(|x| x.is_finite() && *x >= 0.0) {
                true => Ok(values),
                false => Err(Error::invalid(format!("{name} holds what is no cost and no count"))),
            }
        };
        let n = self.squares.len();
        (self.squares, self.counts) = (read("times/squares", n)?, read("times/counts", n)?);
        Ok(())
    }
}

/// Where in time each of `n` rows is trained, as a share of all moments, and what its nats are to be multiplied by.
pub(super) fn draw(times: Times, n: usize, past: &Past, rng: &mut Stream) -> Vec<(f64, f64)> {
    match (times, past.weights()) {
        (Times::Importance, Some(weights)) => {
            let mut sums = Vec::with_capacity(weights.len());
            weights.iter().fold(0.0, |sum, w| {
                sums.push(sum + w);
                sum + w
            });
            let (all, total) = (weights.len(), sums[weights.len() - 1]);
            let one = |_| {
                let at = rng.random::<f64>() * total;
                let step = sums.partition_point(|sum| *sum <= at).min(all - 1);
                ((step as f64 + 0.5) / all as f64, 1.0 / (weights[step] * all as f64))
            };
            (0..n).map(one).collect()
        }
        (Times::Stratified, _) => {
            let start = rng.random::<f64>();
            (0..n).map(|i| (((start + i as f64 / n as f64) % 1.0), 1.0)).collect()
        }
        _ => (0..n).map(|_| (rng.random(), 1.0)).collect(),
    }
}
