//! A matrix of weights and its biases, of sizes known at run time.

use dfdx::{
    dtypes::Dtype,
    tensor::{Cpu, Storage, Tensor},
    tensor_ops::Device as Plain,
};
use rand::{Rng, RngExt};

use super::{Real, fields, init::any_shape};
use crate::{Error, Result};

/// `W (outputs, inputs)` and `b (outputs)`.
#[derive(Clone, Debug)]
pub(super) struct Weights<E: Dtype = f32, D: Storage<E> = Cpu> {
    pub(super) weight: Tensor<(usize, usize), E, D>,
    pub(super) bias: Tensor<(usize,), E, D>,
}

impl<E: Real, D: Plain<E>> Weights<E, D> {
    /// Uniform in `± gain / √inputs`.
    pub(super) fn new(device: &D, inputs: usize, outputs: usize, gain: f64, rng: &mut impl Rng) -> Result<Self> {
        let bound = gain / (inputs as f64).sqrt();
        let mut values = |n: usize| (0..n).map(|_| E::of(bound * (2.0 * rng.random::<f64>() - 1.0))).collect();
        let (weight, bias) = (values(outputs * inputs), values(outputs));
        Ok(Self {
            weight: device.try_tensor_from_vec(weight, (outputs, inputs)).map_err(Error::invalid)?,
            bias: device.try_tensor_from_vec(bias, (outputs,)).map_err(Error::invalid)?,
        })
    }
}

fields! { [] Weights[] { tensor weight: any_shape(true), tensor bias: any_shape(true) } }
