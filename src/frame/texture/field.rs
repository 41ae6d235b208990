//! An image with its responses, kept as they are while its pixels change.

use super::{
    Borders, Feature, Frame,
    features::{Taps, combined, response_map},
    kernel::{LANES, Patch, add_energies},
};
use crate::{
    Error, Result,
    random::{Stream, categorical},
};
use std::sync::Arc;

/// An image of grey levels with the responses of a law's filters to it.
///
/// ```
/// # use limbeck::{frame::{Bins, Borders, Feature, Field, Filter, Frame}, random::Seed};
/// let edges = Feature::new(Filter::gradient_x(), Bins::whole(-1, 1)?, 2)?;
/// let mut law = Frame::uniform(2, Borders::Torus)?.with(edges)?;
/// law.set_potentials(vec![vec![1.0, 0.0, 1.0]])?;
/// let mut image = Field::noise(&law, [16, 16], &mut Seed(0).stream("noise", 0))?;
/// let mut rng = Seed(0).stream("gibbs", 0);
/// for _ in 0..50 {
///     image.sweep(&law, 1.0, &mut rng);
/// }
/// let edges = |image: &Field| image.histograms()[0][0];
/// assert!(edges(&image) < 50.0, "they cost something, and became fewer than the 64 of noise");
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Field {
    size: [usize; 2],
    borders: Borders,
    levels: usize,
    pixels: Vec<u8>,
    looks: Arc<Vec<Look>>,
    /// Of every window of every feature, at every pixel, row after row. What a free border hides is there and not counted.
    maps: Vec<Vec<f32>>,
    scratch: Scratch,
}

/// A feature as it looks at images of one size.
#[derive(Debug)]
struct Look {
    feature: Feature,
    /// Its windows, no larger than the torus: what would see a pixel twice sees it once with both weights.
    windows: Vec<Taps>,
    /// Their weights backwards, so that they lie beside the responses that see a pixel with them, and zeros up to a multiple of [`LANES`].
    backwards: Vec<Vec<f32>>,
    /// The first of its maps.
    first: usize,
}

/// Where a pixel's responses are laid side by side.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Those of each window.
    responses: [Vec<f32>; 2],
    /// The weights that they see it with, where free borders hide some.
    weights: [Vec<f32>; 2],
    /// How many there are; what is beyond is zeros.
    count: usize,
    energies: Vec<f64>,
    probabilities: Vec<f64>,
}

impl Field {
    /// An image for the features of a law.
    ///
    /// # Errors
    /// When there is no pixel or more than 2²⁴, not as many as its size says, one has a level that the law does not know, or a filter is
    /// larger than an image with free borders.
    pub fn new(law: &Frame, size: [usize; 2], pixels: Vec<u8>) -> Result<Self> {
        let [height, width] = size;
        let sites = height.checked_mul(width).filter(|n| (1..=1 << 24).contains(n));
        if sites != Some(pixels.len()) {
            let most = "an image has 1 to 16777216 pixels";
            return Err(Error::invalid(format!("{} pixels for an image of {height} × {width}; {most}", pixels.len())));
        }
        if let Some(level) = pixels.iter().find(|level| usize::from(**level) >= law.levels()) {
            return Err(Error::invalid(format!("a pixel of level {level} in a law of {} levels", law.levels())));
        }
        law.check_size(size)?;
        let mut looks = Vec::new();
        let mut first = 0;
        for feature in law.features() {
            let windows: Vec<Taps> = feature.windows().iter().map(|taps| taps.folded(size)).collect();
            let backwards = |taps: &Taps| {
                let mut weights: Vec<f32> = taps.weights.iter().rev().copied().collect();
                weights.resize(weights.len().next_multiple_of(LANES), 0.0);
                weights
            };
            let backwards = windows.iter().map(backwards).collect();
            looks.push(Look { feature: feature.clone(), windows, backwards, first });
            first += feature.windows().len();
        }
        let windows = looks.iter().flat_map(|look| &look.windows);
        let maps = windows.map(|window| response_map(window, &pixels, size)).collect();
        let (borders, levels) = (law.borders(), law.levels());
        Ok(Self { size, borders, levels, pixels, looks: Arc::new(looks), maps, scratch: Scratch::default() })
    }

