//! MADE with Bernoulli heads: an autoregressive distribution of zeros and ones.

use crate::{
    Error, Result,
    data::{self, Discrete, Schema, complete, fingerprint},
    evidence::{Evidence, Exact, Fingerprint, Space},
    flows::{Batch, PerRow},
    nn::{Activation, Device, Perceptron, Real, Relu, fields, ops::rowwise, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, Trained},
};
use dfdx::{
    dtypes::Dtype,
    prelude::MeanTo,
    tensor::{Cpu, Gradients, Storage, Tape, Trace},
};
use rand::RngExt;
use std::{marker::PhantomData, sync::Arc};

/// A distribution of rows of zeros and ones, each value given those before it.
///
/// ```text
/// log p(x) = Σ xᵢ lᵢ − log(1 + e^lᵢ)      lᵢ = network(x_<i)
/// ```
///
/// Probabilities take one pass and are exact; drawing takes a pass for each value. It is no flow: zeros and ones have no density.
/// Source: Germain et al. 2015, §4.
///
/// ```
/// # use dfdx::tensor::Cpu;
/// # use limbeck::{flows::BernoulliMade, random::Seed};
/// let made: BernoulliMade = BernoulliMade::new(&Cpu::seed_from_u64(0), 6, 16)?;
/// let drawn = made.sample(10, Seed(1))?;
/// assert!(made.evidence(&drawn)?.bits_per_dim()? < 1.2);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BernoulliMade<A = Relu, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: Perceptron<usize, usize, A, E, Dev>,
}

impl<A: Activation, E: Real, Dev: Device<E>> BernoulliMade<A, E, Dev> {
    /// A network that is randomly initialised, for rows of `dims` values.
    ///
    /// # Errors
    /// When a number is 0, or the device has no memory for it.
    pub fn new(device: &Dev, dims: usize, hidden: usize) -> Result<Self> {
        Ok(Self { network: Perceptron::autoregressive(device, dims, dims, hidden, 1)? })
    }

    /// Values a row.
    pub fn dims(&self) -> usize {
        self.network.dims()
    }

    /// Log-probability of every row of zeros and ones, nats.
    pub fn log_prob<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>) -> PerRow<E, Dev, T> {
        let (dims, values) = (self.dims(), Arc::<[E]>::from(x.as_vec()));
        let again = values.clone();
        rowwise(
            self.network.forward(x),
            move |row, logits| {
                let each = values[row * dims..].iter().zip(logits).map(|(x, l)| *x * *l - l.softplus());
                each.fold(E::default(), |sum, log| sum + log)
            },
            move |row, logits, d, into| {
                let each = again[row * dims..].iter().zip(logits).zip(into);
                each.for_each(|((x, l), into)| *into += d * (*x - l.sigmoid()));
            },
        )
    }
}

fields! { [A: Activation,] BernoulliMade[A,] { module network } }

impl<A: Activation, Dev: Device<f32>> BernoulliMade<A, f32, Dev> {
    /// Exact log-probabilities of rows.
    ///
    /// # Errors
    /// When the rows have other variables, a value is missing, or is neither 0 nor 1.
    pub fn evidence(&self, rows: &dyn data::Rows) -> Result<Evidence<Exact>> {
        Ok(Evidence::new(self.log_probs(rows)?, Space::Raw, self.dims())?.of_rows(fingerprint(rows)?))
    }

    fn log_probs(&self, rows: &dyn data::Rows) -> Result<Vec<f64>> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut log_probs = Vec::with_capacity(all.len());
        for block in all.chunks(1024) {
            log_probs.extend(self.log_prob(self.read(rows, block)?).as_vec().into_iter().map(f64::from));
        }
        Ok(log_probs)
    }

    /// `n` independent rows.
    ///
    /// # Errors
    /// When `n` is 0.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Discrete> {
        let (dims, mut rng) = (self.dims(), seed.stream("made", 0));
        let mut values = vec![0.0; n * dims];
        for i in 0..dims {
            let logits = self.network.forward(self.tensor(values.clone())).as_vec();
            for row in 0..n {
                let one = Real::sigmoid(logits[row * dims + i]);
                values[row * dims + i] = f32::from(u8::from(rng.random::<f32>() < one));
            }
        }
        Discrete::new(Schema::uniform(&[dims], 2), values.into_iter().map(|x| x as u16).collect())
    }

    fn tensor(&self, values: Vec<f32>) -> Batch<usize, f32, Dev> {
        let rows = values.len() / self.dims();
        self.network.device().tensor_from_vec(values, (rows, self.dims()))
    }

    /// The rows with these indices.
    fn read(&self, rows: &dyn data::Rows, which: &[usize]) -> Result<Batch<usize, f32, Dev>> {
        let (dims, values) = (self.dims(), complete(rows, which, self.dims())?);
        if let Some(at) = values.iter().position(|x| *x > 1.0) {
            let place = format!("row {}, variable {}", rows.number_of(which[at / dims]), at % dims);
            return Err(Error::invalid(format!("{place}: {} is neither 0 nor 1", values[at])));
        }
        Ok(self.tensor(values))
    }
}

/// The mean negative log-probability of rows of zeros and ones.
pub struct MadeLikelihood<'a, A = Relu, Dev = Cpu> {
    train: &'a dyn data::Rows,
    valid: Option<&'a dyn data::Rows>,
    model: PhantomData<fn() -> (A, Dev)>,
}

