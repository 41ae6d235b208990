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

use crate::{Error, Result, data::Patches};

/// The outputs that a likelihood has for a square.
fn outputs<L: Likelihood>(likelihood: &L, patches: &Patches) -> Result<usize> {
    let (values, pixel) = (patches.values(), likelihood.values());
    let channels = values / (patches.side() * patches.side());
    if !channels.is_multiple_of(pixel) {
        return Err(Error::invalid(format!("a likelihood of pixels of {pixel} channels, and pictures of {channels}")));
    }
    Ok(values / pixel * likelihood.width())
}
