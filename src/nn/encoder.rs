//! Blocks of a transformer.

use dfdx::{
    dtypes::Dtype,
    nn::Module,
    tensor::{Storage, Tape, Tensor, WithEmptyTape},
};

use super::{Dense, Device, Identity, LayerNorm, Real, Relu, any_shape, fields, ops::Heads};
use crate::{Error, Result};

/// A block of a transformer: attention, and a perceptron for each position, each onto the stream that comes in.
///
/// ```text
/// h += Attention(LayerNorm(h); r)      h += W₂ relu(W₁ LayerNorm(h) + b₁) + b₂
/// ```
///
/// `r` is added to the scores by how far apart two positions are, a number for each distance and head: what stands beside a
/// position is found at once, and not by comparing learned places. Shapes: `(batch · length, width)` both ways, one position after
/// the other; the perceptron is four times as wide within. Sources: Vaswani et al. 2017, with the norm first; Raffel et al. 2020
/// (T5) for `r`.
#[derive(Clone, Debug)]
pub struct EncoderBlock<E: Dtype, Dev: Storage<E>> {
    before: LayerNorm<usize, E, Dev>,
    attention: Projections<E, Dev>,
    /// What is added to the scores of a head by how far apart two positions are.
    distances: Tensor<(usize, usize), E, Dev>,
    between: LayerNorm<usize, E, Dev>,
    inner: Dense<usize, usize, Relu, E, Dev>,
    outer: Dense<usize, usize, Identity, E, Dev>,
}

fields! { [] EncoderBlock[] { module before, module attention, tensor distances: any_shape(true), module between, module inner, module outer } }

/// Into attention, and out of it.
#[derive(Clone, Debug)]
pub struct Projections<E: Dtype, Dev: Storage<E>> {
    query: Dense<usize, usize, Identity, E, Dev>,
    key: Dense<usize, usize, Identity, E, Dev>,
    value: Dense<usize, usize, Identity, E, Dev>,
    out: Dense<usize, usize, Identity, E, Dev>,
}

fields! { [] Projections[] { module query, module key, module value, module out } }

/// How much wider the perceptrons are within.
const WIDER: usize = 4;

/// A number for every channel of every position.
type Stream<E, Dev, T> = Tensor<(usize, usize), E, Dev, T>;

impl<E: Real, Dev: Device<E>> EncoderBlock<E, Dev> {
    /// Squares of the width that its parameters fill.
    pub(crate) const SQUARES: usize = 4 + 2 * WIDER;

    /// A block that is randomly initialised, of so many heads and sequences of at most that length.
    ///
    /// # Errors
    /// When a size is 0, the heads do not divide the width, or the device has no memory for it.
    pub fn new(device: &Dev, width: usize, (heads, length): (usize, usize)) -> Result<Self> {
        if heads == 0 || length == 0 || !width.is_multiple_of(heads) {
            return Err(Error::invalid(format!("{heads} heads of a width of {width}, sequences of {length}")));
        }
        let norm = || LayerNorm::new(device, width);
        let dense = || Dense::new(device, width, width);
        Ok(Self {
            before: norm()?,
            attention: Projections { query: dense()?, key: dense()?, value: dense()?, out: dense()? },
            distances: device.try_zeros_like(&(heads, 2 * length - 1)).map_err(Error::invalid)?,
            between: norm()?,
            inner: Dense::new(device, width, WIDER * width)?,
            outer: Dense::new(device, WIDER * width, width)?,
        })
    }

    /// The stream after the block.
    ///
    /// # Panics
    /// When the rows are not whole sequences, the heads do not divide the width, or the device has no memory for it.
    pub fn forward<T: Tape<E, Dev>>(&self, h: Stream<E, Dev, T>, heads: Heads) -> Stream<E, Dev, T> {
        self.try_forward(h, heads).expect("the device has memory for a block")
    }

    fn try_forward<T: Tape<E, Dev>>(&self, h: Stream<E, Dev, T>, heads: Heads) -> Result<Stream<E, Dev, T>, Dev::Err> {
        // The tape goes with the stream, and the ops merge what branches off.
        let x = self.before.try_forward(h.with_empty_tape())?;
        let key = self.attention.key.try_forward(x.with_empty_tape())?;
        let value = self.attention.value.try_forward(x.with_empty_tape())?;
        let query = self.attention.query.try_forward(x)?;
        let mixed = Dev::try_attend(query, key, value, Some(&self.distances), heads)?;
        let h = Dev::try_dense_onto(mixed, &self.attention.out.weight, &self.attention.out.bias, h)?;
        let x = self.inner.try_forward(self.between.try_forward(h.with_empty_tape())?)?;
        Dev::try_dense_onto(x, &self.outer.weight, &self.outer.bias, h)
    }
}
