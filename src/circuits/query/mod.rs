//! What a circuit can be asked: conditionals, moments, samples, completions, code lengths.

mod codec;
pub(super) mod conditional;
mod deterministic;
mod heads;
mod map;
mod moments;
mod sample;

pub use conditional::Conditionals;
pub use deterministic::Deterministic;
