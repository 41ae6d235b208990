//! A learned texture and its file.

mod fit;
#[cfg(test)]
mod tests;

pub use fit::{BankKind, FitFrame};

use super::{
    Bins, Borders, Feature, Field, Filter, Frame, Window,
    log_z::{Bracket, FromUniform, Stops, Weights, backwards, forwards},
    samplers::{Gibbs, Sampler},
};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Dataset, Discrete, MISSING, Rows, Schema, fingerprint},
    error::counted,
    evidence::{AnyEvidence, Estimate, Evidence, Space},
    math::log_sum_exp,
    memory::afford,
    model::{Family, Model, ModelFile},
    random::Seed,
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A [`Frame`] of grey pictures of one size, whose pixels have more levels than the law: of those that a level of the law stands for,
/// each is as likely as the others.
///
/// Its likelihoods are estimates: the normalising constant is sampled, once for every score.
pub struct FrameModel {
    law: Frame,
    schema: Schema,
    /// Sweeps from noise to a picture.
    sweeps: usize,
    /// Walks that the normalising constant is drawn from, and laws on their way.
    walks: usize,
    stops: usize,
}

/// The name of the family in files.
const NAME: &str = "frame";

/// Textures.
pub const FAMILY: Family = Family { name: NAME, load, entries: fit::entries };

fn load(file: &ModelFile) -> Result<Box<dyn Model>> {
    FrameModel::of_file(file).map(|model| Box::new(model) as Box<dyn Model>)
}

/// What a file says of a texture beside its columns and its arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    levels: usize,
    borders: Borders,
    sweeps: usize,
    walks: usize,
    stops: usize,
    features: Vec<Kept>,
}

/// A feature in a file; its weights and its potential are arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    filter: String,
    size: [usize; 2],
    origin: [usize; 2],
    windows: usize,
    bins: Bins,
}

impl FrameModel {
    /// The law.
    pub fn law(&self) -> &Frame {
        &self.law
    }

    /// Height and width of its pictures.
    pub fn size(&self) -> [usize; 2] {
        size_of(&self.schema).unwrap_or([1, 1])
    }

    /// Levels of the pixels of its pictures.
    fn categories(&self) -> usize {
        self.schema.variables[0].categories
    }

    fn of_file(file: &ModelFile) -> Result<Self> {
        let Body { levels, borders, sweeps, walks, stops, features } = file.body(NAME)?;
        let mut law = Frame::uniform(levels, borders)?;
        let mut potentials = Vec::new();
        for (i, kept) in features.into_iter().enumerate() {
            let Kept { filter, size, origin, windows, bins } = kept;
            let window = |w: usize| {
                let weights = file.arrays.get::<f64>(&format!("filter/{i}/{w}"), &size)?;
                Window::new(size[0], size[1], origin, weights)
            };
            let filter = match windows {
                1 => Filter::linear(filter, window(0)?)?,
                2 => Filter::energy(filter, window(0)?, window(1)?)?,
                other => return Err(Error::invalid(format!("the filter {filter} has {other} windows"))),
            };
            law = law.with(Feature::new(filter, bins, levels)?)?;
            potentials.push(file.arrays.get::<f64>(&format!("potential/{i}"), &[bins.count()])?);
        }
        law.set_potentials(potentials)?;
        let model = Self { law, schema: file.schema.clone(), sweeps, walks, stops };
        model.law.check_size(size_of(&model.schema)?)?;
        fit::check_sampling(sweeps, walks, stops)?;
        if model.categories() < levels {
            let categories = model.categories();
            return Err(Error::invalid(format!("a law of {levels} levels for pixels of {categories}")));
        }
        Ok(model)
    }

    /// Pictures by so many sweeps from noise, in levels of the law. The first third of the sweeps is warmer, from a temperature of 3 down
    /// to 1.
    fn draw(&self, n: usize, sweeps: usize, seed: Seed) -> Result<Vec<Vec<u8>>> {
        use rayon::prelude::*;
        // A byte here, and two more as categories.
        afford(n.checked_mul(self.schema.len()), 3, "the samples", "draw fewer at a time")?;
        let draw = |i: u64| {
            let mut rng = seed.stream("texture", i);
            let mut field = Field::noise(&self.law, self.size(), &mut rng)?;
            let warm = (sweeps / 3).max(1) as f64;
            for sweep in 0..sweeps {
                field.sweep(&self.law, 3.0_f64.powf((1.0 - sweep as f64 / warm).max(0.0)), &mut rng);
            }
            Ok(field.pixels().to_vec())
        };
        (0..n as u64).into_par_iter().map(draw).collect()
    }

