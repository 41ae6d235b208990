//! What a texture model counts: how often a filter responds how strongly.

use super::Borders;
use crate::{
    Error, Result,
    frame::{Filter, Window},
};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Intervals of a response, in order; the first and the last go on for ever.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bins {
    /// All of one width: `⌊(r − low) / width⌋`, at least 0 and at most `count − 1`.
    Even {
        /// Where the first would begin if it were as wide as the others.
        low: f32,
        /// Width of one.
        width: f32,
        /// How many.
        count: usize,
    },
    /// A bin around 0, and 15 on either side that widen: four to every octave of `|r| + scale`, as wide as each other. They are narrow
    /// where most responses of natural images are, and reach as far as those of noise, so that a chain finds its way from one to the
    /// other.
    Octaves {
        /// What the width around 0 is a quarter of: a power of two.
        scale: f32,
    },
}

/// The most bins of a filter: a row of a table that is looked up in vectors.
pub const MOST_BINS: usize = 32;

/// Bins of [`Bins::Octaves`] on either side of the middle.
pub(super) const WINGS: usize = 15;
/// Bits of a mantissa that tell bins of an octave apart, and those that do not.
const FINE: u32 = 2;
pub(super) const COARSE: u32 = f32::MANTISSA_DIGITS - 1 - FINE;

impl Bins {
    /// `inner` bins of one width between the least and the greatest of some responses, and one beyond at either end. As in 1998.
    ///
    /// # Errors
    /// When there is no inner bin or more than 30, there are no responses, or one is not finite.
    pub fn over(responses: &[f32], inner: usize) -> Result<Self> {
        if !(1..=MOST_BINS - 2).contains(&inner) {
            return Err(Error::out_of_range("bins", inner, "1 ≤ bins ≤ 30"));
        }
        check_responses(responses)?;
        let (least, most) =
            responses.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), r| (least.min(*r), most.max(*r)));
        // A hair of room, so that the ends lie inside: more than the last digits of what they are.
        let room = (1e-3 * (most - least).max(1e-3)).max(1e-5 * most.abs().max(least.abs()));
        let width = (most - least + 2.0 * room) / inner as f32;
        Ok(Self::Even { low: least - room - width, width, count: inner + 2 })
    }

    /// Bins that widen, with two octaves up to what nineteen of twenty responses stay below.
    ///
    /// # Errors
    /// When there are no responses, or one is not finite.
    pub fn widening(responses: &[f32]) -> Result<Self> {
        check_responses(responses)?;
        let mut sizes: Vec<f32> = responses.iter().map(|r| r.abs()).collect();
        let place = (sizes.len() - 1) * 19 / 20;
        let (_, most, _) = sizes.select_nth_unstable_by(place, f32::total_cmp);
        // |r| + scale is four times the scale there.
        let scale = (*most / 3.0).clamp(1e-6, 1e6).log2().round().exp2();
        Ok(Self::Octaves { scale })
    }

    /// A bin for every whole number from `least` to `most`; what is beyond counts with these.
    ///
    /// # Errors
    /// When there are fewer than one or more than 32.
    pub fn whole(least: i32, most: i32) -> Result<Self> {
        match usize::try_from(i64::from(most) - i64::from(least) + 1) {
            Ok(count @ 1..=MOST_BINS) => Ok(Self::Even { low: least as f32 - 0.5, width: 1.0, count }),
            _ => Err(Error::invalid(format!("bins for the whole numbers {least} to {most}: 1 to 32 are possible"))),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Even { count, .. } => *count,
            Self::Octaves { .. } => 2 * WINGS + 1,
        }
    }

    /// The bin of a response.
    #[inline]
    pub fn of(&self, response: f32) -> usize {
        match *self {
            // Of a number below 0, and of what is none, `as` makes 0.
            Self::Even { low, width, count } => (((response - low) * (1.0 / width)) as usize).min(count - 1),
            Self::Octaves { scale } => {
                // Half a bin further, so that the middle one lies around 0.
                let away = (response.abs() + 1.125 * scale).to_bits().saturating_sub(scale.to_bits()) >> COARSE;
                let away = (away as usize).min(WINGS);
                if response < 0.0 { WINGS - away } else { WINGS + away }
            }
        }
    }

    /// The least response of a bin; that of the first is −∞.
    pub fn begin(&self, bin: usize) -> f32 {
        match *self {
            _ if bin == 0 => f32::NEG_INFINITY,
            Self::Even { low, width, .. } => low + width * bin as f32,
            Self::Octaves { scale } => {
                let at = |away: usize| f32::from_bits(scale.to_bits() + ((away as u32) << COARSE)) - 1.125 * scale;
                if bin > WINGS { at(bin - WINGS) } else { -at(WINGS + 1 - bin) }
            }
        }
    }

    /// The steps `⌊(r − low) / width⌋` of responses between two, with one more at either end for what rounding may do; none of bins
    /// that widen.
    pub(super) fn steps(&self, [least, most]: [f32; 2]) -> Option<RangeInclusive<i64>> {
        let Self::Even { low, width, .. } = *self else { return None };
        let step = |response: f32| ((response - low) * (1.0 / width)).floor() as i64;
        Some(step(least).saturating_sub(1)..=step(most).saturating_add(1))
    }

    fn check(&self) -> Result<()> {
        let sound = match *self {
            Self::Even { low, width, count } => {
                low.is_finite() && width > 0.0 && (1.0 / width).is_finite() && (1..=MOST_BINS).contains(&count)
            }
            Self::Octaves { scale } => (1e-7..=1e7).contains(&scale) && scale.log2().fract() == 0.0,
        };
        if sound { Ok(()) } else { Err(Error::invalid(format!("bins that cannot be: {self:?}"))) }
    }
}

