//! Normalising constants, from walks between a law whose constant is known and one whose constant is not.
//!
//! ```text
//! p₀ … p_n, from the known law to the other;  x₀ ~ p₀, x_i by a kernel that keeps p_i
//! w = Σ_i log f_{i+1}(x_i) − log f_i(x_i),    E e^w = Z_n / Z_0
//! ```
//!
//! Walked forwards, the mean of `w` is below `log Z_n / Z_0`; walked backwards, from draws of the other law, that of `−w'` is above: both
//! together enclose it, as far as those draws are draws. What is estimated is neither exact nor a bound, and is called
//! [`Estimate`](crate::evidence::Estimate).

mod paths;
#[cfg(test)]
mod tests;

pub use paths::{FromNormal, FromUniform};

use crate::{
    Error, Result,
    math::{log_sum_exp, student},
    random::Seed,
};

/// Laws between one at 0, whose constant is known, and one at 1.
pub trait Path {
    /// Points, one a walk.
    type State;

    /// `log Z` of the law at 0.
    fn log_z_at_0(&self) -> f64;

    /// `log f_to − log f_from` of every point.
    ///
    /// # Errors
    /// When a point cannot be evaluated.
    fn ratios(&self, state: &mut Self::State, from: f64, to: f64) -> Result<Vec<f64>>;

    /// A step that keeps the law at `beta`.
    ///
    /// # Errors
    /// When a point cannot be evaluated.
    fn walk(&mut self, state: &mut Self::State, beta: f64, seed: Seed) -> Result<()>;
}

/// Where a path is stopped at, from 0 to 1, and how many steps are made at each stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Stops {
    betas: Vec<f64>,
    steps: usize,
}

impl Stops {
    /// So many pieces of the same length.
    ///
    /// # Errors
    /// When there are no pieces or no steps.
    pub fn even(pieces: usize, steps: usize) -> Result<Self> {
        Self::shaped(pieces, steps, |share| share)
    }

    /// Pieces that are short at the beginning, where most of a density takes shape: `β = (i / n)²`.
    ///
    /// # Errors
    /// As [`Self::even`].
    pub fn slow(pieces: usize, steps: usize) -> Result<Self> {
        Self::shaped(pieces, steps, |share| share * share)
    }

    fn shaped(pieces: usize, steps: usize, shape: fn(f64) -> f64) -> Result<Self> {
        if pieces == 0 || steps == 0 {
            return Err(Error::invalid(format!("a path of {pieces} pieces with {steps} steps each")));
        }
        let betas = (0..=pieces).map(|i| shape(i as f64 / pieces as f64)).collect();
        Ok(Self { betas, steps })
    }
}

/// The logarithms of weights, one a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `log f₁ / f₀` along each walk, in the direction from 0 to 1, nats.
    pub logs: Vec<f64>,
    log_z_at_0: f64,
}

/// Annealed importance sampling: walks that begin with draws of the law at 0. Source: Neal 2001.
///
/// # Errors
/// When a point cannot be evaluated.
pub fn forwards<P: Path>(path: &mut P, state: &mut P::State, stops: &Stops, seed: Seed) -> Result<Weights> {
    let mut logs: Vec<f64> = Vec::new();
    for (i, pair) in stops.betas.windows(2).enumerate() {
        add(&mut logs, path.ratios(state, pair[0], pair[1])?);
        // At the last stop there is nothing left to weigh.
        if i + 2 < stops.betas.len() {
            steps(path, state, pair[1], stops.steps, seed.child("stop", i as u64))?;
        }
    }
    Ok(Weights { logs, log_z_at_0: path.log_z_at_0() })
}

/// The same the other way, from draws of the law at 1, which stands and falls with them.
///
/// # Errors
/// When a point cannot be evaluated.
pub fn backwards<P: Path>(path: &mut P, state: &mut P::State, stops: &Stops, seed: Seed) -> Result<Weights> {
    let mut logs: Vec<f64> = Vec::new();
    for (i, pair) in stops.betas.windows(2).enumerate().rev() {
        add(&mut logs, path.ratios(state, pair[0], pair[1])?);
        if i > 0 {
            steps(path, state, pair[0], stops.steps, seed.child("stop", i as u64))?;
        }
    }
    Ok(Weights { logs, log_z_at_0: path.log_z_at_0() })
}

