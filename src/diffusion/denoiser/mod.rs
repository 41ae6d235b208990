//! What says which category each noisy position was.

mod mlp;
mod network;
#[cfg(test)]
mod tests;
mod transformer;
mod u_net;

pub use mlp::Mlp;
pub(crate) use network::history;
pub use network::{Logits, Network, Noisy};
pub use transformer::{Transformer, TransformerConfig};
pub use u_net::{UNet, UNetConfig};

use crate::{Result, nn::Size};

/// Says, of rows of noisy states, what each position may have been.
///
/// Whatever it says is a distribution over `K` categories for each position, given as logits. Trained to its best it is the
/// leave-one-out posterior (see [`Process`](super::Process)).
pub trait Denoiser {
    /// `K`
    type Categories: Size;
    /// `S`
    type States: Size;

    /// `K`
    fn categories(&self) -> Self::Categories;

    /// `S`
    fn states(&self) -> Self::States;

    /// Refuses rows of a length that it does not read.
    ///
    /// # Errors
    /// Which lengths it reads.
    fn check_length(&self, _length: usize) -> Result<()> {
        Ok(())
    }

    /// Logits `(rows, length, K)` of `noisy` rows `(rows, length)`, each with its time from 0 to 1.
    fn logits(&self, noisy: &[u16], length: usize, times: &[f64]) -> Vec<f64>;
}

/// A denoiser that is a formula: `logit(row, position, category, time)`.
///
/// ```
/// # use limbeck::{dfdx::shapes::Const, diffusion::{Denoiser, Formula}};
/// let shy = Formula::new(Const::<3>, Const::<3>, |row: &[u16], d, k, _| if row[d] as usize == k { 1.0 } else { 0.0 });
/// assert_eq!(shy.logits(&[2], 1, &[0.5]), [0.0, 0.0, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Formula<K, S, F> {
    categories: K,
    states: S,
    logit: F,
}

impl<K: Size, S: Size, F: Fn(&[u16], usize, usize, f64) -> f64> Formula<K, S, F> {
    /// Of so many categories and states.
    pub fn new(categories: K, states: S, logit: F) -> Self {
        Self { categories, states, logit }
    }
}

impl<K: Size, S: Size, F: Fn(&[u16], usize, usize, f64) -> f64> Denoiser for Formula<K, S, F> {
    type Categories = K;
    type States = S;

    fn categories(&self) -> K {
        self.categories
    }

    fn states(&self) -> S {
        self.states
    }

    fn logits(&self, noisy: &[u16], length: usize, times: &[f64]) -> Vec<f64> {
        let k = self.categories.size();
        let mut logits = Vec::with_capacity(noisy.len() * k);
        for (row, time) in noisy.chunks_exact(length).zip(times) {
            logits.extend((0..length * k).map(|at| (self.logit)(row, at / k, at % k, *time)));
        }
        logits
    }
}
