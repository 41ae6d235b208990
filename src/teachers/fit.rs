//! Teachers by their settings, whatever the levels of their pixels.

use super::{
    Bernoulli, Likelihood, MaskedAutoencoder, MaskedConfig, MaskedLearner, MixtureOfLogistics, Teacher, VqVae,
    VqVaeConfig, VqVaeLearner,
};
use crate::{
    Error, Result,
    circuits::Circuit,
    data::{Discrete, Patches, Rows, Schema},
    evidence::{Evidence, LowerBound},
    nn::optim::{AdamConfig, Schedule},
    random::Seed,
    train::{History, Learner, Plan, Run, train, watch},
};
use dfdx::tensor::Cpu;
use serde::{Deserialize, Serialize};

/// A teacher with a code for each part of a row: a [`VqVae`], whatever the levels of its pixels.
pub trait Coded: Teacher {
    /// The squares of its pictures.
    fn patches(&self) -> &Patches;

    /// As [`VqVae::encode`].
    ///
    /// # Errors
    /// As there.
    fn encode(&self, rows: &dyn Rows) -> Result<Discrete>;

    /// As [`VqVae::decode`].
    ///
    /// # Errors
    /// As there.
    fn decode(&self, codes: &dyn Rows) -> Result<Discrete>;

    /// As [`VqVae::elbo_of`].
    ///
    /// # Errors
    /// As there.
    fn elbo_of(&self, rows: &dyn Rows, prior: &Circuit) -> Result<Evidence<LowerBound>>;

    /// As [`VqVae::heads`].
    ///
    /// # Errors
    /// As there.
    fn heads(&self) -> Result<Circuit>;

    /// As [`VqVae::log_prob_given_codes`].
    ///
    /// # Errors
    /// As there.
    fn log_prob_given_codes(&self, rows: &dyn Rows) -> Result<Vec<f64>>;
}

impl<L: Likelihood<Bound = LowerBound>> Coded for VqVae<L> {
    fn patches(&self) -> &Patches {
        self.patches()
    }

    fn encode(&self, rows: &dyn Rows) -> Result<Discrete> {
        self.encode(rows)
    }

    fn decode(&self, codes: &dyn Rows) -> Result<Discrete> {
        self.decode(codes)
    }

    fn elbo_of(&self, rows: &dyn Rows, prior: &Circuit) -> Result<Evidence<LowerBound>> {
        self.elbo_of(rows, prior)
    }

    fn heads(&self) -> Result<Circuit> {
        self.heads()
    }

    fn log_prob_given_codes(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        self.log_prob_given_codes(rows)
    }
}

/// How an autoencoder of squares learns: what is common to both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Teaching {
    /// Passes over the pictures.
    pub epochs: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// The rate of Adam after a twentieth of all steps, in which it rises; then it falls along a cosine to a twentieth.
    pub rate: f64,
}

impl Default for Teaching {
    fn default() -> Self {
        Self { epochs: 40, batch: 64, rate: 3e-3 }
    }
}

impl Teaching {
    fn adam(&self, rows: &dyn Rows) -> AdamConfig {
        let steps = self.epochs * rows.len().div_ceil(self.batch.max(1)) as u64;
        AdamConfig {
            rate: Schedule::constant(self.rate).warmed_up(steps.div_ceil(20)).cosine(steps, 0.05),
            clip: Some(100.0),
            ..AdamConfig::default()
        }
    }

    /// `settings` are those that a run which goes on must have in common with the one that was stopped.
    fn train(&self, learner: &mut dyn Learner, settings: String, run: Run) -> Result<History> {
        run.on_cpu("a teacher")?;
        let plan = Plan { checkpoint: run.checkpoint, settings, ..Plan::new(self.epochs, self.batch, run.seed) };
        train(learner, &plan, run.watch)
    }

    /// A vector-quantised autoencoder of pictures, whose pixels are Bernoulli where they have two levels, and else mixtures of
    /// discretised logistics, in which the channels of a pixel depend on each other.
    ///
    /// # Errors
    /// When a setting is out of its range, pixels of a channel differ in their levels, or a value is missing.
    pub fn vq_vae(&self, config: &VqVaeConfig, rows: &dyn Rows, run: Run) -> Result<(Box<dyn Coded>, History)> {
        self.vq_vae_within(config, text(config)?, rows, run)
    }

    /// The same as a part of a run with those settings.
    pub(crate) fn vq_vae_within(
        &self,
        config: &VqVaeConfig,
        settings: String,
        rows: &dyn Rows,
        run: Run,
    ) -> Result<(Box<dyn Coded>, History)> {
        match levels(rows.schema(), config.side)? {
            None => self.vq_vae_of(config, Bernoulli, settings, rows, run),
            Some(levels) => {
                self.vq_vae_of(config, MixtureOfLogistics::new(&levels, config.components)?, settings, rows, run)
            }
        }
    }

    fn vq_vae_of<L: Likelihood<Bound = LowerBound>>(
        &self,
        config: &VqVaeConfig,
        likelihood: L,
        settings: String,
        rows: &dyn Rows,
        run: Run,
    ) -> Result<(Box<dyn Coded>, History)> {
        let model = VqVae::new(&device("vq-vae", run.seed), rows.schema(), likelihood, config)?;
        let mut learner = VqVaeLearner::new(model, rows, None, self.adam(rows), run.seed)?;
        let history = self.train(&mut learner, settings, run)?;
        Ok((Box::new(learner.into_model()), history))
    }

    /// A masked autoencoder of pictures.
    ///
    /// # Errors
    /// As [`Self::vq_vae`].
    pub fn masked(&self, config: &MaskedConfig, rows: &dyn Rows, run: Run) -> Result<(Box<dyn Teacher>, History)> {
        match levels(rows.schema(), config.side)? {
            None => self.masked_of(config, Bernoulli, rows, run),
            Some(levels) => self.masked_of(config, MixtureOfLogistics::new(&levels, config.components)?, rows, run),
        }
    }

    fn masked_of<L: Likelihood>(
        &self,
        config: &MaskedConfig,
        likelihood: L,
        rows: &dyn Rows,
        run: Run,
    ) -> Result<(Box<dyn Teacher>, History)> {
        let model = MaskedAutoencoder::new(&device("masked", run.seed), rows.schema(), likelihood, config)?;
        let mut learner = MaskedLearner::new(model, rows, None, self.adam(rows), run.seed)?;
        let history = self.train(&mut learner, text(config)?, run)?;
        Ok((Box::new(learner.into_model()), history))
    }
}

/// A [`VqVae`] of pictures with the usual [`Teaching`], watched by the reader of a notebook.
///
/// # Errors
/// As [`Teaching::vq_vae`].
pub fn vq_vae(config: &VqVaeConfig, rows: &dyn Rows, seed: Seed) -> Result<Box<dyn Coded>> {
    Ok(Teaching::default().vq_vae(config, rows, Run::new(seed, &mut watch()))?.0)
}

fn text(settings: &impl Serialize) -> Result<String> {
    toml::to_string(settings).map_err(Error::invalid)
}

fn device(what: &str, seed: Seed) -> Cpu {
    Cpu::seed_from_u64(seed.child(what, 0).0)
}

/// The levels of the channels of pictures, or none where all have two.
fn levels(pictures: &Schema, side: usize) -> Result<Option<Vec<usize>>> {
    let levels = Patches::new(pictures, side)?.levels()?;
    Ok(levels.iter().any(|levels| *levels > 2).then_some(levels))
}
