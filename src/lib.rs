//! Limbeck: a laboratory for generative models that have a likelihood.
#![warn(missing_docs)]

pub mod archive;
pub mod circuits;
pub mod cli;
pub mod data;
pub mod error;
pub mod evidence;
pub mod experiments;
pub mod nn;
pub mod notebook;
pub mod plot;
pub mod prelude;
pub mod random;
pub mod train;

pub use dfdx;
pub use error::{Error, Result};
