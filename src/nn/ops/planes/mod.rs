//! Between positions with channels and channels with pixels, sums of such, and their means.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod plain;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::{HasShape, Shape},
    tensor::{Tape, Tensor},
};

use super::Real;

/// Images, channel after channel.
pub type Planes<E, D, T> = Tensor<(usize, usize, usize, usize), E, D, T>;
/// Pixels with their channels, `(batch · pixels, channels)`, one pixel after the other.
type Pixels<E, D, T> = Tensor<(usize, usize), E, D, T>;

/// A device that can turn pixels into planes, add to them, and take their means. Errors are its own: out of memory.
pub trait PlanesKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// From pixels to `(batch, channels, height, width)`.
    fn try_to_planes<T: Tape<E, Self>>(
        x: Pixels<E, Self, T>,
        size: (usize, usize),
    ) -> Result<Planes<E, Self, T>, Self::Err>;

    /// The way back.
    fn try_from_planes<T: Tape<E, Self>>(x: Planes<E, Self, T>) -> Result<Pixels<E, Self, T>, Self::Err>;

    /// A number for every channel of every image, added to all its pixels; there may be more rows of them than images.
    fn try_add_to_planes<T: Tape<E, Self>>(
        x: Planes<E, Self, T>,
        z: Pixels<E, Self, T>,
    ) -> Result<Planes<E, Self, T>, Self::Err>;

    /// The mean of every channel of every image, `(batch, channels)`.
    fn try_means<T: Tape<E, Self>>(x: Planes<E, Self, T>) -> Result<Pixels<E, Self, T>, Self::Err>;

    /// `x + y`
    fn try_sum<S: Shape, T: Tape<E, Self>>(
        x: Tensor<S, E, Self, T>,
        y: Tensor<S, E, Self, T>,
    ) -> Result<Tensor<S, E, Self, T>, Self::Err>;
}

/// [`PlanesKernel::try_to_planes`], where there is memory.
pub(crate) fn to_planes<E: Real, D: PlanesKernel<E>, T: Tape<E, D>>(
    x: Pixels<E, D, T>,
    size: (usize, usize),
) -> Planes<E, D, T> {
    D::try_to_planes(x, size).expect("the device has memory for planes")
}

/// [`PlanesKernel::try_from_planes`], where there is memory.
pub(crate) fn from_planes<E: Real, D: PlanesKernel<E>, T: Tape<E, D>>(x: Planes<E, D, T>) -> Pixels<E, D, T> {
    D::try_from_planes(x).expect("the device has memory for pixels")
}

/// [`PlanesKernel::try_add_to_planes`], where there is memory.
pub(crate) fn add_to_planes<E: Real, D: PlanesKernel<E>, T: Tape<E, D>>(
    x: Planes<E, D, T>,
    z: Pixels<E, D, T>,
) -> Planes<E, D, T> {
    let (shape, numbers) = (x.shape(), z.shape());
    assert!(numbers.0 >= shape.0 && numbers.1 == shape.1, "{numbers:?} numbers for images of shape {shape:?}");
    D::try_add_to_planes(x, z).expect("the device has memory for a sum")
}

/// [`PlanesKernel::try_means`], where there is memory.
pub(crate) fn means<E: Real, D: PlanesKernel<E>, T: Tape<E, D>>(x: Planes<E, D, T>) -> Pixels<E, D, T> {
    D::try_means(x).expect("the device has memory for means")
}

/// [`PlanesKernel::try_sum`], where there is memory.
pub(crate) fn sum<S: Shape, E: Real, D: PlanesKernel<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    y: Tensor<S, E, D, T>,
) -> Tensor<S, E, D, T> {
    assert!(x.shape() == y.shape(), "a sum of shapes {:?} and {:?}", x.shape(), y.shape());
    D::try_sum(x, y).expect("the device has memory for a sum")
}

#[cfg(feature = "cuda")]
macro_rules! cuda {
    ($($real:ty),*) => {$(
        impl PlanesKernel<$real> for Cuda {
            fn try_to_planes<T: Tape<$real, Self>>(
                x: Pixels<$real, Self, T>,
                size: (usize, usize),
            ) -> Result<Planes<$real, Self, T>, Self::Err> {
                plain::to_planes(x, size)
            }

            fn try_from_planes<T: Tape<$real, Self>>(
                x: Planes<$real, Self, T>,
            ) -> Result<Pixels<$real, Self, T>, Self::Err> {
                plain::from_planes(x)
            }

            fn try_add_to_planes<T: Tape<$real, Self>>(
                x: Planes<$real, Self, T>,
                z: Pixels<$real, Self, T>,
            ) -> Result<Planes<$real, Self, T>, Self::Err> {
                plain::add_to_planes(x, z)
            }

            fn try_means<T: Tape<$real, Self>>(x: Planes<$real, Self, T>) -> Result<Pixels<$real, Self, T>, Self::Err> {
                plain::means(x)
            }

            fn try_sum<S: Shape, T: Tape<$real, Self>>(
                x: Tensor<S, $real, Self, T>,
                y: Tensor<S, $real, Self, T>,
            ) -> Result<Tensor<S, $real, Self, T>, Self::Err> {
                dfdx::tensor_ops::TryAdd::try_add(x, y)
            }
        }
    )*};
}
#[cfg(feature = "cuda")]
cuda!(f32, f64);
