//! The vector-quantised autoencoder: a latent of a few codes for each square of a picture.

mod learn;
mod network;
mod quantise;
#[cfg(test)]
mod tests;

pub use learn::{VqLoss, VqVaeLearner};

use super::{Likelihood, Teacher};
use crate::{
    Error, Result,
    circuits::{Circuit, Graph, Leaf},
    data::{Discrete, Patches, Rows, Schema, complete, fingerprint},
    evidence::{Evidence, Space},
    flows::{Batch, PerRow},
    nn::{Device, ops::rowwise},
    random::Seed,
};
use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, NoneTape, Tape},
};
use network::{Network, Seen};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What makes a picture of codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decoder {
    /// Each square from its own code alone, as a circuit has it: `x_i` is independent of all else given `z_i`.
    #[default]
    Independent,
    /// A convolutional network over all codes: squares depend on the codes of their neighbours.
    Convolutional,
}

/// The sizes of a [`VqVae`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VqVaeConfig {
    /// Pixels along a square.
    pub side: usize,
    /// Levels of codes: 1, or 2, where every two by two squares have a code above their own (VQ-VAE-2).
    pub levels: usize,
    /// Codes that a latent can be, at each level.
    pub codes: usize,
    /// Numbers of a code.
    pub width: usize,
    /// Channels of the networks within.
    pub hidden: usize,
    /// Residual blocks of the encoder, and of a convolutional decoder.
    pub blocks: usize,
    /// What makes a picture of codes.
    pub decoder: Decoder,
    /// `β`: how much what the encoder says is drawn to its code.
    pub commitment: f32,
    /// Components of what is said of a pixel of more than two levels ([`super::MixtureOfLogistics`]).
    pub components: usize,
}

impl Default for VqVaeConfig {
    fn default() -> Self {
        Self {
            side: 4,
            levels: 1,
            codes: 64,
            width: 16,
            hidden: 64,
            blocks: 2,
            decoder: Decoder::Independent,
            commitment: 0.25,
            components: 2,
        }
    }
}

/// A vector-quantised variational autoencoder.
///
/// ```text
/// z_i  = argmin_k ‖h_i(x) − e_k‖              q(z | x) is one code a square
/// loss = −log p(x | e_z) + Σ_i β ‖h_i − sg(e_{z_i})‖² + ‖sg(h_i) − e_{z_i}‖²
/// ELBO = log p(x | e_z) + log p(z)            the divergence of a point mass from the prior is −log p(z)
/// ```
///
/// Gradients pass the choice of a code as if it were the identity. What the encoder `h` says of a square comes from all of the
/// picture around it. With two levels a second encoder has a code for every two by two squares, the first one sees what these say,
/// and the decoder has both. Source: van den Oord, Vinyals and Kavukcuoglu 2017; two levels: Razavi et al. 2019; the independent
/// decoder: Liu et al. 2023, §5.
#[derive(Clone, Debug)]
pub struct VqVae<L, Dev: Device<f32> = Cpu> {
    net: Network<f32, Dev>,
    likelihood: L,
    patches: Patches,
    commitment: f32,
}

/// Pictures that one call of the networks works on.
const BLOCK: usize = 256;

impl<L: Likelihood, Dev: Device<f32>> VqVae<L, Dev> {
    /// A randomly initialised autoencoder of pictures with these columns, whose pixels have that likelihood.
    ///
    /// # Errors
    /// When squares of that side do not fill the pictures, the likelihood is of other pixels, a size is 0, or the device has no memory
    /// for it.
    pub fn new(device: &Dev, pictures: &Schema, likelihood: L, config: &VqVaeConfig) -> Result<Self> {
        let patches = Patches::new(pictures, config.side)?;
        let outputs = super::outputs(&likelihood, &patches)?;
        if !(config.commitment >= 0.0 && config.commitment.is_finite()) {
            return Err(Error::out_of_range("commitment", config.commitment, "0 ≤ commitment < ∞"));
        }
        let net = Network::new(device, &patches, config, outputs)?;
        Ok(Self { net, likelihood, patches, commitment: config.commitment })
    }

