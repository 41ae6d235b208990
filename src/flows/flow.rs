//! A bijection and a base distribution: a density that can be drawn from.

use super::{Base, Batch, Bijection, FastForward, FastInverse, Inverse, Normal, PerRow};
use crate::{
    nn::{Device, Real},
    random::Seed,
    train::Trained,
};
use dfdx::{
    nn::TensorCollection,
    shapes::{Dim, HasShape},
    tensor::{Cpu, Tape, TensorFromVec},
};

/// A density by a change of variables.
///
/// ```text
/// log p(x) = log p_base(f(x)) + log |det ∂f/∂x|        x = f⁻¹(z), z ~ base
/// ```
///
/// `log_prob` is there where `f` is one pass, `sample` where `f⁻¹` is. The other direction takes as many passes as the bijection
/// needs, and has to be asked for: [`Self::sequential`].
#[derive(Clone, Debug, Default)]
pub struct Flow<B, P = Normal> {
    /// From the data to the base.
    pub bijection: B,
    /// What the data become.
    pub base: P,
}

/// A [`Flow`] in both directions, however many passes they take.
#[derive(Debug)]
pub struct Sequential<'a, B, P>(&'a Flow<B, P>);

impl<B> Flow<B> {
    /// With a standard normal base.
    pub fn normal(bijection: B) -> Self {
        Self { bijection, base: Normal }
    }
}

impl<B, P> Flow<B, P> {
    /// Both directions, also the slow one.
    pub fn sequential(&self) -> Sequential<'_, B, P> {
        Sequential(self)
    }

    /// The same with the fast direction the other way round.
    pub fn inverted(self) -> Flow<Inverse<B>, P> {
        Flow { bijection: Inverse(self.bijection), base: self.base }
    }

    /// Log-density of every row, nats.
    pub fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
    ) -> PerRow<E, Dev, T>
    where
        B: Bijection<D, E, Dev> + FastForward,
        P: Base,
    {
        self.sequential().log_prob(x)
    }

    /// `n` independent rows of `dims` coordinates.
    pub fn sample<D: Dim, E: Real, Dev: Device<E>>(
        &self,
        (n, dims): (usize, D),
        device: &Dev,
        seed: Seed,
    ) -> Batch<D, E, Dev>
    where
        B: Bijection<D, E, Dev> + FastInverse,
        P: Base,
    {
        self.sequential().sample((n, dims), device, seed)
    }
}

impl<B: TensorCollection<f32, Dev>, P, Dev: Device<f32>> Trained<Dev> for Flow<B, P> {
    type Module = B;

    fn module(&self) -> &B {
        &self.bijection
    }

    fn module_mut(&mut self) -> &mut B {
        &mut self.bijection
    }
}

impl<B, P: Base> Sequential<'_, B, P> {
    /// Log-density of every row, nats.
    pub fn log_prob<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
    ) -> PerRow<E, Dev, T>
    where
        B: Bijection<D, E, Dev>,
    {
        let (z, log_det) = self.0.bijection.forward(x);
        self.0.base.log_prob(z) + log_det
    }

    /// Log-density of every row, nats, in double precision from where the bijection ends: the square of a coordinate that is far
    /// out need not fit into a single one. −∞ where a coordinate overflows on its way.
    pub(crate) fn log_probs<D: Dim, Dev: Device<f32>>(&self, x: Batch<D, f32, Dev>) -> Vec<f64>
    where
        B: Bijection<D, f32, Dev>,
    {
        let ((z, log_det), host) = (self.0.bijection.forward(x), Cpu::default());
        let z = host.tensor_from_vec(z.as_vec().into_iter().map(f64::from).collect(), *z.shape());
        let log_probs = self.0.base.log_prob(z).as_vec().into_iter().zip(log_det.as_vec());
        let total = log_probs.map(|(base, log_det)| base + f64::from(log_det));
        total.map(|p| if p.is_nan() { f64::NEG_INFINITY } else { p }).collect()
    }

    /// `n` independent rows of `dims` coordinates.
    pub fn sample<D: Dim, E: Real, Dev: Device<E>>(
        &self,
        (n, dims): (usize, D),
        device: &Dev,
        seed: Seed,
    ) -> Batch<D, E, Dev>
    where
        B: Bijection<D, E, Dev>,
    {
        let z = self.0.base.sample((n, dims), device, &mut seed.stream("flow", 0));
        self.0.bijection.inverse(z).0
    }
}
