//! Couplings: some coordinates stay, and say how the others move.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Scale, Shift, Transform, VolumePreserving, WithLogDet,
        bijection::{free, typed},
        transform::{Direction, apply, apply_planar},
    },
    nn::{Activation, Device, Perceptron, Real, Relu, Size, Tanh, any_shape, fields},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axis, Dim},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{BroadcastTo, Device as Plain, TryConcatAlong},
};
use std::{marker::PhantomData, sync::Arc};

mod image;

pub use image::{ImageCoupling, ImageMask};

/// A coupling in which one network gives the coordinates that move the parameters of their transform `F`.
///
/// ```text
/// z = x on the coordinates that stay      z = f(x; p(x_stay)) on the others
/// log |det| = Σ log ∂zᵢ/∂xᵢ
/// ```
///
/// With a [`Spline`](crate::flows::Spline) it is a neural spline flow's coupling. Source: Dinh et al. 2015, §3.1; Durkan et al. 2019.
#[derive(Clone, Debug)]
pub struct Coupling<D: Dim, F, A = Relu, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: Perceptron<D, usize, A, E, Dev>,
    mask: Tensor<(usize,), E, Dev>,
    what: PhantomData<F>,
}

/// NICE's additive coupling, which keeps volumes.
///
/// ```text
/// z = x on the coordinates that stay      z = x + m(x_stay) on the others
/// log |det| = 0
/// ```
/// Source: Dinh, Krueger and Bengio 2015, §3.2.
pub type AdditiveCoupling<D, A = Relu, E = f32, Dev = Cpu> = Coupling<D, Shift, A, E, Dev>;

/// RealNVP's affine coupling for tables, with a network for the scales and one for the shifts.
///
/// ```text
/// z = x on the coordinates that stay      z = x ⊙ exp s(x_stay) + t(x_stay) on the others
/// log |det| = Σ s
/// ```
///
/// The network of `s` has tanh units, that of `t` rectified ones, both without a bound on their outputs, as in the code of the
/// MAF paper. Source: Dinh, Sohl-Dickstein and Bengio 2017, eq. 7; Papamakarios et al. 2017. [`Coupling`] with
/// [`Scale`](crate::flows::Scale) has one network for both.
#[derive(Clone, Debug)]
pub struct AffineCoupling<D: Dim, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    log_scale: Perceptron<D, usize, Tanh, E, Dev>,
    shift: Perceptron<D, usize, Relu, E, Dev>,
    /// 1 where a coordinate moves.
    mask: Tensor<(usize,), E, Dev>,
}

/// Which coordinates a coupling moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those with even numbers.
    Even,
    /// Those with odd numbers.
    Odd,
    /// The first half.
    First,
    /// The second half.
    Second,
}

impl Mask {
    /// Whether it moves this coordinate of `dims`.
    fn has(self, coordinate: usize, dims: usize) -> bool {
        match self {
            Self::Even => coordinate.is_multiple_of(2),
            Self::Odd => !coordinate.is_multiple_of(2),
            Self::First => coordinate < dims / 2,
            Self::Second => coordinate >= dims / 2,
        }
    }

    pub(super) fn tensor<E: Real, Dev: Plain<E>>(self, dims: usize, device: &Dev) -> Result<Tensor<(usize,), E, Dev>> {
        if dims < 2 {
            return Err(Error::invalid(format!("a coupling of {dims} coordinates: one stays and one moves, at least")));
        }
        let values = (0..dims).map(|i| if self.has(i, dims) { E::ONE } else { E::default() }).collect();
        device.try_tensor_from_vec(values, (dims,)).map_err(Error::invalid)
    }
}

/// The coordinates that stay, the others zero.
pub(super) fn seen<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: &Batch<D, E, Dev, T>,
    mask: &Tensor<(usize,), E, Dev>,
) -> Batch<D, E, Dev, T> {
    let x = free(x.retaped::<T>());
    let stays = (mask.clone().negate() + E::ONE).broadcast_like::<_, Axis<0>>(&x);
    typed(x * stays)
}

