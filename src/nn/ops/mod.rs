//! Fused operations: what is hot and element-wise in dfdx, written once for the CPU and composed from dfdx's own operations
//! elsewhere.
//!
//! An op is a folder. Its `mod.rs` holds a trait that a device implements, `cpu.rs` the fused kernel, `plain.rs` the
//! composition that any other device runs, `tests.rs` the check of one against the other and against finite differences.
//! A kernel adds its gradient through [`Tape::add_backward_op`](dfdx::tensor::Tape::add_backward_op), and *accumulates*:
//! the gradient it adds to may already hold another branch's share.

mod alone;
mod attend;
mod buffer;
mod causal;
mod columns;
mod conv2d;
pub(crate) mod cpu;
mod dense;
mod embed;
mod lanes;
mod layer_norm;
mod perceptron;
mod planes;
mod pointwise;
mod real;
mod rowwise;
#[cfg(test)]
pub(crate) mod testing;

pub use alone::inputs_alone;
pub use attend::{AttendKernel, Distances, Heads, Positions};
pub use buffer::BufferKernel;
pub(crate) use causal::{Taps, causal};
pub(crate) use columns::columns;
pub(crate) use conv2d::map_size;
pub use conv2d::{Conv2dKernel, Geometry};
pub use dense::{DenseKernel, Outputs};
pub use embed::{EmbedKernel, Whose};
pub(crate) use embed::{add_rows, embed};
pub use layer_norm::LayerNormKernel;
pub use perceptron::{Layer, PerceptronKernel};
pub use planes::PlanesKernel;
pub(crate) use planes::{Planes, add_to_planes, from_planes, means, sum, to_planes};
pub(crate) use pointwise::{pointwise, scaled};
pub use real::Real;
pub(crate) use rowwise::{rowmap, rowwise};