    /// `log Z` of pictures of its size, nats, with how far it may be above and below: walks from noise and, by Bennett's ratio, back from
    /// pictures that began as noise.
    ///
    /// Where the law has places that walks from noise don't come to, that is too low. Pictures that are known, with their energies, help:
    /// `Z` is no less than what they add up to, so that none has more than all of the probability, and walks back from them see how much
    /// more there may be; where walks from noise have not come near them, it is taken to be in the middle of the two.
    fn log_z(&self, walks: usize, known: &[(Vec<u8>, f64)], seed: Seed) -> Result<[f64; 3]> {
        let size = self.size();
        // Each holds two maps of responses for every feature, at most, and its pixels.
        let maps = 2 * self.law.features().len() + 1;
        let numbers = self.schema.len().checked_mul(maps).and_then(|numbers| numbers.checked_mul(walks));
        afford(numbers, 4, "the walks of the normalising constant", "fewer --draws")?;
        let mut path = FromUniform::new(&self.law, size);
        let stops = Stops::even(self.stops, 1)?;
        // Where a walk has come to is nearly a draw.
        let mut back = |mut there: Vec<Field>, seed: Seed| {
            Gibbs.steps(&self.law, &mut there, self.stops / 4, seed.child("settle", 0))?;
            backwards(&mut path, &mut there, &stops, seed.child("backwards", 0))
        };
        let mut ahead = FromUniform::new(&self.law, size);
        let mut there = ahead.begin(walks, size, seed.child("begin", 0))?;
        let up = forwards(&mut ahead, &mut there, &stops, seed.child("forwards", 0))?;
        let down = back(there, seed.child("from noise", 0))?;
        let Bracket { low, high, estimate } = Weights::bracket(&up, &down)?;
        let mut found = Bracket {
            low: low.min(high).min(estimate) - up.error(false),
            high: high.max(low).max(estimate) + down.error(true),
            estimate,
        };
        let distinct: BTreeMap<&[u8], f64> =
            known.iter().map(|(pixels, energy)| (pixels.as_slice(), *energy)).collect();
        if !distinct.is_empty() {
            let least = log_sum_exp(distinct.values().map(|energy| -energy));
            let starts = distinct.keys().cycle().take(walks);
            let starts = starts.map(|pixels| Field::new(&self.law, size, pixels.to_vec())).collect::<Result<_>>()?;
            let down = back(starts, seed.child("from known", 0))?;
            let high = found.high.max(estimate).max(least).max(down.from_above() + down.error(true));
            // Either walks from noise have seen some of the same, nobody knows how much; or they have not come near.
            let estimate = if found.high < least { 0.5 * (least + high) } else { estimate.max(least) };
            found = Bracket { low: found.low.max(least), high, estimate };
        }
        Ok([found.estimate, found.estimate - found.low, found.high - found.estimate])
    }

    /// A picture's levels of the law, and the nats of which of the levels that each stands for its pixels have.
    fn levels_of(&self, codes: &[u16], row: u64) -> Result<(Vec<u8>, f64)> {
        if let Some(pixel) = codes.iter().position(|code| *code == MISSING) {
            return Err(Error::invalid(format!(
                "row {row}: pixel {pixel} is missing; a texture scores whole pictures"
            )));
        }
        let (levels, categories) = (self.law.levels(), self.categories());
        let shares = shares(levels, categories);
        let of = |code: &u16| level_of(*code, levels, categories);
        let pixels: Vec<u8> = codes.iter().map(of).collect();
        let within = pixels.iter().map(|level| (shares[usize::from(*level)] as f64).ln()).sum();
        Ok((pixels, within))
    }
}

/// The most pixels of a picture: those of 2048 × 2048.
const MOST_PIXELS: usize = 1 << 22;

/// Height and width of grey pictures.
pub(super) fn size_of(schema: &Schema) -> Result<[usize; 2]> {
    let size = match schema.shape[..] {
        [height, width] | [1, height, width] => [height, width],
        [3, _, _] => {
            return Err(Error::invalid("pictures in colour, and FRAME is of grey ones: --colour grey"));
        }
        ref other => {
            let problem = format!("rows of shape {other:?} are not pictures, and FRAME is of grey ones");
            return Err(Error::invalid(format!("{problem}: an array of one picture has the shape (1, height, width)")));
        }
    };
    if size[0].saturating_mul(size[1]) > MOST_PIXELS {
        let [height, width] = size;
        return Err(Error::invalid(format!(
            "pictures of {height} × {width} pixels; {MOST_PIXELS} at most: cut out a piece, or make them smaller"
        )));
    }
    let categories = schema.variables[0].categories;
    match schema.variables.iter().all(|v| v.categories == categories && categories >= 2) {
        true => Ok(size),
        false => {
            Err(Error::invalid("pixels of different levels, or of one; FRAME is of pictures of two levels or more"))
        }
    }
}

/// The level of the law that stands for one of a picture's.
pub(super) fn level_of(code: u16, levels: usize, categories: usize) -> u8 {
    (usize::from(code) * levels / categories).min(levels - 1) as u8
}