/// A MADE of zeros and ones that learns by maximum likelihood with Adam; a [`Learner`](crate::train::Learner) for
/// [`train`](crate::train::train()).
pub type MadeLearner<'a, A = Relu, Dev = Cpu> = GradientLearner<MadeLikelihood<'a, A, Dev>, Dev>;

impl<'a, A: Activation, Dev: Device<f32>> MadeLearner<'a, A, Dev> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows have other variables, or a setting of Adam is out of range.
    pub fn new(
        made: BernoulliMade<A, f32, Dev>,
        train: &'a dyn data::Rows,
        valid: Option<&'a dyn data::Rows>,
        adam: AdamConfig,
    ) -> Result<Self> {
        made.read(train, &[])?;
        valid.map(|valid| made.read(valid, &[])).transpose()?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(MadeLikelihood { train, valid, model: PhantomData }, made, adam)
    }
}

impl<A: Activation, Dev: Device<f32>> Objective<Dev> for MadeLikelihood<'_, A, Dev> {
    type Model = BernoulliMade<A, f32, Dev>;

    fn describe(&self, made: &Self::Model) -> String {
        format!("MADE of zeros and ones, {:?} units", made.network.sizes())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(&self, made: &Self::Model, grads: Gradients<f32, Dev>, rows: &[usize], _: &Clock) -> Result<Loss<Dev>> {
        Ok(-made.log_prob(made.read(self.train, rows)?.traced(grads)).mean())
    }

    fn check(&self, made: &Self::Model) -> Result<()> {
        made.network.check()
    }

    fn validate(&self, made: &Self::Model) -> Result<Option<Vec<f64>>> {
        self.valid.map(|valid| Ok(made.log_probs(valid)?.into_iter().map(|p| -p).collect())).transpose()
    }
}

impl<A: Activation, Dev: Device<f32>> Trained<Dev> for BernoulliMade<A, f32, Dev> {
    type Module = Self;

    fn module(&self) -> &Self {
        self
    }

    fn module_mut(&mut self) -> &mut Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::Archive,
        data::{MISSING, shipped},
        train::{Learner, Plan, quiet, train},
    };

    #[test]
    fn probabilities_of_all_rows_add_up_to_one() {
        let made = BernoulliMade::<Relu>::new(&Cpu::seed_from_u64(4), 6, 20).unwrap();
        let codes = (0..64_u16).flat_map(|x| (0..6).map(move |i| x >> i & 1)).collect();
        let all = Discrete::new(Schema::uniform(&[6], 2), codes).unwrap();
        let evidence = made.evidence(&all).unwrap();
        let total: f64 = evidence.log_probs().iter().map(|p| p.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        // And samples come as often as they should.
        let drawn = made.sample(20_000, Seed(1)).unwrap();
        let mut counts = [0.0; 64];
        for i in 0..20_000 {
            let code: usize = drawn.row(i).iter().enumerate().map(|(i, x)| usize::from(*x) << i).sum();
            counts[code] += 1.0 / 20_000.0;
        }
        let far = counts.iter().zip(evidence.log_probs()).map(|(c, p)| (c - p.exp()).abs()).sum::<f64>();
        assert!(far < 0.06, "{far}");
        let row = |x: u16| Discrete::new(Schema::uniform(&[6], 3), vec![0, 1, x, 0, 0, 1]).unwrap();
        assert_eq!(made.evidence(&row(2)).unwrap_err().to_string(), "row 0, variable 2: 2 is neither 0 nor 1");
        assert!(made.evidence(&row(MISSING)).unwrap_err().to_string().contains("no missing values"));
    }

    #[test]
    fn it_learns_digits_in_black_and_white() {
        let digits = shipped::digits().unwrap();
        let bits = digits.pixels().iter().map(|p| u16::from(*p > 7)).collect();
        let bits = Discrete::new(Schema::uniform(&[64], 2), bits).unwrap();
        let part = |range: std::ops::Range<usize>| bits.select(&range.collect::<Vec<_>>());
        let made = BernoulliMade::new(&Cpu::seed_from_u64(1), 64, 128).unwrap();
        let (rows, valid) = (part(0..1400), part(1400..1797));
        let mut learner = MadeLearner::<Relu>::new(made, &rows, Some(&valid), AdamConfig::default()).unwrap();
        let mean = |losses: Vec<f64>| losses.iter().sum::<f64>() / losses.len() as f64;
        let before = mean(learner.validate().unwrap().unwrap());
        train(&mut learner, &Plan::new(12, 50, Seed(2)), &mut quiet).unwrap();
        let after = mean(learner.validate().unwrap().unwrap());
        assert!(before > 40.0 && after < 24.0, "{before} nats, then {after}");
        let mut archive = Archive::default();
        Learner::save(&learner, &mut archive);
        let fresh = BernoulliMade::new(&Cpu::seed_from_u64(9), 64, 128).unwrap();
        let mut again = MadeLearner::<Relu>::new(fresh, &rows, Some(&valid), AdamConfig::default()).unwrap();
        again.load(&archive).unwrap();
        assert_eq!(again.validate().unwrap(), learner.validate().unwrap());
    }
}
