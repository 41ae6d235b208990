//! A feature on images of one size: which responses see a pixel, and with which weights.

use super::{Borders, Feature, features::Taps, kernel::LANES};
use std::ops::Range;

/// A feature as it looks at images of one size.
#[derive(Debug)]
pub(super) struct Look {
    feature: Feature,
    size: [usize; 2],
    borders: Borders,
    /// The responses that see a pixel, row after row, but for those at either end of a row whose weights are 0.
    runs: Vec<Run>,
    /// What the responses of the runs see the pixel with, for each window.
    weights: Vec<Vec<f32>>,
    /// Rows and columns where responses are counted.
    counted: [Range<isize>; 2],
    /// Rows and columns of pixels that no response sees from elsewhere.
    interior: [Range<isize>; 2],
    /// The first of its maps.
    first: usize,
}

/// Responses side by side that see a pixel.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Rows and columns from the pixel to the first.
    from: [isize; 2],
    len: usize,
    /// Which of the weights is that of the first.
    tap: usize,
}

impl Look {
    /// At images whose other features have so many maps already.
    pub(super) fn new(feature: &Feature, size: [usize; 2], borders: Borders, first: usize) -> Self {
        // No larger than the torus: what would see a pixel twice sees it once with both weights.
        let windows: Vec<Taps> = feature.windows().iter().map(|taps| taps.folded(size)).collect();
        let (side, origin) = (windows[0].size, windows[0].origin);
        let (mut runs, mut weights) = (Vec::new(), vec![Vec::new(); windows.len()]);
        // A response that lies further on sees the pixel with an earlier weight.
        for row in (0..side[0]).rev() {
            let of = |taps: &Taps, column: usize| taps.weights[row * side[1] + column];
            let mut seen = (0..side[1]).rev().filter(|column| windows.iter().any(|taps| of(taps, *column) != 0.0));
            let Some(last) = seen.next() else { continue };
            let columns = seen.next_back().unwrap_or(last)..last + 1;
            let from = [origin[0] as isize - row as isize, origin[1] as isize - last as isize];
            runs.push(Run { from, len: columns.len(), tap: weights[0].len() });
            for (weights, taps) in weights.iter_mut().zip(&windows) {
                weights.extend(columns.clone().rev().map(|column| of(taps, column)));
            }
        }
        weights.iter_mut().for_each(|w| w.resize(w.len().next_multiple_of(LANES) + LANES, 0.0));
        let counted = [0, 1].map(|axis| match borders {
            Borders::Torus => 0..size[axis] as isize,
            Borders::Free => origin[axis] as isize..(size[axis] + origin[axis] + 1 - side[axis]) as isize,
        });
        let interior = [0, 1].map(|axis| {
            let (begin, end) = (counted[axis].start + side[axis] as isize - 1, counted[axis].end);
            begin - origin[axis] as isize..end - origin[axis] as isize
        });
        Self { feature: feature.clone(), size, borders, runs, weights, counted, interior, first }
    }

    pub(super) fn feature(&self) -> &Feature {
        &self.feature
    }

    /// What the responses of the [pieces](Self::pieces) see a pixel with, for each window; then zeros, [`LANES`] at least beyond a
    /// multiple of it.
    pub(super) fn weights(&self) -> &[Vec<f32>] {
        &self.weights
    }

    /// Where its maps lie among those of all features.
    pub(super) fn maps(&self) -> Range<usize> {
        self.first..self.first + self.weights.len()
    }

    /// Whether the response at a place is counted.
    pub(super) fn counts(&self, at: [usize; 2]) -> bool {
        self.feature.sees(self.size, self.borders, at)
    }

    /// Whether borders hide some of the responses that would see a pixel.
    pub(super) fn hides(&self, at: [usize; 2]) -> bool {
        self.borders == Borders::Free && !self.is_interior(at)
    }

    fn is_interior(&self, at: [usize; 2]) -> bool {
        (0..2).all(|axis| self.interior[axis].contains(&(at[axis] as isize)))
    }

    /// The responses that see a pixel, piece by piece: the place of the first in a map, which of the weights it sees the pixel with, and
    /// how many there are.
    #[inline(always)]
    pub(super) fn pieces(&self, at: [usize; 2], mut each: impl FnMut(usize, usize, usize)) {
        let ([height, width], [row, column]) = (self.size.map(|side| side as isize), at.map(|at| at as isize));
        if self.is_interior(at) {
            for run in &self.runs {
                each(((row + run.from[0]) * width + column + run.from[1]) as usize, run.tap, run.len);
            }
            return;
        }
        for run in &self.runs {
            let (row, first) = (row + run.from[0], column + run.from[1]);
            let end = first + run.len as isize;
            match self.borders {
                Borders::Torus => {
                    let row = row.rem_euclid(height);
                    let mut at = first;
                    // It may go on at the other edge.
                    while at < end {
                        let column = at.rem_euclid(width);
                        let len = (end - at).min(width - column);
                        each((row * width + column) as usize, run.tap + (at - first) as usize, len as usize);
                        at += len;
                    }
                }
                Borders::Free if self.counted[0].contains(&row) => {
                    let (begin, end) = (first.max(self.counted[1].start), end.min(self.counted[1].end));
                    if begin < end {
                        let len = (end - begin) as usize;
                        each((row * width + begin) as usize, run.tap + (begin - first) as usize, len);
                    }
                }
                Borders::Free => {}
            }
        }
    }
}