/// How many levels of a picture each level of the law stands for.
fn shares(levels: usize, categories: usize) -> Vec<usize> {
    let mut shares = vec![0; levels];
    (0..categories).for_each(|code| shares[usize::from(level_of(code as u16, levels, categories))] += 1);
    shares
}

impl Model for FrameModel {
    fn family(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> &str {
        NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn parameters(&self) -> usize {
        // A constant of each potential changes nothing.
        self.law.potentials().iter().map(|potential| potential.len() - 1).sum()
    }

    fn score(&self, rows: &dyn Rows, seed: Seed) -> Result<AnyEvidence> {
        self.score_from(rows, self.walks, seed)
    }

    fn score_from(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<AnyEvidence> {
        let (theirs, [height, width]) = (size_of(rows.schema())?, self.size());
        if theirs != [height, width] || rows.schema().variables[0].categories != self.categories() {
            let (levels, own) = (rows.schema().variables[0].categories, self.categories());
            let theirs = format!("pictures of {} × {} pixels of {levels} levels", theirs[0], theirs[1]);
            return Err(Error::invalid(format!("{theirs}; the model is of {height} × {width} of {own}")));
        }
        if !(2..=fit::MOST_WALKS).contains(&draws) {
            return Err(Error::Usage(Error::out_of_range("draws", draws, "2 ≤ draws ≤ 4096").to_string()));
        }
        let mut codes = Vec::new();
        let (mut known, mut within) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in 0..rows.len() {
            codes.clear();
            rows.read(&[row], &mut codes)?;
            let (pixels, nats) = self.levels_of(&codes, rows.number_of(row) as u64)?;
            let energy = self.law.energy_of(&Field::new(&self.law, self.size(), pixels.clone())?.histograms());
            known.push((pixels, energy));
            within.push(nats);
        }
        let [log_z, below, above] = self.log_z(draws, &known, seed.child("log z", 0))?;
        let log_probs = known.iter().zip(within).map(|((_, energy), within)| -energy - log_z - within).collect();
        let evidence = Evidence::<Estimate>::new(log_probs, Space::Raw, self.schema.len())?;
        // Where log Z is higher, log p is lower.
        Ok(evidence.of_rows(fingerprint(rows)?).within(above, below)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        if n == 0 {
            return Err(Error::out_of_range("n", 0, "1 ≤ n"));
        }
        let (levels, categories) = (self.law.levels(), self.categories());
        let shares = shares(levels, categories);
        let firsts: Vec<usize> = (0..levels).map(|level| shares[..level].iter().sum()).collect();
        let mut codes = Vec::with_capacity(n * self.schema.len());
        for (i, pixels) in self.draw(n, self.sweeps, seed)?.into_iter().enumerate() {
            let mut rng = seed.stream("within", i as u64);
            codes.extend(pixels.iter().map(|level| {
                let level = usize::from(*level);
                (firsts[level] + rng.random_range(0..shares[level].max(1))) as u16
            }));
        }
        Discrete::new(self.schema.clone(), codes).map(Dataset::from)
    }

    fn details(&self) -> (String, serde_json::Value) {
        let lines = self.law.features().iter().zip(self.law.potentials()).map(|(feature, potential)| {
            let (least, most) = potential.iter().fold((f64::MAX, f64::MIN), |(a, b), l| (a.min(*l), b.max(*l)));
            format!("  {}: {} bins, potential from {least:.3} to {most:.3}", feature.filter(), potential.len())
        });
        let text = std::iter::once(self.to_string()).chain(lines).collect::<Vec<_>>().join("\n");
        let filters: Vec<&str> = self.law.features().iter().map(|f| f.filter().name()).collect();
        (text, serde_json::json!({ "filters": filters, "potentials": self.law.potentials() }))
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        let mut features = Vec::new();
        for (i, (feature, potential)) in self.law.features().iter().zip(self.law.potentials()).enumerate() {
            let (filter, bins) = (feature.filter(), feature.bins());
            let window = &filter.windows()[0];
            for (w, window) in filter.windows().iter().enumerate() {
                arrays.put(&format!("filter/{i}/{w}"), &window.size(), window.weights());
            }
            arrays.put(&format!("potential/{i}"), &[potential.len()], potential);
            let (size, origin, windows) = (window.size(), window.origin(), filter.windows().len());
            features.push(Kept { filter: filter.name().into(), size, origin, windows, bins });
        }
        let (levels, borders) = (self.law.levels(), self.law.borders());
        let Self { sweeps, walks, stops, .. } = *self;
        let body = Body { levels, borders, sweeps, walks, stops, features };
        serde_json::to_value(body).map_err(Error::invalid)
    }
}

impl fmt::Display for FrameModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([height, width], levels, parameters) = (self.size(), self.law.levels(), self.parameters());
        let filters = counted(self.law.features().len(), "filter");
        write!(f, "frame: {filters}, {levels} grey levels, pictures of {height} × {width}, {parameters} parameters")
    }
}
