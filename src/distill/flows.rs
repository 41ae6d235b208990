//! A flow distilled into another.

use crate::{
    Error, Result,
    flows::{Base, Batch, Bijection, Flow, PerRow},
    math::mean_and_deviation,
    nn::{Device, optim::AdamConfig},
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, name_of},
};
use dfdx::{
    nn::TensorCollection,
    prelude::MeanTo,
    shapes::Dim,
    tensor::{Cpu, Gradients, OwnedTape, Tape, Trace},
};
use std::marker::PhantomData;

/// What is minimised.
///
/// ```text
/// forward   KL(T ‖ S) = E_T [log t(x) − log s(x)]     covers all of the teacher
/// reverse   KL(S ‖ T) = E_S [log s(x) − log t(x)]     seeks its modes; both logarithms are of the student's own samples
/// mixed     share · reverse + (1 − share) · forward
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Divergence {
    /// Samples are the teacher's.
    Forward,
    /// Samples are the student's, and gradients pass through them, and through the teacher. Source: van den Oord et al. 2018,
    /// §3.
    Reverse,
    /// Both, the reverse one with this share.
    Mixed(f64),
}

impl Divergence {
    /// The share of the reverse divergence.
    fn reverse(self) -> f64 {
        match self {
            Self::Forward => 0.0,
            Self::Reverse => 1.0,
            Self::Mixed(share) => share,
        }
    }
}

/// The divergence of a student from its teacher, from samples alone.
pub struct FlowDivergence<'t, D, B, P, S, Q, Dev = Cpu> {
    teacher: &'t Flow<B, P>,
    dims: D,
    by: Divergence,
    device: Dev,
    student: PhantomData<fn() -> Flow<S, Q>>,
}

/// A student that learns a teacher's density from samples alone; a [`Learner`](crate::train::Learner) for
/// [`train`](crate::train::train()), whose plan counts steps.
///
/// Any two flows of the same dimensions do: whichever directions are slow are computed all the same.
pub type FlowDistiller<'t, D, B, P, S, Q, Dev = Cpu> = GradientLearner<FlowDivergence<'t, D, B, P, S, Q, Dev>, Dev>;

impl<'t, D: Dim, B, P: Base, S, Q: Base, Dev: Device<f32>> FlowDistiller<'t, D, B, P, S, Q, Dev>
where
    B: Bijection<D, f32, Dev>,
    S: Bijection<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    /// The student may start with any parameters; the teacher stays as it is.
    ///
    /// # Errors
    /// When a share is outside `0..=1`, or a setting of Adam is out of range.
    pub fn new(
        device: &Dev,
        teacher: &'t Flow<B, P>,
        student: Flow<S, Q>,
        dims: D,
        by: Divergence,
        adam: AdamConfig,
    ) -> Result<Self> {
        let share = by.reverse();
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::out_of_range("the share of the reverse divergence", share, "0 ≤ share ≤ 1"));
        }
        let divergence = FlowDivergence { teacher, dims, by, device: device.clone(), student: PhantomData };
        Self::of(divergence, student, adam)
    }
}

impl<D: Dim, B, P: Base, S, Q: Base, Dev: Device<f32>> FlowDivergence<'_, D, B, P, S, Q, Dev>
where
    B: Bijection<D, f32, Dev>,
    S: Bijection<D, f32, Dev>,
{
    /// `log s − log t` of `n` samples of the student, with the tape that reaches them.
    fn reverse<T: Tape<f32, Dev>>(
        &self,
        student: &Flow<S, Q>,
        (n, seed): (usize, Seed),
        tape: impl FnOnce(Batch<D, f32, Dev>) -> Batch<D, f32, Dev, T>,
    ) -> PerRow<f32, Dev, T> {
        let z = student.base.sample((n, self.dims), &self.device, &mut seed.stream("student", 0));
        let log_base = student.base.log_prob(z.clone());
        let (x, log_det) = student.bijection.inverse(tape(z));
        let log_student = log_det.negate() + log_base;
        log_student - self.teacher.sequential().log_prob(x)
    }

    /// `log t − log s` of `n` samples of the teacher.
    fn forward<T: Tape<f32, Dev>>(
        &self,
        student: &Flow<S, Q>,
        (n, seed): (usize, Seed),
        tape: impl FnOnce(Batch<D, f32, Dev>) -> Batch<D, f32, Dev, T>,
    ) -> PerRow<f32, Dev, T> {
        let x = self.teacher.sequential().sample((n, self.dims), &self.device, seed);
        let log_teacher = self.teacher.sequential().log_prob(x.clone());
        student.sequential().log_prob(tape(x)).negate() + log_teacher
    }
}

