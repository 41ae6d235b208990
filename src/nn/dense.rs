//! Dense layers.

use std::marker::PhantomData;

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, NonMutableModule},
    shapes::{Const, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{Device as Plain, ReshapeTo},
};
use rand::Rng;

use super::{Activation, Device, Identity, Real, Size, fields, init};
use crate::{Error, Result};

/// A dense layer with its activation, as one fused op.
///
/// ```text
/// y = f(x Wᵀ + b)
/// ```
///
/// Shapes: `x (batch, I)` or `(batch, sequence, I)` or `(I)`, `W (O, I)`, `b (O)`, where `I` and `O` are each a [`Const`] or a
/// `usize`. Both tensors start uniform in `±1/√I`.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{Dense, Identity, Relu};
///
/// type Mlp<D> = (Dense<Const<2>, Const<16>, Relu, f32, D>, Dense<Const<16>, Const<1>, Identity, f32, D>);
/// let device = Cpu::seed_from_u64(0);
/// let mlp = Mlp::<Cpu>::build_on_device(&device);
/// let y = mlp.forward(device.zeros::<Rank2<8, 2>>());
/// assert_eq!(y.shape(), &(Const::<8>, Const::<1>));
///
/// let inputs = 2; // as many as a file has columns
/// let first = Dense::<usize, Const<16>, Relu>::new(&device, inputs, Const)?;
/// let y = first.forward(device.zeros_like(&(8, inputs)));
/// assert_eq!(y.shape(), &(8, Const::<16>));
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dense<I: Dim, O: Dim, A = Identity, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `W`, one row an output.
    pub weight: Tensor<(O, I), E, D>,
    /// `b`.
    pub bias: Tensor<(O,), E, D>,
    activation: PhantomData<A>,
}

fields! {
    [I: Size, O: Size, A: Activation,] Dense[I, O, A,] {
        tensor weight: init::options(true, |t| init::uniform(t, I::KNOWN)),
        tensor bias: init::options(true, |t| init::uniform(t, I::KNOWN)),
    } activation
}

impl<I: Dim, O: Dim, A, E: Real, D: Plain<E>> Dense<I, O, A, E, D> {
    /// A layer that starts as those that `build_on_device` makes of sizes known to the compiler.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &D, inputs: I, outputs: O) -> Result<Self> {
        let (i, o) = (inputs.size(), outputs.size());
        if i == 0 || o == 0 {
            return Err(Error::invalid(format!("a layer of {i} inputs and {o} outputs; at least 1 is needed of each")));
        }
        let start = || -> Result<_, D::Err> {
            let mut weight = device.try_zeros_like(&(outputs, inputs))?;
            init::uniform(&mut weight, Some(i))?;
            let mut bias = device.try_zeros_like(&(outputs,))?;
            init::uniform(&mut bias, Some(i))?;
            Ok(Self { weight, bias, activation: PhantomData })
        };
        start().map_err(Error::invalid)
    }

    /// Uniform in `± gain / √inputs` from a stream that goes on to the layers after it; a connection `(output, input)` that does
    /// not exist is zero.
    pub(super) fn draw(
        device: &D,
        (inputs, outputs): (I, O),
        gain: f64,
        rng: &mut impl Rng,
        exists: impl Fn(usize, usize) -> bool,
    ) -> Result<Self> {
        let (i, o) = (inputs.size(), outputs.size());
        let mut value = init::draw(i, gain, rng);
        let weight = (0..o * i).map(|at| if exists(at / i, at % i) { value() } else { E::default() }).collect();
        let bias = (0..o).map(|_| value()).collect();
        Ok(Self {
            weight: device.try_tensor_from_vec(weight, (outputs, inputs)).map_err(Error::invalid)?,
            bias: device.try_tensor_from_vec(bias, (outputs,)).map_err(Error::invalid)?,
            activation: PhantomData,
        })
    }
}

impl<const I: usize, const O: usize, A: Activation, E: Dtype, D: Storage<E>, D2: Plain<E>> BuildOnDevice<D2, E>
    for Dense<Const<I>, Const<O>, A, E, D>
{
    type Built = Dense<Const<I>, Const<O>, A, E, D2>;
}

impl<I: Dim, O: Dim, A, E: Dtype, D: Storage<E>> NonMutableModule for Dense<I, O, A, E, D> {}