    /// The squares of its pictures.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// Codes a square can have.
    pub fn codes(&self) -> usize {
        self.net.book.codes.shape().0
    }

    /// The codes of squares themselves, `(codes, width)`.
    pub fn codebook(&self) -> Vec<Vec<f32>> {
        self.net.book.codes.as_vec().chunks(self.net.width()).map(<[f32]>::to_vec).collect()
    }

    fn levels(&self) -> usize {
        self.net.books().len()
    }

    /// Pictures with these indices: as the encoder reads them, within ±1, and the values of each square, pixel after pixel.
    fn read(&self, rows: &dyn Rows, which: &[usize]) -> Result<(Batch<usize, f32, Dev>, Vec<f32>)> {
        let (places, dims) = (self.patches.places(), self.patches.whole().len());
        self.patches.check(rows)?;
        let pictures = complete(rows, which, dims)?;
        let categories = &self.patches.whole().variables;
        let scaled = |picture: &[f32], place: usize| {
            let last = (categories[place].categories - 1).max(1) as f32;
            2.0 * picture[place] / last - 1.0
        };
        let by_pixel = self.patches.by_pixel();
        let (mut input, mut values) = (Vec::with_capacity(pictures.len()), Vec::with_capacity(pictures.len()));
        for picture in pictures.chunks_exact(dims) {
            for value in 0..self.patches.values() {
                input.extend(places.iter().map(|square| scaled(picture, square[value])));
            }
            values.extend(places.iter().flat_map(|square| by_pixel.iter().map(|value| picture[square[*value]])));
        }
        Ok((self.device().tensor_from_vec(input, (which.len(), dims)), values))
    }

    fn device(&self) -> &Dev {
        self.net.book.codes.device()
    }

    fn seen<T: Tape<f32, Dev>>(&self, input: Batch<usize, f32, Dev, T>) -> Seen<f32, Dev, T> {
        self.net.seen(input, self.patches.positions(), self.commitment)
    }

    /// `log p(x_i | ·)` of every square, given its values and what stands for its codes.
    fn log_probs<T: Tape<f32, Dev>>(&self, x: Vec<f32>, codes: Batch<usize, f32, Dev, T>) -> PerRow<f32, Dev, T> {
        let (likelihood, values) = (self.likelihood.clone(), self.patches.values());
        let (again, x) = (likelihood.clone(), Arc::<[f32]>::from(x));
        let values_again = x.clone();
        let (width, pixel) = (likelihood.width(), likelihood.values());
        rowwise(
            self.net.decoded(codes, self.patches.positions()),
            move |i, p| {
                let each = p.chunks_exact(width).zip(x[i * values..].chunks_exact(pixel));
                each.fold(0.0, |sum, (p, x)| sum + likelihood.log_prob(x, p))
            },
            move |i, p, d, into| {
                let each = p.chunks_exact(width).zip(into.chunks_exact_mut(width));
                let each = each.zip(values_again[i * values..].chunks_exact(pixel));
                each.for_each(|((p, into), x)| again.slopes(x, p, d, into));
            },
        )
    }

