//! Deep generative models that teach others: networks with latent variables.

mod likelihood;
mod vae;

pub use likelihood::{Bernoulli, DiscretisedLogistic, Grey, Likelihood};
pub use vae::{NegativeElbo, Vae, VaeLearner};
