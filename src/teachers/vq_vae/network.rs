//! The networks of the autoencoder, and its codes.

use super::{
    Decoder, VqVaeConfig,
    quantise::{Quantised, nearest, quantised},
};
use crate::{
    Error, Result,
    data::Patches,
    flows::{Batch, PerRow},
    memory::afford,
    nn::{
        Dense, Device, Grid, Identity, Perceptron, Real, Relu, ResidualNet, Stack, any_shape, fields,
        ops::{columns, pointwise},
    },
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Axis, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{ReshapeTo, TryConcatAlong},
};
use std::sync::Arc;

/// The networks and the codes.
#[derive(Clone, Debug)]
pub struct Network<E: Dtype, Dev: Storage<E> = Cpu> {
    encoder: ResidualNet<E, Dev>,
    pub(super) book: Codebook<E, Dev>,
    /// The level above, or nothing.
    above: Stack<Above<E, Dev>>,
    /// One of these two.
    pub(super) independent: Stack<Perceptron<usize, usize, Relu, E, Dev>>,
    convolutional: Stack<ResidualNet<E, Dev>>,
}

/// The codes of a level.
#[derive(Clone, Debug)]
pub struct Codebook<E: Dtype, Dev: Storage<E>> {
    /// `(codes, width)`.
    pub(super) codes: Tensor<(usize, usize), E, Dev>,
    /// How often each code was of use of late, in shares of the average.
    pub(super) usage: Tensor<(usize,), E, Dev>,
}

/// A code for every two by two squares.
#[derive(Clone, Debug)]
pub struct Above<E: Dtype, Dev: Storage<E>> {
    encoder: ResidualNet<E, Dev>,
    pub(super) book: Codebook<E, Dev>,
    /// What these codes say of the squares below, to which the encoder below then adds.
    decoder: ResidualNet<E, Dev>,
    join: Dense<usize, usize, Identity, E, Dev>,
    /// Rows and columns of squares.
    height: usize,
    width: usize,
}

fields! { [] Codebook[] { tensor codes: any_shape(true), tensor usage: any_shape(false) } }
fields! { [] Above[] {
    module encoder, module book, module decoder, module join, size height, size width
} }
fields! { [] Network[] { module encoder, module book, module above, module independent, module convolutional } }

/// What the networks see in pictures.
pub(super) struct Seen<E: Real, Dev: Device<E>, T: Tape<E, Dev>> {
    /// What the decoder is given of every square, `(pictures · squares, levels · width)`.
    pub(super) codes: Batch<usize, E, Dev, T>,
    /// That of the squares, then the one above.
    pub(super) levels: Vec<Level<E, Dev, T>>,
}

/// Codes in the place of rows, and what was seen there.
type Coded<E, Dev, T> = (Batch<usize, E, Dev, T>, Level<E, Dev, T>);

/// What is seen at one level.
pub(super) struct Level<E: Real, Dev: Device<E>, T: Tape<E, Dev>> {
    /// Before codes took its place.
    pub(super) said: Vec<E>,
    /// The nearest codes.
    pub(super) found: Vec<usize>,
    /// As in [`Quantised`].
    pub(super) commit: PerRow<E, Dev, T>,
    /// As in [`Quantised`].
    pub(super) follow: PerRow<E, Dev, T>,
}

impl<E: Real, Dev: Device<E>> Codebook<E, Dev> {
    fn new(device: &Dev, codes: usize, width: usize) -> Self {
        Self {
            codes: device.tensor_from_vec(vec![E::default(); codes * width], (codes, width)),
            usage: device.tensor_from_vec(vec![E::ONE; codes], (codes,)),
        }
    }

    /// The codes nearest to rows, in whose place they are; what is said in these stays within bounds.
    fn of<T: Tape<E, Dev>>(&self, rows: Batch<usize, E, Dev, T>, commitment: E) -> Coded<E, Dev, T> {
        let rows = bounded(rows);
        let said = rows.as_vec();
        let found = nearest(&said, &self.codes.as_vec(), self.codes.shape().1);
        let Quantised { codes, commit, follow } = quantised(rows, &self.codes, &found, commitment);
        (codes, Level { said, found, commit, follow })
    }
}

impl<E: Real, Dev: Device<E>> Network<E, Dev> {
    const MOST_CODES: usize = u16::MAX as usize;

