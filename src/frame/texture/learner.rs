//! Learning a texture: filter after filter, each with its potential, while chains of images follow.

use super::{Bins, Borders, Feature, Field, Frame, MOST_BINS};
use crate::{
    Error, Result,
    archive::Archive,
    evidence::Fingerprint,
    frame::{
        Bank, Filter,
        samplers::{Gibbs, Sampler},
    },
    memory::afford,
    random::Seed,
    train::{Clock, Learner},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// By what the next filter is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The one whose histogram differs most: `½ |H_syn − H_obs|₁` a pixel. As in 1998.
    #[default]
    Distance,
    /// The one that would add most to the likelihood, to second order, by how the histograms of blocks of the chains' images vary.
    Gain,
}

/// How a potential follows the difference of two histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `λ_b ← λ_b + δ (h_syn − h_obs)`, the slope of the likelihood a pixel. As in 1998.
    Slope,
    /// `λ_b ← λ_b + δ (h_syn − h_obs) / ½ (h_syn + h_obs)`: a rare bin moves as fast as a common one, and none by more than `2 δ`.
    #[default]
    Ratio,
}

/// What pursuit and learning are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Pursuit {
    /// What filters are chosen from.
    pub bank: Bank,
    /// How many are chosen.
    pub filters: usize,
    /// By what.
    pub choice: Choice,
    /// Bins of one width between the ends of what the observed images respond with; 0 for [`Bins::widening`] ones.
    pub bins: usize,
    /// Grey levels.
    pub levels: usize,
    /// What lies beyond the edges of the chains' images.
    pub borders: Borders,
    /// Height and width of the chains' images.
    pub size: [usize; 2],
    /// Number of chains.
    pub chains: usize,
    /// Steps of learning for each filter.
    pub updates: usize,
    /// Sweeps of every chain before each of them.
    pub sweeps: usize,
    /// How potentials follow.
    pub rule: Rule,
    /// `δ` of the first update after a filter was chosen; it falls to a twentieth until the next is.
    pub rate: f64,
}

/// An observed image: its size, and its grey levels row after row.
pub type Seen = ([usize; 2], Vec<u8>);

/// Shares of a filter's responses by bin.
pub(in crate::frame) type Shares = Vec<f64>;

/// Learns a [`Frame`] from images: see [`Pursuit`].
pub struct FrameLearner {
    how: Pursuit,
    rows: Fingerprint,
    /// All candidates, and how often the observed images respond how strongly.
    candidates: Vec<(Feature, Shares)>,
    chosen: Vec<usize>,
    law: Frame,
    chains: Vec<Field>,
}

impl FrameLearner {
    /// Chains begin as noise, with no filter.
    ///
    /// # Errors
    /// When fewer filters are as small as the images than are to be chosen, or a setting is out of its range.
    pub fn new(seen: &[Seen], rows: Fingerprint, how: Pursuit, seed: Seed) -> Result<Self> {
        let law = Frame::uniform(how.levels, how.borders)?;
        for (name, value) in [("chains", how.chains), ("updates", how.updates), ("sweeps", how.sweeps)] {
            if value == 0 {
                return Err(Error::out_of_range(name, 0, "1 ≤ value"));
            }
        }
        if !(how.rate > 0.0 && how.rate.is_finite()) {
            return Err(Error::out_of_range("rate", how.rate, "0 < rate < ∞"));
        }
        if how.choice == Choice::Gain && super::pursuit::blocks(how.size).saturating_mul(how.chains) < 2 {
            let problem =
                "a choice by gain compares blocks of 8 × 8 pixels, and the chains' images have fewer than two";
            return Err(Error::Usage(format!("{problem}: a larger side, or more chains")));
        }
        // Two maps of each image for every feature, and the image.
        let maps = how.filters.checked_mul(2).and_then(|maps| maps.checked_add(1));
        let sites = how.size[0].checked_mul(how.size[1]).and_then(|sites| sites.checked_mul(how.chains));
        let numbers = maps.zip(sites).and_then(|(maps, sites)| maps.checked_mul(sites));
        afford(numbers, 4, "the images that learning draws", "a smaller side, fewer chains or filters")?;
        let candidates: Vec<Option<_>> = how
            .bank
            .filters()
            .par_iter()
            .map(|filter| observe(filter, seen, how.bins, how.levels))
            .collect::<Result<_>>()?;
        let fits = |(feature, _): &(Feature, Shares)| feature.fits(how.size, how.borders);
        let candidates: Vec<_> = candidates.into_iter().flatten().filter(fits).collect();
        if how.filters == 0 || how.filters > candidates.len() {
            let (filters, all, fit) = (how.filters, how.bank.len(), candidates.len());
            let problem = format!(
                "{filters} filters to choose; of the {all} of the bank, {fit} are no larger than the images shown and drawn"
            );
            return Err(Error::Usage(format!(
                "{problem}: choose one at least and these at most, or show larger images and draw them with a larger side"
            )));
        }
        let mut learner = Self { how, rows, candidates, chosen: vec![], law, chains: vec![] };
        let noise =
            |chain: usize| Field::noise(&learner.law, learner.how.size, &mut seed.stream("noise", chain as u64));
        learner.chains = (0..learner.how.chains).map(noise).collect::<Result<_>>()?;
        Ok(learner)
    }

