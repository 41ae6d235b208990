//! Reading a tensor and changing a gradient in place, which dfdx lets one allocate but not see.

use std::borrow::Cow;

#[cfg(feature = "cuda")]
use dfdx::tensor::Cuda;
use dfdx::{
    shapes::Shape,
    tensor::{Cpu, Storage, Tensor},
};

use super::Real;

/// A device whose tensors the host can read, and whose gradients and moments it can change.
pub trait BufferKernel<E: Real>: dfdx::tensor_ops::Device<E> {
    /// How many parts of a batch are best worked on at once; 1 where threads may not read a tensor together.
    fn hands() -> usize;

    /// The elements row after row; of a contiguous tensor on the CPU, where they lie.
    fn elements<S: Shape>(tensor: &Tensor<S, E, Self>) -> Cow<'_, [E]>;

    /// What `f` makes of the elements.
    ///
    /// # Errors
    /// The device's own: a failed copy.
    fn read_buffer<R>(buffer: &<Self as Storage<E>>::Vec, f: impl FnOnce(&[E]) -> R) -> Result<R, Self::Err>;

    /// Lets `f` change the elements.
    ///
    /// # Errors
    /// The device's own: a failed copy.
    fn edit_buffer(buffer: &mut <Self as Storage<E>>::Vec, f: impl FnOnce(&mut [E])) -> Result<(), Self::Err>;
}

impl<E: Real> BufferKernel<E> for Cpu
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    fn hands() -> usize {
        rayon::current_num_threads()
    }

    fn elements<S: Shape>(tensor: &Tensor<S, E, Self>) -> Cow<'_, [E]> {
        match super::cpu::is_contiguous(tensor) {
            true => Cow::Borrowed(super::cpu::view(tensor)),
            false => Cow::Owned(tensor.as_vec()),
        }
    }

    fn read_buffer<R>(buffer: &<Self as Storage<E>>::Vec, f: impl FnOnce(&[E]) -> R) -> Result<R, Self::Err> {
        Ok(f(super::cpu::elements::<E>(buffer)))
    }

    fn edit_buffer(buffer: &mut <Self as Storage<E>>::Vec, f: impl FnOnce(&mut [E])) -> Result<(), Self::Err> {
        f(super::cpu::buffer::<E>(buffer));
        Ok(())
    }
}

#[cfg(feature = "cuda")]
macro_rules! cuda {
    ($($real:ty),*) => {$(
        impl BufferKernel<$real> for Cuda {
            fn hands() -> usize {
                1
            }

            fn elements<S: Shape>(tensor: &Tensor<S, $real, Self>) -> Cow<'_, [$real]> {
                Cow::Owned(tensor.as_vec())
            }

            fn read_buffer<R>(
                buffer: &<Self as Storage<$real>>::Vec,
                f: impl FnOnce(&[$real]) -> R,
            ) -> Result<R, Self::Err> {
                Ok(f(&buffer.device().dtoh_sync_copy(&**buffer)?))
            }

            fn edit_buffer(
                buffer: &mut <Self as Storage<$real>>::Vec,
                f: impl FnOnce(&mut [$real]),
            ) -> Result<(), Self::Err> {
                let device = buffer.device();
                let mut host = device.dtoh_sync_copy(&**buffer)?;
                f(&mut host);
                Ok(device.htod_sync_copy_into(&host, &mut **buffer)?)
            }
        }
    )*};
}
#[cfg(feature = "cuda")]
cuda!(f32, f64);