    pub(super) fn new(device: &Dev, patches: &Patches, config: &VqVaeConfig, outputs: usize) -> Result<Self> {
        let ([height, width], values) = (patches.grid(), patches.values());
        let VqVaeConfig { codes, width: numbers, hidden, blocks, levels, .. } = *config;
        if codes == 0 || codes > Self::MOST_CODES {
            return Err(Error::out_of_range("codes", codes, "1 ≤ codes ≤ 65535"));
        }
        if !(1..=2).contains(&levels) {
            return Err(Error::out_of_range("levels", levels, "1 ≤ levels ≤ 2"));
        }
        if levels == 2 && !(height.is_multiple_of(2) && width.is_multiple_of(2)) {
            let squares = format!("{height} × {width} squares are no pairs of rows and columns");
            return Err(Error::invalid(format!("{squares}: two levels of codes need an even number of both")));
        }
        // Each number with its slope and two moments of Adam.
        let net = |[inputs, outputs]: [usize; 2]| {
            let block = hidden.checked_mul(hidden)?.checked_mul(18)?.checked_mul(blocks)?;
            hidden.checked_mul(9)?.checked_mul(inputs.checked_add(outputs)?)?.checked_add(block)
        };
        let all = || {
            let books = codes.checked_mul(numbers)?.checked_mul(levels)?;
            let [said, coded] = [numbers.checked_add(hidden)?, numbers.checked_mul(4)?];
            let ends = net([values, said])?.checked_add(net([coded, outputs])?)?.checked_add(books)?;
            let above = || net([hidden.checked_mul(4)?, numbers])?.checked_add(net([numbers, coded])?);
            ends.checked_add(if levels == 2 { above()? } else { 0 })
        };
        let remedy = "fewer channels, blocks or numbers of a code";
        afford(all(), 4 * size_of::<E>(), "the parameters of the autoencoder", remedy)?;
        let (mut independent, mut convolutional, coded) = (vec![], vec![], numbers * levels);
        match config.decoder {
            Decoder::Independent => independent.push(Perceptron::dense(device, coded, hidden, outputs)?),
            Decoder::Convolutional => {
                let codes = Grid { channels: coded, height, width };
                convolutional.push(ResidualNet::new(device, codes, outputs, hidden, blocks)?);
            }
        }
        let said = if levels == 2 { hidden } else { numbers };
        let encoder = ResidualNet::new(device, Grid { channels: values, height, width }, said, hidden, blocks)?;
        let above = || -> Result<_> {
            let grid = |channels: usize| Grid { channels, height: height / 2, width: width / 2 };
            Ok(Above {
                encoder: ResidualNet::new(device, grid(4 * hidden), numbers, hidden, blocks)?,
                book: Codebook::new(device, codes, numbers),
                decoder: ResidualNet::new(device, grid(numbers), 4 * numbers, hidden, blocks)?,
                join: Dense::new(device, hidden + numbers, numbers)?,
                height,
                width,
            })
        };
        Ok(Self {
            encoder,
            book: Codebook::new(device, codes, numbers),
            above: Stack::new(if levels == 2 { vec![above()?] } else { vec![] }),
            independent: Stack::new(independent),
            convolutional: Stack::new(convolutional),
        })
    }

    /// Numbers of a code.
    pub(super) fn width(&self) -> usize {
        self.book.codes.shape().1
    }

    /// The codes of every level, those of the squares first.
    pub(super) fn books(&self) -> Vec<&Codebook<E, Dev>> {
        std::iter::once(&self.book).chain(self.above.layers().iter().map(|above| &above.book)).collect()
    }

    pub(super) fn books_mut(&mut self) -> Vec<&mut Codebook<E, Dev>> {
        std::iter::once(&mut self.book).chain(self.above.layers_mut().iter_mut().map(|above| &mut above.book)).collect()
    }

    /// What the encoders see in pictures laid out by channel, and the codes in its place.
    pub(super) fn seen<T: Tape<E, Dev>>(
        &self,
        x: Batch<usize, E, Dev, T>,
        squares: usize,
        commitment: E,
    ) -> Seen<E, Dev, T> {
        let h = self.encoder.forward(x);
        let [above] = self.above.layers() else {
            let (codes, level) = self.book.of(by_square(h, squares), commitment);
            return Seen { codes, levels: vec![level] };
        };
        let t = by_square(above.encoder.forward(above.quads_of(h.retaped::<T>())), squares / 4);
        let (t, upper) = above.book.of(t, commitment);
        let told = above.decoder.forward(by_channel(t.retaped::<T>(), squares / 4));
        let below = (by_square(h, squares), by_square(above.squares_of(told), squares)).concat_along(Axis::<1>);
        let (z, lower) = self.book.of(above.join.forward(below), commitment);
        Seen { codes: self.together(z, Some(t), squares), levels: vec![lower, upper] }
    }

    /// What the decoder is given of every square: what it has itself, and what is above it.
    pub(super) fn together<T: Tape<E, Dev>>(
        &self,
        own: Batch<usize, E, Dev, T>,
        upper: Option<Batch<usize, E, Dev, T>>,
        squares: usize,
    ) -> Batch<usize, E, Dev, T> {
        let ([above], Some(upper)) = (self.above.layers(), upper) else { return own };
        let (rows, width) = *own.shape();
        let each = above.quad_of_squares().flat_map(|quad| (0..width).map(move |c| quad * width + c)).collect();
        let upper = columns(upper.reshape_like(&(rows / squares, squares / 4 * width)), each);
        (own, upper.reshape_like(&(rows, width))).concat_along(Axis::<1>)
    }