    /// An image of independent uniform pixels.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn noise(law: &Frame, size: [usize; 2], rng: &mut Stream) -> Result<Self> {
        use rand::RngExt;
        let sites = size[0].checked_mul(size[1]).filter(|n| *n <= 1 << 24).unwrap_or(0);
        let most = law.levels() as u16;
        Self::new(law, size, (0..sites).map(|_| rng.random_range(0..most) as u8).collect())
    }

    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// The levels of its pixels, row after row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The histograms of all features, as counts.
    pub fn histograms(&self) -> Vec<Vec<f64>> {
        self.looks.iter().map(|look| self.histogram(look)).collect()
    }

    fn histogram(&self, look: &Look) -> Vec<f64> {
        let maps = &self.maps[look.first..][..look.windows.len()];
        let [_, width] = self.size;
        let sees = |v: &usize| look.feature.sees(self.size, self.borders, [v / width, v % width]);
        let places = (0..self.pixels.len()).filter(sees);
        look.feature.histogram(places.map(|v| combined(maps.iter().map(|map| map[v]))))
    }

    /// Lays the responses that see a pixel side by side.
    pub(super) fn gather(&mut self, look: usize, at: [usize; 2]) {
        let (look, Scratch { responses, weights, count, .. }) = (&self.looks[look], &mut self.scratch);
        let windows = look.windows.len();
        responses.iter_mut().chain(&mut *weights).for_each(Vec::clear);
        let hides = self.borders == Borders::Free;
        pieces(self.size, self.borders, &look.windows[0], at, |place, tap, len| {
            for w in 0..windows {
                responses[w].extend_from_slice(&self.maps[look.first + w][place..place + len]);
                if hides {
                    weights[w].extend_from_slice(&look.backwards[w][tap..tap + len]);
                }
            }
        });
        *count = responses[0].len();
        let padded = count.next_multiple_of(LANES);
        responses.iter_mut().take(windows).for_each(|r| r.resize(padded, 0.0));
        weights.iter_mut().take(if hides { windows } else { 0 }).for_each(|w| w.resize(padded, 0.0));
    }

    /// The responses that [`Self::gather`] has laid out, and their weights, of each window.
    fn gathered(&self, look: usize) -> [Option<(&[f32], &[f32])>; 2] {
        let (look, Scratch { responses, weights, .. }) = (&self.looks[look], &self.scratch);
        let taps = |w: usize| {
            let weights = if self.borders == Borders::Free { &weights[w] } else { look.backwards.get(w)? };
            (w < look.windows.len()).then_some((&responses[w][..], &weights[..]))
        };
        [taps(0), taps(1)]
    }

    /// The energy of the image with each level at a pixel, less a constant: `ΔE(g) = Σ_α Σ λ⁽ᵅ⁾` over the responses that see it.
    fn energies(&mut self, law: &Tables, at: [usize; 2]) {
        let level = self.pixels[at[0] * self.size[1] + at[1]];
        let mut energies = std::mem::take(&mut self.scratch.energies);
        energies.clear();
        energies.resize(self.levels, 0.0);
        for look in 0..self.looks.len() {
            self.gather(look, at);
            let [linear, square] = self.gathered(look);
            let patch = Patch { linear: linear.unwrap_or_default(), square };
            add_energies(patch, level, self.looks[look].feature.bins(), &law.0[look], &mut energies);
        }
        self.scratch.energies = energies;
    }

    /// The law of a pixel given all others, at a temperature: `p(g) ∝ exp(−ΔE(g) / T)`.
    pub fn conditional(&mut self, law: &Frame, at: [usize; 2], temperature: f64) -> Vec<f64> {
        self.weigh(&Tables::of(law), at, temperature);
        let total: f64 = self.scratch.probabilities.iter().sum();
        self.scratch.probabilities.iter().map(|p| p / total).collect()
    }

    fn weigh(&mut self, law: &Tables, at: [usize; 2], temperature: f64) {
        self.energies(law, at);
        let Scratch { energies, probabilities, .. } = &mut self.scratch;
        let least = energies.iter().copied().fold(f64::INFINITY, f64::min);
        probabilities.clear();
        probabilities.extend(energies.iter().map(|energy| ((least - energy) / temperature).exp()));
    }

    /// Draws every pixel anew given all others, row after row, at a temperature: at 1 this leaves the law as it is.
    pub fn sweep(&mut self, law: &Frame, temperature: f64, rng: &mut Stream) {
        let tables = Tables::of(law);
        for v in 0..self.pixels.len() {
            let at = [v / self.size[1], v % self.size[1]];
            self.weigh(&tables, at, temperature);
            let level = categorical(&self.scratch.probabilities, rng).unwrap_or(0);
            self.set(at, level as u8);
        }
    }

    /// Adds to the counts by bin of one feature what a change of the pixel's level would change: of the one that was
    /// [gathered](Self::gather) last.
    pub(super) fn moves(&self, look: usize, change: f32, counts: &mut [f64]) {
        if change == 0.0 {
            return;
        }
        let (bins, taps) = (self.looks[look].feature.bins(), self.gathered(look));
        for tap in 0..self.scratch.count {
            let after = |times: f32| {
                let of = |(r, w): (&[f32], &[f32])| r[tap] + times * w[tap];
                match taps {
                    [Some(one), None] => of(one),
                    _ => taps.into_iter().flatten().map(|taps| of(taps).powi(2)).sum(),
                }
            };
            counts[bins.of(after(0.0))] -= 1.0;
            counts[bins.of(after(change))] += 1.0;
        }
    }

    /// Gives a pixel another level; its responses follow.
    pub fn set(&mut self, at: [usize; 2], level: u8) {
        let v = at[0] * self.size[1] + at[1];
        let change = f32::from(level) - f32::from(self.pixels[v]);
        if change == 0.0 {
            return;
        }
        self.pixels[v] = level;
        for look in self.looks.iter() {
            let maps = &mut self.maps[look.first..][..look.windows.len()];
            pieces(self.size, self.borders, &look.windows[0], at, |place, tap, len| {
                for (map, weights) in maps.iter_mut().zip(&look.backwards) {
                    let weights = &weights[tap..tap + len];
                    map[place..place + len].iter_mut().zip(weights).for_each(|(r, w)| *r += change * w);
                }
            });
        }
    }
}

