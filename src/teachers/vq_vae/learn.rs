//! Learning by reconstruction, and codes that nothing uses any more.

use super::{VqVae, nearest};
use crate::{
    Result,
    data::{Continuous, Rows, fingerprint},
    evidence::Fingerprint,
    linalg::KMeans,
    nn::{Device, optim::AdamConfig},
    random::Seed,
    teachers::Likelihood,
    train::{Clock, GradientLearner, Loss, Objective, Phase, Trained},
};
use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, Gradients, Trace},
    tensor_ops::SumTo,
};
use rand::RngExt;
use std::marker::PhantomData;

/// The loss of a [`VqVae`], nats a picture.
pub struct VqLoss<'a, L, Dev = Cpu> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    seed: Seed,
    model: PhantomData<fn() -> (L, Dev)>,
}

/// A [`VqVae`] that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type VqVaeLearner<'a, L, Dev = Cpu> = GradientLearner<VqLoss<'a, L, Dev>, Dev>;

/// Pictures by which the codes begin.
const FIRST: usize = 512;
/// Steps from one look at the use of the codes to the next, what is kept of the last look, and the least use of a code, in
/// shares of the average.
const EVERY: u64 = 10;
const KEPT: f32 = 0.5;
const LEAST: f32 = 0.02;

impl<'a, L: Likelihood, Dev: Device<f32>> VqVaeLearner<'a, L, Dev> {
    /// `valid` decides when to stop, if the plan has a patience. The codes begin at clusters of what the encoder says of the first
    /// pictures.
    ///
    /// # Errors
    /// When rows have other variables than the autoencoder, or a setting of Adam is out of range.
    pub fn new(
        model: VqVae<L, Dev>,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        model.read(train, &[])?;
        valid.map(|valid| model.read(valid, &[])).transpose()?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(VqLoss { train, valid, seed, model: PhantomData }, model, adam)
    }
}

impl<L: Likelihood, Dev: Device<f32>> Objective<Dev> for VqLoss<'_, L, Dev> {
    type Model = VqVae<L, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let (codes, width) = *model.net.codebook.shape();
        let (pull, seed) = (model.commitment, self.seed.0);
        format!("vector-quantised autoencoder, {}, {codes} codes of {width} numbers, β {pull}, seed {seed}", L::NAME)
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(&self, model: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], _: &Clock) -> Result<Loss<Dev>> {
        let (input, values) = model.read(self.train, rows)?;
        let squares = (model.patches.positions(), values);
        let [log_probs, commit, follow] = model.net.losses(input.traced(grads), squares, model.commitment);
        let each: Loss<Dev> = commit.sum() + follow.sum() - log_probs.sum();
        Ok(each / rows.len() as f32)
    }

    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |valid: &dyn Rows| -> Result<Vec<f64>> {
            Ok(model.log_prob_given_codes(valid)?.into_iter().map(|log_prob| -log_prob).collect())
        };
        self.valid.map(losses).transpose()
    }

    fn adapt(&self, model: &mut Self::Model, phase: Phase) -> Result<()> {
        if phase != Phase::Start {
            return Ok(());
        }
        let first: Vec<usize> = (0..self.train.len().min(FIRST)).collect();
        let (input, _) = model.read(self.train, &first)?;
        let said = model.net.encoded(input, model.patches.positions()).as_vec();
        let (codes, width) = *model.net.codebook.shape();
        let points = said.iter().map(|h| f64::from(*h)).collect();
        let points = Continuous::new((0..width).map(|i| format!("h{i}")).collect(), points)?;
        let clusters = KMeans { rounds: 10, ..KMeans::new(codes.min(points.len())) };
        let mut centres: Vec<f32> = clusters.fit(&points, self.seed)?.centres.into_iter().map(|c| c as f32).collect();
        centres.resize(codes * width, 0.0);
        model.net.codebook.copy_from(&centres);
        Ok(())
    }

    /// A code that hardly any square has had of late becomes what the encoder says of a square of this batch.
    fn after_step(&self, model: &mut Self::Model, rows: &[usize], clock: &Clock) -> Result<()> {
        if !clock.step.is_multiple_of(EVERY) {
            return Ok(());
        }
        let (input, _) = model.read(self.train, rows)?;
        let said = model.net.encoded(input, model.patches.positions()).as_vec();
        let (codes, width) = *model.net.codebook.shape();
        let (mut codebook, mut usage) = (model.net.codebook.as_vec(), model.net.usage.as_vec());
        let found = nearest(&said, &codebook, width);
        usage.iter_mut().for_each(|share| *share *= KEPT);
        let each = (1.0 - KEPT) * codes as f32 / found.len() as f32;
        found.iter().for_each(|code| usage[*code] += each);
        let mut rng = clock.seed.stream("codes", clock.step);
        for code in (0..codes).filter(|code| usage[*code] < LEAST).collect::<Vec<_>>() {
            let square = rng.random_range(0..found.len());
            codebook[code * width..(code + 1) * width].copy_from_slice(&said[square * width..(square + 1) * width]);
            usage[code] = 1.0;
        }
        model.net.codebook.copy_from(&codebook);
        model.net.usage.copy_from(&usage);
        Ok(())
    }
}

impl<L: Likelihood, Dev: Device<f32>> Trained<Dev> for VqVae<L, Dev> {
    type Module = super::Network<L, f32, Dev>;

    fn module(&self) -> &Self::Module {
        &self.net
    }

    fn module_mut(&mut self) -> &mut Self::Module {
        &mut self.net
    }
}
