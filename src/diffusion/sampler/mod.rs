//! How rows are drawn: step by step backwards, or otherwise.

mod ancestral;
mod corrected;
mod ddim;
mod draw;
mod remask;
#[cfg(test)]
mod tests;

pub use ancestral::Ancestral;
pub use corrected::Corrected;
pub use ddim::Ddim;
pub use draw::{Allowed, Drawing};
pub use remask::Remask;

use super::{Process, Steps};

/// What each position is drawn from in a step backwards.
///
/// Positions are drawn each by itself, in double precision: a Gumbel maximum in single precision makes rare categories rarer.
pub trait Sampler<P: Process>: Sync {
    /// The distribution of the state at a position after step `i`, where `xt` stands before and the denoiser says `log_x0`.
    fn law(&self, process: &P, steps: &Steps, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]);

    /// Positions of each row that are drawn anew after each step but the last: see [`Corrected`].
    fn corrections(&self) -> usize {
        0
    }
}
