//! The coupling of images.

use super::{check, moving, seen};
use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, FastInverse, Grid, TanhScale, WithLogDet,
        bijection::free,
        transform::{Direction, apply_planar},
    },
    nn::{Device, Real, ResidualNet, any_shape, fields},
};
use dfdx::{
    dtypes::Dtype,
    shapes::{Axes2, Axis, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::{BroadcastTo, ReshapeTo, TryConcatAlong},
};
use std::marker::PhantomData;

/// RealNVP's affine coupling of images, with a convolutional residual network.
///
/// ```text
/// z = x on the numbers that stay      z = x ⊙ exp s + t on the others      s = g ⊙ tanh a
/// (a, t) = network(x_stay)            log |det| = Σ s
/// ```
///
/// `g` is one number a channel and starts at 1: how far a layer can stretch is learned, and cannot run away. Source: Dinh,
/// Sohl-Dickstein and Bengio 2017, §3.4 and 3.5; their networks have weight and batch normalization, these have none.
#[derive(Clone, Debug)]
pub struct ImageCoupling<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    network: ResidualNet<E, Dev>,
    /// `g`, one a channel.
    gain: Tensor<(usize,), E, Dev>,
    mask: Tensor<(usize,), E, Dev>,
    what: PhantomData<D>,
}

/// Which numbers of an image a coupling moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageMask {
    /// All channels of every second pixel, as the black squares of a checkerboard, the first pixel among them.
    Black,
    /// All channels of the other pixels.
    White,
    /// The first half of the channels.
    FirstChannels,
    /// The second half.
    LastChannels,
}

impl<D: Dim, E: Real, Dev: Device<E>> ImageCoupling<D, E, Dev> {
    /// A coupling whose network is `hidden` channels wide and has `blocks` residual blocks. It is randomly initialised.
    ///
    /// # Errors
    /// When the grid has other coordinates, nothing would stay or nothing move, a size is 0, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, grid: Grid, mask: ImageMask, hidden: usize, blocks: usize) -> Result<Self> {
        let Grid { channels, height, width } = grid.of(dims.size())?;
        let mask = (0..grid.dims()).map(|i| {
            let (channel, row, column) = (i / grid.pixels(), i / width % height, i % width);
            match mask {
                ImageMask::Black => (row + column).is_multiple_of(2),
                ImageMask::White => !(row + column).is_multiple_of(2),
                ImageMask::FirstChannels => channel < channels / 2,
                ImageMask::LastChannels => channel >= channels / 2,
            }
        });
        let mask: Vec<E> = mask.map(|mask| if mask { E::ONE } else { E::default() }).collect();
        if mask.iter().all(|m| *m == mask[0]) {
            let size = format!("a coupling of {channels} × {height} × {width} numbers");
            return Err(Error::invalid(format!("{size}: some must stay and some move")));
        }
        Ok(Self {
            network: ResidualNet::new(device, grid, 2 * channels, hidden, blocks)?,
            gain: device.try_ones_like(&(channels,)).map_err(Error::invalid)?,
            mask: device.try_tensor_from_vec(mask, (grid.dims(),)).map_err(Error::invalid)?,
            what: PhantomData,
        })
    }

    fn apply<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>, direction: Direction) -> WithLogDet<D, E, Dev, T> {
        let (rows, d, channels) = (x.shape().0, self.mask.shape().0, self.gain.shape().0);
        let gain = self.gain.retaped::<T>().broadcast_like::<_, Axes2<0, 2>>(&(rows, channels, d / channels));
        // What stays is the same on both sides.
        let params = self.network.forward(free(seen(&x, &self.mask)));
        let params = (params, gain.reshape_like(&(rows, d))).concat_along(Axis::<1>);
        apply_planar::<TanhScale, _, _, _, _>(x, params, Some(moving::<E, Dev>(&self.mask)), direction)
    }
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for ImageCoupling<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, Direction::Forward)
    }

    fn check(&self) -> Result<()> {
        check::<E, Dev>(&self.mask)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(z, Direction::Inverse)
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for ImageCoupling<D, E, Dev> {}
impl<D, E: Dtype, Dev: Storage<E>> FastInverse for ImageCoupling<D, E, Dev> {}

fields! { [D,] ImageCoupling[D,] { module network, tensor gain: any_shape(true), tensor mask: any_shape(false) } what }
