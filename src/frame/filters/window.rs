//! Weights on a rectangle of pixels.

use crate::{Error, Result};

/// Weights on a rectangle of pixels, and which of them lies on the pixel that is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    height: usize,
    width: usize,
    origin: [usize; 2],
    weights: Vec<f64>,
}

impl Window {
    /// Weights row after row; `origin` is the row and the column of the pixel that is looked at.
    ///
    /// # Errors
    /// When there are no weights or not as many as pixels, one is not finite, or the origin lies outside.
    pub fn new(height: usize, width: usize, origin: [usize; 2], weights: Vec<f64>) -> Result<Self> {
        if weights.is_empty() || height.checked_mul(width) != Some(weights.len()) {
            return Err(Error::invalid(format!("{} weights for a window of {height} × {width}", weights.len())));
        }
        if origin[0] >= height || origin[1] >= width {
            return Err(Error::invalid(format!("an origin at {origin:?} in a window of {height} × {width}")));
        }
        if let Some(weight) = weights.iter().find(|w| !w.is_finite()) {
            return Err(Error::invalid(format!("a window with a weight of {weight}")));
        }
        Ok(Self::of(height, width, origin, weights))
    }

    pub(super) fn of(height: usize, width: usize, origin: [usize; 2], weights: Vec<f64>) -> Self {
        Self { height, width, origin, weights }
    }

    /// The values of a function of `(x, y)`, to the right and down from the middle, at whole numbers up to `radius` away.
    pub(super) fn around(radius: usize, value: impl Fn(f64, f64) -> f64) -> Self {
        let side = 2 * radius + 1;
        let at = |i: usize| i as f64 - radius as f64;
        let weights = (0..side * side).map(|i| value(at(i % side), at(i / side))).collect();
        Self::of(side, side, [radius, radius], weights)
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The row and the column of the pixel that is looked at.
    pub fn origin(&self) -> [usize; 2] {
        self.origin
    }

    /// The weights, row after row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// `Σ |F(u)|`.
    pub fn l1(&self) -> f64 {
        self.weights.iter().map(|w| w.abs()).sum()
    }

    /// `√Σ F(u)²`.
    pub fn l2(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum::<f64>().sqrt()
    }

    /// Whether nothing is left of it but what rounding leaves.
    pub(super) fn is_zero(&self) -> bool {
        self.l1() <= 1e-12
    }

    /// The same, so many times as large.
    pub fn times(&self, scale: f64) -> Self {
        Self { weights: self.weights.iter().map(|w| w * scale).collect(), ..self.clone() }
    }

    /// The same less so much of a window of the same size that its weights add up to 0: with `Σ` of both, `F − G ΣF / ΣG`.
    pub(super) fn without_mean(&self, of: &Self) -> Self {
        let sum = |window: &Self| window.weights.iter().sum::<f64>();
        let share = sum(self) / sum(of);
        let weights = self.weights.iter().zip(&of.weights).map(|(w, g)| w - share * g).collect();
        Self { weights, ..self.clone() }
    }

    /// Its responses to an image at every pixel, row after row. Beyond an edge the image goes on at the other.
    pub fn responses(&self, image: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
        let wrapped = |at: usize, tap: usize, origin: usize, size: usize| (at + tap + size - origin % size) % size;
        let response = |v: usize| {
            let of = |(u, weight): (usize, &f64)| {
                let i = wrapped(v / width, u / self.width, self.origin[0], height);
                let j = wrapped(v % width, u % self.width, self.origin[1], width);
                weight * image[i * width + j]
            };
            self.weights.iter().enumerate().map(of).sum()
        };
        (0..height * width).map(response).collect()
    }
}
