//! Filters: windows of weights that are laid on every pixel of an image, and banks of them.

mod bank;
mod gabor;
mod gaussian;
mod window;

pub use bank::Bank;
pub use window::Window;

use crate::{Error, Result};
use std::fmt;

/// What is seen of an image around a pixel: one number.
///
/// A linear filter has one window and responds with `r(v) = Σ_u F(u) I(v + u)`. A filter of energy has two, a cosine and a sine, and
/// responds with `r(v) = r₁(v)² + r₂(v)²`: how strong a wave is, wherever its crests lie.
///
/// ```
/// # use limbeck::frame::Filter;
/// let edge = Filter::gradient_x();
/// assert_eq!(edge.windows()[0].weights(), [1.0, -1.0]);
/// let wave = Filter::gabor_cosine(4.0, 0.0)?;
/// let sum: f64 = wave.windows()[0].weights().iter().sum();
/// assert!(sum.abs() < 1e-12, "it does not see how bright an image is");
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    name: String,
    windows: Vec<Window>,
}

impl Filter {
    /// A linear filter.
    ///
    /// # Errors
    /// When all its weights are 0.
    pub fn linear(name: impl Into<String>, window: Window) -> Result<Self> {
        let name = name.into();
        match window.is_zero() {
            true => Err(Error::invalid(format!("the filter {name} is zero on all pixels"))),
            false => Ok(Self { name, windows: vec![window] }),
        }
    }

    /// The squares of two linear filters, added.
    ///
    /// # Errors
    /// When all weights of both are 0, or one window lies elsewhere than the other.
    pub fn energy(name: impl Into<String>, cosine: Window, sine: Window) -> Result<Self> {
        let name = name.into();
        if (cosine.size(), cosine.origin()) != (sine.size(), sine.origin()) {
            return Err(Error::invalid(format!("the two windows of the filter {name} differ in their size or origin")));
        }
        match cosine.is_zero() && sine.is_zero() {
            true => Err(Error::invalid(format!("the filter {name} is zero on all pixels"))),
            false => Ok(Self { name, windows: vec![cosine, sine] }),
        }
    }

    /// The grey level itself.
    pub fn intensity() -> Self {
        Self { name: "intensity".into(), windows: vec![Window::of(1, 1, [0, 0], vec![1.0])] }
    }

    /// A pixel less the one to its right.
    pub fn gradient_x() -> Self {
        Self { name: "gradient x".into(), windows: vec![Window::of(1, 2, [0, 0], vec![1.0, -1.0])] }
    }

    /// A pixel less the one below it.
    pub fn gradient_y() -> Self {
        Self { name: "gradient y".into(), windows: vec![Window::of(2, 1, [0, 0], vec![1.0, -1.0])] }
    }

    /// What it is called in tables and pictures.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its windows: one, or two whose responses are squared and added.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// What it makes of the responses of its windows.
    pub fn response(&self, of_windows: &[f64]) -> f64 {
        match of_windows {
            [one] => *one,
            all => all.iter().map(|r| r * r).sum(),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.windows[0].size();
        write!(f, "{} ({height}×{width})", self.name)
    }
}
