//! Optimization: Adam with clipping, learning-rate schedules, an average of the parameters, and checks for numbers that
//! stopped being numbers. All of it can be saved and restored bit for bit.

mod adam;
mod ema;
mod schedule;

pub use adam::{Adam, AdamConfig};
pub use ema::Ema;
pub use schedule::{Decay, Schedule};

use dfdx::{
    shapes::Rank0,
    tensor::{Storage, Tensor},
};

use crate::{Error, Result};

/// The value of a loss, if it is a number.
///
/// # Errors
/// [`Error::Invalid`] when it is NaN or infinite.
pub fn loss_value<D: Storage<f32>, T>(loss: &Tensor<Rank0, f32, D, T>) -> Result<f32> {
    let value = loss.as_vec()[0];
    if value.is_finite() { Ok(value) } else { Err(Error::invalid(format!("the loss is {value}"))) }
}