fn check_responses(responses: &[f32]) -> Result<()> {
    match responses.is_empty() || responses.iter().any(|r| !r.is_finite()) {
        true => Err(Error::invalid("bins over no responses, or over some that are not finite")),
        false => Ok(()),
    }
}

/// A filter with the bins that its responses are counted in.
///
/// Its weights are rounded to multiples of a power of two, some millionth of them all together (with eight levels), so that every
/// response is exact in single precision. One that is changed a million times, by a pixel each, is still what it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    filter: Filter,
    bins: Bins,
    levels: usize,
    windows: Vec<Taps>,
}

/// The weights of a window in single precision.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taps {
    pub(super) size: [usize; 2],
    pub(super) origin: [usize; 2],
    pub(super) weights: Vec<f32>,
}

impl Taps {
    fn of(window: &Window, levels: usize) -> Self {
        // Sums of `levels − 1` times all weights stay below 2²⁴ steps.
        let most = (window.l1() * (levels - 1) as f64).max(1e-9);
        let step = 2.0_f64.powi(most.log2().ceil() as i32 - 24 + 1);
        let weights = window.weights().iter().map(|w| ((w / step).round() * step) as f32).collect();
        Self { size: window.size(), origin: window.origin(), weights }
    }

    /// The same on a torus: where it is larger, weights of the same pixel are one.
    pub(super) fn folded(&self, torus: [usize; 2]) -> Self {
        let size = [self.size[0].min(torus[0]), self.size[1].min(torus[1])];
        if size == self.size {
            return self.clone();
        }
        let mut weights = vec![0.0; size[0] * size[1]];
        for (tap, weight) in self.weights.iter().enumerate() {
            let at = |tap: usize, axis: usize| {
                let side = self.size[axis];
                // A window that fits stays where it is; one that does not lies on the whole ring, from the pixel looked at.
                if size[axis] == side { tap } else { wrapped(0, tap, self.origin[axis], torus[axis]) }
            };
            weights[at(tap / self.size[1], 0) * size[1] + at(tap % self.size[1], 1)] += weight;
        }
        let origin = [0, 1].map(|axis| if size[axis] == self.size[axis] { self.origin[axis] } else { 0 });
        Self { size, origin, weights }
    }

    /// Whether the window, laid on a pixel, reaches beyond no edge.
    fn lies_inside(&self, size: [usize; 2], at: [usize; 2]) -> bool {
        (0..2).all(|axis| at[axis] >= self.origin[axis] && at[axis] - self.origin[axis] + self.size[axis] <= size[axis])
    }

    /// The response at a row and a column, whose window may reach beyond an edge.
    fn response(&self, pixels: &[u8], [height, width]: [usize; 2], [i, j]: [usize; 2]) -> f32 {
        let rows = self.weights.chunks_exact(self.size[1]).enumerate();
        if self.lies_inside([height, width], [i, j]) {
            let first = (i - self.origin[0]) * width + j - self.origin[1];
            let row = |(row, weights): (usize, &[f32])| -> f32 {
                let pixels = &pixels[first + row * width..][..self.size[1]];
                weights.iter().zip(pixels).map(|(weight, pixel)| weight * f32::from(*pixel)).sum()
            };
            return rows.map(row).sum();
        }
        let mut sum = 0.0;
        for (row, weights) in rows {
            let from = wrapped(i, row, self.origin[0], height) * width;
            for (column, weight) in weights.iter().enumerate() {
                sum += weight * f32::from(pixels[from + wrapped(j, column, self.origin[1], width)]);
            }
        }
        sum
    }
}

