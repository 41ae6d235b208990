//! Dense layers, plain and masked.

use std::marker::PhantomData;

use dfdx::{
    dtypes::Dtype,
    nn::{BuildModule, BuildOnDevice, Module, NonMutableModule, TensorOptions},
    shapes::{Const, Dim, HasShape, Rank1, Rank2},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{Device as Plain, ReshapeTo},
};

use super::{Activation, Device, Identity, Real, fields, init};
use crate::{Error, Result};

/// A dense layer with its activation, as one fused op.
///
/// ```text
/// y = f(x Wᵀ + b)
/// ```
///
/// Shapes: `x (batch, IN)` or `(batch, sequence, IN)` or `(IN)`, `W (OUT, IN)`, `b (OUT)`. Both start uniform in `±1/√IN`.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{Dense, Identity, Relu};
///
/// type Mlp<D> = (Dense<2, 16, Relu, f32, D>, Dense<16, 1, Identity, f32, D>);
/// let device = Cpu::seed_from_u64(0);
/// let mlp = Mlp::<Cpu>::build_on_device(&device);
/// let y = mlp.forward(device.zeros::<Rank2<8, 2>>());
/// assert_eq!(y.shape(), &(Const::<8>, Const::<1>));
/// ```
#[derive(Clone, Debug)]
pub struct Dense<const IN: usize, const OUT: usize, A = Identity, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `W`, one row an output.
    pub weight: Tensor<Rank2<OUT, IN>, E, D>,
    /// `b`.
    pub bias: Tensor<Rank1<OUT>, E, D>,
    activation: PhantomData<A>,
}

fields! {
    [const IN: usize, const OUT: usize, A: Activation,] Dense[IN, OUT, A,] {
        tensor weight: TensorOptions::reset_with(|t| init::uniform(t, IN)),
        tensor bias: TensorOptions::reset_with(|t| init::uniform(t, IN)),
    } activation
}

/// A dense layer some of whose connections do not exist.
///
/// ```text
/// y = f(x (m ⊙ W)ᵀ + b)        dW = m ⊙ (dzᵀ x)
/// ```
///
/// The mask `m` is 1 where a connection exists and 0 elsewhere; it starts as all ones, is saved with the weights and never
/// trained. Shapes as [`Dense`]. Source: Germain et al. 2015 (MADE), §3.
#[derive(Clone, Debug)]
pub struct MaskedDense<const IN: usize, const OUT: usize, A = Identity, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `W`, one row an output.
    pub weight: Tensor<Rank2<OUT, IN>, E, D>,
    /// `b`.
    pub bias: Tensor<Rank1<OUT>, E, D>,
    mask: Tensor<Rank2<OUT, IN>, E, D>,
    activation: PhantomData<A>,
}

impl<const IN: usize, const OUT: usize, A: Activation, E: Real, D: Plain<E>> MaskedDense<IN, OUT, A, E, D> {
    /// A layer in which output `o` sees input `i` where `connected(o, i)`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the device has no memory for it.
    pub fn new(device: &D, connected: impl Fn(usize, usize) -> bool) -> Result<Self> {
        let mut layer = Self::try_build(device).map_err(Error::invalid)?;
        let mask: Vec<E> =
            (0..OUT * IN).map(|at| if connected(at / IN, at % IN) { E::ONE } else { E::default() }).collect();
        layer.mask.copy_from(&mask);
        Ok(layer)
    }

    /// `m`, one row an output.
    pub fn mask(&self) -> &Tensor<Rank2<OUT, IN>, E, D> {
        &self.mask
    }
}

fields! {
    [const IN: usize, const OUT: usize, A: Activation,] MaskedDense[IN, OUT, A,] {
        tensor weight: TensorOptions::reset_with(|t| init::uniform(t, IN)),
        tensor bias: TensorOptions::reset_with(|t| init::uniform(t, IN)),
        tensor mask: TensorOptions::detached(|t| t.try_fill_with_ones()),
    } activation
}

