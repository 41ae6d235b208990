//! The flows of images, put together.

use crate::{
    Error, Result,
    flows::{ActNorm, First, Grid, ImageCoupling, ImageMask, Mint, Permute, Stack},
};
use dfdx::tensor::Cpu;

/// A coupling, and before it a scale and a shift of every number.
type Step = (ActNorm<usize>, ImageCoupling<usize>);
/// Couplings of a checkerboard, a squeeze, couplings of channels.
type Stage = (Stack<Step>, Permute<usize>, Stack<Step>);
/// RealNVP for images: scales, each on the half of the numbers that the one before has left, and couplings of a checkerboard for
/// the rest.
pub type MultiScale = (Stack<First<Stage>>, First<Stack<Step>>);

/// RealNVP for images: three couplings of a checkerboard, a squeeze, three couplings of channels, half of the channels leave; all
/// that `scales` times, and four couplings of a checkerboard. Networks are `hidden` channels wide and have `blocks` residual
/// blocks.
///
/// Source: Dinh, Sohl-Dickstein and Bengio 2017, §3.6, but for the widths, which double there from scale to scale.
///
/// # Errors
/// When the image cannot be halved so often, or a size is 0.
///
/// ```
/// # use dfdx::tensor::Cpu;
/// # use limbeck::flows::{Grid, multi_scale};
/// let digits = Grid { channels: 1, height: 8, width: 8 };
/// let flow = multi_scale(&Cpu::seed_from_u64(0), digits, 2, 16, 1)?;
/// assert!(multi_scale(&Cpu::default(), digits, 4, 16, 1).is_err());
/// # Ok::<(), limbeck::Error>(())
/// ```
pub fn multi_scale(device: &Cpu, grid: Grid, scales: usize, hidden: usize, blocks: usize) -> Result<MultiScale> {
    use ImageMask::{Black, FirstChannels, LastChannels, White};
    let steps = |grid: Grid, mask: &[ImageMask]| -> Result<Stack<Step>> {
        let step = |mask: &ImageMask| {
            let norm = ActNorm::new(device, grid.dims())?;
            Ok((norm, ImageCoupling::new(device, grid.dims(), grid, *mask, hidden, blocks)?))
        };
        mask.iter().map(step).collect::<Result<_>>().map(Stack::new)
    };
    let (mut grid, mut levels) = (grid, Vec::new());
    for _ in 0..scales {
        let small = grid.squeezed()?;
        let board = steps(grid, &[Black, White, Black])?;
        let channels = steps(small, &[FirstChannels, LastChannels, FirstChannels])?;
        let scale = (board, Permute::squeeze(device, grid.dims(), grid)?, channels);
        levels.push(First::new(grid.dims(), scale));
        grid = Grid { channels: small.channels / 2, ..small };
    }
    let last = First::new(grid.dims(), steps(grid, &[Black, White, Black, White])?);
    Ok((Stack::new(levels), last))
}

/// A pair of layers, one for each order of the coordinates.
type MintPair = (Mint<usize>, Mint<usize>);

/// MintNet for images: `pairs` of layers of either order, a squeeze, as many again. Every channel has `hidden` units in each
/// hidden map at full size, a quarter of them after the squeeze.
///
/// Source: Song, Meng and Ermon 2019, §5; theirs squeezes twice.
///
/// # Errors
/// When the image cannot be halved, or a size is 0.
pub fn mint_net(
    device: &Cpu,
    grid: Grid,
    pairs: usize,
    hidden: usize,
) -> Result<(Stack<MintPair>, Permute<usize>, Stack<MintPair>)> {
    if pairs == 0 {
        return Err(Error::out_of_range("pairs", pairs, "pairs ≥ 1"));
    }
    let stack = |grid: Grid, hidden: usize| -> Result<Stack<MintPair>> {
        let layer = |backwards| Mint::new(device, grid.dims(), grid, 3, hidden, backwards);
        (0..pairs).map(|_| Ok((layer(false)?, layer(true)?))).collect::<Result<_>>().map(Stack::new)
    };
    let squeeze = Permute::squeeze(device, grid.dims(), grid)?;
    Ok((stack(grid, hidden)?, squeeze, stack(grid.squeezed()?, hidden.div_ceil(4))?))
}
