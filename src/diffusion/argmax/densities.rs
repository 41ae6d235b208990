//! The flows of argmax flows, put together: of texts and of maps.

use crate::{
    Error, Result,
    flows::{
        Blocks, BoundedMixture, CausalFlow, ConditionalAutoregressive, Grid, ImageCoupling, ImageMask, Inverse,
        Logistic, Lu, Mask, Permute, SequenceCoupling, Stack,
    },
    nn::SequenceConfig,
    random::Seed,
};
use dfdx::tensor::Cpu;

/// Mixture couplings of sequences, and before each a matrix for the numbers of every position (a 1 × 1 convolution).
pub type SequenceFlow<const MIXTURES: usize = 8> =
    Stack<(Blocks<Lu<usize>>, SequenceCoupling<usize, BoundedMixture<Logistic, MIXTURES>>)>;

/// `steps` of them, which move the first and the second half of a position's numbers in turns.
///
/// Source: Hoogeboom et al. 2021, appendix B: 8 steps of 8 mixtures with LSTMs, where these have transformers.
///
/// # Errors
/// When a size is 0, a position has one number alone, or the heads do not divide the width.
pub fn sequence_flow<const MIXTURES: usize>(
    device: &Cpu,
    config: &SequenceConfig,
    steps: usize,
    seed: Seed,
) -> Result<SequenceFlow<MIXTURES>> {
    let step = |i: usize| {
        let mixed = Lu::new(device, config.channels, Some(seed.child("order", i as u64)))?;
        let mask = if i.is_multiple_of(2) { Mask::Second } else { Mask::First };
        let coupling = SequenceCoupling::new(device, config.length * config.channels, config, mask)?;
        Ok((Blocks::new(config.channels, mixed), coupling))
    };
    stack(steps, step)
}

/// A causal transformer over positions, and a perceptron over the numbers of each.
pub type TextFlow<const MIXTURES: usize = 8> =
    CausalFlow<usize, ConditionalAutoregressive<usize, usize, BoundedMixture<Logistic, MIXTURES>>>;

/// An autoregressive flow of texts; the context of a position is as wide as the transformer.
///
/// Source: Hoogeboom et al. 2021, appendix B: one step of 27 mixtures with an LSTM.
///
/// # Errors
/// When a size is 0, or the heads do not divide the width.
pub fn text_flow<const MIXTURES: usize>(device: &Cpu, config: &SequenceConfig) -> Result<TextFlow<MIXTURES>> {
    let inner = ConditionalAutoregressive::new(device, config.width, config.channels, 2 * config.width)?;
    CausalFlow::new(device, config.length * config.channels, config, (config.width, inner))
}

/// A matrix for the channels of every pixel, and a coupling of channels.
type MapStep = (Inverse<Permute<usize>>, Blocks<Lu<usize>>, Permute<usize>, ImageCoupling<usize>);
/// Levels, each at half the height and width of the one before.
pub type MapFlow = Stack<(Permute<usize>, Stack<MapStep>)>;

/// A flow of maps: on each level `steps` couplings of channels, whose networks are `hidden` channels wide, and before each a matrix
/// for the channels of a pixel; between levels a squeeze. Rows come position after position, as a [`Lift`](super::Lift) has them.
///
/// Source: Hoogeboom et al. 2021, appendix B: 4 levels of 10 steps with dense networks.
///
/// # Errors
/// When the map cannot be halved so often, it has one channel alone, or a size is 0.
pub fn map_flow(
    device: &Cpu,
    grid: Grid,
    (levels, steps): (usize, usize),
    hidden: usize,
    seed: Seed,
) -> Result<MapFlow> {
    let mut grid = grid;
    let level = |i: usize| {
        let entry = if i == 0 {
            Permute::planes(device, grid.dims(), grid)?
        } else {
            let squeeze = Permute::squeeze(device, grid.dims(), grid)?;
            grid = grid.squeezed()?;
            squeeze
        };
        let step = |j: usize| {
            let planes = Permute::planes(device, grid.dims(), grid)?;
            let order = seed.child("level", i as u64).child("order", j as u64);
            let mixed = Blocks::new(grid.channels, Lu::new(device, grid.channels, Some(order))?);
            let mask = if j.is_multiple_of(2) { ImageMask::LastChannels } else { ImageMask::FirstChannels };
            let coupling = ImageCoupling::new(device, grid.dims(), grid, mask, hidden, 1)?;
            Ok((Inverse(planes.clone()), mixed, planes, coupling))
        };
        Ok((entry, stack(steps, step)?))
    };
    stack(levels, level)
}

fn stack<B>(layers: usize, layer: impl FnMut(usize) -> Result<B>) -> Result<Stack<B>> {
    if layers == 0 {
        return Err(Error::out_of_range("layers", 0, "1 ≤ layers"));
    }
    (0..layers).map(layer).collect::<Result<_>>().map(Stack::new)
}