/// `at + tap − origin` on a ring of `size`.
fn wrapped(at: usize, tap: usize, origin: usize, size: usize) -> usize {
    (at + tap + size * (1 + origin / size) - origin) % size
}

impl Feature {
    /// A filter of images of so many grey levels, and its bins.
    ///
    /// # Errors
    /// When there are fewer than 2 levels or more than 256.
    pub fn new(filter: Filter, bins: Bins, levels: usize) -> Result<Self> {
        if !(2..=256).contains(&levels) {
            return Err(Error::out_of_range("levels", levels, "2 ≤ levels ≤ 256"));
        }
        bins.check()?;
        let windows = filter.windows().iter().map(|window| Taps::of(window, levels)).collect();
        Ok(Self { filter, bins, levels, windows })
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The bins.
    pub fn bins(&self) -> Bins {
        self.bins
    }

    /// Grey levels of the images.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Pixels that it sees, as if it saw all of them alike: `(Σ |F|)² / Σ F²`.
    pub fn reach(&self) -> f64 {
        let window = &self.filter.windows()[0];
        (window.l1() / window.l2().max(1e-300)).powi(2).max(1.0)
    }

    /// The least and the greatest response there can be.
    pub(super) fn range(&self) -> [f32; 2] {
        let most = (self.levels - 1) as f32;
        let ends = |taps: &Taps| {
            let sum = |sign: f32| taps.weights.iter().map(|w| (sign * w).max(0.0)).sum::<f32>() * most * sign;
            [sum(-1.0), sum(1.0)]
        };
        match &self.windows[..] {
            [one] => ends(one),
            both => {
                [0.0, both.iter().map(|taps| ends(taps).into_iter().map(f32::abs).fold(0.0, f32::max).powi(2)).sum()]
            }
        }
    }

    pub(super) fn windows(&self) -> &[Taps] {
        &self.windows
    }

    /// Its responses to an image, wherever the borders let it look.
    pub(in crate::frame) fn responses(&self, pixels: &[u8], size: [usize; 2], borders: Borders) -> Vec<f32> {
        let places = (0..size[0] * size[1]).map(|v| [v / size[1], v % size[1]]);
        let seen = places.filter(|at| self.sees(size, borders, *at));
        seen.map(|at| combined(self.windows.iter().map(|w| w.response(pixels, size, at)))).collect()
    }

    /// Whether there is a place on an image of this size where the borders let it look.
    pub(super) fn fits(&self, size: [usize; 2], borders: Borders) -> bool {
        borders == Borders::Torus || self.windows.iter().all(|w| (0..2).all(|axis| w.size[axis] <= size[axis]))
    }

    /// Whether all windows lie inside the borders when they are laid on a pixel.
    pub(super) fn sees(&self, size: [usize; 2], borders: Borders, at: [usize; 2]) -> bool {
        borders == Borders::Torus || self.windows.iter().all(|w| w.lies_inside(size, at))
    }

    /// Responses in each bin, as counts.
    pub(in crate::frame) fn histogram(&self, responses: impl IntoIterator<Item = f32>) -> Vec<f64> {
        let mut counts = vec![0_u32; self.bins.count()];
        responses.into_iter().for_each(|r| counts[self.bins.of(r)] += 1);
        counts.into_iter().map(f64::from).collect()
    }
}

/// One response out of those of the windows.
pub(super) fn combined(mut of_windows: impl ExactSizeIterator<Item = f32>) -> f32 {
    match of_windows.len() {
        1 => of_windows.next().unwrap_or(0.0),
        _ => of_windows.map(|r| r * r).sum(),
    }
}

/// The responses of a window everywhere, beyond an edge to what lies at the other.
pub(super) fn response_map(window: &Taps, pixels: &[u8], size: [usize; 2]) -> Vec<f32> {
    (0..size[0] * size[1]).map(|v| window.response(pixels, size, [v / size[1], v % size[1]])).collect()
}
