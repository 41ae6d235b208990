//! Learning by reconstruction, and codes that nothing uses any more.

use super::{VqVae, network::Network};
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
        let (codes, width, levels) = (model.codes(), model.net.width(), model.levels());
        let (pull, seed) = (model.commitment, self.seed.0);
        let levels = if levels == 1 { String::new() } else { format!("{levels} levels, ") };
        let kind = format!("vector-quantised autoencoder, {levels}{}", L::NAME);
        format!("{kind}, {codes} codes of {width} numbers, β {pull}, seed {seed}")
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(&self, model: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], _: &Clock) -> Result<Loss<Dev>> {
        let (input, values) = model.read(self.train, rows)?;
        let seen = model.seen(input.traced(grads));
        let mut each: Loss<Dev> = -model.log_probs(values, seen.codes).sum();
        for level in seen.levels {
            each = each + level.commit.sum() + level.follow.sum();
        }
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
        let (codes, width) = (model.codes(), model.net.width());
        // What is said below depends on the codes above.
        for level in (0..model.levels()).rev() {
            let (input, _) = model.read(self.train, &first)?;
            let said = &model.seen(input).levels[level].said;
            let points = said.iter().map(|h| f64::from(*h)).collect();
            let points = Continuous::new((0..width).map(|i| format!("h{i}")).collect(), points)?;
            let clusters = KMeans { rounds: 10, ..KMeans::new(codes.min(points.len())) };
            let mut centres: Vec<f32> =
                clusters.fit(&points, self.seed)?.centres.into_iter().map(|c| c as f32).collect();
            centres.resize(codes * width, 0.0);
            model.net.books_mut()[level].codes.copy_from(&centres);
        }
        Ok(())
    }

    /// A code that hardly any square has had of late becomes what the encoder says of a square of this batch.
    fn after_step(&self, model: &mut Self::Model, rows: &[usize], clock: &Clock) -> Result<()> {
        if !clock.step.is_multiple_of(EVERY) {
            return Ok(());
        }
        let (input, _) = model.read(self.train, rows)?;
        let (levels, width, mut rng) =
            (model.seen(input).levels, model.net.width(), clock.seed.stream("codes", clock.step));
        for (book, level) in model.net.books_mut().into_iter().zip(levels) {
            let (mut codebook, mut usage) = (book.codes.as_vec(), book.usage.as_vec());
            usage.iter_mut().for_each(|share| *share *= KEPT);
            let each = (1.0 - KEPT) * usage.len() as f32 / level.found.len() as f32;
            level.found.iter().for_each(|code| usage[*code] += each);
            for code in (0..usage.len()).filter(|code| usage[*code] < LEAST).collect::<Vec<_>>() {
                let square = rng.random_range(0..level.found.len());
                let said = &level.said[square * width..(square + 1) * width];
                codebook[code * width..(code + 1) * width].copy_from_slice(said);
                usage[code] = 1.0;
            }
            book.codes.copy_from(&codebook);
            book.usage.copy_from(&usage);
        }
        Ok(())
    }
}

impl<L: Likelihood, Dev: Device<f32>> Trained<Dev> for VqVae<L, Dev> {
    type Module = Network<f32, Dev>;

    fn module(&self) -> &Self::Module {
        &self.net
    }

    fn module_mut(&mut self) -> &mut Self::Module {
        &mut self.net
    }
}
