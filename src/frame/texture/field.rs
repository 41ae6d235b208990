//! An image with its responses, kept as they are while its pixels change.

use super::{
    Frame,
    features::{combined, response_map},
    kernel::{Costs, LANES, Level, Patch, add_energies, total},
    look::Look,
};
use crate::{
    Error, Result,
    random::{Stream, categorical},
    simd::vectorised,
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
    levels: usize,
    pixels: Vec<u8>,
    looks: Arc<Vec<Look>>,
    /// Of every window of every feature, at every pixel, row after row, and [`LANES`] numbers more. What a free border hides is there and
    /// not counted.
    maps: Vec<Vec<f32>>,
    scratch: Scratch,
}

/// Where a pixel's responses are laid side by side.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Those of each window.
    responses: [Vec<f32>; 2],
    /// The weights that they see it with, where borders hide some.
    weights: [Vec<f32>; 2],
    /// How many there are; up to a multiple of [`LANES`], zeros follow.
    count: usize,
    /// Whether some were hidden.
    hidden: bool,
    levels: Vec<Level>,
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
        let (mut looks, mut maps) = (Vec::new(), Vec::new());
        for feature in law.features() {
            looks.push(Look::new(feature, size, law.borders(), maps.len()));
            for window in feature.windows() {
                let mut map = response_map(&window.folded(size), &pixels, size);
                map.resize(map.len() + LANES, 0.0);
                maps.push(map);
            }
        }
        Ok(Self { size, levels: law.levels(), pixels, looks: Arc::new(looks), maps, scratch: Scratch::default() })
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
        let maps = &self.maps[look.maps()];
        let places = (0..self.pixels.len()).filter(|v| look.counts([v / self.size[1], v % self.size[1]]));
        look.feature().histogram(places.map(|v| combined(maps.iter().map(|map| map[v]))))
    }

    /// Lays the responses that see a pixel side by side.
    #[inline(always)]
    pub(super) fn gather(&mut self, look: usize, at: [usize; 2]) {
        let (look, scratch) = (&self.looks[look], &mut self.scratch);
        let maps = &self.maps[look.maps()];
        let room = look.weights()[0].len() + LANES;
        scratch.hidden = look.hides(at);
        let Scratch { responses, weights, hidden, .. } = scratch;
        for lane in responses.iter_mut().chain(weights.iter_mut()).filter(|lane| lane.len() < room) {
            lane.resize(room, 0.0);
        }
        let mut count = 0;
        look.pieces(
            at,
            #[inline(always)]
            |place, tap, len| {
                for (w, map) in maps.iter().enumerate() {
                    lay(&mut responses[w][count..], &map[place..], len);
                    if *hidden {
                        lay(&mut weights[w][count..], &look.weights()[w][tap..], len);
                    }
                }
                count += len;
            },
        );
        responses.iter_mut().chain(weights).for_each(|lane| lane[count..][..LANES].fill(0.0));
        scratch.count = count;
    }

    /// The responses that [`Self::gather`] has laid out, and their weights, of each window.
    fn gathered(&self, look: usize) -> [Option<(&[f32], &[f32])>; 2] {
        let (look, Scratch { responses, weights, count, hidden, .. }) = (&self.looks[look], &self.scratch);
        let padded = count.next_multiple_of(LANES);
        [0, 1].map(|w| {
            let own = look.weights().get(w)?;
            let weights = if *hidden { &weights[w] } else { own };
            Some((&responses[w][..padded], &weights[..padded]))
        })
    }

    /// The energy of the image with each level at a pixel, less a constant: `ΔE(g) = Σ_α Σ λ⁽ᵅ⁾` over the responses that see it.
    fn energies(&mut self, law: &Tables, at: [usize; 2]) {
        let level = self.pixels[at[0] * self.size[1] + at[1]];
        let mut levels = std::mem::take(&mut self.scratch.levels);
        levels.clear();
        levels.resize(self.levels, Level::default());
        for (look, costs) in law.0.iter().enumerate() {
            vectorised!(self.gather(look, at));
            let [linear, square] = self.gathered(look);
            let patch = Patch { linear: linear.unwrap_or_default(), square };
            add_energies(patch, level, costs, &mut levels);
        }
        self.scratch.energies.clear();
        self.scratch.energies.extend(levels.iter().map(total));
        self.scratch.levels = levels;
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
        let (bins, taps) = (self.looks[look].feature().bins(), self.gathered(look));
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
    ///
    /// # Panics
    /// When there is no such pixel, or the law that the image was made for has no such level.
    pub fn set(&mut self, at: [usize; 2], level: u8) {
        assert!(usize::from(level) < self.levels, "level {level} of {}", self.levels);
        let v = at[0] * self.size[1] + at[1];
        let change = f32::from(level) - f32::from(self.pixels[v]);
        if change == 0.0 {
            return;
        }
        self.pixels[v] = level;
        let (looks, maps) = (&self.looks, &mut self.maps);
        vectorised!({
            for look in looks.iter() {
                let maps = &mut maps[look.maps()];
                look.pieces(at, |place, tap, len| {
                    for (map, weights) in maps.iter_mut().zip(look.weights()) {
                        let weights = &weights[tap..tap + len];
                        map[place..place + len].iter_mut().zip(weights).for_each(|(r, w)| *r += change * w);
                    }
                });
            }
        });
    }
}

/// Copies some numbers, [`LANES`] at a time, and so what lies behind them as well: both slices have as many more.
#[inline(always)]
fn lay(to: &mut [f32], from: &[f32], len: usize) {
    for at in (0..len).step_by(LANES) {
        to[at..at + LANES].copy_from_slice(&from[at..at + LANES]);
    }
}

/// What the responses of a law's features cost.
struct Tables(Vec<Costs>);

impl Tables {
    fn of(law: &Frame) -> Self {
        let both = law.features().iter().zip(law.potentials());
        Self(both.map(|(feature, potential)| Costs::of(feature, potential)).collect())
    }
}
