//! The process backwards.

use super::Sampler;
use crate::diffusion::{Process, Steps};

/// Draws from `p(x_s | x_t)`, which the bound is about.
///
/// With fewer steps than the process has it strides: [`Steps::strided`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancestral;

impl<P: Process> Sampler<P> for Ancestral {
    fn law(&self, process: &P, steps: &Steps, i: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        steps.reverse(process, i, xt, log_x0, into);
    }
}