impl<D: Dim, B, P: Base, S, Q: Base, Dev: Device<f32>> Objective<Dev> for FlowDivergence<'_, D, B, P, S, Q, Dev>
where
    B: Bijection<D, f32, Dev>,
    S: Bijection<D, f32, Dev> + TensorCollection<f32, Dev>,
{
    type Model = Flow<S, Q>;

    fn describe(&self, _: &Self::Model) -> String {
        format!("distillation by {:?}, {} into {}", self.by, name_of::<B>(), name_of::<S>())
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
        let share = self.by.reverse();
        let draw = (rows.len(), clock.seed.child("distillation", clock.step));
        Ok(if share == 1.0 {
            self.reverse(student, draw, |z| z.traced(grads)).mean()
        } else if share == 0.0 {
            self.forward(student, draw, |x| x.traced(grads)).mean()
        } else {
            let reverse = self.reverse(student, draw, |z| z.traced(grads)).mean() * share as f32;
            let forward = self.forward(student, draw, |x| x.retaped::<OwnedTape<f32, Dev>>()).mean();
            reverse + forward * (1.0 - share) as f32
        })
    }
}

/// `KL(S ‖ T)` from `n` samples of the student, nats: the mean of `log s − log t`, and its standard error.
///
/// Either is infinite or NaN where a sample of the student overflows in the teacher.
pub fn divergence<D: Dim, B, P: Base, S, Q: Base, Dev: Device<f32>>(
    device: &Dev,
    student: &Flow<S, Q>,
    teacher: &Flow<B, P>,
    (n, dims): (usize, D),
    seed: Seed,
) -> (f64, f64)
where
    B: Bijection<D, f32, Dev>,
    S: Bijection<D, f32, Dev>,
{
    let z = student.base.sample((n, dims), device, &mut seed.stream("divergence", 0));
    let log_base = student.base.log_prob(z.clone());
    let (x, log_det) = student.bijection.inverse(z);
    let each = log_base - log_det - teacher.sequential().log_prob(x);
    let each: Vec<f64> = each.as_vec().into_iter().map(f64::from).collect();
    let (mean, deviation) = mean_and_deviation(&each);
    (mean, deviation / (n as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::Archive,
        flows::{Affine, Autoregressive, Inverse, Maf, Permute, Stack},
        nn::{load_params, optim::Schedule, params},
        train::{Learner, Plan, quiet, train},
    };
    use dfdx::shapes::Const;

    type D2 = Const<2>;

    fn maf(device: &Cpu, layers: usize) -> Stack<(Maf<D2>, Permute<D2>)> {
        let layer = || {
            let maf = Autoregressive::<D2, Affine>::new(device, Const, 24).unwrap();
            (maf, Permute::reversed(device, Const).unwrap())
        };
        Stack::new((0..layers).map(|_| layer()).collect())
    }

    #[test]
    fn a_student_becomes_its_teacher_by_every_divergence_and_resumes_where_it_stopped() {
        let device = Cpu::seed_from_u64(5);
        // A teacher that is no normal distribution.
        let mut teacher = maf(&device, 2);
        let mut arrays = params(&teacher);
        arrays.iter_mut().filter(|a| a.0.contains("third")).for_each(|a| a.2.iter_mut().for_each(|x| *x *= 6.0));
        load_params(&mut teacher, &arrays).unwrap();
        let teacher = Flow::normal(teacher);
        for by in [Divergence::Forward, Divergence::Reverse, Divergence::Mixed(0.5)] {
            let adam = AdamConfig { rate: Schedule::constant(3e-3), clip: Some(5.0), ..Default::default() };
            let start = || {
                let student = Flow::normal(Inverse(maf(&Cpu::seed_from_u64(6), 2)));
                FlowDistiller::new(&device, &teacher, student, Const::<2>, by, adam).unwrap()
            };
            let mut distiller = start();
            let before = divergence(&device, distiller.model(), &teacher, (4000, Const), Seed(1)).0;
            train(&mut distiller, &Plan::steps(250, 128, Seed(2)), &mut quiet).unwrap();
            let (kl, error) = divergence(&device, distiller.model(), &teacher, (4000, Const), Seed(3));
            assert!(kl < 0.1 * before && kl > -4.0 * error, "{by:?}: {before}, then {kl} ± {error}");
            // What was saved goes on as if nothing had been.
            let mut archive = Archive::default();
            Learner::save(&distiller, &mut archive);
            let mut again = start();
            again.load(&archive).unwrap();
            let clock = Clock { seed: Seed(5), epoch: 1, step: 7, steps: 9 };
            let losses = [&mut distiller, &mut again].map(|d| [(); 2].map(|()| d.step(&[0; 64], &clock).unwrap()));
            assert_eq!(losses[0], losses[1], "{by:?}");
        }
    }

    #[test]
    fn a_student_that_is_its_teacher_is_no_distance_away() {
        let device = Cpu::seed_from_u64(5);
        let flow = Flow::normal(maf(&device, 2));
        assert!(divergence(&device, &flow, &flow, (500, Const::<2>), Seed(1)).0.abs() < 1e-5);
        assert!(
            FlowDistiller::new(&device, &flow, flow.clone(), Const, Divergence::Mixed(1.5), AdamConfig::default())
                .is_err()
        );
    }
}