    /// The outputs for every value of every square, from what stands for its codes.
    pub(super) fn decoded<T: Tape<E, Dev>>(
        &self,
        z: Batch<usize, E, Dev, T>,
        squares: usize,
    ) -> Batch<usize, E, Dev, T> {
        match self.independent.layers() {
            [decoder] => decoder.forward(z),
            _ => by_square(self.convolutional.layers()[0].forward(by_channel(z, squares)), squares),
        }
    }
}

impl<E: Real, Dev: Device<E>> Above<E, Dev> {
    /// Of every square the two by two that it is in.
    fn quad_of_squares(&self) -> impl Iterator<Item = usize> {
        let width = self.width;
        (0..self.height * width).map(move |i| i / width / 2 * (width / 2) + i % width / 2)
    }

    /// Squares, channel after channel, as two by two of them with four times the channels.
    fn quads_of<T: Tape<E, Dev>>(&self, h: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
        let (squares, width) = (self.height * self.width, self.width);
        let channels = h.shape().1 / squares;
        let place = |channel: usize, quad: usize| {
            let (y, x) = (quad / (width / 2) * 2 + channel % 4 / 2, quad % (width / 2) * 2 + channel % 2);
            channel / 4 * squares + y * width + x
        };
        columns(h, (0..4 * channels).flat_map(|c| (0..squares / 4).map(move |quad| place(c, quad))).collect())
    }

    /// Back from two by two squares to squares.
    fn squares_of<T: Tape<E, Dev>>(&self, h: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
        let (squares, width) = (self.height * self.width, self.width);
        let channels = h.shape().1 / squares;
        let quads: Vec<usize> = self.quad_of_squares().collect();
        let place = |c: usize, i: usize| (4 * c + i / width % 2 * 2 + i % width % 2) * (squares / 4) + quads[i];
        let all: Vec<usize> =
            (0..channels).flat_map(|c| (0..squares).map(move |i| (c, i))).map(|(c, i)| place(c, i)).collect();
        columns(h, all.into())
    }
}

/// What an encoder may say at most: without a bound a step too long takes it ever farther from its codes, which follow slowly.
const FARTHEST: f64 = 8.0;

/// `8 tanh(h / 8)`.
fn bounded<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(h: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
    let (most, share) = (E::of(FARTHEST), E::of(1.0 / FARTHEST));
    pointwise(
        h,
        move |h| most * (h * share).tanh(),
        move |h| {
            let bent = (h * share).tanh();
            E::ONE - bent * bent
        },
    )
}

/// From channel after channel of a picture to a row for every square.
fn by_square<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<usize, E, Dev, T>,
    squares: usize,
) -> Batch<usize, E, Dev, T> {
    let (rows, channels) = (x.shape().0, x.shape().1 / squares);
    let each = (0..squares).flat_map(|i| (0..channels).map(move |c| c * squares + i)).collect();
    columns(x, each).reshape_like(&(rows * squares, channels))
}

/// Back to pictures.
fn by_channel<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<usize, E, Dev, T>,
    squares: usize,
) -> Batch<usize, E, Dev, T> {
    let (rows, channels) = (x.shape().0 / squares, x.shape().1);
    let each: Arc<[usize]> = (0..channels).flat_map(|c| (0..squares).map(move |i| i * channels + c)).collect();
    columns(x.reshape_like(&(rows, squares * channels)), each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Schema;
    use dfdx::tensor::TensorFromVec;

    #[test]
    fn four_squares_become_one_with_four_times_the_channels_and_back() {
        let patches = Patches::new(&Schema::uniform(&[4, 6], 3), 1).unwrap();
        let config = VqVaeConfig { levels: 2, codes: 1, width: 2, hidden: 3, blocks: 0, ..VqVaeConfig::default() };
        let net = Network::<f64>::new(&Cpu::default(), &patches, &config, 1).unwrap();
        let above = &net.above.layers()[0];
        let numbers: Vec<f64> = (0..2 * 48).map(f64::from).collect();
        let h: Batch<usize, f64, Cpu> = Cpu::default().tensor_from_vec(numbers.clone(), (2, 48));
        let quads = above.quads_of(h);
        // The second four of the second channel: its left upper, right upper, left lower and right lower square.
        let quad = |channel: usize| quads.as_vec()[channel * 6 + 1];
        assert_eq!([4, 5, 6, 7].map(quad), [26.0, 27.0, 32.0, 33.0]);
        assert_eq!(above.squares_of(quads.clone()).as_vec(), numbers);
        assert_eq!(above.quad_of_squares().skip(5).take(4).collect::<Vec<_>>(), [2, 0, 0, 1]);
    }
}
