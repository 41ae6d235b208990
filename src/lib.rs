//! Limbeck: a laboratory for generative models that have a likelihood.
//!
//! A model is fitted to rows, and says of any rows how probable they are:
//!
//! ```
//! use limbeck::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let digits: Discrete = shipped::digits()?.discrete();
//! let settings: FitCircuit = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(4)) };
//! let (circuit, _): (Circuit, History) = settings.fit(&digits, None, Seed(0))?;
//! let evidence: Evidence<Exact> = circuit.evidence(&digits)?;
//! println!("{:.2} bits per dimension", evidence.bits_per_dim()?);
//!
//! // Half of each picture is forgotten, and drawn again from its exact conditional distribution.
//! let halves: Discrete = digits.mask(|_row, pixel| pixel % 8 >= 4);
//! let painted: Discrete = circuit.complete(&halves, Seed(1))?;
//! assert_eq!(painted.len(), digits.len());
//! # Ok(())
//! # }
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`prelude`] | what a program of a few lines needs |
//! | [`data`] | data sets, and the files they come from |
//! | [`circuits`] | probabilistic circuits: structures, learning, exact queries |
//! | [`diffusion`] | diffusion over categories, and argmax flows |
//! | [`flows`] | normalizing flows: bijections with their log-determinants, learned by maximum likelihood |
//! | [`frame`] | FRAME: textures and energies, samplers for any log-density, normalising constants |
//! | [`growth`] | clusters of rows and a circuit with a head for each, which refine each other |
//! | [`evidence`] | what a likelihood is: exact, a bound, or unnormalised, and in which space |
//! | [`model`], [`models`] | what every model can do, whatever its family; the registry of all |
//! | [`nn`] | typed layers and optimisers on dfdx |
//! | [`linalg`] | clusters of points |
//! | [`train`] | the training loop, its history and checkpoints |
//! | [`plot`], [`notebook`] | figures and tables; what a cell of the book needs |
//! | [`experiments`], [`cli`] | the figures of the book; the command line |
#![warn(missing_docs)]

pub mod archive;
pub mod circuits;
pub mod cli;
pub mod data;
pub mod diffusion;
pub mod distill;
pub mod error;
pub mod evidence;
pub mod experiments;
pub mod flows;
pub mod frame;
pub mod growth;
pub mod linalg;
mod math;
mod memory;
pub mod model;
pub mod models;
pub mod nn;
pub mod notebook;
pub mod plot;
pub mod prelude;
pub mod random;
mod simd;
pub mod teachers;
pub mod train;

pub use dfdx;
pub use error::{Error, Result};
