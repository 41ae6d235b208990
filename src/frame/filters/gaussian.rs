//! Filters out of Gaussian bells: spots and rings.

use super::{Filter, Window};
use crate::{Error, Result};

impl Filter {
    /// The Laplacian of a Gaussian: a dark spot in a bright ring, `F(x, y) = c (x² + y² − T²) e^{−(x² + y²) / T²}`, less its mean, with
    /// `Σ |F| = 1`. Source: Zhu, Wu, Mumford 1998.
    ///
    /// # Errors
    /// When the scale `T` is not within (0, 32].
    pub fn laplacian_of_gaussian(scale: f64) -> Result<Self> {
        let radius = radius(scale, 2.5)?;
        let square = scale * scale;
        let bell = |x: f64, y: f64| (-(x * x + y * y) / square).exp();
        let window = Window::around(radius, |x, y| (x * x + y * y - square) * bell(x, y));
        let window = window.without_mean(&Window::around(radius, |_, _| 1.0));
        Self::linear(format!("LoG T = {}", short(scale)), window.times(1.0 / window.l1()))
    }

    /// A difference of Gaussians, cut off: the bell of `0.9 σ` less that of `σ`, each out to 1.96 of its deviations and of mass 1, with
    /// `Σ F = 0` and `Σ F² = 1`. Source: the code of sparse FRAME (Xie, Hu, Zhu, Wu 2014).
    ///
    /// # Errors
    /// When `σ` is not within (0, 32].
    pub fn difference_of_gaussians(deviation: f64) -> Result<Self> {
        let radius = radius(deviation, 2.0)?;
        let bell = |deviation: f64| {
            let within = move |x: f64, y: f64| {
                let square = (x * x + y * y) / (deviation * deviation);
                if square <= 1.96 * 1.96 { (-0.5 * square).exp() } else { 0.0 }
            };
            let window = Window::around(radius, within);
            window.times(1.0 / window.l1())
        };
        let (center, surround) = (bell(0.9 * deviation), bell(deviation));
        let weights = center.weights().iter().zip(surround.weights()).map(|(c, s)| c - s).collect();
        let [height, width] = center.size();
        let window = Window::of(height, width, center.origin(), weights);
        if window.is_zero() {
            return Err(Error::invalid(format!("both Gaussians of σ = {deviation} lie within one pixel")));
        }
        Self::linear(format!("DoG σ = {}", short(deviation)), window.times(1.0 / window.l2()))
    }
}

/// Pixels out to which a filter of this scale is laid.
pub(super) fn radius(scale: f64, times: f64) -> Result<usize> {
    if !(scale > 0.0 && scale <= 32.0) {
        return Err(Error::out_of_range("scale", scale, "0 < scale ≤ 32"));
    }
    Ok((times * scale).ceil().max(1.0) as usize)
}

/// A number with as many digits as it needs, two after the point at most.
pub(super) fn short(x: f64) -> String {
    let text = format!("{x:.2}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}
