//! A transformer: every position sees every other.

use super::{
    Denoiser, Network, Noisy,
    network::{Embedding, Logits, Time, denoises, least, normals, waves},
};
use crate::{
    Error, Result,
    memory::afford,
    nn::{
        Dense, Device, EncoderBlock, Identity, LayerNorm, Real, Size, Stack, any_shape, fields,
        ops::{Heads, Whose, add_rows, columns, scaled},
    },
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape, Tensor},
};
use serde::{Deserialize, Serialize};

/// The sizes of a [`Transformer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// Positions that it has learned places for, at most.
    pub length: usize,
    /// Numbers of a position within.
    pub width: usize,
    /// Heads of attention, which divide the width.
    pub heads: usize,
    /// Blocks of attention and perceptron.
    pub blocks: usize,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self { length: 64, width: 128, heads: 4, blocks: 2 }
    }
}

/// A transformer that denoises.
///
/// ```text
/// h  = E[x] + P
/// h += T_b(t);   h += Attention(LayerNorm(h));   h += W₂ relu(W₁ LayerNorm(h))     in every block b
/// logits = s · (W LayerNorm(h) + c)                                                s = 1 at the start
/// ```
///
/// The time is a row for each block, from a perceptron over sines and cosines. Source: Hoogeboom et al. 2021, appendix B, with full
/// attention that knows distances ([`EncoderBlock`]). Theirs starts with `s = 0` (ReZero) and learns for millions of steps; in
/// thousands, at rates a hundred times as large, `s` then stays near 0 and the network at the frequencies of single letters.
#[derive(Clone, Debug)]
pub struct Transformer<K: Dim, S: Dim, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    embedding: Embedding<S, E, Dev>,
    time: Time<E, Dev>,
    blocks: Stack<EncoderBlock<E, Dev>>,
    output: Output<K, E, Dev>,
    heads: usize,
}

fields! {
    [K: Size, S: Size,] Transformer[K, S,] { module embedding, module time, module blocks, module output, size heads }
}

/// From the last block to logits.
#[derive(Clone, Debug)]
pub struct Output<K: Dim, E: Dtype, Dev: Storage<E>> {
    norm: LayerNorm<usize, E, Dev>,
    dense: Dense<usize, K, Identity, E, Dev>,
    scale: Tensor<(usize,), E, Dev>,
}

fields! { [K: Size,] Output[K,] { module norm, module dense, tensor scale: any_shape(true) } }

impl<K: Size, S: Size, E: Real, Dev: Device<E>> Transformer<K, S, E, Dev> {
    /// A randomly initialised transformer.
    ///
    /// # Errors
    /// When a size is 0, the heads do not divide the width, or the device has no memory for it.
    pub fn new(device: &Dev, (categories, states): (K, S), config: &TransformerConfig) -> Result<Self> {
        let TransformerConfig { length, width, heads, blocks } = *config;
        for (name, size) in [("length", length), ("width", width), ("heads", heads), ("blocks", blocks)] {
            if size == 0 {
                return Err(Error::out_of_range(name, size, "1 ≤ value"));
            }
        }
        if !width.is_multiple_of(heads) {
            return Err(Error::invalid(format!("{heads} heads do not divide a width of {width}")));
        }
        let square = width
            .checked_mul(width)
            .and_then(|w| w.checked_mul(EncoderBlock::<E, Dev>::SQUARES + 1)?.checked_mul(blocks));
        let tables =
            states.size().checked_add(length).and_then(|n| n.checked_add(categories.size())?.checked_mul(width));
        let all = square.zip(tables).and_then(|(a, b)| a.checked_add(b));
        afford(all, 4 * size_of::<E>(), "the parameters of the transformer", "a smaller width, or fewer blocks")?;
        Ok(Self {
            embedding: Embedding {
                // As large as what the blocks add: else the time drowns the states.
                table: normals(device, (states, width), 1.0)?,
                places: normals(device, (length, width), 0.5)?,
            },
            time: (Dense::new(device, width, width)?, Dense::new(device, width, width * blocks)?),
            blocks: Stack::new(
                (0..blocks).map(|_| EncoderBlock::new(device, width, (heads, length))).collect::<Result<_>>()?,
            ),
            output: Output {
                norm: LayerNorm::new(device, width)?,
                dense: Dense::new(device, width, categories)?,
                scale: device.try_ones_like(&(1,)).map_err(Error::invalid)?,
            },
            heads,
        })
    }

    fn categories_known(&self) -> K {
        self.output.dense.bias.shape().0
    }

    fn states_known(&self) -> S {
        self.embedding.table.shape().0
    }

    fn has_places(&self, length: usize) -> Result<()> {
        let most = self.embedding.places.shape().0;
        match length <= most {
            true => Ok(()),
            false => {
                Err(Error::invalid(format!("rows of {length} positions; the transformer has learned {most} places")))
            }
        }
    }
}

impl<K: Size, S: Size, E: Real, Dev: Device<E>> Network<E, Dev> for Transformer<K, S, E, Dev> {
    type Categories = K;
    type States = S;

    fn describe(&self) -> String {
        let (width, blocks) = (self.embedding.places.shape().1, self.blocks.layers().len());
        format!("transformer of {blocks} blocks, {width} wide, {} heads", self.heads)
    }

    fn device(&self) -> Dev {
        self.output.scale.device().clone()
    }

    fn least_rows(&self, length: usize) -> usize {
        let numbers = self.output.dense.bias.shape().0.size().min(self.embedding.places.shape().1);
        least(numbers).div_ceil(length)
    }

    fn forward<T: Tape<E, Dev>>(&self, noisy: Noisy, tape: T) -> Logits<K, E, Dev, T> {
        let (length, width) = (noisy.length, self.embedding.places.shape().1);
        let heads = Heads { length, heads: self.heads, causal: false };
        let mut h = self.embedding.forward(noisy, tape);
        let waves = waves(h.device(), noisy.times, width);
        let (times, of_times) = self.time.forward(waves.retaped::<T>()).split_tape();
        let (begun, tape) = h.split_tape();
        h = begun.put_tape(tape.merge(of_times));
        for (b, block) in self.blocks.layers().iter().enumerate() {
            let of_block = columns(times.retaped::<T>(), (b * width..(b + 1) * width).collect());
            h = add_rows(h, of_block, Whose::Each(length));
            h = block.forward(h, heads);
        }
        scaled(self.output.dense.forward(self.output.norm.forward(h)), &self.output.scale)
    }
}

denoises! { [K: Size, S: Size,] Transformer<K, S, E, Dev>, has_places }
