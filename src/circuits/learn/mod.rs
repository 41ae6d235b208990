//! How a circuit learns: expectation-maximisation, or gradients through a layer of a network.

mod anemone;
mod counts;
mod em;
mod fit;
mod gradient;
mod run;

pub use em::{Em, EmLearner, Rule};
pub use fit::{FitCircuit, FitReals};
pub use gradient::{CircuitLayer, Logits, Traced};
pub(crate) use run::learn;
