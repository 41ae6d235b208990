//! Diffusion over categories: noise that hides or replaces them step by step, and denoisers that bring them back; flows of real
//! numbers whose largest coordinate is the category.

mod argmax;
mod coupled;
mod denoiser;
mod model;
mod objective;
mod order;
mod process;
mod proof;
mod sampler;
mod steps;

pub use argmax::{
    ARGMAX_FAMILY, AnyLift, ArgmaxFlow, ArgmaxLearner, ArgmaxLoss, ArgmaxModel, Binary, DensityKind, Digits, FitArgmax,
    Gumbel, GumbelThreshold, Lift, LiftKind, MapFlow, NoiseOf, OneHot, SequenceFlow, SoftplusThreshold, TextFlow,
    map_flow, sequence_flow, text_flow,
};
pub use coupled::{Coupled, CoupledLearner, CoupledLoss, Masks};
pub use denoiser::{Denoiser, Formula, Logits, Mlp, Network, Noisy, Transformer, TransformerConfig, UNet, UNetConfig};
pub use model::{AnyDenoiser, DiffusionKind, DiffusionModel, FAMILY, FitDiffusion, NetworkKind};
pub use objective::{Bound, DiffusionLearner, DiffusionLoss, Endless, Objectives, Times};
pub use order::Order;
pub use process::{Absorbing, Chain, Continuous, Fall, Level, Process, Schedule, Uniform};
pub use proof::Proof;
pub use sampler::{Allowed, Ancestral, Corrected, Ddim, Drawing, Remask, Sampler};
pub use steps::{Decoder, Steps};

use crate::{Error, Result, data::Rows};
use dfdx::shapes::Dim;

/// A noise process and a denoiser of the same categories and states: a model of rows.
///
/// A denoiser of other categories than the process has does not compile where the compiler knows both
/// (`tests/compile_fail/diffusion_*.rs`).
#[derive(Clone, Debug)]
pub struct Diffusion<P, N> {
    process: P,
    denoiser: N,
}

impl<P: Process, N: Denoiser<Categories = P::Categories, States = P::States>> Diffusion<P, N> {
    /// The two together.
    ///
    /// # Errors
    /// When sizes known at run time differ.
    pub fn new(process: P, denoiser: N) -> Result<Self> {
        let ours = (process.categories().size(), process.states().size());
        let theirs = (denoiser.categories().size(), denoiser.states().size());
        match ours == theirs {
            true => Ok(Self { process, denoiser }),
            false => {
                let of = |(k, s): (usize, usize)| format!("{k} categories and {s} states");
                Err(Error::invalid(format!("a process of {}, a denoiser of {}", of(ours), of(theirs))))
            }
        }
    }

    /// The noise.
    pub fn process(&self) -> &P {
        &self.process
    }

    /// What takes it away.
    pub fn denoiser(&self) -> &N {
        &self.denoiser
    }

    /// Refuses rows of other categories, or of a length that the denoiser does not read.
    fn check_rows(&self, rows: &dyn Rows) -> Result<()> {
        self.denoiser.check_length(rows.schema().len())?;
        let k = self.process.categories().size();
        match rows.schema().variables.iter().find(|v| v.categories != k) {
            None => Ok(()),
            Some(v) => {
                Err(Error::invalid(format!("variable {} has {} categories; the model is of {k}", v.name, v.categories)))
            }
        }
    }
}
