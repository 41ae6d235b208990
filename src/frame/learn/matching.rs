//! Energy Matching: noise is carried to the data first, and what is near the data becomes a law afterwards.

use super::transport::{Looks, Transport};
use crate::{
    Error, Result,
    evidence::Fingerprint,
    frame::{
        Energy, Scoring,
        samplers::{Chains, Cold, Sampler, Ula},
        transport::pairs,
    },
    nn::Device,
    random::Seed,
    train::{Clock, Loss, Objective, name_of},
};
use dfdx::{
    shapes::{Axis, Rank0},
    tensor::{Cpu, Gradients, Trace},
    tensor_ops::SumTo,
};
use rand::RngExt;
use std::marker::PhantomData;

/// How points go from noise to data along the slopes of an energy, and from when they are shaken.
///
/// ```text
/// x' = x + h v(x) + √(2 h ε(t)) ξ,    v = ∇Φ − x/σ²,    t = h, 2h, …
/// ε(t) = 0 until `onset`, rises evenly to `temperature` at t = 1, and stays
/// ```
///
/// After `t = 1` the chains are Langevin's on `exp((Φ − x²/2σ²) / temperature)`. Source: Balcerak et al. 2025.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passage {
    /// `h`.
    pub step: f64,
    /// When shaking begins, within [0, 1].
    pub onset: f64,
    /// `ε` at the data.
    pub temperature: f64,
    /// When it ends.
    pub end: f64,
}

impl Default for Passage {
    fn default() -> Self {
        Self { step: 0.01, onset: 0.9, temperature: 0.01, end: 1.0 }
    }
}

/// The most steps of a passage that anybody waits for.
const MOST_STEPS: f64 = 1e6;

impl Passage {
    fn check(&self) -> Result<()> {
        let within = |name, value: f64, most: f64| match value > 0.0 && value <= most {
            true => Ok(()),
            false => Err(Error::invalid(format!("{name} is {value}; it must be above 0 and {most} at most"))),
        };
        within("the step of a passage", self.step, 1.0)?;
        within("the temperature of a passage", self.temperature, 1.0)?;
        within("the end of a passage", self.end, f64::MAX)?;
        if !(0.0..=1.0).contains(&self.onset) {
            return Err(Error::out_of_range("onset", self.onset, "0 ≤ onset ≤ 1"));
        }
        match self.end / self.step {
            steps if steps <= MOST_STEPS => Ok(()),
            steps => Err(Error::invalid(format!("a passage of {steps:.3e} steps; {MOST_STEPS:.0e} are the most"))),
        }
    }

    /// `ε(t)`.
    fn shaking(&self, t: f64) -> f64 {
        let risen = match self.onset < 1.0 {
            true => ((t - self.onset) / (1.0 - self.onset)).clamp(0.0, 1.0),
            false => f64::from(u8::from(t >= 1.0)),
        };
        self.temperature * risen
    }

    /// Carries chains from a time to the end.
    ///
    /// # Errors
    /// When a number is out of its range, or the energy cannot be evaluated where a chain has come.
    pub fn carry<N: Scoring<Dev>, Dev: Device<f32>>(
        &self,
        law: &Energy<N, Dev>,
        chains: &mut Chains<f32>,
        from: f64,
        seed: Seed,
    ) -> Result<()> {
        self.check()?;
        let ula = Ula::new(self.step)?;
        let steps = ((self.end - from) / self.step).round().max(0.0) as u64;
        for step in 0..steps {
            let t = from + self.step * (step + 1) as f64;
            Cold::new(ula, self.shaking(t))?.step(law, chains, seed.child("step", step))?;
        }
        Ok(())
    }
}

/// Learns an [`Energy`] by *Energy Matching*. First its slopes follow the straight ways on which a batch of noise is carried to a batch
/// of data at the least cost,
///
/// ```text
/// E |v(x_t) − (x₁ − x₀)|²,    x_t = (1 − t) x₀ + t x₁,    t even in [0, 1],    v = ∇Φ − x/σ²
/// ```
///
/// and after the warm-up the chains of a [`Passage`] are told from data as well, as a [`Contrast`](super::Contrast) does, times the
/// `weight`. Half of the chains begin as noise, half at data. The first part is a flow's; the second gives the law near the data its
/// depth: there `p ∝ exp((Φ − x²/2σ²) / temperature)`.
///
/// The slope of a slope is a central difference, as [`Transport`]'s is. Which chains begin where, and how many there are (as many as rows
/// in a batch), is this project's choice. Source: Balcerak et al. 2025, *Energy Matching*.
pub struct Matching<'a, N, Dev: Device<f32> = Cpu> {
    data: &'a [f32],
    dims: usize,
    rows: Fingerprint,
    passage: Passage,
    warm_up: u64,
    weight: f64,
    what: PhantomData<(N, Dev)>,
}

