//! A transformer over sequences of numbers: the network of couplings and autoregressive layers of texts.

use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::HasShape,
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    Dense, Device, EncoderBlock, Identity, LayerNorm, Real, Stack, any_shape, fields,
    ops::{Heads, Whose, add_rows},
};
use crate::{Error, Result};

/// The sizes of a [`SequenceNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceConfig {
    /// Positions of a sequence.
    pub length: usize,
    /// Numbers of a position.
    pub channels: usize,
    /// Channels of the stream.
    pub width: usize,
    /// Heads of attention, which divide the width.
    pub heads: usize,
    /// Blocks.
    pub blocks: usize,
}

/// A transformer that says numbers of each position of a sequence from the numbers of all, or of those up to it.
///
/// ```text
/// h = W₀ x + P      h ← block(h), …      y = W LayerNorm(h) + c
/// ```
///
/// Shapes: `x (batch, length · channels)`, one position after the other, `y (batch · length, outputs)`. The last layer starts
/// within a tenth of what is usual, so that what it parametrises starts near its value at zero.
#[derive(Clone, Debug)]
pub struct SequenceNet<E: Dtype = f32, D: Storage<E> = Cpu> {
    first: Dense<usize, usize, Identity, E, D>,
    places: Tensor<(usize, usize), E, D>,
    blocks: Stack<EncoderBlock<E, D>>,
    norm: LayerNorm<usize, E, D>,
    last: Dense<usize, usize, Identity, E, D>,
    heads: usize,
}

impl<E: Real, D: Device<E>> SequenceNet<E, D> {
    /// A randomly initialised network with so many outputs a position.
    ///
    /// # Errors
    /// When a size is 0, the heads do not divide the width, or the device has no memory for it.
    pub fn new(device: &D, config: &SequenceConfig, outputs: usize) -> Result<Self> {
        let SequenceConfig { length, channels, width, heads, blocks } = *config;
        if [length, channels, width, heads, outputs].contains(&0) {
            let sizes = format!("{length} positions of {channels} numbers, {width} wide, {heads} heads");
            return Err(Error::invalid(format!("a network of {sizes}, {outputs} outputs; no size may be 0")));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        let all = |_, _| true;
        Ok(Self {
            first: Dense::draw(device, (channels, width), 1.0, &mut rng, all)?,
            places: {
                let mut value = super::init::draw(1, 1.0, &mut rng);
                let values = (0..length * width).map(|_| value()).collect();
                device.try_tensor_from_vec(values, (length, width)).map_err(Error::invalid)?
            },
            blocks: Stack::new(
                (0..blocks).map(|_| EncoderBlock::new(device, width, (heads, length))).collect::<Result<_>>()?,
            ),
            norm: LayerNorm::new(device, width)?,
            last: Dense::draw(device, (width, outputs), 0.1, &mut rng, all)?,
            heads,
        })
    }

    /// Positions of the longest sequence that it reads.
    pub fn length(&self) -> usize {
        self.places.shape().0
    }

    /// Numbers of a position.
    pub fn channels(&self) -> usize {
        self.first.weight.shape().1
    }

    /// What it says of each position.
    pub(crate) fn outputs(&self) -> usize {
        self.last.weight.shape().0
    }

    /// Where its weights are.
    pub(crate) fn device(&self) -> &D {
        self.places.device()
    }

    /// The outputs of every position; `causal` if a position is to see those before it alone, and itself.
    ///
    /// # Panics
    /// When a row is not of whole positions, or of more than there are places.
    pub fn forward<T: Tape<E, D>>(
        &self,
        x: Tensor<(usize, usize), E, D, T>,
        causal: bool,
    ) -> Tensor<(usize, usize), E, D, T> {
        let (rows, numbers) = *x.shape();
        let length = numbers / self.channels();
        let heads = Heads { length, heads: self.heads, causal };
        let h = self.first.forward(x.reshape_like(&(rows * length, self.channels())));
        let h = add_rows(h, self.places.retaped(), Whose::InTurns(length));
        let h = self.blocks.layers().iter().fold(h, |h, block| block.forward(h, heads));
        self.last.forward(self.norm.forward(h))
    }
}

fields! {
    [] SequenceNet[] {
        module first,
        tensor places: any_shape(true),
        module blocks,
        module norm,
        module last,
        size heads,
    }
}
