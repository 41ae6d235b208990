//! The scoring function of a generative ConvNet.

use super::{Points, Scores, Scoring};
use crate::{
    Error, Result,
    nn::{
        Activation, Conv2d, Dense, Device, Grid, Identity, Silu, Sliding, Stack, fields,
        ops::{map_size, means},
    },
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Const, HasShape},
    tensor::{Cpu, Storage, Tape},
    tensor_ops::ReshapeTo,
};
use std::marker::PhantomData;

/// How the last maps become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A weight for every unit of them: places differ, as in objects.
    Places,
    /// A weight for the mean of every map: places are alike, as in textures.
    Mean,
}

/// Convolutions from an image up to maps, and their weighted sum: the network of a generative ConvNet, read bottom up.
///
/// ```text
/// h₀ = x      hᵢ = f(Wᵢ ∗ hᵢ₋₁ + bᵢ)      Φ(x) = Σ w · h_n + b
/// ```
///
/// Shapes: `x (batch, C · H · W)`, `Φ (batch)`. All convolutions look through one kind of [`Window`](crate::nn::Window). With a smooth
/// `f` the slopes of slopes mean something: see [`Transport`](crate::frame::Transport). Source: Xie, Lu, Zhu, Wu 2016.
#[derive(Clone, Debug)]
pub struct ConvNet<K: Sliding, A = Silu, E: Dtype = f32, D: Storage<E> = Cpu> {
    pub(super) layers: Stack<Layer<K, A, E, D>>,
    last: Dense<usize, Const<1>, Identity, E, D>,
    /// Whether the mean of a map is what is weighed: 1, or 0.
    mean: usize,
    channels: usize,
    height: usize,
    width: usize,
    what: PhantomData<(K, A)>,
}

pub(super) type Layer<K, A, E, D> = Conv2d<Grid, Grid, K, A, E, D>;

fields! { [K: Sliding, A: Activation,] ConvNet[K, A,] {
    module layers, module last, size mean, size channels, size height, size width
} what }

impl<K: Sliding, A: Activation, Dev: Device<f32>> ConvNet<K, A, f32, Dev> {
    /// From images to maps of so many channels, one after the other; with none it is the images that are weighed.
    ///
    /// # Errors
    /// When a size is 0, or the images become smaller than a window.
    pub fn new(device: &Dev, image: Grid, maps: &[usize], head: Head) -> Result<Self> {
        let Grid { mut channels, height, width } = image;
        let (mut high, mut wide) = (height, width);
        let mut layers = Vec::new();
        for (i, map) in maps.iter().enumerate() {
            let size = |side: usize| map_size(side, K::SIDE, K::STRIDE, K::PADDING);
            let before = format!("{high} × {wide}");
            (high, wide) = (size(high), size(wide));
            if high == 0 || wide == 0 {
                let window = K::SIDE;
                let remedy = "fewer maps, or larger images";
                return Err(Error::invalid(format!(
                    "maps of {before} before convolution {i}, whose windows are {window} wide: {remedy}"
                )));
            }
            layers.push(Conv2d::new(device, channels, *map)?);
            channels = *map;
        }
        let inputs = if head == Head::Mean { channels } else { channels * high * wide };
        let last = Dense::new(device, inputs, Const)?;
        let mean = usize::from(head == Head::Mean);
        Ok(Self { layers: Stack::new(layers), last, mean, channels: image.channels, height, width, what: PhantomData })
    }
}

impl<K: Sliding, A: Activation, Dev: Device<f32>> Scoring<Dev> for ConvNet<K, A, f32, Dev> {
    fn dims(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn scores<T: Tape<f32, Dev>>(&self, x: Points<Dev, T>) -> Scores<Dev, T> {
        let rows = x.shape().0;
        let mut h = x.reshape_like(&(rows, self.channels, self.height, self.width));
        for layer in self.layers.layers() {
            h = layer.forward(h);
        }
        let (_, channels, height, width) = *h.shape();
        let flat = match self.mean {
            0 => h.reshape_like(&(rows, channels * height * width)),
            _ => means(h),
        };
        self.last.forward(flat).reshape_like(&(rows,))
    }
}
