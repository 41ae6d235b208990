//! How weights start: from the device's own seed, the same on every device.

use dfdx::{
    dtypes::Dtype,
    nn::TensorOptions,
    shapes::{HasShape, Shape},
    tensor::Tensor,
    tensor_ops::Device,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::mem::MaybeUninit;

/// Fills `tensor` uniformly in `±1/√fan_in`, PyTorch's start of a layer's weight and bias.
///
/// The numbers come from a stream that the device's next random word seeds: `Cpu::seed_from_u64(7)` and
/// `Cuda::seed_from_u64(7)` start alike.
///
/// # Errors
/// The device's own: a failed copy.
pub(crate) fn uniform<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &mut Tensor<S, E, D>,
    fan_in: usize,
) -> Result<(), D::Err> {
    let bound = 1.0 / (fan_in.max(1) as f64).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(tensor.device().random_u64());
    let values: Vec<E> = (0..tensor.shape().num_elements())
        .map(|_| bound * (2.0 * rng.random::<f64>() - 1.0))
        .map(|value| E::from_f64(value).expect("a float holds a fraction"))
        .collect();
    tensor.copy_from(&values);
    Ok(())
}

/// The options of a tensor whose shape is known at run time alone: it is made by a constructor, never by `build_on_device`.
///
/// dfdx offers no constructor for such options.
pub(crate) fn any_shape<S: Shape + Default, E: Dtype, D: Device<E>>(trained: bool) -> TensorOptions<S, E, D> {
    let mut options = MaybeUninit::<TensorOptions<S, E, D>>::uninit();
    let at = options.as_mut_ptr();
    // SAFETY: these three are all the fields in the version of dfdx that `Cargo.toml` pins; each is written before it is read.
    unsafe {
        (&raw mut (*at).do_gradient_update).write(trained);
        (&raw mut (*at).reset).write(|_| Ok(()));
        (&raw mut (*at).shape).write(S::default());
        options.assume_init()
    }
}