macro_rules! layer {
    ($layer:ident, $self:ident, $mask:expr) => {
        impl<const IN: usize, const OUT: usize, A: Activation, E: Dtype, D: Storage<E>, D2: Plain<E>> BuildOnDevice<D2, E>
            for $layer<IN, OUT, A, E, D>
        {
            type Built = $layer<IN, OUT, A, E, D2>;
        }

        impl<const IN: usize, const OUT: usize, A, E: Dtype, D: Storage<E>> NonMutableModule
            for $layer<IN, OUT, A, E, D>
        {
        }

        impl<const IN: usize, const OUT: usize, A: Activation, B: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
            Module<Tensor<(B, Const<IN>), E, D, T>> for $layer<IN, OUT, A, E, D>
        {
            type Output = Tensor<(B, Const<OUT>), E, D, T>;
            type Error = D::Err;

            fn try_forward(&$self, x: Tensor<(B, Const<IN>), E, D, T>) -> Result<Self::Output, D::Err> {
                D::try_dense::<A, IN, OUT, B, T>(x, &$self.weight, &$self.bias, $mask)
            }
        }

        impl<const IN: usize, const OUT: usize, A: Activation, B: Dim, S: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
            Module<Tensor<(B, S, Const<IN>), E, D, T>> for $layer<IN, OUT, A, E, D>
        {
            type Output = Tensor<(B, S, Const<OUT>), E, D, T>;
            type Error = D::Err;

            fn try_forward(&self, x: Tensor<(B, S, Const<IN>), E, D, T>) -> Result<Self::Output, D::Err> {
                let (batch, sequence, _) = *x.shape();
                let rows = (batch.size() * sequence.size(), Const::<IN>);
                self.try_forward(x.try_reshape_like(&rows)?)?.try_reshape_like(&(batch, sequence, Const::<OUT>))
            }
        }

        impl<const IN: usize, const OUT: usize, A: Activation, E: Real, D: Device<E>, T: Tape<E, D>>
            Module<Tensor<Rank1<IN>, E, D, T>> for $layer<IN, OUT, A, E, D>
        {
            type Output = Tensor<Rank1<OUT>, E, D, T>;
            type Error = D::Err;

            fn try_forward(&self, x: Tensor<Rank1<IN>, E, D, T>) -> Result<Self::Output, D::Err> {
                let row = x.try_reshape_like(&(Const::<1>, Const::<IN>))?;
                self.try_forward(row)?.try_reshape_like(&(Const::<OUT>,))
            }
        }
    };
}
layer!(Dense, self, None);
layer!(MaskedDense, self, Some(&self.mask));

#[cfg(test)]
mod tests {
    use dfdx::{
        shapes::Rank3,
        tensor::{AsArray, SampleTensor, Trace},
        tensor_ops::{Backward, SumTo},
    };

    use super::*;
    use crate::nn::Tanh;

    #[test]
    fn rows_sequences_and_single_vectors_agree() {
        let device = Cpu::seed_from_u64(1);
        let layer = Dense::<3, 2, Tanh>::build_on_device(&device);
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
    fn a_masked_connection_carries_no_value_and_no_gradient() {
        let device = Cpu::seed_from_u64(1);
        let layer = MaskedDense::<3, 3, Tanh>::new(&device, |o, i| i < o).unwrap();
        let x: Tensor<Rank2<4, 3>, f32, _> = device.sample_normal();
        let y = layer.forward(x.leaky_trace());
        let first = y.array().map(|row| row[0]);
        assert!(first.iter().all(|v| *v == layer.bias[[0]].tanh() || (v - layer.bias[[0]].tanh()).abs() < 1e-6));
        let grads = y.sum().backward();
        for (o, row) in grads.get(&layer.weight).array().iter().enumerate() {
            for (i, g) in row.iter().enumerate() {
                assert_eq!(*g != 0.0, i < o, "output {o}, input {i}");
            }
        }
    }

    #[test]
    fn a_layer_starts_within_its_bound_and_from_its_seed() {
        let build = |seed| Dense::<100, 50>::build_on_device(&Cpu::seed_from_u64(seed)).weight.as_vec();
        let weights = build(1);
        assert!(weights.iter().all(|w| w.abs() <= 0.1));
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!((variance / (0.01 / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert_eq!(weights, build(1));
        assert_ne!(weights, build(2));
    }
}
