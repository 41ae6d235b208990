//! Typed layers on dfdx, generic over the device, fused where it is hot. A layer is written once, for sizes that the compiler knows
//! and for those of a user's file: see [`Size`].
//!
//! A network is a tuple or a struct of layers; dfdx's own ([`LayerNorm1D`], [`Embedding`], [`Residual`], [`SplitInto`],
//! [`Repeated`], [`Dropout`]) mix with ours. A mismatch of sizes that the compiler knows does
//! not compile.

mod activation;
mod attention;
mod conv;
mod dense;
pub mod device;
mod encoder;
mod fields;
mod grid;
mod init;
mod layer_norm;
pub mod ops;
pub mod optim;
mod params;
mod perceptron;
mod residual_net;
mod sequence_net;
mod size;
mod stack;
mod wave_net;

pub use activation::{Activation, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
pub use attention::Attention;
pub use conv::{Conv2d, ConvTranspose2d, Filters, Padding, Sliding, Stride, Window};
pub use dense::Dense;
pub use dfdx::nn::modules::{Dropout, Embedding, LayerNorm1D, Repeated, Residual, SplitInto};
pub use encoder::EncoderBlock;
pub use grid::{Grid, Image, ImageSize};
pub use layer_norm::LayerNorm;
pub use ops::{Real, inputs_alone};
pub use params::{NamedArray, fresh_copy, load_params, params};
pub use perceptron::Perceptron;
pub use residual_net::ResidualNet;
pub use sequence_net::{SequenceConfig, SequenceNet};
pub use size::Size;
pub use stack::Stack;
pub use wave_net::WaveNet;

pub(crate) use fields::fields;
pub(crate) use init::any_shape;
use ops::{
    AttendKernel, BufferKernel, Conv2dKernel, DenseKernel, EmbedKernel, LayerNormKernel, PerceptronKernel, PlanesKernel,
};
pub(crate) use params::archived_params;

/// A device that runs every layer of this module: [`Cpu`](dfdx::tensor::Cpu), and `Cuda` with the feature `cuda`.
pub trait Device<E: Real>:
    dfdx::tensor_ops::Device<E>
    + AttendKernel<E>
    + BufferKernel<E>
    + Conv2dKernel<E>
    + DenseKernel<E>
    + EmbedKernel<E>
    + LayerNormKernel<E>
    + PerceptronKernel<E>
    + PlanesKernel<E>
{
}

impl<E: Real, D> Device<E> for D where
    D: dfdx::tensor_ops::Device<E>
        + AttendKernel<E>
        + BufferKernel<E>
        + Conv2dKernel<E>
        + DenseKernel<E>
        + EmbedKernel<E>
        + LayerNormKernel<E>
        + PerceptronKernel<E>
        + PlanesKernel<E>
{
}