impl<I: Dim, O: Dim, A: Activation, B: Dim, E: Real, D: Device<E>, T: Tape<E, D>> Module<Tensor<(B, I), E, D, T>>
    for Dense<I, O, A, E, D>
{
    type Output = Tensor<(B, O), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, I), E, D, T>) -> Result<Self::Output, D::Err> {
        D::try_dense::<A, I, O, B, T>(x, &self.weight, &self.bias)
    }
}

impl<I: Dim, O: Dim, A: Activation, B: Dim, S: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<(B, S, I), E, D, T>> for Dense<I, O, A, E, D>
{
    type Output = Tensor<(B, S, O), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, S, I), E, D, T>) -> Result<Self::Output, D::Err> {
        let (batch, sequence, inputs) = *x.shape();
        let rows = x.try_reshape_like(&(batch.size() * sequence.size(), inputs))?;
        self.try_forward(rows)?.try_reshape_like(&(batch, sequence, self.bias.shape().0))
    }
}

impl<I: Dim, O: Dim, A: Activation, E: Real, D: Device<E>, T: Tape<E, D>> Module<Tensor<(I,), E, D, T>>
    for Dense<I, O, A, E, D>
{
    type Output = Tensor<(O,), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(I,), E, D, T>) -> Result<Self::Output, D::Err> {
        let row = (Const::<1>, x.shape().0);
        self.try_forward(x.try_reshape_like(&row)?)?.try_reshape_like(self.bias.shape())
    }
}

#[cfg(test)]
mod tests {
    use dfdx::{
        shapes::{Rank1, Rank2, Rank3},
        tensor::{AsArray, SampleTensor, ZerosTensor},
        tensor_ops::RealizeTo,
    };

    use super::*;
    use crate::nn::{Tanh, fresh_copy, params};

    #[test]
    fn rows_sequences_and_single_vectors_agree() {
        let device = Cpu::seed_from_u64(1);
        let layer = Dense::<Const<3>, Const<2>, Tanh>::build_on_device(&device);
        let x: Tensor<Rank3<4, 5, 3>, f32, _> = device.sample_normal();
        let y = layer.forward(x.clone()).array();
        let rows = layer.forward(x.clone().reshape_like(&(20, Const::<3>))).as_vec();
        let flat: Vec<f32> = y.iter().flatten().flatten().copied().collect();
        assert_eq!(flat, rows);
        let one: Tensor<Rank1<3>, f32, _> = device.sample_normal();
        let row = layer.forward(one.clone().reshape_like(&(Const::<1>, Const::<3>)));
        assert_eq!(layer.forward(one).as_vec(), row.as_vec());
    }

    #[test]
    fn sizes_known_at_run_time_make_the_same_layer() {
        let typed = Dense::<Const<3>, Const<2>, Tanh>::build_on_device(&Cpu::seed_from_u64(1));
        let free = Dense::<usize, usize, Tanh>::new(&Cpu::seed_from_u64(1), 3, 2).unwrap();
        assert_eq!(params(&typed), params(&free));
        assert_eq!(params(&fresh_copy(&free).unwrap()), params(&free));
        let x: Tensor<Rank2<4, 3>, f32, _> = Cpu::seed_from_u64(2).sample_normal();
        let y = free.forward(x.clone().realize::<(usize, usize)>());
        assert_eq!((typed.forward(x).as_vec(), *y.shape()), (y.as_vec(), (4, 2)));
        let none = Dense::<usize, usize>::new(&Cpu::default(), 0, 2).unwrap_err().to_string();
        assert_eq!(none, "a layer of 0 inputs and 2 outputs; at least 1 is needed of each");
    }

    #[test]
    #[should_panic(expected = "rows of 4 numbers for a layer of 3 inputs")]
    fn rows_of_another_width_than_the_layer_has_are_named() {
        let layer = Dense::<usize, usize>::new(&Cpu::default(), 3, 2).unwrap();
        layer.forward(Cpu::default().zeros_like(&(5, 4)));
    }

    #[test]
    fn a_layer_starts_within_its_bound_and_from_its_seed() {
        let build = |seed| Dense::<Const<100>, Const<50>>::build_on_device(&Cpu::seed_from_u64(seed)).weight.as_vec();
        let weights = build(1);
        assert!(weights.iter().all(|w| w.abs() <= 0.1));
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!((variance / (0.01 / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert_eq!(weights, build(1));
        assert_ne!(weights, build(2));
    }
}
