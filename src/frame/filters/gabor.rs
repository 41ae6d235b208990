//! Gabor filters: waves under a bell.

use super::{
    Filter, Window,
    gaussian::{radius, short},
};
use crate::{Error, Result};

/// Deviations of the bell that a filter is laid out to, along its crests.
const REACH: f64 = 1.5;

impl Filter {
    /// The even Gabor filter, a crest in its middle: the real part of `c e^{−(4x'² + y'²) / 2T²} e^{−2πi x' / T}`, less so much of its bell
    /// that its weights add up to 0, with `Σ |F| = 1`. `x' = x cos θ + y sin θ` goes across the crests, which are `T` pixels apart.
    /// Source: Zhu, Wu, Mumford 1998.
    ///
    /// # Errors
    /// When the period `T` is not within (0, 32], or nothing is left of the wave on whole pixels.
    pub fn gabor_cosine(period: f64, degrees: f64) -> Result<Self> {
        let [cosine, _] = waves(period, degrees)?;
        Self::linear(named("cos", period, degrees), unit(&cosine))
    }

    /// The odd Gabor filter, a slope in its middle: the imaginary part of the same.
    ///
    /// # Errors
    /// As [`Self::gabor_cosine`]: the crests of `T = 2` along an axis lie between the pixels.
    pub fn gabor_sine(period: f64, degrees: f64) -> Result<Self> {
        let [_, sine] = waves(period, degrees)?;
        Self::linear(named("sin", period, degrees), unit(&sine))
    }

    /// How strong a wave is, wherever its crests lie: the squares of [`Self::gabor_cosine`] and [`Self::gabor_sine`], added.
    ///
    /// # Errors
    /// As [`Self::gabor_cosine`].
    pub fn gabor_energy(period: f64, degrees: f64) -> Result<Self> {
        let [cosine, sine] = waves(period, degrees)?;
        Self::energy(named("energy", period, degrees), unit(&cosine), unit(&sine))
    }

    /// A pair of Gabor waves as sparse FRAME has them, the cosine and the sine, of scale `s`: `e^{−(4x² + y²) / 100}` times `cos x` and
    /// `sin x`, with `x` and `y` in units of `s` and inside a circle of `12 s` pixels, less their means, with `Σ F² = 1`.
    /// Source: the code of sparse FRAME (Xie, Hu, Zhu, Wu 2014).
    ///
    /// # Errors
    /// When the scale is not within (0, 2].
    pub fn sparse_gabor(scale: f64, degrees: f64) -> Result<[Self; 2]> {
        if !(scale > 0.0 && scale <= 2.0) {
            return Err(Error::out_of_range("scale", scale, "0 < scale ≤ 2"));
        }
        let radius = ((12.0 * scale + 0.5) as usize).max(1);
        let (sin, cos) = degrees.to_radians().sin_cos();
        let window = |wave: fn(f64) -> f64| {
            Window::around(radius, |right, down| {
                let (x, y) = ((right * cos + down * sin) / scale, (down * cos - right * sin) / scale);
                let inside = right * right + down * down <= (radius * radius) as f64;
                if inside { (-(4.0 * x * x + y * y) / 100.0).exp() * wave(x) } else { 0.0 }
            })
        };
        let bell = window(|_| 1.0);
        let [cosine, sine] = [window(f64::cos).without_mean(&bell), window(f64::sin)];
        let name = |part: &str| format!("{part} s = {}, {}°", short(scale), short(degrees));
        let of = |part: &str, window: &Window| Self::linear(name(part), window.times(1.0 / window.l2().max(1e-300)));
        Ok([of("cos", &cosine)?, of("sin", &sine)?])
    }
}

/// The real and the imaginary part, without normalisation.
fn waves(period: f64, degrees: f64) -> Result<[Window; 2]> {
    let radius = radius(period, REACH)?;
    let (sin, cos) = degrees.to_radians().sin_cos();
    let window = |wave: fn(f64) -> f64| {
        Window::around(radius, |x, y| {
            let (across, along) = (x * cos + y * sin, y * cos - x * sin);
            let inside = x * x + y * y <= (radius * radius) as f64;
            let bell = (-(4.0 * across * across + along * along) / (2.0 * period * period)).exp();
            if inside { bell * wave(std::f64::consts::TAU * across / period) } else { 0.0 }
        })
    };
    let bell = window(|_| 1.0);
    Ok([window(f64::cos).without_mean(&bell), window(f64::sin).without_mean(&bell)])
}

/// With weights whose amounts add up to 1; nothing stays nothing.
fn unit(window: &Window) -> Window {
    let l1 = window.l1();
    window.times(if l1 > 1e-12 { 1.0 / l1 } else { 0.0 })
}

fn named(part: &str, period: f64, degrees: f64) -> String {
    format!("{part} T = {}, {}°", short(period), short(degrees))
}