    /// Steps in all.
    pub fn steps(&self) -> u64 {
        (self.how.filters * self.how.updates) as u64
    }

    /// The law as it is now.
    pub fn law(&self) -> &Frame {
        &self.law
    }

    /// The chains' images.
    pub fn chains(&self) -> &[Field] {
        &self.chains
    }

    /// The filters chosen so far, by their places among those of the bank that are no larger than the images.
    pub fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// How far each candidate's histogram is from that of the observed images, `½ |h_syn − h_obs|₁`, within [0, 1].
    pub fn distances(&self) -> Vec<f64> {
        self.candidates.par_iter().map(|(feature, seen)| distance(&self.synthesised(feature), seen)).collect()
    }

    /// Shares of a feature's responses in the chains' images.
    fn synthesised(&self, feature: &Feature) -> Shares {
        let images = self.chains.iter().map(|chain| (chain.size(), chain.pixels()));
        shares(feature, images, self.how.borders)
    }

    /// What a filter would add to `log p`, nats a pixel: `½ Δᵀ V⁻¹ Δ`, with what the law's own features leave of the covariance of
    /// the histograms of blocks, a pixel.
    fn gain(&self, candidate: usize) -> f64 {
        let (feature, seen) = &self.candidates[candidate];
        let own: Vec<&Feature> = self.chosen.iter().map(|c| &self.candidates[*c].0).collect();
        let away: Vec<f64> = self.synthesised(feature).iter().zip(seen).map(|(syn, obs)| syn - obs).collect();
        super::pursuit::gain(feature, &own, &self.chains, &away)
    }

    /// Adds the best of the filters that are left.
    fn pursue(&mut self) -> Result<()> {
        let score = |candidate: &usize| match self.how.choice {
            Choice::Distance => {
                let (feature, seen) = &self.candidates[*candidate];
                distance(&self.synthesised(feature), seen)
            }
            Choice::Gain => self.gain(*candidate),
        };
        let left: Vec<usize> = (0..self.candidates.len()).filter(|c| !self.chosen.contains(c)).collect();
        let scores: Vec<f64> = left.par_iter().map(score).collect();
        let best = left.iter().zip(scores).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(candidate, _)| *candidate);
        self.choose(best.ok_or_else(|| Error::invalid("no filter is left to choose"))?)
    }

    /// Adds a filter, with a potential of 0.
    fn choose(&mut self, candidate: usize) -> Result<()> {
        let potentials = self.law.potentials().to_vec();
        self.law = self.law.clone().with(self.candidates[candidate].0.clone())?;
        let zeros = vec![0.0; self.candidates[candidate].0.bins().count()];
        self.law.set_potentials([potentials, vec![zeros]].concat())?;
        self.chosen.push(candidate);
        let again = |chain: &Field| Field::new(&self.law, chain.size(), chain.pixels().to_vec());
        self.chains = self.chains.iter().map(again).collect::<Result<_>>()?;
        Ok(())
    }
}

/// A filter with bins over what observed images respond with, and the shares of these; none where it is larger than the images.
pub(in crate::frame) fn observe(
    filter: &Filter,
    seen: &[Seen],
    bins: usize,
    levels: usize,
) -> Result<Option<(Feature, Shares)>> {
    let unbinned = Feature::new(filter.clone(), Bins::whole(0, 0)?, levels)?;
    // Real images end: only what lies inside is counted.
    let responses: Vec<f32> =
        seen.iter().flat_map(|(size, pixels)| unbinned.responses(pixels, *size, Borders::Free)).collect();
    if responses.is_empty() {
        return Ok(None);
    }
    let is_level = filter.windows().len() == 1 && filter.windows()[0].weights() == [1.0];
    let bins = match bins {
        // The grey level itself is counted as it is.
        0 if is_level && levels <= MOST_BINS => Bins::whole(0, levels as i32 - 1)?,
        0 => Bins::widening(&responses)?,
        inner => Bins::over(&responses, inner)?,
    };
    let feature = Feature::new(filter.clone(), bins, levels)?;
    let counts = feature.histogram(responses);
    Ok(Some((feature, normalised(counts))))
}

