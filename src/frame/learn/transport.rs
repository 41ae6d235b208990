//! The Wasserstein term of wFRAME, and its slope without a slope of slopes.
//!
//! **What follows is a derivation**, from what is known of *FRAME Revisited: An Interpretation View Based on Particle Evolution* (Cai et
//! al. 2019) by its abstract and its introduction; the listing of its algorithm was not available. Chains that learning carries from `ρ_t`
//! to `ρ_{t+1}` are a discrete flow of Jordan, Kinderlehrer and Otto where each step pays for its way; by Benamou and Brenier's formula
//! and the mean value theorem the price is
//!
//! ```text
//! W₂²(ρ_t, ρ_{t+1}) ≈ τ² ((1 − ζ) E_{ρ_t} |v|² + ζ E_{ρ_{t+1}} |v|²),    v = ∇Φ − x/σ² − ∇log ρ
//! ```
//!
//! and learning goes against `λ/2` times what stands in brackets.

use serde::{Deserialize, Serialize};

/// By what the speed `v` of the particles is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// `v = ∇Φ`: cheap, and a strong hand; biased where the data's own law has slopes. With `Φ = θᵀx` and `σ = 1` it comes to `m / (1 + λ)`
    /// where the likelihood comes to `m`.
    #[default]
    GradNorm,
    /// `v = ∇Φ − x/σ²`: what consecutive samples measure. Biased in general, and not where `Φ` is linear.
    Drift,
    /// `|∇Φ|²` of the particles after, less that of those before: vanishes where chains have come to rest, so nothing is biased.
    Difference,
    /// `v = ∇Φ − x/σ² − ∇log ρ` with `ρ` the normal law of the particles' means and deviations: the relative Fisher information, which
    /// vanishes where they follow the model. For toys whose laws are nearly normal.
    Fisher,
}

/// The Wasserstein term of learning.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// What the speed is estimated by.
    pub estimator: Estimator,
    /// `λ`. With 0 learning is FRAME's, bit by bit.
    pub weight: f64,
    /// `ζ`: how much of the term is that of the particles after a step, within [0, 1].
    pub after: f64,
    /// How far to either side of a particle the network is looked at, as a length: `ε |v|` of the central difference that stands for the
    /// slope of a slope. In single precision a hundredth is best: shorter ways lose digits, longer ones curve.
    pub reach: f64,
}

impl Default for Transport {
    fn default() -> Self {
        Self { estimator: Estimator::GradNorm, weight: 0.1, after: 0.5, reach: 1e-2 }
    }
}

/// Points at which a network is looked at, and with which weights.
pub(super) struct Looks {
    pub(super) points: Vec<f32>,
    pub(super) weights: Vec<f32>,
}

impl Transport {
    /// Points and weights so that the slope of the weighted scores is that of `λ/2` times the mean of `|v|²`, times a share.
    ///
    /// ```text
    /// ½ ∇_θ |∇_x Φ(x)|² = ∇_θ (Φ(x + ε v) − Φ(x − ε v)) / 2ε + O(ε²),    v = ∇_x Φ(x), held
    /// ```
    ///
    /// for any `v` that is `∇Φ` and something that does not depend on `θ`. `ε` is such that `ε |v|` is the reach: in single precision
    /// shorter ways lose digits, longer ones curve. Where a network has kinks, as those of ReLU have, a kink between the two sides makes
    /// the slope useless: it needs smooth activations.
    pub(super) fn slopes(&self, looks: &mut Looks, points: &[f32], speeds: &[f32], dims: usize, share: f64) {
        let count = (points.len() / dims) as f64;
        for (x, v) in points.chunks_exact(dims).zip(speeds.chunks_exact(dims)) {
            let length = v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            // At rest there is nothing to look at.
            if length == 0.0 || !length.is_finite() {
                continue;
            }
            let epsilon = self.reach / length;
            let weight = (self.weight * share / (2.0 * epsilon * count)) as f32;
            for side in [1.0, -1.0] {
                looks
                    .points
                    .extend(x.iter().zip(v).map(|(x, v)| (f64::from(*x) + side * epsilon * f64::from(*v)) as f32));
                looks.weights.push(side as f32 * weight);
            }
        }
    }

    /// Shares of the particles before and after.
    pub(super) fn shares(&self) -> [f64; 2] {
        match self.estimator {
            Estimator::Difference => [-1.0, 1.0],
            _ => [1.0 - self.after, self.after],
        }
    }

    /// `v` at particles, from the slopes of `Φ` there.
    pub(super) fn speeds(&self, points: &[f32], slopes: &[f32], dims: usize, deviation: f64) -> Vec<f32> {
        let precision = deviation.powi(-2);
        let drift = |x: &f32, slope: &f32| f64::from(*slope) - precision * f64::from(*x);
        match self.estimator {
            Estimator::GradNorm | Estimator::Difference => slopes.to_vec(),
            Estimator::Drift => points.iter().zip(slopes).map(|(x, slope)| drift(x, slope) as f32).collect(),
            Estimator::Fisher => {
                let n = (points.len() / dims) as f64;
                let each = |d: usize| points.iter().skip(d).step_by(dims).map(|x| f64::from(*x));
                let law: Vec<(f64, f64)> = (0..dims)
                    .map(|d| {
                        let mean = each(d).sum::<f64>() / n;
                        (mean, (each(d).map(|x| (x - mean).powi(2)).sum::<f64>() / n).max(1e-12))
                    })
                    .collect();
                let speed = |(i, (x, slope)): (usize, (&f32, &f32))| {
                    let (mean, variance) = law[i % dims];
                    (drift(x, slope) + (f64::from(*x) - mean) / variance) as f32
                };
                points.iter().zip(slopes).enumerate().map(speed).collect()
            }
        }
    }
}
