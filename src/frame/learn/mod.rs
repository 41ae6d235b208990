//! Learning energies from points and chains.

mod contrast;
#[cfg(test)]
mod tests;
mod transport;

pub use contrast::{Contrast, Particles};
pub use transport::{Estimator, Transport};
