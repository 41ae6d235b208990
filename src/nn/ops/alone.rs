//! Slopes of inputs without those of parameters.

use std::cell::Cell;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Does some work in which layers on the CPU put nothing on a tape for their parameters: a chain that walks on a network's slopes needs
/// those of its input alone, and half of the way back is saved.
///
/// The gradients of a tape that was recorded within have no entries of the weights of [`Conv2d`](crate::nn::Conv2d) and
/// [`Dense`](crate::nn::Dense) layers.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{Dense, Identity, inputs_alone};
///
/// let device = Cpu::seed_from_u64(0);
/// let layer = Dense::<usize, usize, Identity>::new(&device, 2, 1)?;
/// let x = device.tensor_from_vec(vec![0.5_f32, -1.0], (1, 2));
/// let slopes = inputs_alone(|| layer.forward(x.leaky_trace()).sum().backward());
/// assert_eq!(slopes.get(&x).as_vec(), layer.weight.as_vec());
/// # Ok::<(), limbeck::Error>(())
/// ```
pub fn inputs_alone<R>(work: impl FnOnce() -> R) -> R {
    /// Also when the work panics, the thread goes on as it was.
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _back = Back(ALONE.replace(true));
    work()
}

/// Whether this thread is within [`inputs_alone`].
pub(super) fn is_alone() -> bool {
    ALONE.get()
}
