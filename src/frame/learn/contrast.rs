//! Maximum likelihood of an energy, its expectation by chains that persist.

use super::{Transport, transport::Looks};
use crate::{
    Error, Result,
    archive::Archive,
    evidence::Fingerprint,
    frame::{
        Energy, Scoring,
        diagnostics::Pulse,
        samplers::{Chains, Sampler, Ula},
    },
    nn::Device,
    train::{Clock, Loss, Objective, Trained, name_of},
};
use dfdx::{
    shapes::{Axis, Rank0},
    tensor::{Cpu, Gradients, Trace},
    tensor_ops::SumTo,
};
use std::{cell::RefCell, marker::PhantomData};

/// How chains walk between two steps of learning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Particles {
    /// The step of each.
    pub walk: Ula,
    /// Steps of the chains for each step of learning.
    pub steps: usize,
    /// A part of the chains that begins anew as normal numbers before each step of learning, within [0, 1].
    pub restarts: f64,
}

/// Learns an [`Energy`] from points: chains walk, then the network is raised at the data and lowered at the chains.
///
/// ```text
/// ∇_θ ℓ = mean ∇_θ Φ(y_i) − mean ∇_θ Φ(x_j),    x_j the chains, which persist
/// ```
///
/// and where there is a [`Transport`], less the slope of its term. The loss that is shown is the chains' mean score less the data's: it
/// says nothing of how good the model is. [`Self::pulses`] do. Source: Xie, Lu, Zhu, Wu 2016.
pub struct Contrast<'a, N, Dev: Device<f32> = Cpu> {
    data: &'a [f32],
    rows: Fingerprint,
    particles: Particles,
    transport: Option<Transport>,
    chains: RefCell<Chains<f32>>,
    pulses: RefCell<Vec<Pulse>>,
    what: PhantomData<(N, Dev)>,
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Trained<Dev> for Energy<N, Dev> {
    type Module = N;

    fn module(&self) -> &N {
        &self.score
    }

    fn module_mut(&mut self) -> &mut N {
        &mut self.score
    }
}

impl<'a, N: Scoring<Dev>, Dev: Device<f32>> Contrast<'a, N, Dev> {
    /// From points, one after the other, with chains where they are.
    ///
    /// # Errors
    /// When points and chains differ in their numbers, one is not finite, or a setting is out of its range.
    pub fn new(
        data: &'a [f32],
        chains: Chains<f32>,
        particles: Particles,
        transport: Option<Transport>,
    ) -> Result<Self> {
        let rows = super::hash_of(data, chains.dims())?;
        if particles.steps == 0 {
            return Err(Error::out_of_range("steps", 0, "1 ≤ steps"));
        }
        if !(0.0..=1.0).contains(&particles.restarts) {
            return Err(Error::out_of_range("restarts", particles.restarts, "0 ≤ restarts ≤ 1"));
        }
        if let Some(Transport { weight, after, reach, .. }) = transport {
            let sound =
                weight >= 0.0 && weight.is_finite() && (0.0..=1.0).contains(&after) && reach > 0.0 && reach < 1.0;
            if !sound {
                let given = format!("a transport of weight {weight}, after {after}, reach {reach}");
                return Err(Error::invalid(format!("{given}: 0 ≤ weight, after within [0, 1], reach within (0, 1)")));
            }
        }
        let chains = RefCell::new(chains);
        Ok(Self { data, rows, particles, transport, chains, pulses: RefCell::default(), what: PhantomData })
    }

    /// The chains as they are now.
    pub fn chains(&self) -> Chains<f32> {
        self.chains.borrow().clone()
    }

    /// What was seen at every step of learning so far, of this run.
    pub fn pulses(&self) -> Vec<Pulse> {
        self.pulses.borrow().clone()
    }

    /// What was seen at the last.
    pub fn pulse(&self) -> Option<Pulse> {
        self.pulses.borrow().last().copied()
    }

