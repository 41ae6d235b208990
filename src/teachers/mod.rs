//! Deep generative models that teach others: networks with latent variables.

mod fit;
mod likelihood;
mod masked_autoencoder;
mod teacher;
mod vae;
mod vq_vae;

pub use fit::{Coded, Teaching, vq_vae};
pub use likelihood::{Bernoulli, DiscretisedLogistic, Grey, Likelihood, MixtureOfLogistics};
pub use masked_autoencoder::{HiddenLoss, MaskedAutoencoder, MaskedConfig, MaskedLearner};
pub use teacher::Teacher;
pub use vae::{NegativeElbo, Vae, VaeLearner};
pub use vq_vae::{Decoder, VqLoss, VqVae, VqVaeConfig, VqVaeLearner};
