//! Parallel WaveNet's distillation: the divergence with an expectation inside.

use crate::{
    Error, Result,
    flows::{AffineInOrder, Base, Batch, Bijection, Flow, Inverse, Logistic, Normal, PerRow},
    nn::{Device, ops::rowwise, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, name_of},
};
use dfdx::{
    nn::TensorCollection,
    prelude::MeanTo,
    shapes::{Axis, Dim},
    tensor::{Cpu, Gradients, Tape, Trace},
    tensor_ops::{SumTo, TryConcatAlong},
};
use std::{marker::PhantomData, sync::Arc};

/// The reverse divergence of a student from its teacher, where both map each coordinate affinely given those before it.
///
/// ```text
/// KL(S ‖ T) = H(S, T) − H(S)
/// H(S)      = E_x Σ log s_t(x_<t) + 2 D                                the entropy of a logistic distribution is 2
/// H(S, T)   = E_x Σ E_{x′ ~ S(x_t | x_<t)} − log T(x′ | x_<t)          by `draws` draws of every coordinate
/// ```
///
/// The draws of a coordinate need no further pass of either network, as both are affine in it: they make the gradient less noisy
/// at next to no cost. Source: van den Oord et al. 2018, §3, eq. 6 to 8.
pub struct ParallelDivergence<'t, D, B, S, Dev = Cpu> {
    teacher: &'t Flow<B, Normal>,
    dims: D,
    draws: usize,
    device: Dev,
    student: PhantomData<fn() -> S>,
}

/// A student that learns by the [`ParallelDivergence`]; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()),
/// whose plan counts steps.
pub type ParallelDistiller<'t, D, B, S, Dev = Cpu> = GradientLearner<ParallelDivergence<'t, D, B, S, Dev>, Dev>;

impl<'t, D: Dim, B, S, Dev: Device<f32>> ParallelDistiller<'t, D, B, S, Dev>
where
    B: AffineInOrder<D, f32, Dev>,
    S: AffineInOrder<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    /// The student may start with any parameters; the teacher stays as it is.
    ///
    /// # Errors
    /// When there are no draws or no coordinates, or a setting of Adam is out of range.
    pub fn new(
        device: &Dev,
        teacher: &'t Flow<B, Normal>,
        student: Flow<Inverse<S>, Logistic>,
        dims: D,
        draws: usize,
        adam: AdamConfig,
    ) -> Result<Self> {
        if draws == 0 || dims.size() == 0 {
            return Err(Error::invalid(format!("{draws} draws of {} coordinates; at least 1 of each", dims.size())));
        }
        let divergence = ParallelDivergence { teacher, dims, draws, device: device.clone(), student: PhantomData };
        Self::of(divergence, student, adam)
    }

    /// The divergence, an estimate from each of `n` samples of the student, nats.
    pub fn estimates(&self, n: usize, seed: Seed) -> Vec<f64> {
        let each = self.objective().divergence(self.model(), n, seed, |z| z).as_vec();
        each.into_iter().map(f64::from).collect()
    }
}

impl<D: Dim, B, S, Dev: Device<f32>> ParallelDivergence<'_, D, B, S, Dev>
where
    B: AffineInOrder<D, f32, Dev>,
    S: AffineInOrder<D, f32, Dev>,
{
    /// An estimate of the divergence from each of `n` samples of the student, with the tape that reaches them.
    fn divergence<T: Tape<f32, Dev>>(
        &self,
        student: &Flow<Inverse<S>, Logistic>,
        n: usize,
        seed: Seed,
        tape: impl FnOnce(Batch<usize, f32, Dev>) -> Batch<usize, f32, Dev, T>,
    ) -> PerRow<f32, Dev, T> {
        let (d, draws) = (self.dims.size(), self.draws);
        let logistic = |rows, name| -> Batch<usize, f32, Dev> {
            Logistic.sample((rows, d), &self.device, &mut seed.stream(name, 0))
        };
        let z = logistic(n, "student");
        // How far a draw of every coordinate lies from the one that was taken: row after row, draw after draw.
        let (taken, others) = (z.as_vec(), logistic(n * draws, "inner").as_vec());
        let away = others.iter().enumerate().map(|(i, z)| z - taken[i / (draws * d) * d + i % d]);
        let away = Arc::<[f32]>::from(away.collect::<Vec<_>>());
        let again = away.clone();
        let (x, stretch) = student.bijection.0.forward_each(tape(z));
        let (y, shrink) = self.teacher.bijection.forward_each(x);
        // By how much the teacher's base moves when the student's does.
        let both = stretch.retaped::<T>() + shrink.retaped::<T>();
        let half_log = 0.5 * std::f32::consts::TAU.ln();
        let share = 1.0 / draws as f32;
        let cross = rowwise(
            (y, both).concat_along(Axis::<1>),
            move |row, p: &[f32]| {
                let (y, w) = p.split_at(d);
                let of = |t: usize, away: f32| {
                    let moved = y[t] + away * w[t].exp();
                    0.5 * moved * moved + half_log
                };
                let away = &away[row * draws * d..(row + 1) * draws * d];
                share * away.iter().enumerate().map(|(i, away)| of(i % d, *away)).sum::<f32>()
            },
            move |row, p, slope, into| {
                let (y, w) = p.split_at(d);
                let (dy, dw) = into.split_at_mut(d);
                for (i, away) in again[row * draws * d..(row + 1) * draws * d].iter().enumerate() {
                    let (t, far) = (i % d, away * w[i % d].exp());
                    let pull = slope * share * (y[t] + far);
                    dy[t] += pull;
                    dw[t] += pull * far;
                }
            },
        );
        let entropy = stretch.sum::<_, Axis<1>>() + 2.0 * d as f32;
        cross - shrink.sum::<_, Axis<1>>() - entropy
    }
}

