//! Batch normalization as a bijection.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Phase, WithLogDet,
        bijection::{free, typed},
    },
    math::mean_and_deviation,
    nn::{Device, Real, any_shape, fields},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axis, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor, WithEmptyTape},
    tensor_ops::{BroadcastTo, MeanTo, SumTo},
};
use std::marker::PhantomData;

/// Batch normalization.
///
/// ```text
/// z = (x − m) / √(v + ε) ⊙ e^γ + β      log |det| = Σ γ − ½ log(v + ε)
/// ```
///
/// While learning, `m` and `v` are mean and variance of the batch, and gradients pass through them; afterwards they are those
/// of the whole training set, which [`adapt`](Bijection::adapt) computes, and the map is a fixed bijection. `ε` is 10⁻⁵.
/// Source: Papamakarios et al. 2017, appendix B; Dinh et al. 2017, §3.7.
#[derive(Clone, Debug)]
pub struct BatchNorm<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    log_gain: Tensor<(usize,), E, Dev>,
    shift: Tensor<(usize,), E, Dev>,
    mean: Tensor<(usize,), E, Dev>,
    variance: Tensor<(usize,), E, Dev>,
    /// 1 while the statistics are those of the batch.
    learning: usize,
    what: PhantomData<D>,
}

const EPSILON: f64 = 1e-5;

/// Rows of a batch that its statistics need: with fewer their noise costs more than the batch teaches.
pub(crate) const LEAST_BATCH: usize = 16;

impl<D: Dim, E: Real, Dev: Device<E>> BatchNorm<D, E, Dev> {
    /// The identity, but for ε.
    ///
    /// # Errors
    /// When the device has no memory for it.
    pub fn new(device: &Dev, dims: D) -> Result<Self> {
        let zeros = || device.try_zeros_like(&(dims.size(),)).map_err(Error::invalid);
        let ones = device.try_ones_like(&(dims.size(),)).map_err(Error::invalid)?;
        Ok(Self { log_gain: zeros()?, shift: zeros()?, mean: zeros()?, variance: ones, learning: 0, what: PhantomData })
    }

    /// Mean and variance to be used for these rows.
    fn statistics<T: Tape<E, Dev>>(&self, x: &Batch<usize, E, Dev, T>) -> [Tensor<(usize,), E, Dev, T>; 2] {
        if self.learning == 0 {
            return [self.mean.retaped(), self.variance.retaped()];
        }
        let mean = x.retaped::<T>().mean::<_, Axis<0>>();
        let away = x.retaped::<T>() - mean.retaped::<T>().broadcast_like::<_, Axis<0>>(x);
        [mean, away.square().mean::<_, Axis<0>>()]
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for BatchNorm<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let x = free(x);
        let (rows, shape) = ((x.shape().0,), *x.shape());
        let [mean, variance] = self.statistics(&x);
        let log_scale = self.log_gain.retaped::<T>() - (variance + E::of(EPSILON)).ln() * E::of(0.5);
        let log_det = log_scale.with_empty_tape().sum().broadcast_like(&rows);
        let scaled =
            (x - mean.broadcast_like::<_, Axis<0>>(&shape)) * log_scale.exp().broadcast_like::<_, Axis<0>>(&shape);
        (typed(scaled + self.shift.retaped::<T>().broadcast_like::<_, Axis<0>>(&shape)), log_det)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let z = free(z);
        let (rows, shape) = ((z.shape().0,), *z.shape());
        let back = (self.variance.retaped::<T>() + E::of(EPSILON)).ln() * E::of(0.5) - self.log_gain.retaped::<T>();
        let log_det = back.with_empty_tape().sum().broadcast_like(&rows);
        let scaled = (z - self.shift.retaped::<T>().broadcast_like::<_, Axis<0>>(&shape))
            * back.exp().broadcast_like::<_, Axis<0>>(&shape);
        (typed(scaled + self.mean.retaped::<T>().broadcast_like::<_, Axis<0>>(&shape)), log_det)
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        self.learning = usize::from(phase != Phase::Settle);
        let (rows, d) = (x.shape().0, x.shape().1.size());
        if phase == Phase::Settle && rows > 0 {
            let values = x.as_vec();
            let moments = (0..d).map(|i| {
                let column: Vec<f64> = values.iter().skip(i).step_by(d).map(|x| x.wide()).collect();
                let (mean, _) = mean_and_deviation(&column);
                (mean, column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64)
            });
            let (mean, variance): (Vec<E>, Vec<E>) = moments.map(|(m, v)| (E::of(m), E::of(v))).unzip();
            self.mean.copy_from(&mean);
            self.variance.copy_from(&variance);
        }
        self.forward(x).0
    }

    fn check(&self) -> Result<()> {
        match Dev::elements(&self.variance).iter().all(|v| v.wide() >= 0.0) {
            true => Ok(()),
            false => Err(Error::invalid("batch norm with a negative variance")),
        }
    }

    fn has_statistics(&self) -> bool {
        true
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for BatchNorm<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for BatchNorm<D, E, Dev> {}

fields! {
    [D,] BatchNorm[D,] {
        tensor log_gain: any_shape(true),
        tensor shift: any_shape(true),
        tensor mean: any_shape(false),
        tensor variance: any_shape(false),
        size learning,
    } what
}
