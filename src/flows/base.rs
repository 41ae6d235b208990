//! Base distributions: what a flow turns the data into.

use super::{Batch, PerRow};
use crate::{
    Error, Result,
    math::log_sum_exp,
    nn::{Device, Real, ops::rowwise},
    random::{Stream, categorical},
};
use dfdx::{
    shapes::{Axis, Dim, HasShape},
    tensor::{PutTape, SplitTape, Tape, WithEmptyTape},
    tensor_ops::SumTo,
};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::f64::consts::{PI, TAU};

/// A distribution on `ℝᴰ` whose density and samples are one pass.
pub trait Base {
    /// Log-density of every row, nats.
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T>;

    /// One row of `dims` coordinates.
    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64>;

    /// `n` independent rows of `dims` coordinates.
    fn sample<D: Dim, E: Real, Dev: Device<E>>(
        &self,
        (n, dims): (usize, D),
        device: &Dev,
        rng: &mut Stream,
    ) -> Batch<D, E, Dev> {
        device.tensor_from_vec((0..n).flat_map(|_| self.draw(dims.size(), rng)).map(E::of).collect(), (n, dims))
    }
}

/// The standard normal distribution.
///
/// ```text
/// log p(z) = −½ Σ (zᵢ² + log 2π)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Normal;

/// The standard logistic distribution.
///
/// ```text
/// log p(z) = −Σ (softplus(zᵢ) + softplus(−zᵢ))
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic;

/// Student's t distribution of three degrees of freedom, each coordinate by itself: tails that fall as a power, and a variance.
///
/// ```text
/// log p(z) = Σ log (2 / (π √3)) − 2 log(1 + zᵢ² / 3)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Student;

/// The base of a flow of a table, as a setting: what the tails of the data are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableBase {
    /// [`Normal`].
    #[default]
    Normal,
    /// [`Logistic`]: tails that fall exponentially.
    Logistic,
    /// [`Student`]: heavy tails.
    Student,
}

/// The uniform distribution on `[0, 1)`.
///
/// ```text
/// log p(z) = 0 inside, −∞ outside
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Uniform;

/// A mixture of normal distributions with independent coordinates: a base with modes of its own, so that a flow need not tear
/// one apart.
///
/// ```text
/// log p(z) = log Σ_k w_k Π_i N(zᵢ; m_ki, s_k²)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Modes {
    log_weights: Vec<f64>,
    means: Vec<Vec<f64>>,
    deviations: Vec<f64>,
}

impl Modes {
    /// A weight, a mean and a deviation for each mode. Weights are made to add up to one.
    ///
    /// # Errors
    /// When there is no mode, their numbers or dimensions differ, or a weight or a deviation is not positive.
    pub fn new(weights: &[f64], means: Vec<Vec<f64>>, deviations: Vec<f64>) -> Result<Self> {
        let n = weights.len();
        let same = means.len() == n && deviations.len() == n && means.iter().all(|m| m.len() == means[0].len());
        let positive = |x: &f64| *x > 0.0 && x.is_finite();
        if n == 0 || !same || !weights.iter().chain(&deviations).all(positive) {
            return Err(Error::invalid(
                "each mode needs a mean of the same dimensions, a positive weight and deviation",
            ));
        }
        let total: f64 = weights.iter().sum();
        Ok(Self { log_weights: weights.iter().map(|w| (w / total).ln()).collect(), means, deviations })
    }

    /// The logarithm of each mode's share of the density at a point.
    fn logs<'a>(&'a self, z: &'a [f64]) -> impl Iterator<Item = f64> + Clone + 'a {
        let parts = self.log_weights.iter().zip(&self.means).zip(&self.deviations);
        parts.map(move |((log_weight, mean), s)| {
            let squares: f64 = z.iter().zip(mean).map(|(z, m)| ((z - m) / s).powi(2)).sum();
            log_weight - 0.5 * squares - z.len() as f64 * (s.ln() + 0.5 * TAU.ln())
        })
    }
}