impl<D: Dim, B, S, Dev: Device<f32>> Objective<Dev> for ParallelDivergence<'_, D, B, S, Dev>
where
    B: AffineInOrder<D, f32, Dev>,
    S: AffineInOrder<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    type Model = Flow<Inverse<S>, Logistic>;

    fn describe(&self, _: &Self::Model) -> String {
        let (teacher, student) = (name_of::<B>(), name_of::<S>());
        let (draws, d) = (self.draws, self.dims.size());
        format!("parallel distillation, {draws} draws of {d} coordinates, {teacher} into {student}")
    }

    fn check(&self, student: &Self::Model) -> Result<()> {
        student.bijection.check()
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn loss(
        &self,
        student: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let seed = clock.seed.child("distillation", clock.step);
        Ok(self.divergence(student, rows.len(), seed, |z| z.traced(grads)).mean())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::Archive,
        distill::divergence,
        flows::{Affine, Autoregressive, Bounded, Stack, Wave},
        math::mean_and_deviation,
        nn::{load_params, optim::Schedule, params},
        train::{Learner, Plan, quiet, train},
    };
    use dfdx::shapes::Const;

    type D2 = Const<2>;
    type Mafs = Stack<Autoregressive<D2, Affine>>;

    fn mafs(seed: u64, stretch: f32) -> Mafs {
        let device = Cpu::seed_from_u64(seed);
        let mut flow = Stack::new((0..2).map(|_| Autoregressive::new(&device, Const, 24).unwrap()).collect());
        let mut arrays = params(&flow);
        arrays.iter_mut().filter(|a| a.0.contains("third")).for_each(|a| a.2.iter_mut().for_each(|x| *x *= stretch));
        load_params(&mut flow, &arrays).unwrap();
        flow
    }

    #[test]
    fn the_inner_expectation_has_the_same_mean_and_less_spread() {
        let teacher = Flow::normal(mafs(1, 6.0));
        let student = || Flow { bijection: Inverse(mafs(2, 3.0)), base: Logistic };
        let with = |draws| {
            let distiller =
                ParallelDistiller::new(&Cpu::default(), &teacher, student(), Const::<2>, draws, AdamConfig::default());
            mean_and_deviation(&distiller.unwrap().estimates(20_000, Seed(1)))
        };
        let ((one, spread), (many, less)) = (with(1), with(32));
        let (plain, error) = divergence(&Cpu::default(), &student(), &teacher, (40_000, Const::<2>), Seed(2));
        let near = |a: f64| (a - plain).abs() < 5.0 * (error + spread / 20_000.0_f64.sqrt());
        assert!(near(one) && near(many), "{one}, {many} for {plain} ± {error}");
        assert!(less < 0.7 * spread, "{less} after {spread}");
        assert!(
            ParallelDistiller::new(&Cpu::default(), &teacher, student(), Const::<2>, 0, AdamConfig::default()).is_err()
        );
    }

    #[test]
    fn a_student_in_the_order_of_its_teacher_becomes_it_and_resumes_where_it_stopped() {
        let teacher = Flow::normal(mafs(1, 6.0));
        let adam = AdamConfig { rate: Schedule::constant(5e-3), clip: Some(5.0), ..Default::default() };
        let start = || {
            let student = Flow { bijection: Inverse(mafs(2, 1.0)), base: Logistic };
            ParallelDistiller::new(&Cpu::default(), &teacher, student, Const::<2>, 8, adam).unwrap()
        };
        let mut distiller = start();
        train(&mut distiller, &Plan::steps(250, 128, Seed(2)), &mut quiet).unwrap();
        // A logistic base cannot become a normal one: what is left is the divergence of the best logistic from a normal, twice.
        let (kl, error) = divergence(&Cpu::default(), distiller.model(), &teacher, (8000, Const::<2>), Seed(3));
        assert!(kl < 0.12 && kl > -4.0 * error, "{kl} ± {error}");
        let mut archive = Archive::default();
        Learner::save(&distiller, &mut archive);
        let mut again = start();
        again.load(&archive).unwrap();
        let clock = Clock { seed: Seed(5), epoch: 1, step: 7, steps: 9 };
        let losses = [&mut distiller, &mut again]
            .map(|d| (d.step(&[0; 64], &clock).unwrap(), d.step(&[0; 64], &clock).unwrap()));
        assert_eq!(losses[0], losses[1]);
    }

    #[test]
    fn sequences_are_distilled_too() {
        let device = Cpu::seed_from_u64(4);
        let waves = |n: usize| {
            Stack::new((0..n).map(|_| Wave::<usize, Bounded>::new(&device, 3, 6).unwrap()).collect::<Vec<_>>())
        };
        let teacher = Flow::normal(waves(1));
        let student = Flow { bijection: Inverse(waves(2)), base: Logistic };
        let adam = AdamConfig { rate: Schedule::constant(1e-2), clip: Some(5.0), ..Default::default() };
        let mut distiller = ParallelDistiller::new(&Cpu::default(), &teacher, student, 16, 4, adam).unwrap();
        let before = mean_and_deviation(&distiller.estimates(500, Seed(1))).0;
        train(&mut distiller, &Plan::steps(60, 32, Seed(2)), &mut quiet).unwrap();
        let after = mean_and_deviation(&distiller.estimates(500, Seed(1))).0;
        assert!(after < 0.4 * before && after > 0.0, "{before}, then {after}");
    }
}
