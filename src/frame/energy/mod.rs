//! Energies that networks learn: `p(x) = 1/Z e^Φ(x) N(x; 0, σ²)`.

mod conv_net;
#[cfg(test)]
mod tests;

pub use conv_net::{ConvNet, Head};

use super::samplers::LogDensity;
use crate::{
    Error, Result,
    nn::{Activation, Dense, Device, Identity, Perceptron, inputs_alone},
    simd::{sum_of, vectorised},
};
use dfdx::{
    nn::{Module, TensorCollection},
    prelude::Backward,
    shapes::{Axis, Const, HasShape},
    tensor::{Cpu, Tape, Tensor, Trace},
    tensor_ops::{ReshapeTo, SumTo},
};

/// Points `(batch, dims)`.
pub type Points<Dev, T = dfdx::tensor::NoneTape> = Tensor<(usize, usize), f32, Dev, T>;
/// A number a point.
pub type Scores<Dev, T = dfdx::tensor::NoneTape> = Tensor<(usize,), f32, Dev, T>;

/// A scoring function `Φ(x; θ)`: high where a point is likely.
pub trait Scoring<Dev: Device<f32> = Cpu>: TensorCollection<f32, Dev> {
    /// Numbers of a point.
    fn dims(&self) -> usize;

    /// `Φ` of every point.
    fn scores<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Scores<Dev, T>;
}

/// The linear one, `Φ = θᵀx + b`.
impl<Dev: Device<f32>> Scoring<Dev> for Dense<usize, Const<1>, Identity, f32, Dev> {
    fn dims(&self) -> usize {
        self.weight.shape().1
    }

    fn scores<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Scores<Dev, T> {
        let rows = x.shape().0;
        self.forward(x).reshape_like(&(rows,))
    }
}

/// Of points with few numbers.
impl<A: Activation, Dev: Device<f32>> Scoring<Dev> for Perceptron<usize, Const<1>, A, f32, Dev> {
    fn dims(&self) -> usize {
        self.sizes()[0]
    }

    fn scores<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Scores<Dev, T> {
        let rows = x.shape().0;
        self.forward(x).reshape_like(&(rows,))
    }
}

/// A law by a scoring function on top of independent normal numbers.
///
/// ```text
/// p(x; θ) = 1/Z(θ) exp(Φ(x; θ) − |x|² / 2σ²)
/// ```
///
/// ```
/// # use limbeck::{dfdx::prelude::*, frame::{Energy, samplers::{Chains, Sampler, Ula}}, nn::{Dense, Identity}, prelude::*};
/// let device = Cpu::default();
/// let mut slope = Dense::<usize, Const<1>, Identity>::new(&device, 2, Const)?;
/// slope.weight = device.tensor_from_vec(vec![1.0, -2.0], (Const, 2));
/// let law = Energy::new(&device, slope, 1.0)?;
/// let mut chains = Chains::normal(2000, 2, 1.0, Seed(0))?;
/// Ula::new(0.1)?.steps(&law, &mut chains, 100, Seed(1))?;
/// let mean = |d: usize| chains.points().iter().skip(d).step_by(2).sum::<f32>() / 2000.0;
/// assert!((mean(0) - 1.0).abs() < 0.1 && (mean(1) + 2.0).abs() < 0.1);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Energy<N, Dev = Cpu> {
    /// `Φ`.
    pub score: N,
    deviation: f64,
    device: Dev,
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Energy<N, Dev> {
    /// A scoring function on normal numbers of the deviation `σ`; ∞ for none at all, and then `Φ` has to keep points together.
    ///
    /// # Errors
    /// When the deviation is not above 0.
    pub fn new(device: &Dev, score: N, deviation: f64) -> Result<Self> {
        match deviation > 0.0 {
            true => Ok(Self { score, deviation, device: device.clone() }),
            false => Err(Error::out_of_range("deviation", deviation, "0 < deviation")),
        }
    }

    /// `σ`.
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Where its network is.
    pub fn device(&self) -> &Dev {
        &self.device
    }

    /// `Φ` of points, and its slopes in the places of the points.
    pub fn scores_and_slopes(&self, points: &[f32]) -> (Vec<f32>, Vec<f32>) {
        self.lent().scores_and_slopes(points)
    }

    fn lent(&self) -> Lent<'_, N, Dev> {
        Lent { score: &self.score, deviation: self.deviation, device: &self.device }
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> LogDensity for Energy<N, Dev> {
    type Number = f32;

    fn dims(&self) -> usize {
        self.score.dims()
    }

    fn log_probs(&self, points: &[f32], slopes: &mut [f32]) -> Result<Vec<f64>> {
        self.lent().log_probs(points, slopes)
    }
}

/// An [`Energy`] of a network that somebody else has.
pub(super) struct Lent<'a, N, Dev> {
    pub(super) score: &'a N,
    pub(super) deviation: f64,
    pub(super) device: &'a Dev,
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Lent<'_, N, Dev> {
    fn scores_and_slopes(&self, points: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let shape = (points.len() / self.score.dims(), self.score.dims());
        let x = self.device.tensor_from_vec(points.to_vec(), shape);
        inputs_alone(|| {
            let scores = self.score.scores(x.leaky_trace());
            let values = scores.as_vec();
            let slopes = scores.sum::<dfdx::shapes::Rank0, Axis<0>>().backward().get(&x);
            (values, Dev::elements(&slopes).into_owned())
        })
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> LogDensity for Lent<'_, N, Dev> {
    type Number = f32;

    fn dims(&self) -> usize {
        self.score.dims()
    }

    fn log_probs(&self, points: &[f32], slopes: &mut [f32]) -> Result<Vec<f64>> {
        let (scores, of_score) = self.scores_and_slopes(points);
        let precision = self.deviation.powi(-2);
        vectorised!(slopes.iter_mut().zip(of_score.iter().zip(points)).for_each(|(slope, (own, x))| {
            *slope = (f64::from(*own) - precision * f64::from(*x)) as f32;
        }));
        let squares = points.chunks_exact(self.score.dims()).map(|x| vectorised!(sum_of(x, |x| f64::from(*x).powi(2))));
        Ok(scores.iter().zip(squares).map(|(score, square)| f64::from(*score) - 0.5 * precision * square).collect())
    }
}
