//! Learning to denoise.

use super::{
    Bound, Times,
    times::{Past, draw},
};
use crate::{
    Error, Result,
    archive::Archive,
    data::{MISSING, Rows, fingerprint},
    diffusion::{
        Denoiser, Diffusion, Network, Noisy, Process, denoiser::history, process::normalise,
        steps::cross_entropy_slopes,
    },
    evidence::Fingerprint,
    nn::{Device, ops::rowwise, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, Trained, name_of},
};
use dfdx::{
    shapes::Dim,
    tensor::{Cpu, Gradients},
    tensor_ops::SumTo,
};
use std::{cell::RefCell, sync::Arc};

/// What a denoiser is trained for.
#[derive(Clone, Debug)]
pub struct Objectives<B> {
    /// The bound.
    pub bound: B,
    /// At which moments.
    pub times: Times,
    /// How much of `−log x̂_0(x_0)` is added to the bound (D3PM's hybrid loss, there 0.01 or 0).
    pub hybrid: f64,
}

/// The bound of rows at drawn moments, nats a row.
pub struct DiffusionLoss<'a, P, N, B> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    what: Objectives<B>,
    seed: Seed,
    draws: usize,
    past: RefCell<Past>,
    /// Steps and nats of the last batch.
    drawn: RefCell<Vec<(usize, f64)>>,
    model: std::marker::PhantomData<fn() -> (P, N)>,
}

/// A [`Diffusion`] that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type DiffusionLearner<'a, P, N, B, Dev = Cpu> = GradientLearner<DiffusionLoss<'a, P, N, B>, Dev>;

/// Moments at which validation rows are looked at.
const DRAWS: usize = 8;

impl<'a, P, N, B, Dev> DiffusionLearner<'a, P, N, B, Dev>
where
    P: Process,
    N: Network<f32, Dev, Categories = P::Categories, States = P::States>
        + Denoiser<Categories = P::Categories, States = P::States>,
    B: Bound<P>,
    Dev: Device<f32>,
{
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows are of other categories or have missing values, a setting is out of range, or does not go with another.
    pub fn new(
        model: Diffusion<P, N>,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        what: Objectives<B>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        model.check_rows(train)?;
        valid.map_or(Ok(()), |valid| model.check_rows(valid))?;
        what.bound.check(model.process())?;
        if !(what.hybrid >= 0.0 && what.hybrid.is_finite()) {
            return Err(Error::out_of_range("hybrid", what.hybrid, "0 ≤ hybrid < ∞"));
        }
        let moments = what.bound.moments();
        if what.times == Times::Importance && moments.is_none() {
            return Err(Error::Usage("moments by importance are those of steps; continuous time has none".into()));
        }
        let past = RefCell::new(Past::of(moments.filter(|_| what.times == Times::Importance).unwrap_or(0)));
        let valid = valid.filter(|valid| !valid.is_empty());
        let (drawn, model_of) = (RefCell::default(), std::marker::PhantomData);
        Self::of(DiffusionLoss { train, valid, what, seed, draws: DRAWS, past, drawn, model: model_of }, model, adam)
    }
}

