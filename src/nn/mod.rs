//! Typed layers on dfdx: static shapes, generic over the device, fused where it is hot.
//!
//! A network is a tuple or a struct of layers; dfdx's own ([`LayerNorm1D`], [`Embedding`], [`Residual`], [`SplitInto`],
//! [`Repeated`], [`Dropout`]) mix with ours. A shape mismatch does not compile.

mod activation;
mod attention;
mod conv;
mod dense;
pub mod device;
mod fields;
mod grid;
mod init;
pub mod ops;
pub mod optim;
mod params;
mod perceptron;
mod residual_net;
mod stack;
mod wave_net;
mod weights;

pub use activation::{Activation, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
pub use attention::Attention;
pub use conv::{Conv2d, ConvTranspose2d};
pub use dense::{Dense, MaskedDense};
pub use dfdx::nn::modules::{Dropout, Embedding, LayerNorm1D, Repeated, Residual, SplitInto};
pub use grid::Grid;
pub use ops::Real;
pub use params::{NamedArray, fresh_copy, load_params, params};
pub use perceptron::Perceptron;
pub use residual_net::ResidualNet;
pub use stack::Stack;
pub use wave_net::WaveNet;

pub(crate) use fields::fields;
pub(crate) use init::any_shape;
use ops::{BufferKernel, Conv2dKernel, DenseKernel, PerceptronKernel};
use weights::Weights;

/// A device that runs every layer of this module: [`Cpu`](dfdx::tensor::Cpu), and `Cuda` with the feature `cuda`.
pub trait Device<E: Real>:
    dfdx::tensor_ops::Device<E> + DenseKernel<E> + PerceptronKernel<E> + Conv2dKernel<E> + BufferKernel<E>
{
}

impl<E: Real, D> Device<E> for D where
    D: dfdx::tensor_ops::Device<E> + DenseKernel<E> + PerceptronKernel<E> + Conv2dKernel<E> + BufferKernel<E>
{
}
