//! The vector-quantised autoencoder: a latent of a few codes for each square of a picture.

mod learn;
mod quantise;
#[cfg(test)]
mod tests;

pub use learn::{VqLoss, VqVaeLearner};

use super::{Likelihood, Teacher};
use crate::{
    Error, Result,
    circuits::{Circuit, Graph, Leaf},
    data::{Continuous, Discrete, Patches, Rows, Schema, complete, fingerprint},
    evidence::{Evidence, Space},
    flows::{Batch, PerRow},
    memory::afford,
    nn::{
        Device, Grid, Perceptron, Real, Relu, ResidualNet, Stack, any_shape, fields,
        ops::{columns, rowwise},
    },
    random::Seed,
};
use dfdx::{
    dtypes::Dtype,
    shapes::HasShape,
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use quantise::{Quantised, nearest, quantised};
use serde::{Deserialize, Serialize};
use std::{marker::PhantomData, sync::Arc};

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
    /// Codes that a square's latent can be.
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
}

impl Default for VqVaeConfig {
    fn default() -> Self {
        Self { side: 4, codes: 64, width: 16, hidden: 64, blocks: 2, decoder: Decoder::Independent, commitment: 0.25 }
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
/// picture around it. Source: van den Oord, Vinyals and Kavukcuoglu 2017; the independent decoder: Liu et al. 2023, §5.
#[derive(Clone, Debug)]
pub struct VqVae<L, Dev: Device<f32> = Cpu> {
    net: Network<L, f32, Dev>,
    patches: Patches,
    commitment: f32,
}

/// The networks and the codes.
#[derive(Clone, Debug)]
pub struct Network<L, E: Dtype, Dev: Storage<E>> {
    encoder: ResidualNet<E, Dev>,
    /// `(codes, width)`.
    codebook: Tensor<(usize, usize), E, Dev>,
    /// How often each code was of use of late, in shares of the average.
    usage: Tensor<(usize,), E, Dev>,
    /// One of these two.
    independent: Stack<Perceptron<usize, usize, Relu, E, Dev>>,
    convolutional: Stack<ResidualNet<E, Dev>>,
    what: PhantomData<L>,
}

fields! { [L,] Network[L,] {
    module encoder, tensor codebook: any_shape(true),
    tensor usage: any_shape(false), module independent, module convolutional
} what }

impl<L: Likelihood, E: Real, Dev: Device<E>> Network<L, E, Dev> {
    fn new(device: &Dev, patches: &Patches, config: &VqVaeConfig) -> Result<Self> {
        let ([height, width], values) = (patches.grid(), patches.values());
        let VqVaeConfig { codes, width: numbers, hidden, blocks, .. } = *config;
        if codes == 0 || codes > Self::MOST_CODES {
            return Err(Error::out_of_range("codes", codes, "1 ≤ codes ≤ 65535"));
        }
        let outputs = values * L::WIDTH;
        // Encoder, codes, and the larger of the two decoders; each number with its slope and two moments of Adam.
        let net = |[inputs, outputs]: [usize; 2]| {
            let block = hidden.checked_mul(hidden)?.checked_mul(18)?.checked_mul(blocks)?;
            hidden.checked_mul(9)?.checked_mul(inputs.checked_add(outputs)?)?.checked_add(block)
        };
        let all = net([values, numbers]).zip(net([numbers, outputs])).zip(codes.checked_mul(numbers));
        let all = all.and_then(|((encoder, decoder), codes)| encoder.checked_add(decoder)?.checked_add(codes));
        let remedy = "fewer channels, blocks or numbers of a code";
        afford(all, 4 * size_of::<E>(), "the parameters of the autoencoder", remedy)?;
        let (mut independent, mut convolutional) = (vec![], vec![]);
        match config.decoder {
            Decoder::Independent => independent.push(Perceptron::dense(device, numbers, hidden, outputs)?),
            Decoder::Convolutional => {
                let codes = Grid { channels: numbers, height, width };
                convolutional.push(ResidualNet::new(device, codes, outputs, hidden, blocks)?);
            }
        }
        Ok(Self {
            encoder: ResidualNet::new(device, Grid { channels: values, height, width }, numbers, hidden, blocks)?,
            codebook: device.tensor_from_vec(vec![E::default(); codes * numbers], (codes, numbers)),
            usage: device.tensor_from_vec(vec![E::ONE; codes], (codes,)),
            independent: Stack::new(independent),
            convolutional: Stack::new(convolutional),
            what: PhantomData,
        })
    }

    const MOST_CODES: usize = u16::MAX as usize;

    fn width(&self) -> usize {
        self.codebook.shape().1
    }

    /// What the encoder says of every square, `(pictures · squares, width)`, of pictures laid out by channel.
    fn encoded<T: Tape<E, Dev>>(&self, x: Batch<usize, E, Dev, T>, squares: usize) -> Batch<usize, E, Dev, T> {
        let (rows, width) = (x.shape().0, self.width());
        let by_square = (0..squares).flat_map(|i| (0..width).map(move |c| c * squares + i)).collect();
        columns(self.encoder.forward(x), by_square).reshape_like(&(rows * squares, width))
    }

    /// The outputs for every value of every square, from what stands for its code.
    fn decoded<T: Tape<E, Dev>>(&self, z: Batch<usize, E, Dev, T>, squares: usize) -> Batch<usize, E, Dev, T> {
        if let [decoder] = self.independent.layers() {
            return decoder.forward(z);
        }
        let ((rows, width), decoder) = (*z.shape(), &self.convolutional.layers()[0]);
        let by_channel = (0..width).flat_map(|c| (0..squares).map(move |i| i * width + c)).collect();
        let y = decoder.forward(columns(z.reshape_like(&(rows / squares, squares * width)), by_channel));
        let outputs = y.shape().1 / squares;
        let by_square = (0..squares).flat_map(|i| (0..outputs).map(move |c| c * squares + i)).collect();
        columns(y, by_square).reshape_like(&(rows, outputs))
    }

    /// `log p(x_i | ·)` of every square, given its values.
    fn log_probs<T: Tape<E, Dev>>(&self, x: Vec<E>, outputs: Batch<usize, E, Dev, T>) -> PerRow<E, Dev, T> {
        let (values, x) = (outputs.shape().1 / L::WIDTH, Arc::<[E]>::from(x));
        let again = x.clone();
        rowwise(
            outputs,
            move |i, p| {
                let each = p.chunks_exact(L::WIDTH).zip(&x[i * values..]);
                each.fold(E::default(), |sum, (p, x)| sum + L::log_prob(*x, p))
            },
            move |i, p, d, into| {
                let each = p.chunks_exact(L::WIDTH).zip(into.chunks_exact_mut(L::WIDTH)).zip(&again[i * values..]);
                each.for_each(|((p, into), x)| L::slopes(*x, p, d, into));
            },
        )
    }

    /// `−log p(x | e_z)` of the squares, and what draws the encoder and the codes together, summed over all squares.
    fn losses<T: Tape<E, Dev>>(
        &self,
        input: Batch<usize, E, Dev, T>,
        squares: (usize, Vec<E>),
        commitment: E,
    ) -> [PerRow<E, Dev, T>; 3] {
        let (positions, values) = squares;
        let h = self.encoded(input, positions);
        let found = nearest(&h.as_vec(), &self.codebook.as_vec(), self.width());
        let Quantised { codes: z, commit, follow } = quantised(h, &self.codebook, &found, commitment);
        [self.log_probs(values, self.decoded(z, positions)), commit, follow]
    }
}

/// Pictures that one call of the networks works on.
const BLOCK: usize = 256;

impl<L: Likelihood, Dev: Device<f32>> VqVae<L, Dev> {
    /// A randomly initialised autoencoder of pictures with these columns.
    ///
    /// # Errors
    /// When squares of that side do not fill the pictures, a size is 0, or the device has no memory for it.
    pub fn new(device: &Dev, pictures: &Schema, config: &VqVaeConfig) -> Result<Self> {
        let patches = Patches::new(pictures, config.side)?;
        if !(config.commitment >= 0.0 && config.commitment.is_finite()) {
            return Err(Error::out_of_range("commitment", config.commitment, "0 ≤ commitment < ∞"));
        }
        Ok(Self { net: Network::new(device, &patches, config)?, patches, commitment: config.commitment })
    }

    /// The squares of its pictures.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// Codes a square can have.
    pub fn codes(&self) -> usize {
        self.net.codebook.shape().0
    }

    /// The codes themselves, `(codes, width)`.
    pub fn codebook(&self) -> Vec<Vec<f32>> {
        self.net.codebook.as_vec().chunks(self.net.width()).map(<[f32]>::to_vec).collect()
    }

    /// Pictures with these indices: as the encoder reads them, within ±1, and the values of each square.
    fn read(&self, rows: &dyn Rows, which: &[usize]) -> Result<(Batch<usize, f32, Dev>, Vec<f32>)> {
        let (places, dims) = (self.patches.places(), self.patches.whole().len());
        self.patches.check(rows)?;
        let pictures = complete(rows, which, dims)?;
        let categories = &self.patches.whole().variables;
        let scaled = |picture: &[f32], place: usize| {
            let last = (categories[place].categories - 1).max(1) as f32;
            2.0 * picture[place] / last - 1.0
        };
        let (mut input, mut values) = (Vec::with_capacity(pictures.len()), Vec::with_capacity(pictures.len()));
        for picture in pictures.chunks_exact(dims) {
            for value in 0..self.patches.values() {
                input.extend(places.iter().map(|square| scaled(picture, square[value])));
            }
            values.extend(places.iter().flatten().map(|place| picture[*place]));
        }
        Ok((self.net.codebook.device().tensor_from_vec(input, (which.len(), dims)), values))
    }

    /// Hands `each` what the encoder says of the squares of some pictures, block by block, and the values of the squares.
    fn for_each_block(&self, rows: &dyn Rows, mut each: impl FnMut(Vec<f32>, Vec<f32>) -> Result<()>) -> Result<()> {
        let all: Vec<usize> = (0..rows.len()).collect();
        for block in all.chunks(BLOCK) {
            let (input, values) = self.read(rows, block)?;
            each(self.net.encoded(input, self.patches.positions()).as_vec(), values)?;
        }
        Ok(())
    }

    /// The code of every square: a row a picture, a column a square.
    ///
    /// # Errors
    /// When the rows have other variables, or a value is missing.
    pub fn encode(&self, rows: &dyn Rows) -> Result<Discrete> {
        let (codebook, width) = (self.net.codebook.as_vec(), self.net.width());
        let mut codes = Vec::new();
        self.for_each_block(rows, |said, _| {
            codes.extend(nearest(&said, &codebook, width).into_iter().map(|code| code as u16));
            Ok(())
        })?;
        Discrete::new(Schema::uniform(&self.patches.grid(), self.codes()), codes)
    }

    /// `log p(x | e_z)` of every picture under the codes of its squares, nats.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn log_prob_given_codes(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        let (codebook, width, squares) = (self.net.codebook.as_vec(), self.net.width(), self.patches.positions());
        let mut all = Vec::new();
        self.for_each_block(rows, |said, values| {
            let found = nearest(&said, &codebook, width);
            let codes: Vec<f32> = found.iter().flat_map(|k| &codebook[k * width..(k + 1) * width]).copied().collect();
            let z = self.net.codebook.device().tensor_from_vec(codes, (found.len(), width));
            let logs = self.net.log_probs(values, self.net.decoded(z, squares)).as_vec();
            all.extend(logs.chunks(squares).map(|logs| logs.iter().map(|l| f64::from(*l)).sum::<f64>()));
            Ok(())
        })?;
        Ok(all)
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
    /// When the decoder is convolutional, or what it says of a pixel is no distribution over the pixel's categories.
    pub fn heads(&self) -> Result<Circuit> {
        let [decoder] = self.net.independent.layers() else {
            let why = "what it says of a square depends on the codes of others, too";
            return Err(Error::invalid(format!("a convolutional decoder has no heads: {why}")));
        };
        let (codes, schema) = (self.codes(), self.patches.schema());
        let outputs = decoder.forward(self.net.codebook.clone()).as_vec();
        let mut graph = Graph::new(schema.len());
        let inputs = (0..schema.len()).map(|v| graph.input(v, codes)).collect::<Result<Vec<_>>>()?;
        let product = graph.product(&inputs)?;
        let root = graph.sum(&[product], codes)?;
        let mut circuit = Circuit::random(graph, schema, Leaf::Categorical, Seed(0))?;
        for (value, input) in inputs.into_iter().enumerate() {
            let categories = circuit.schema().variables[value].categories;
            let of_code = |outputs: &[f32]| {
                let p: Vec<f64> = outputs[value * L::WIDTH..][..L::WIDTH].iter().map(|p| f64::from(*p)).collect();
                (0..categories).map(|x| L::log_prob(x as f64, &p).exp()).collect::<Vec<_>>()
            };
            let tables: Vec<f64> = outputs.chunks(self.patches.values() * L::WIDTH).flat_map(of_code).collect();
            circuit.set_block_parameters(input, &tables)?;
        }
        let own = (0..codes * codes).map(|i| if i / codes == i % codes { 1.0 } else { 0.0 }).collect::<Vec<_>>();
        circuit.set_block_parameters(root, &own)?;
        Ok(circuit)
    }

    /// The most likely value of every pixel under codes, which are rows as of [`Self::encode`]; by trying each value.
    ///
    /// # Errors
    /// When the codes are of other squares, or one is missing.
    pub fn decode(&self, codes: &dyn Rows) -> Result<Discrete> {
        let (squares, width, places) = (self.patches.positions(), self.net.width(), self.patches.places());
        let whole = self.patches.whole();
        let (codebook, mut pictures) = (self.net.codebook.as_vec(), vec![0; codes.len() * whole.len()]);
        let found = complete(codes, &(0..codes.len()).collect::<Vec<_>>(), squares)?;
        let z: Vec<f32> = found.iter().flat_map(|k| &codebook[*k as usize * width..][..width]).copied().collect();
        let z = self.net.codebook.device().tensor_from_vec(z, (found.len(), width));
        let outputs = self.net.decoded(z, squares).as_vec();
        let each = outputs.chunks(self.patches.values() * L::WIDTH).enumerate();
        for (i, outputs) in each {
            let (picture, square) = (i / squares, &places[i % squares]);
            for (place, p) in square.iter().zip(outputs.chunks_exact(L::WIDTH)) {
                let likelier = |a: &u16, b: &u16| {
                    let [a, b] = [a, b].map(|x| L::log_prob(f32::from(*x), p));
                    a.total_cmp(&b)
                };
                let best = (0..whole.variables[*place].categories as u16).max_by(likelier);
                pictures[picture * whole.len() + place] = best.unwrap_or(0);
            }
        }
        Discrete::new(whole.clone(), pictures)
    }
}

impl<L: Likelihood, Dev: Device<f32>> Teacher for VqVae<L, Dev> {
    /// What the encoder says before it is put in place of its nearest code.
    fn features(&self, rows: &dyn Rows) -> Result<Continuous> {
        let names = (0..self.net.width()).map(|i| format!("h{i}")).collect();
        let mut features = Vec::new();
        self.for_each_block(rows, |said, _| {
            features.extend(said.into_iter().map(f64::from));
            Ok(())
        })?;
        Continuous::new(names, features)
    }
}
