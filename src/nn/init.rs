//! How weights start: from the device's own seed, the same on every device.

use dfdx::{
    dtypes::Dtype,
    nn::TensorOptions,
    shapes::{HasShape, Shape},
    tensor::{HasErr, Tensor},
    tensor_ops::Device,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::mem::MaybeUninit;

use super::Real;

/// Fills `tensor` uniformly in `±1/√inputs`, PyTorch's start of a layer's weight and bias. Where the number of inputs is known at
/// run time alone, it stays as a constructor has made it.
///
/// The numbers come from a stream that the device's next random word seeds: `Cpu::seed_from_u64(7)` and
/// `Cuda::seed_from_u64(7)` start alike.
///
/// # Errors
/// The device's own: a failed copy.
pub(super) fn uniform<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &mut Tensor<S, E, D>,
    inputs: Option<usize>,
) -> Result<(), D::Err> {
    let Some(inputs) = inputs else { return Ok(()) };
    let bound = 1.0 / (inputs.max(1) as f64).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(tensor.device().random_u64());
    let values: Vec<E> = (0..tensor.shape().num_elements())
        .map(|_| bound * (2.0 * rng.random::<f64>() - 1.0))
        .map(|value| E::from_f64(value).expect("a float holds a fraction"))
        .collect();
    tensor.copy_from(&values);
    Ok(())
}

/// Numbers uniform in `± gain / √inputs`, one after the other, from a stream that goes on to what comes after them.
pub(super) fn draw<E: Real>(inputs: usize, gain: f64, rng: &mut impl Rng) -> impl FnMut() -> E {
    let bound = gain / (inputs as f64).sqrt();
    move || E::of(bound * (2.0 * rng.random::<f64>() - 1.0))
}

/// The options of a tensor whose shape is known at run time alone: it is made by a constructor, never by `build_on_device`.
pub(crate) fn any_shape<S: Shape + Default, E: Dtype, D: Device<E>>(trained: bool) -> TensorOptions<S, E, D> {
    options(trained, |_| Ok(()))
}

/// How a tensor starts anew.
type Reset<S, E, D> = fn(&mut Tensor<S, E, D>) -> Result<(), <D as HasErr>::Err>;

/// The options of a tensor that `reset` starts anew. dfdx offers no constructor for shapes that the compiler does not know.
pub(super) fn options<S: Shape + Default, E: Dtype, D: Device<E>>(
    trained: bool,
    reset: Reset<S, E, D>,
) -> TensorOptions<S, E, D> {
    let mut options = MaybeUninit::<TensorOptions<S, E, D>>::uninit();
    let at = options.as_mut_ptr();
    // SAFETY: these three are all the fields in the version of dfdx that `Cargo.toml` pins; each is written before it is read.
    unsafe {
        (&raw mut (*at).do_gradient_update).write(trained);
        (&raw mut (*at).reset).write(reset);
        (&raw mut (*at).shape).write(S::default());
        options.assume_init()
    }
}