/// The responses that see a pixel, in pieces that lie side by side in a map: the place of the first, which of the weights backwards it
/// sees the pixel with, and how many there are.
fn pieces(
    [height, width]: [usize; 2],
    borders: Borders,
    window: &Taps,
    at: [usize; 2],
    mut each: impl FnMut(usize, usize, usize),
) {
    let ([tall, wide], origin) = (window.size, window.origin);
    // The first window that sees the pixel lies at its last tap; this may be before the first row or column.
    let first = |axis: usize, side: usize| (at[axis] + origin[axis]) as isize + 1 - side as isize;
    // Of the windows along an axis, those that lie inside.
    let inside = |axis: usize, side: usize, size: usize| match borders {
        Borders::Torus => 0..side,
        Borders::Free => {
            let from = origin[axis] as isize - first(axis, side);
            let to = (size - side + origin[axis]) as isize - first(axis, side) + 1;
            from.max(0) as usize..to.clamp(0, side as isize) as usize
        }
    };
    let columns = inside(1, wide, width);
    for row in inside(0, tall, height) {
        let line = (first(0, tall) + row as isize).rem_euclid(height as isize) as usize * width;
        let mut tap = columns.start;
        // A torus may go on at its other edge.
        while tap < columns.end {
            let column = (first(1, wide) + tap as isize).rem_euclid(width as isize) as usize;
            let len = (columns.end - tap).min(width - column);
            each(line + column, row * wide + tap, len);
            tap += len;
        }
    }
}

/// The potentials in single precision, each in a row of a table.
struct Tables(Vec<[f32; super::MOST_BINS]>);

impl Tables {
    fn of(law: &Frame) -> Self {
        let table = |potential: &Vec<f64>| {
            let mut table = [0.0; super::MOST_BINS];
            table.iter_mut().zip(potential).for_each(|(to, from)| *to = *from as f32);
            table
        };
        Self(law.potentials().iter().map(table).collect())
    }
}