    /// Hands `each` what is seen in some pictures, block by block, and the values of their squares.
    fn for_each_block(
        &self,
        rows: &dyn Rows,
        which: &[usize],
        mut each: impl FnMut(Seen<f32, Dev, NoneTape>, Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        for block in which.chunks(BLOCK) {
            let (input, values) = self.read(rows, block)?;
            each(self.seen(input), values)?;
        }
        Ok(())
    }

    /// The code of every square: a row a picture, a column a square; where there are two levels, then one of every two by two.
    ///
    /// # Errors
    /// When the rows have other variables, or a value is missing.
    pub fn encode(&self, rows: &dyn Rows) -> Result<Discrete> {
        let (all, squares) = ((0..rows.len()).collect::<Vec<_>>(), self.patches.positions());
        let mut codes = Vec::new();
        self.for_each_block(rows, &all, |seen, _| {
            let [lower, upper @ ..] = &seen.levels[..] else { unreachable!("a level or two") };
            for (picture, own) in lower.found.chunks(squares).enumerate() {
                let above = upper.iter().flat_map(|upper| upper.found.chunks(squares / 4).nth(picture));
                codes.extend(own.iter().chain(above.flatten()).map(|code| *code as u16));
            }
            Ok(())
        })?;
        Discrete::new(self.latents(), codes)
    }

    /// What the columns of codes are.
    fn latents(&self) -> Schema {
        let squares = self.patches.positions();
        let shape = if self.levels() == 1 { self.patches.grid().to_vec() } else { vec![squares + squares / 4] };
        Schema::uniform(&shape, self.codes())
    }

    /// `log p(x | e_z)` of every picture under the codes of its squares, nats.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn log_prob_given_codes(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        let (all, squares) = ((0..rows.len()).collect::<Vec<_>>(), self.patches.positions());
        let mut log_probs = Vec::new();
        self.for_each_block(rows, &all, |seen, values| {
            let logs = self.log_probs(values, seen.codes).as_vec();
            log_probs.extend(logs.chunks(squares).map(|logs| logs.iter().map(|l| f64::from(*l)).sum::<f64>()));
            Ok(())
        })?;
        Ok(log_probs)
    }

    /// The ELBO under a prior over the codes: a circuit over [`Self::encode`]'s rows.
    ///
    /// ```text
    /// ELBO = log p(x | e_z) + log p(z)
    /// ```
    ///
    /// # Errors
    /// As [`Self::encode`]; also when the prior is over other codes.
    pub fn elbo_of(&self, rows: &dyn Rows, prior: &Circuit) -> Result<Evidence<L::Bound>> {
        let log_priors = prior.log_prob(&self.encode(rows)?)?;
        let bounds = self.log_prob_given_codes(rows)?.into_iter().zip(log_priors).map(|(x, z)| x + z).collect();
        Ok(Evidence::new(bounds, Space::Raw, self.patches.whole().len())?.of_rows(fingerprint(rows)?))
    }

    /// What an independent decoder says of a square, as a circuit with a head for each code. With a prior over the codes it is the
    /// teacher itself, made tractable.
    ///
    /// # Errors
    /// When the decoder is convolutional or has two codes a square, channels say something of each other, or what it says of a pixel
    /// is no distribution over the pixel's categories.
    pub fn heads(&self) -> Result<Circuit> {
        if self.levels() > 1 || self.likelihood.values() > 1 {
            let why =
                if self.levels() > 1 { "a square has two codes" } else { "channels depend on each other's values" };
            return Err(Error::invalid(format!("no head for each code of a square: {why}")));
        }
        let [decoder] = self.net.independent.layers() else {
            let why = "what it says of a square depends on the codes of others, too";
            return Err(Error::invalid(format!("a convolutional decoder has no heads: {why}")));
        };
        let (codes, schema) = (self.codes(), self.patches.schema());
        let outputs = decoder.forward(self.net.book.codes.clone()).as_vec();
        let (width, by_pixel) = (self.likelihood.width(), self.patches.by_pixel());
        let mut graph = Graph::new(schema.len());
        let inputs = (0..schema.len()).map(|v| graph.input(v, codes)).collect::<Result<Vec<_>>>()?;
        let product = graph.product(&inputs)?;
        let root = graph.sum(&[product], codes)?;
        let mut circuit = Circuit::random(graph, schema, Leaf::Categorical, Seed(0))?;
        for (value, input) in inputs.into_iter().enumerate() {
            let categories = circuit.schema().variables[value].categories;
            let place = by_pixel.iter().position(|v| *v == value).expect("every value is one of a pixel");
            let of_code = |outputs: &[f32]| {
                let p: Vec<f64> = outputs[place * width..][..width].iter().map(|p| f64::from(*p)).collect();
                (0..categories).map(|x| self.likelihood.log_prob(&[x as f64], &p).exp()).collect::<Vec<_>>()
            };
            let tables: Vec<f64> = outputs.chunks(self.patches.values() * width).flat_map(of_code).collect();
            circuit.set_block_parameters(input, &tables)?;
        }
        let own = (0..codes * codes).map(|i| if i / codes == i % codes { 1.0 } else { 0.0 }).collect::<Vec<_>>();
        circuit.set_block_parameters(root, &own)?;
        Ok(circuit)
    }

