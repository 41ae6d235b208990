//! Autoregressive layers: each coordinate moves as those before it say.

use crate::{
    Result,
    flows::{
        Affine, Batch, Bijection, FastForward, Transform, WithLogDet,
        bijection::no_change,
        transform::{Direction, apply},
    },
    nn::{Activation, Device, Perceptron, Real, Relu, Size, fields, ops::Layer},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axis, Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape},
    tensor_ops::{BroadcastTo, ReshapeTo},
};
use std::marker::PhantomData;

mod given;
mod incremental;

pub use given::{Conditional, ConditionalAutoregressive, Given};

/// A layer in which a network gives each coordinate the parameters of its transform `F` from the coordinates before it.
///
/// ```text
/// zᵢ = f(xᵢ; p(x_<i))      log |det| = Σ log ∂zᵢ/∂xᵢ
/// xᵢ = f⁻¹(zᵢ; p(x_<i))
/// ```
///
/// The density direction is one pass of the network; the other computes a coordinate at a time. Without a tape that takes
/// about the work of one pass, for each coordinate needs only the hidden units of its own degree anew; with one it takes as
/// many passes as there are coordinates.
#[derive(Clone, Debug)]
pub struct Autoregressive<D: Dim, F, A = Relu, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: Perceptron<D, usize, A, E, Dev>,
    what: PhantomData<F>,
}

/// One layer of a masked autoregressive flow: a MADE with Gaussian heads, with two hidden layers.
///
/// ```text
/// zᵢ = (xᵢ − μᵢ(x_<i)) exp(−αᵢ(x_<i))      log |det| = −Σ α
/// ```
/// Source: Papamakarios, Pavlakou and Murray 2017.
///
/// ```
/// # use dfdx::{shapes::Const, tensor::Cpu};
/// # use limbeck::{flows::{Flow, Maf}, random::Seed};
/// let device = Cpu::seed_from_u64(0);
/// let flow = Flow::normal(Maf::<Const<2>>::new(&device, Const, 16)?);
/// let x = flow.sequential().sample((5, Const), &device, Seed(1));
/// assert_eq!(flow.log_prob(x).as_vec().len(), 5);
/// # Ok::<(), limbeck::Error>(())
/// ```
pub type Maf<D, A = Relu, E = f32, Dev = Cpu> = Autoregressive<D, Affine, A, E, Dev>;

impl<D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>> Autoregressive<D, F, A, E, Dev> {
    /// A layer whose network is randomly initialised.
    ///
    /// # Errors
    /// When there are no coordinates or no hidden units, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, hidden: usize) -> Result<Self> {
        let network = Perceptron::autoregressive(device, dims, dims.size(), hidden, F::WIDTH)?;
        Ok(Self { network, what: PhantomData })
    }

    /// The network.
    pub fn network(&self) -> &Perceptron<D, usize, A, E, Dev> {
        &self.network
    }
}

/// The layers of a network where the host can read them.
fn on_host<E: Real, Dev: Device<E>>(layers: &[Layer<E, Dev>; 3]) -> [incremental::Layer<'_, E>; 3] {
    layers.each_ref().map(|Layer { weight, bias, reach }| incremental::Layer {
        weight: Dev::elements(weight),
        bias: Dev::elements(bias),
        reach,
    })
}

impl<D: Dim, F: Transform, A: Activation, E: Real, Dev: Device<E>> Bijection<D, E, Dev>
    for Autoregressive<D, F, A, E, Dev>
{
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let params = self.network.forward(x.retaped::<T>());
        apply::<F, _, _, _, _>(x, params, None, Direction::Forward)
    }

    fn check(&self) -> Result<()> {
        self.network.check()
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let (z, tape) = z.contiguous().split_tape();
        let (rows, dims) = *z.shape();
        let d = dims.size();
        if !T::OWNS_TAPE {
            let layers = self.network.layers();
            let (x, log_det) = incremental::invert::<F, A, E>(&Dev::elements(&z), d, &[], &on_host(&layers));
            let x = z.device().tensor_from_vec(x, (rows, dims)).put_tape(tape);
            return (x, z.device().tensor_from_vec(log_det, (rows,)).put_tape(T::default()));
        }
        in_passes::<F, _, _, _, _>(&z, tape, |x| self.network.forward(x))
    }
}

/// The inverse by a pass of the network for each coordinate, with a tape through all of them.
pub(crate) fn in_passes<F: Transform, D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    z: &Batch<D, E, Dev>,
    tape: T,
    network: impl Fn(Batch<D, E, Dev, T>) -> Batch<usize, E, Dev, T>,
) -> WithLogDet<D, E, Dev, T> {
    let (_, dims) = *z.shape();
    // Coordinates to come are zero.
    let mut x = z.device().zeros_like(z.shape()).put_tape(tape);
    let mut log_det = no_change(&x);
    for i in 0..dims.size() {
        let params = network(x.retaped::<T>());
        let (all, log) = apply::<F, _, _, _, _>(z.retaped::<T>(), params, None, Direction::Inverse);
        let now = (0..dims.size()).map(|j| if i == j { E::ONE } else { E::default() }).collect();
        let now = z.device().tensor_from_vec(now, (dims,)).broadcast_like::<_, Axis<0>>(z);
        (x, log_det) = (x + all * now, log);
    }
    (x, log_det)
}

impl<D: Dim, F, A, E: Dtype, Dev: Storage<E>> FastForward for Autoregressive<D, F, A, E, Dev> {}

fields! { [D: Size, F, A: Activation,] Autoregressive[D, F, A,] { module network } what }
