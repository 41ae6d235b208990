//! A flow distilled into another.

use crate::{
    Error, Result,
    archive::Archive,
    flows::{Base, Bijection, Flow},
    math::mean_and_deviation,
    nn::optim::{Adam, AdamConfig},
    random::Seed,
    train::{Clock, Learner, put_module, take_module},
};
use dfdx::{
    nn::{TensorCollection, ZeroGrads},
    prelude::{Backward, MeanTo},
    shapes::Dim,
    tensor::{Cpu, OwnedTape, Tape, Trace},
};
use std::cell::RefCell;

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

/// A student that learns a teacher's density from samples alone; a [`Learner`] for [`train`](crate::train::train), whose rows
/// are only counted.
///
/// Any two flows of the same dimensions do: whichever directions are slow are computed all the same.
pub struct FlowDistiller<'t, D, B, P, S, Q> {
    teacher: &'t Flow<B, P>,
    student: Flow<S, Q>,
    dims: D,
    by: Divergence,
    adam: RefCell<Adam<Cpu>>,
}

impl<'t, D: Dim, B, P: Base, S, Q: Base> FlowDistiller<'t, D, B, P, S, Q>
where
    B: Bijection<D, f32, Cpu>,
    S: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    /// The student may begin anywhere; the teacher stays as it is.
    ///
    /// # Errors
    /// When a share is outside `0..=1`, or a setting of Adam is out of range.
    pub fn new(
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
        Ok(Self { teacher, student, dims, by, adam: RefCell::new(Adam::new(adam)?) })
    }

    /// The student as it is now.
    pub fn student(&self) -> &Flow<S, Q> {
        &self.student
    }

    /// The student.
    pub fn into_student(self) -> Flow<S, Q> {
        self.student
    }

    /// `log s − log t` of samples of the student, with the tape that reaches them.
    fn reverse<T: Tape<f32, Cpu>>(&self, n: usize, seed: Seed, tape: impl FnOnce(Rows<D>) -> Rows<D, T>) -> PerRow<T> {
        let z = self.student.base.sample((n, self.dims), &Cpu::default(), &mut seed.stream("student", 0));
        let log_base = self.student.base.log_prob(z.clone());
        let (x, log_det) = self.student.bijection.inverse(tape(z));
        let log_student = log_det.negate() + log_base;
        log_student - self.teacher.sequential().log_prob(x)
    }

    /// `log t − log s` of samples of the teacher.
    fn forward<T: Tape<f32, Cpu>>(&self, n: usize, seed: Seed, tape: impl FnOnce(Rows<D>) -> Rows<D, T>) -> PerRow<T> {
        let x = self.teacher.sequential().sample((n, self.dims), &Cpu::default(), seed);
        let log_teacher = self.teacher.sequential().log_prob(x.clone());
        self.student.sequential().log_prob(tape(x)).negate() + log_teacher
    }
}

type Rows<D, T = dfdx::tensor::NoneTape> = crate::flows::Rows<D, f32, Cpu, T>;
type PerRow<T> = crate::flows::PerRow<f32, Cpu, T>;

/// `KL(S ‖ T)` from `n` samples of the student, nats: the mean of `log s − log t`, and its standard error.
///
/// Either is infinite or NaN where a sample of the student overflows in the teacher.
pub fn divergence<D: Dim, B: Bijection<D, f32, Cpu>, P: Base, S: Bijection<D, f32, Cpu>, Q: Base>(
    student: &Flow<S, Q>,
    teacher: &Flow<B, P>,
    (n, dims): (usize, D),
    seed: Seed,
) -> (f64, f64) {
    let z = student.base.sample((n, dims), &Cpu::default(), &mut seed.stream("divergence", 0));
    let log_base = student.base.log_prob(z.clone());
    let (x, log_det) = student.bijection.inverse(z);
    let each = log_base - log_det - teacher.sequential().log_prob(x);
    let each: Vec<f64> = each.as_vec().into_iter().map(f64::from).collect();
    let (mean, deviation) = mean_and_deviation(&each);
    (mean, deviation / (n as f64).sqrt())
}

impl<D: Dim, B, P: Base, S, Q: Base> Learner for FlowDistiller<'_, D, B, P, S, Q>
where
    B: Bijection<D, f32, Cpu>,
    S: Bijection<D, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    fn describe(&self) -> String {
        format!("distillation by {:?}, {} into {}", self.by, std::any::type_name::<B>(), std::any::type_name::<S>())
    }

    fn step(&mut self, rows: &[usize], clock: &Clock) -> Result<f64> {
        let (n, share) = (rows.len(), self.by.reverse());
        let seed = clock.seed.child("distillation", clock.step);
        let grads = self.student.bijection.alloc_grads();
        let loss = if share == 1.0 {
            self.reverse(n, seed, |z| z.traced(grads)).mean()
        } else if share == 0.0 {
            self.forward(n, seed, |x| x.traced(grads)).mean()
        } else {
            let reverse = self.reverse(n, seed, |z| z.traced(grads)).mean() * share as f32;
            reverse + self.forward(n, seed, |x| x.retaped::<OwnedTape<f32, Cpu>>()).mean() * (1.0 - share) as f32
        };
        let value = f64::from(loss.as_vec()[0]);
        let mut grads = loss.backward();
        self.adam.get_mut().update(&mut self.student.bijection, &mut grads)?;
        Ok(value)
    }

    fn validate(&mut self) -> Result<Option<f64>> {
        Ok(None)
    }

    fn save(&self, archive: &mut Archive) {
        put_module(archive, "student", &self.student.bijection, &mut self.adam.borrow_mut());
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        take_module(archive, "student", &mut self.student.bijection, self.adam.get_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flows::{Affine, Autoregressive, Inverse, Maf, Permute, Stack},
        nn::{load_params, optim::Schedule, params},
        train::{Plan, quiet, train},
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
                FlowDistiller::new(&teacher, student, Const::<2>, by, adam).unwrap()
            };
            let mut distiller = start();
            let before = divergence(distiller.student(), &teacher, (4000, Const), Seed(1)).0;
            train(&mut distiller, 128, &Plan::new(250, 128, Seed(2)), &mut quiet).unwrap();
            let (kl, error) = divergence(distiller.student(), &teacher, (4000, Const), Seed(3));
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
        let flow = Flow::normal(maf(&Cpu::seed_from_u64(5), 2));
        assert!(divergence(&flow, &flow, (500, Const::<2>), Seed(1)).0.abs() < 1e-5);
        assert!(FlowDistiller::new(&flow, flow.clone(), Const, Divergence::Mixed(1.5), AdamConfig::default()).is_err());
    }
}