    /// The mean of every pixel under codes, which are rows as of [`Self::encode`], rounded to a level; channel after channel, where
    /// those before are as they have been rounded.
    ///
    /// # Errors
    /// When the codes are of other squares, or one is missing.
    pub fn decode(&self, codes: &dyn Rows) -> Result<Discrete> {
        let (squares, width, places) = (self.patches.positions(), self.net.width(), self.patches.places());
        let (whole, latents) = (self.patches.whole(), self.latents());
        let found = complete(codes, &(0..codes.len()).collect::<Vec<_>>(), latents.len())?;
        if codes.schema().variables.iter().any(|v| v.categories > self.codes()) {
            return Err(Error::invalid(format!("codes beyond the {} that there are", self.codes())));
        }
        let books: Vec<Vec<f32>> = self.net.books().iter().map(|book| book.codes.as_vec()).collect();
        let level = |level: usize, columns: std::ops::Range<usize>| {
            let each = found.chunks_exact(latents.len()).flat_map(|row| &row[columns.clone()]);
            let rows: Vec<f32> = each.flat_map(|k| &books[level][*k as usize * width..][..width]).copied().collect();
            self.device().tensor_from_vec(rows, (codes.len() * columns.len(), width))
        };
        let upper = (self.levels() > 1).then(|| level(1, squares..latents.len()));
        let z = self.net.together(level(0, 0..squares), upper, squares);
        let outputs = self.net.decoded(z, squares).as_vec();
        let (of_pixel, pixel, by_pixel) = (self.likelihood.width(), self.likelihood.values(), self.patches.by_pixel());
        let mut pictures = vec![0; codes.len() * whole.len()];
        for (i, outputs) in outputs.chunks(self.patches.values() / pixel * of_pixel).enumerate() {
            let (picture, square) = (i / squares, &places[i % squares]);
            for (values, p) in by_pixel.chunks_exact(pixel).zip(outputs.chunks_exact(of_pixel)) {
                let mut x = Vec::with_capacity(pixel);
                for place in values.iter().map(|value| square[*value]) {
                    let (channel, before) = (x.len(), if x.is_empty() { 0.0 } else { self.likelihood.log_prob(&x, p) });
                    x.push(0.0);
                    let (mut total, mut mean) = (0.0, 0.0);
                    for a in 0..whole.variables[place].categories as u16 {
                        x[channel] = f32::from(a);
                        let share = (self.likelihood.log_prob(&x, p) - before).exp();
                        (total, mean) = (total + share, mean + share * f32::from(a));
                    }
                    x[channel] = (mean / total).round();
                    pictures[picture * whole.len() + place] = x[channel] as u16;
                }
            }
        }
        Discrete::new(whole.clone(), pictures)
    }
}

impl<L: Likelihood, Dev: Device<f32>> Teacher for VqVae<L, Dev> {
    fn parts(&self) -> usize {
        self.patches.positions()
    }

    fn width(&self) -> usize {
        self.levels() * self.net.width()
    }

    /// What the encoders say before it is put in place of its nearest codes.
    fn features_of(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        let (squares, width) = (self.patches.positions(), self.net.width());
        let mut features = Vec::with_capacity(which.len() * squares * Teacher::width(self));
        self.for_each_block(rows, which, |seen, _| {
            let mut levels = seen.levels.into_iter().map(|level| {
                let rows = level.said.len() / width;
                self.device().tensor_from_vec(level.said, (rows, width))
            });
            let own = levels.next().expect("a level or two");
            features.extend(self.net.together(own, levels.next(), squares).as_vec());
            Ok(())
        })?;
        Ok(features)
    }
}