fn add(logs: &mut Vec<f64>, ratios: Vec<f64>) {
    if logs.is_empty() {
        *logs = ratios;
    } else {
        logs.iter_mut().zip(ratios).for_each(|(log, ratio)| *log += ratio);
    }
}

fn steps<P: Path>(path: &mut P, state: &mut P::State, beta: f64, steps: usize, seed: Seed) -> Result<()> {
    (0..steps).try_for_each(|step| path.walk(state, beta, seed.child("step", step as u64)))
}

/// `log Z` between two numbers that it lies between on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Nats.
    pub low: f64,
    /// Nats.
    pub high: f64,
    /// The best single number.
    pub estimate: f64,
}

impl Weights {
    /// `log Z` from walks forwards: `log mean e^w`, which is below on average.
    pub fn from_below(&self) -> f64 {
        self.log_z_at_0 + log_mean_exp(self.logs.iter().copied())
    }

    /// `log Z` from walks backwards: `−log mean e^−w`, which is above on average.
    pub fn from_above(&self) -> f64 {
        self.log_z_at_0 - log_mean_exp(self.logs.iter().map(|w| -w))
    }

    /// How far beyond [`Self::from_below`], or above [`Self::from_above`], `log Z` may lie in one case of forty, nats. Where weights are alike it is
    /// Student's interval of their mean; where they are not, Markov's inequality, which asks nothing of them: a mean of weights is forty
    /// times what is expected of it in one case of forty at most. Of one walk it is all that can be said.
    ///
    /// Both trust that walks backwards begin with draws of the law.
    pub fn error(&self, backwards: bool) -> f64 {
        let n = self.logs.len() as f64;
        let sign = if backwards { -1.0 } else { 1.0 };
        let most = self.logs.iter().map(|w| sign * w).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.logs.iter().map(|w| (sign * w - most).exp()).collect();
        let mean = weights.iter().sum::<f64>() / n;
        let square = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let share = student(self.logs.len()) * (square / n).sqrt() / mean;
        let beyond = if share < 1.0 { -(-share).ln_1p() } else { f64::INFINITY };
        beyond.min(40.0_f64.ln())
    }

    /// Walks forwards and walks backwards, together: Bennett's acceptance ratio.
    ///
    /// ```text
    /// Σ_forwards 1 / (1 + e^{M − w + C}) = Σ_backwards 1 / (1 + e^{w − C − M}),    M = log n_forwards / n_backwards
    /// ```
    ///
    /// with `w` from 0 to 1 and `C = log Z₁ / Z₀`: of all estimates from both, the one of least variance. Source: Bennett 1976.
    ///
    /// # Errors
    /// When there are no walks, or a weight is not finite.
    pub fn bracket(forwards: &Self, backwards: &Self) -> Result<Bracket> {
        let all = || forwards.logs.iter().chain(&backwards.logs);
        if forwards.logs.is_empty() || backwards.logs.is_empty() || all().any(|w| !w.is_finite()) {
            return Err(Error::invalid("a bracket from no walks, or from weights that are not finite"));
        }
        let m = (forwards.logs.len() as f64 / backwards.logs.len() as f64).ln();
        let fermi = |x: f64| 1.0 / (1.0 + x.exp());
        // Falls as C grows.
        let excess = |c: f64| {
            let back: f64 = backwards.logs.iter().map(|w| fermi(w - c - m)).sum();
            let there: f64 = forwards.logs.iter().map(|w| fermi(m - w + c)).sum();
            there - back
        };
        let (mut low, mut high) =
            all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), w| (low.min(*w), high.max(*w)));
        (low, high) = (low - m.abs() - 1.0, high + m.abs() + 1.0);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if excess(middle) > 0.0 { low = middle } else { high = middle }
        }
        let estimate = forwards.log_z_at_0 + 0.5 * (low + high);
        Ok(Bracket { low: forwards.from_below(), high: backwards.from_above(), estimate })
    }
}

fn log_mean_exp(logs: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = logs.len() as f64;
    log_sum_exp(logs) - n.ln()
}