impl<'a, N: Scoring<Dev>, Dev: Device<f32>> Matching<'a, N, Dev> {
    /// From points of `dims` numbers, one after the other: so many steps of warm-up, then with chains of this weight.
    ///
    /// # Errors
    /// When there are no points, a number is not finite, or a setting is out of its range.
    pub fn new(data: &'a [f32], dims: usize, passage: Passage, warm_up: u64, weight: f64) -> Result<Self> {
        let rows = super::hash_of(data, dims)?;
        passage.check()?;
        match weight >= 0.0 && weight.is_finite() {
            true => Ok(Self { data, dims, rows, passage, warm_up, weight, what: PhantomData }),
            false => Err(Error::out_of_range("weight", weight, "0 ≤ weight < ∞")),
        }
    }

    fn points(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|row| &self.data[row * self.dims..(row + 1) * self.dims]).copied().collect()
    }

    /// Adds where the network is to be looked at, for the slope of the first term; returns the term.
    fn follow(&self, model: &Energy<N, Dev>, rows: &[usize], seed: Seed, looks: &mut Looks) -> Result<f64> {
        let dims = self.dims;
        let noise = Chains::<f32>::normal(rows.len(), dims, 1.0, seed.child("noise", 0))?;
        let data = self.points(rows);
        let (_, way) = pairs(noise.points(), &data, dims)?;
        let mut rng = seed.stream("times", 0);
        let (mut points, mut ways) = (Vec::with_capacity(data.len()), Vec::with_capacity(data.len()));
        for (x0, j) in noise.points().chunks_exact(dims).zip(way) {
            let t: f32 = rng.random();
            let x1 = &data[j * dims..(j + 1) * dims];
            points.extend(x0.iter().zip(x1).map(|(a, b)| (1.0 - t) * a + t * b));
            ways.extend(x0.iter().zip(x1).map(|(a, b)| b - a));
        }
        let (_, slopes) = model.scores_and_slopes(&points);
        let precision = model.deviation().powi(-2) as f32;
        let misses: Vec<f32> =
            slopes.iter().zip(&points).zip(&ways).map(|((slope, x), way)| slope - precision * x - way).collect();
        // The term is |miss|², and that of a transport λ/2 |v|².
        let twice = Transport { weight: 2.0, ..Transport::default() };
        twice.slopes(looks, &points, &misses, dims, 1.0);
        Ok(misses.iter().map(|miss| f64::from(*miss).powi(2)).sum::<f64>() / rows.len() as f64)
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Objective<Dev> for Matching<'_, N, Dev> {
    type Model = Energy<N, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let Self { passage, warm_up, weight, .. } = self;
        let (name, deviation) = (name_of::<N>(), model.deviation());
        format!("energy matching on deviation {deviation}, {name}, {passage:?}, warm-up {warm_up}, weight {weight}")
    }

    fn rows(&self) -> Option<usize> {
        Some(self.data.len() / self.dims)
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(self.rows), None])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let (dims, seed) = (self.dims, clock.seed.child("matching", clock.step));
        let mut looks = Looks { points: Vec::new(), weights: Vec::new() };
        let missed = self.follow(model, rows, seed, &mut looks)?;
        if clock.step > self.warm_up && self.weight > 0.0 {
            let mut chains = Chains::normal(rows.len().div_ceil(2), dims, 1.0, seed.child("begin", 0))?;
            self.passage.carry(model, &mut chains, 0.0, seed.child("from noise", 0))?;
            let mut after = chains.points().to_vec();
            if rows.len() > 1 {
                let mut chains = Chains::new(dims, self.points(&rows[..rows.len() / 2]))?;
                // As many steps as those from noise have made.
                let long = Passage { end: 1.0 + self.passage.end, ..self.passage };
                long.carry(model, &mut chains, 1.0, seed.child("from data", 0))?;
                after.extend_from_slice(chains.points());
            }
            let weight = (self.weight / (self.passage.temperature * rows.len() as f64)) as f32;
            for (points, weight) in [(after, weight), (self.points(rows), -weight)] {
                looks.weights.extend(vec![weight; points.len() / dims]);
                looks.points.extend(points);
            }
        }
        let count = looks.weights.len();
        let x = model.device().tensor_from_vec(looks.points, (count, dims));
        let weights = model.device().tensor_from_vec(looks.weights, (count,));
        let slope = (model.score.scores(x.traced(grads)) * weights).sum::<Rank0, Axis<0>>();
        // What is shown is the first term; what its slope comes from is a sum that means nothing.
        let shown = missed as f32 - slope.as_vec()[0];
        Ok(slope + shown)
    }
}
