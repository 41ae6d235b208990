//! Transforms whose parameters do not depend on the other coordinates.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Phase, Scale, Stretch, Transform, WithLogDet,
        transform::{Direction, apply},
    },
    nn::{Device, Real, any_shape, fields},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
};
use std::marker::PhantomData;

/// Each coordinate by a transform `F` with parameters of its own.
///
/// ```text
/// zᵢ = f(xᵢ; pᵢ)      log |det| = Σ log f′(xᵢ; pᵢ)
/// ```
///
/// [`adapt`](Bijection::adapt) at the start sets the parameters from the data, where the transform has a rule for that.
#[derive(Clone, Debug)]
pub struct Elementwise<D, F, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// `WIDTH` numbers for each coordinate in turn, in one row.
    pub params: Tensor<(usize, usize), E, Dev>,
    what: PhantomData<(D, F)>,
}

/// NICE's last layer: a scale of its own for each coordinate.
///
/// ```text
/// z = x ⊙ exp d      log |det| = Σ d
/// ```
/// Source: Dinh, Krueger and Bengio 2015, §3.3.
pub type Rescale<D, E = f32, Dev = Cpu> = Elementwise<D, Stretch, E, Dev>;

/// A scale and a shift of each coordinate, set by the data at the start so that they leave with mean 0 and deviation 1.
///
/// ```text
/// z = x ⊙ exp s + t      log |det| = Σ s
/// ```
///
/// What the data have set is saved with the other parameters, and nothing sets it again but a call of
/// [`adapt`](Bijection::adapt). Source: Kingma and Dhariwal 2018, §3.1.
pub type ActNorm<D, E = f32, Dev = Cpu> = Elementwise<D, Scale, E, Dev>;

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> Elementwise<D, F, E, Dev> {
    /// All parameters zero.
    ///
    /// # Errors
    /// When there are no coordinates, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D) -> Result<Self> {
        if dims.size() == 0 {
            return Err(Error::invalid("a transform of 0 coordinates; at least 1 is needed"));
        }
        let params = device.try_zeros_like(&(1, dims.size() * F::WIDTH)).map_err(Error::invalid)?;
        Ok(Self { params, what: PhantomData })
    }
}

impl<D: Dim, F: Transform, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Elementwise<D, F, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        apply::<F, _, _, _, _>(x, self.params.retaped::<T>(), None, Direction::Forward)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        apply::<F, _, _, _, _>(z, self.params.retaped::<T>(), None, Direction::Inverse)
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        let (rows, d) = (x.shape().0, x.shape().1.size());
        if phase == Phase::Start && rows > 0 {
            let values = x.as_vec();
            let column = |i: usize| values.iter().skip(i).step_by(d).map(|x| x.wide()).collect::<Vec<f64>>();
            let start: Option<Vec<f64>> =
                (0..d).map(|i| F::start(&column(i))).collect::<Option<Vec<_>>>().map(|p| p.concat());
            if let Some(start) = start {
                self.params.copy_from(&start.into_iter().map(E::of).collect::<Vec<_>>());
            }
        }
        self.forward(x).0
    }
}

impl<D, F, E: Dtype, Dev: Storage<E>> FastForward for Elementwise<D, F, E, Dev> {}
impl<D, F, E: Dtype, Dev: Storage<E>> FastInverse for Elementwise<D, F, E, Dev> {}

fields! { [D, F,] Elementwise[D, F,] { tensor params: any_shape(true) } what }
