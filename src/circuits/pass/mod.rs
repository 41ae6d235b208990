//! The two passes over a circuit: values upward, flows downward; the weights they read, and the kernels that do the sums.

pub(super) mod downward;
pub(super) mod heads;
pub(super) mod inputs;
pub(super) mod kernels;
pub(super) mod log_space;
pub(super) mod plan;
pub(super) mod scalar;
pub(super) mod upward;
pub(super) mod weights;
mod wide;

pub use heads::Heads;
pub use scalar::Scalar;
pub use weights::Layout;
