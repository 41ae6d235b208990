//! The fused 2-D convolution and its adjoint, the transposed convolution, on one set of kernels.

mod cpu;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod linear;
mod patches;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod plain;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::Shape,
    tensor::{Tape, Tensor},
};

use super::Real;
use crate::nn::Activation;

/// How an image and the map that a convolution makes of it lie on each other.
///
/// ```text
/// map[o, i, j] = Σ_{c,u,v} W[o, c, u, v] · image[c, i·stride + u − padding, j·stride + v − padding]
/// ```
///
/// with zeros outside the image. A transposed convolution has the same geometry with the roles exchanged: it is given the
/// map and returns the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels, height and width of the image.
    pub image: [usize; 3],
    /// Channels, height and width of the map.
    pub map: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Steps on the image for one on the map.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
}

/// The size of the map along one axis, `⌊(size + 2 padding − kernel) / stride⌋ + 1`; 0 where the kernel does not fit.
pub(crate) const fn map_size(size: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    if kernel == 0 || stride == 0 || size + 2 * padding < kernel {
        0
    } else {
        (size + 2 * padding - kernel) / stride + 1
    }
}

impl Geometry {
    /// The geometry; the map is as large as the image allows.
    ///
    /// # Panics
    /// When the kernel does not fit into the padded image: a layer checks that when it is compiled.
    pub const fn new(image: [usize; 3], channels: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let height = map_size(image[1], kernel, stride, padding);
        let width = map_size(image[2], kernel, stride, padding);
        assert!(height > 0 && width > 0, "the kernel is larger than the padded image");
        Self { image, map: [channels, height, width], kernel, stride, padding }
    }

    /// Elements of an image.
    pub(crate) const fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * self.image[2]
    }

    /// Elements of a map.
    pub(crate) const fn map_len(&self) -> usize {
        self.map[0] * self.positions()
    }

    /// Places of a map: its height times its width.
    pub(crate) const fn positions(&self) -> usize {
        self.map[1] * self.map[2]
    }

    /// Elements of a patch, the piece of the image that one place of the map sees: channels times kernel².
    pub(crate) const fn patch(&self) -> usize {
        self.image[0] * self.kernel * self.kernel
    }

    /// For output `at` and kernel element `tap` along an axis of the given `size`: the input, or `None` in the padding.
    #[inline]
    pub(crate) fn source(&self, at: usize, tap: usize, size: usize) -> Option<usize> {
        (at * self.stride + tap).checked_sub(self.padding).filter(|i| *i < size)
    }
}

/// A device that can compute convolutions.
///
/// Shapes: images `(batch, C, H, W)`, maps `(batch, O, OH, OW)`, `W (O, C, kernel, kernel)` in both methods, biases one a
/// channel of the output. The layers check that the shapes fit the geometry.
pub trait Conv2dKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// `map = f(W ∗ image + b)`, with the `shape` of the map.
    ///
    /// # Errors
    /// The device's own: out of memory.
    fn try_conv2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        image: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err>;

    /// `image = f(Wᵀ ∗ map + b)`, with the `shape` of the image: the adjoint of [`try_conv2d`](Self::try_conv2d) in its
    /// linear part.
    ///
    /// # Errors
    /// The device's own: out of memory.
    fn try_conv_transpose2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        map: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err>;
}

#[cfg(feature = "cuda")]
impl<E: Real> Conv2dKernel<E> for Cuda
where
    Cuda: dfdx::tensor_ops::Device<E>,
{
    fn try_conv2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        image: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err> {
        plain::conv2d::<A, X, W, B, Y, E, Self, T>(geometry, image, weight, bias, shape)
    }

    fn try_conv_transpose2d<A: Activation, X: Shape, W: Shape, B: Shape, Y: Shape, T: Tape<E, Self>>(
        geometry: Geometry,
        map: Tensor<X, E, Self, T>,
        weight: &Tensor<W, E, Self>,
        bias: &Tensor<B, E, Self>,
        shape: Y,
    ) -> Result<Tensor<Y, E, Self, T>, Self::Err> {
        plain::conv_transpose2d::<A, X, W, B, Y, E, Self, T>(geometry, map, weight, bias, shape)
    }
}