/// Refuses a mask under which nothing stays or nothing moves, or a coordinate does so in part.
pub(super) fn check<E: Real, Dev: Device<E>>(mask: &Tensor<(usize,), E, Dev>) -> Result<()> {
    let mask: Vec<f64> = Dev::elements(mask).iter().map(|m| m.wide()).collect();
    match mask.iter().all(|m| *m == 0.0 || *m == 1.0) && mask.contains(&0.0) && mask.contains(&1.0) {
        true => Ok(()),
        false => Err(Error::invalid("a coupling whose mask is not of zeros and ones, some of each")),
    }
}

/// Which coordinates move.
pub(super) fn moving<E: Real, Dev: Device<E>>(mask: &Tensor<(usize,), E, Dev>) -> Arc<[bool]> {
    Dev::elements(mask).iter().map(|m| *m != E::default()).collect()
}

impl<D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>> Coupling<D, F, A, E, Dev> {
    /// A coupling that is randomly initialised.
    ///
    /// # Errors
    /// When there are fewer than 2 coordinates or no hidden units, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, hidden: usize, mask: Mask) -> Result<Self> {
        let d = dims.size();
        Ok(Self {
            mask: mask.tensor(d, device)?,
            network: Perceptron::dense(device, dims, hidden, d * F::WIDTH)?,
            what: PhantomData,
        })
    }

    fn apply<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>, direction: Direction) -> WithLogDet<D, E, Dev, T> {
        // What stays is the same on both sides.
        let params = self.network.forward(seen(&x, &self.mask));
        apply::<F, _, _, _, _>(x, params, Some(moving::<E, Dev>(&self.mask)), direction)
    }
}

impl<D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Coupling<D, F, A, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, Direction::Forward)
    }

    fn check(&self) -> Result<()> {
        check::<E, Dev>(&self.mask)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(z, Direction::Inverse)
    }
}

impl<D: Dim, F, A, E: Dtype, Dev: Storage<E>> FastForward for Coupling<D, F, A, E, Dev> {}
impl<D: Dim, F, A, E: Dtype, Dev: Storage<E>> FastInverse for Coupling<D, F, A, E, Dev> {}
impl<D: Dim, A, E: Dtype, Dev: Storage<E>> VolumePreserving for Coupling<D, Shift, A, E, Dev> {}

fields! { [D: Size, F, A: Activation,] Coupling[D, F, A,] { module network, tensor mask: any_shape(false) } what }

impl<D: Dim, E: Real, Dev: Device<E>> AffineCoupling<D, E, Dev> {
    /// A coupling that is randomly initialised.
    ///
    /// # Errors
    /// When there are fewer than 2 coordinates or no hidden units, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, hidden: usize, mask: Mask) -> Result<Self> {
        let d = dims.size();
        Ok(Self {
            mask: mask.tensor(d, device)?,
            log_scale: Perceptron::dense(device, dims, hidden, d)?,
            shift: Perceptron::dense(device, dims, hidden, d)?,
        })
    }

    fn apply<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>, direction: Direction) -> WithLogDet<D, E, Dev, T> {
        // What stays is the same on both sides.
        let seen = seen(&x, &self.mask);
        let log_scale = self.log_scale.forward(seen.retaped::<T>());
        let params = (log_scale, self.shift.forward(seen)).concat_along(Axis::<1>);
        apply_planar::<Scale, _, _, _, _>(x, params, Some(moving::<E, Dev>(&self.mask)), direction)
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for AffineCoupling<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, Direction::Forward)
    }

    fn check(&self) -> Result<()> {
        check::<E, Dev>(&self.mask)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(z, Direction::Inverse)
    }
}

impl<D: Dim, E: Dtype, Dev: Storage<E>> FastForward for AffineCoupling<D, E, Dev> {}
impl<D: Dim, E: Dtype, Dev: Storage<E>> FastInverse for AffineCoupling<D, E, Dev> {}

fields! {
    [D: Size,] AffineCoupling[D,] { module log_scale, module shift, tensor mask: any_shape(false) }
}
