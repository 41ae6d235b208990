//! What a notebook cell needs: the panic hook, output by type, progress lines, background jobs, settings.
//!
//! A notebook's first cell is
//!
//! ```no_run
//! use limbeck::prelude::*;
//! notebook::init();
//! ```
//!
//! In a cell, a `let` that later cells use has its type written, and nothing ends in a top-level `?`:
//! the kernel would stop there and call the cell a success.

mod display;
mod env;
mod init;
mod job;
mod lines;
mod shared;

pub use display::{Page, base64, emit, emit_all};
pub use env::{Budget, budget, env, strict};
pub(crate) use init::attended;
pub use init::init;
pub use job::{Job, JobHandle, JobState, JobStatus};
pub use lines::ProgressLines;
pub use shared::check_shared;