    /// Lets the chains walk; what they were before, and the slopes of `Φ` there.
    fn walk(&self, model: &Energy<N, Dev>, clock: &Clock) -> Result<(Vec<f32>, Vec<f32>)> {
        let chains = &mut *self.chains.borrow_mut();
        let seed = clock.seed.child("chains", clock.step);
        // The network has changed since they walked last.
        chains.forget();
        let again = (self.particles.restarts * chains.len() as f64).round() as usize;
        if again > 0 {
            let deviation = if model.deviation().is_finite() { model.deviation() } else { 1.0 };
            let fresh = Chains::<f32>::normal(again, chains.dims(), deviation, seed.child("fresh", 0))?;
            // One after the other in turn.
            let first = (clock.step as usize - 1) * again;
            for (i, point) in fresh.points().chunks_exact(chains.dims()).enumerate() {
                let (at, dims) = ((first + i) % chains.len(), chains.dims());
                chains.points_mut()[at * dims..(at + 1) * dims].copy_from_slice(point);
            }
        }
        let before = chains.points().to_vec();
        let precision = model.deviation().powi(-2);
        let of_score = |(slope, x): (&f32, &f32)| (f64::from(*slope) + precision * f64::from(*x)) as f32;
        let slopes = chains.slopes(model)?.iter().zip(&before).map(of_score).collect();
        let mut walk = self.particles.walk;
        walk.steps(model, chains, self.particles.steps, seed)?;
        Ok((before, slopes))
    }
}

impl<N: Scoring<Dev>, Dev: Device<f32>> Objective<Dev> for Contrast<'_, N, Dev> {
    type Model = Energy<N, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let (particles, transport, chains) = (&self.particles, &self.transport, self.chains.borrow().len());
        let (name, deviation) = (name_of::<N>(), model.deviation());
        format!("energy on deviation {deviation}, {name}, {chains} chains, {particles:?}, {transport:?}")
    }

    fn rows(&self) -> Option<usize> {
        Some(self.data.len() / self.chains.borrow().dims())
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
        let (before, slopes) = self.walk(model, clock)?;
        let (dims, after) = {
            let chains = self.chains.borrow();
            (chains.dims(), chains.points().to_vec())
        };
        let (of_chains, of_data) = (after.len() / dims, rows.len());
        let mut looks = Looks { points: after.clone(), weights: vec![1.0 / of_chains as f32; of_chains] };
        rows.iter().for_each(|row| looks.points.extend(&self.data[row * dims..(row + 1) * dims]));
        looks.weights.extend(vec![-1.0 / of_data as f32; of_data]);
        if let Some(transport) = self.transport.filter(|transport| transport.weight > 0.0) {
            let [first, second] = transport.shares();
            let deviation = model.deviation();
            if first != 0.0 {
                let speeds = transport.speeds(&before, &slopes, dims, deviation);
                transport.slopes(&mut looks, &before, &speeds, dims, first);
            }
            if second != 0.0 {
                let (_, slopes) = model.scores_and_slopes(&after);
                let speeds = transport.speeds(&after, &slopes, dims, deviation);
                transport.slopes(&mut looks, &after, &speeds, dims, second);
            }
        }
        let count = looks.weights.len();
        let x = model.device().tensor_from_vec(looks.points, (count, dims));
        let weights = model.device().tensor_from_vec(looks.weights, (count,));
        let scores = model.score.scores(x.traced(grads));
        let values = scores.as_vec();
        let mean = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64;
        let h = self.particles.walk.step_size();
        let precision = model.deviation().powi(-2);
        let norms = before.chunks_exact(dims).zip(slopes.chunks_exact(dims)).map(|(x, slope)| {
            let each = |(x, s): (&f32, &f32)| (f64::from(*s) - precision * f64::from(*x)).powi(2);
            x.iter().zip(slope).map(each).sum::<f64>().sqrt()
        });
        let moved: f64 =
            before.iter().zip(&after).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / of_chains as f64;
        let all = after.iter().map(|x| f64::from(*x));
        let (centre, n) = (mean(&after), after.len() as f64);
        self.pulses.borrow_mut().push(Pulse {
            of_data: mean(&values[of_chains..of_chains + of_data]),
            of_chains: mean(&values[..of_chains]),
            slope: norms.sum::<f64>() / of_chains as f64,
            carried: moved - 2.0 * h * (self.particles.steps * dims) as f64,
            spread: (all.clone().map(|x| (x - centre).powi(2)).sum::<f64>() / n).sqrt(),
            largest: all.map(f64::abs).fold(0.0, f64::max),
        });
        Ok((scores * weights).sum::<Rank0, Axis<0>>())
    }

    fn save(&self, archive: &mut Archive) {
        let chains = self.chains.borrow();
        archive.put("chains", &[chains.len(), chains.dims()], chains.points());
    }

    fn load(&self, archive: &Archive) -> Result<()> {
        let mut chains = self.chains.borrow_mut();
        let points = archive.get::<f32>("chains", &[chains.len(), chains.dims()])?;
        chains.points_mut().copy_from_slice(&points);
        Ok(())
    }
}