/// Shares of a filter's responses to images by bin.
pub(in crate::frame) fn shares<'a>(
    feature: &Feature,
    images: impl Iterator<Item = ([usize; 2], &'a [u8])>,
    borders: Borders,
) -> Shares {
    normalised(feature.histogram(images.flat_map(|(size, pixels)| feature.responses(pixels, size, borders))))
}

/// Counts as shares of all.
pub(super) fn normalised(counts: Vec<f64>) -> Shares {
    let all: f64 = counts.iter().sum();
    counts.into_iter().map(|n| n / all.max(1.0)).collect()
}

/// `½ |a − b|₁`.
pub(in crate::frame) fn distance(a: &[f64], b: &[f64]) -> f64 {
    0.5 * a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>()
}

impl Learner for FrameLearner {
    fn describe(&self) -> String {
        let Pursuit { bank, filters, choice, bins, levels, borders, size, chains, updates, sweeps, rule, rate } =
            &self.how;
        format!(
            "frame, {filters} of {} filters by {choice:?}, {bins} bins, {levels} levels, {borders:?}, {chains} chains of {size:?}, \
             {updates} updates of {sweeps} sweeps, {rule:?} {rate}",
            bank.len()
        )
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(self.rows), None])
    }

    /// The loss is the mean distance of the histograms of the chosen filters: the likelihood is not known while learning.
    fn step(&mut self, _: &[usize], clock: &Clock) -> Result<f64> {
        let made = (clock.step - 1) as usize;
        if made / self.how.updates == self.chosen.len() && self.chosen.len() < self.how.filters {
            self.pursue()?;
        }
        Gibbs.steps(&self.law, &mut self.chains, self.how.sweeps, clock.seed.child("gibbs", clock.step))?;
        let rate = self.how.rate * 0.05_f64.powf((made % self.how.updates) as f64 / self.how.updates as f64);
        let mut potentials = self.law.potentials().to_vec();
        let mut loss = 0.0;
        let all = self.chains.iter().map(Field::histograms);
        let summed = all.reduce(|a, b| {
            let add = |(a, b): (Vec<f64>, Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
            a.into_iter().zip(b).map(add).collect()
        });
        let counted = summed.unwrap_or_default();
        for ((potential, counts), chosen) in potentials.iter_mut().zip(counted).zip(&self.chosen) {
            let (feature, seen) = &self.candidates[*chosen];
            let reach = feature.reach();
            // A response that was seen once would have been seen with half that share by chance.
            let least = 1.0 / counts.iter().sum::<f64>().max(1.0);
            let found = normalised(counts);
            loss += distance(&found, seen) / self.chosen.len() as f64;
            for (potential, (syn, obs)) in potential.iter_mut().zip(found.iter().zip(seen)) {
                let scale = match self.how.rule {
                    Rule::Slope => 1.0,
                    Rule::Ratio => 0.5 * (syn + obs) + least,
                };
                *potential += rate / reach * (syn - obs) / scale;
            }
            // A constant changes nothing.
            let mean = potential.iter().sum::<f64>() / potential.len() as f64;
            potential.iter_mut().for_each(|l| *l -= mean);
        }
        self.law.set_potentials(potentials)?;
        Ok(loss)
    }

    fn validate(&mut self) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }

    fn save(&self, archive: &mut Archive) {
        let chosen: Vec<f64> = self.chosen.iter().map(|c| *c as f64).collect();
        archive.put("chosen", &[chosen.len()], &chosen);
        for (i, potential) in self.law.potentials().iter().enumerate() {
            archive.put(&format!("potential/{i}"), &[potential.len()], potential);
        }
        for (i, chain) in self.chains.iter().enumerate() {
            let pixels: Vec<f64> = chain.pixels().iter().map(|p| f64::from(*p)).collect();
            archive.put(&format!("chain/{i}"), &chain.size(), &pixels);
        }
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        let mut law = Frame::uniform(self.how.levels, self.how.borders)?;
        let (mut chosen, mut potentials) = (Vec::new(), Vec::new());
        for (i, candidate) in archive.get_all::<f64>("chosen")?.into_iter().enumerate() {
            let candidate = candidate as usize;
            let (feature, _) =
                self.candidates.get(candidate).ok_or_else(|| Error::invalid("a filter beyond the bank"))?;
            law = law.with(feature.clone())?;
            potentials.push(archive.get::<f64>(&format!("potential/{i}"), &[feature.bins().count()])?);
            chosen.push(candidate);
        }
        law.set_potentials(potentials)?;
        (self.law, self.chosen) = (law, chosen);
        for (i, chain) in self.chains.iter_mut().enumerate() {
            let pixels = archive.get::<f64>(&format!("chain/{i}"), &self.how.size)?;
            let pixels = pixels.into_iter().map(|p| p as u8).collect();
            *chain = Field::new(&self.law, self.how.size, pixels)?;
        }
        Ok(())
    }
}