impl<P, N, B, Dev> Objective<Dev> for DiffusionLoss<'_, P, N, B>
where
    P: Process,
    N: Network<f32, Dev, Categories = P::Categories, States = P::States>
        + Denoiser<Categories = P::Categories, States = P::States>,
    B: Bound<P>,
    Dev: Device<f32>,
{
    type Model = Diffusion<P, N>;

    fn describe(&self, model: &Self::Model) -> String {
        let (Objectives { bound, times, hybrid }, process) = (&self.what, name_of::<P>());
        let network = model.denoiser.describe();
        format!(
            "{process}, {network}, {}, {times:?} moments, hybrid {hybrid}, validation seed {}",
            bound.describe(),
            self.seed.0
        )
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let (length, mut codes) = (self.train.schema().len(), Vec::new());
        self.train.read(rows, &mut codes)?;
        if let Some(at) = codes.iter().position(|code| *code == MISSING) {
            let (row, at) = (self.train.number_of(rows[at / length]), at % length);
            return Err(Error::invalid(format!(
                "row {row}, position {at} is missing: a diffusion model learns from whole rows"
            )));
        }
        let mut rng = clock.seed.stream("noise", clock.step);
        let drawn = draw(self.what.times, rows.len(), &self.past.borrow(), &mut rng);
        let (process, bound) = (model.process.clone(), self.what.bound.clone());
        let moments: Vec<_> = drawn.iter().map(|(share, _)| bound.moment(&process, *share)).collect();
        let each = codes.chunks_exact(length).zip(&moments);
        let noisy: Vec<u16> = each
            .flat_map(|(row, moment)| row.iter().map(|x| (*x, *moment)).collect::<Vec<_>>())
            .map(|(x, moment)| bound.noisy(&process, moment, x as usize, &mut rng) as u16)
            .collect();
        let times: Vec<f64> = moments.iter().map(|moment| bound.time(&process, *moment)).collect();
        let logits = model
            .denoiser
            .forward(Noisy { states: &noisy, length, times: &times }, history(&model.denoiser.device(), grads));
        // A moment stands for as many as there are.
        let all = bound.moments().unwrap_or(1) as f64;
        let scales: Arc<[f64]> = drawn.iter().map(|(_, weight)| weight * all / rows.len() as f64).collect();
        let (hybrid, last) = (self.what.hybrid / rows.len() as f64, {
            let of: Vec<f64> = (0..process.categories().size()).map(|x| process.last_nats(x)).collect();
            codes.iter().map(|x| of[*x as usize]).sum::<f64>() / rows.len() as f64
        });
        let place = Arc::new((codes, noisy, moments));
        let again = (place.clone(), process.clone(), bound.clone(), scales.clone());
        let nats = rowwise(
            logits,
            move |i, logits| {
                let (log_x0, row, (codes, noisy, moments)) = (as_logs(logits), i / length, &*place);
                let (x0, xt) = (codes[i] as usize, noisy[i] as usize);
                (scales[row] * bound.nats(&process, moments[row], (x0, xt), &log_x0) - hybrid * log_x0[x0]) as f32
            },
            move |i, logits, d, into| {
                let (place, process, bound, scales) = &again;
                let (log_x0, row, (codes, noisy, moments)) = (as_logs(logits), i / length, &**place);
                let (x0, xt) = (codes[i] as usize, noisy[i] as usize);
                let mut slopes = vec![0.0; log_x0.len()];
                let d = f64::from(d);
                bound.slopes(process, moments[row], (x0, xt), &log_x0, d * scales[row], &mut slopes);
                if hybrid > 0.0 {
                    cross_entropy_slopes(x0, &log_x0, d * hybrid, &mut slopes);
                }
                into.iter_mut().zip(slopes).for_each(|(to, slope)| *to += slope as f32);
            },
        );
        if self.what.times == Times::Importance {
            let per_row: Vec<f64> =
                nats.as_vec().chunks(length).map(|n| n.iter().map(|n| f64::from(*n)).sum()).collect();
            let of = per_row.iter().zip(&drawn).map(|(nats, (share, weight))| {
                let moment = self.what.bound.moment(&model.process, *share);
                (self.what.bound.index(moment), nats * rows.len() as f64 / (weight * all))
            });
            *self.drawn.borrow_mut() = of.collect();
        }
        let sum: Loss<Dev> = nats.sum();
        Ok(sum + last as f32)
    }

    fn after_step(&self, _: &mut Self::Model, _: &[usize], _: &Clock) -> Result<()> {
        let mut past = self.past.borrow_mut();
        self.drawn.borrow_mut().drain(..).for_each(|(step, nats)| past.add(step, nats));
        Ok(())
    }

    /// With the same noise every time, so that epochs compare.
    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |valid| -> Result<Vec<f64>> {
            let evidence = model.evidence(valid, &self.what.bound, self.draws, self.seed)?;
            Ok(evidence.log_probs().iter().map(|p| -p).collect())
        };
        self.valid.map(losses).transpose()
    }

    fn save(&self, archive: &mut Archive) {
        self.past.borrow().save(archive);
    }

    fn load(&self, archive: &Archive) -> Result<()> {
        self.past.borrow_mut().load(archive)
    }
}

/// Logits as logarithms of probabilities, in double precision.
fn as_logs(logits: &[f32]) -> Vec<f64> {
    let mut logs: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
    normalise(&mut logs);
    logs
}

impl<P, N: Network<f32, Dev>, Dev: Device<f32>> Trained<Dev> for Diffusion<P, N> {
    type Module = N;

    fn module(&self) -> &N {
        &self.denoiser
    }

    fn module_mut(&mut self) -> &mut N {
        &mut self.denoiser
    }
}