impl Base for Modes {
    /// # Panics
    /// When the rows have other dimensions than the means.
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        let d = z.shape().1.size();
        assert_eq!(d, self.means[0].len(), "rows of {d} coordinates, modes of {}", self.means[0].len());
        let wide = |row: &[E]| row.iter().map(|x| x.wide()).collect::<Vec<f64>>();
        let modes = self.clone();
        rowwise(
            z,
            |_, row| E::of(log_sum_exp(self.logs(&wide(row)))),
            move |_, row, given, into| {
                let row = wide(row);
                let total = log_sum_exp(modes.logs(&row));
                for ((log, mean), s) in modes.logs(&row).zip(&modes.means).zip(&modes.deviations) {
                    let share = (log - total).exp() / (s * s);
                    for ((into, z), m) in into.iter_mut().zip(&row).zip(mean) {
                        *into += given * E::of(share * (m - z));
                    }
                }
            },
        )
    }

    fn draw(&self, _: usize, rng: &mut Stream) -> Vec<f64> {
        let k = categorical(&self.log_weights.iter().map(|w| w.exp()).collect::<Vec<_>>(), rng).unwrap_or(0);
        self.means[k]
            .iter()
            .map(|m| m + self.deviations[k] * Distribution::<f64>::sample(&StandardNormal, rng))
            .collect()
    }
}

impl Base for Uniform {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        let d = z.shape().1.size();
        let inside = |row: &[E]| row.iter().all(|x| (0.0..1.0).contains(&x.wide()));
        let logs = z.as_vec().chunks(d).map(|row| E::of(if inside(row) { 0.0 } else { f64::NEG_INFINITY })).collect();
        // The slope is zero along every coordinate, but the history of the rows goes on.
        let (z, tape) = z.split_tape();
        z.device().tensor_from_vec(logs, (z.shape().0,)).put_tape(tape)
    }

    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64> {
        (0..dims).map(|_| rng.random()).collect()
    }
}

impl Base for Normal {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        let dims = z.shape().1.size() as f64;
        z.square().sum::<_, Axis<1>>() * E::of(-0.5) - E::of(0.5 * dims * TAU.ln())
    }

    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64> {
        (0..dims).map(|_| StandardNormal.sample(rng)).collect()
    }
}

/// `Γ(2) / (Γ(3/2) √(3π))`, the density at zero.
const STUDENT_PEAK: f64 = 2.0 / (PI * 1.732_050_807_568_877_2);

impl Base for Student {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        let third = E::of(1.0 / 3.0);
        rowwise(
            z,
            move |_, row| {
                let each = row.iter().map(|z| E::of(STUDENT_PEAK.ln()) - E::of(2.0) * (*z * *z * third).ln_1p());
                each.fold(E::default(), |sum, log| sum + log)
            },
            move |_, row, given, into| {
                for (into, z) in into.iter_mut().zip(row) {
                    *into += given * E::of(-4.0) * third * *z / (E::ONE + *z * *z * third);
                }
            },
        )
    }

    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64> {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let mut one = || {
            let (z, square) = (normal(), (0..3).map(|_| normal().powi(2)).sum::<f64>());
            z / (square / 3.0).sqrt()
        };
        (0..dims).map(|_| one()).collect()
    }
}

impl Base for TableBase {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        match self {
            Self::Normal => Normal.log_prob(z),
            Self::Logistic => Logistic.log_prob(z),
            Self::Student => Student.log_prob(z),
        }
    }

    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64> {
        match self {
            Self::Normal => Normal.draw(dims, rng),
            Self::Logistic => Logistic.draw(dims, rng),
            Self::Student => Student.draw(dims, rng),
        }
    }
}

impl Base for Logistic {
    fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> PerRow<E, Dev, T> {
        // softplus(z) + softplus(−z) = |z| + 2 log(1 + e^−|z|).
        let size = z.abs();
        let log = (size.with_empty_tape().negate().exp() + E::ONE).ln() * E::of(2.0);
        (size + log).sum::<_, Axis<1>>().negate()
    }

    fn draw(&self, dims: usize, rng: &mut Stream) -> Vec<f64> {
        let one = |_| {
            let u: f64 = loop {
                let u = rng.random();
                if u > 0.0 {
                    break u;
                }
            };
            u.ln() - (-u).ln_1p()
        };
        (0..dims).map(one).collect()
    }
}
