//! A U-Net: maps are halved twice and doubled again, and every pixel sees all others in between.

use super::{
    Denoiser, Network, Noisy,
    network::{Logits, Time, denoises, least, normals, waves},
};
use crate::{
    Error, Result,
    memory::afford,
    nn::{
        Conv2d, ConvTranspose2d, Dense, Device, EncoderBlock, Grid, Identity, Padding, Real, Silu, Size, Stack, Stride,
        Window, any_shape, fields,
        ops::{Heads, Planes, add_to_planes, columns, embed, from_planes, scaled, sum, to_planes},
    },
    random::Seed,
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Dim, HasShape},
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape, Tensor, WithEmptyTape},
};
use serde::{Deserialize, Serialize};

/// The sizes of a [`UNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Channels at full size; twice as many at half, and so on.
    pub channels: usize,
    /// How often the map is halved.
    pub halvings: usize,
    /// Heads of attention in the middle, which divide its channels.
    pub heads: usize,
}

impl Default for UNetConfig {
    fn default() -> Self {
        Self { height: 32, width: 64, channels: 16, halvings: 2, heads: 4 }
    }
}

/// A U-Net that denoises maps of categories.
///
/// ```text
/// h_0 = E[x]      h_i = halved(residual(h_{i−1}; t))      a block of attention over the pixels of the smallest
/// h_{i−1} ← doubled(h_i) + h_{i−1}, residual(·; t)        logits = s · (W h_0 + c), s = 1 at the start
/// residual(h; t) = h + conv(silu(conv(h)) + T(t))         3 × 3
/// ```
///
/// Smaller than the source's, and without its normalisation: residual branches begin small instead. Source: Hoogeboom et al.
/// 2021, appendix B.
#[derive(Clone, Debug)]
pub struct UNet<K: Dim, S: Dim, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    table: Tensor<(S, usize), E, Dev>,
    time: Time<E, Dev>,
    levels: Stack<Level<E, Dev>>,
    middle: EncoderBlock<E, Dev>,
    output: Output<K, E, Dev>,
    shape: Shape,
}

fields! {
    [K: Size, S: Size,] UNet[K, S,] {
        tensor table: any_shape(true), module time, module levels, module middle, module output, module shape,
    }
}

/// Numbers that are not trained.
#[derive(Clone, Debug)]
pub struct Shape {
    height: usize,
    width: usize,
    heads: usize,
}

impl<E: Dtype, Dev: dfdx::tensor_ops::Device<E>> dfdx::nn::TensorCollection<E, Dev> for Shape {
    type To<E2: Dtype, D2: dfdx::tensor_ops::Device<E2>> = Self;

    fn iter_tensors<V: dfdx::nn::ModuleVisitor<Self, E, Dev>>(
        visitor: &mut V,
    ) -> std::result::Result<Option<Self>, V::Err> {
        let size = || dfdx::nn::ScalarOptions::from_default(0_usize);
        visitor.visit_fields(
            (
                <Self as dfdx::nn::TensorCollection<E, Dev>>::scalar(
                    "height",
                    |s| &s.height,
                    |s| &mut s.height,
                    size(),
                ),
                <Self as dfdx::nn::TensorCollection<E, Dev>>::scalar("width", |s| &s.width, |s| &mut s.width, size()),
                <Self as dfdx::nn::TensorCollection<E, Dev>>::scalar("heads", |s| &s.heads, |s| &mut s.heads, size()),
            ),
            |(height, width, heads)| Self { height, width, heads },
        )
    }
}

type Same<A, E, Dev> = Conv2d<Grid, Grid, Window<3, Stride<1>, Padding<1>>, A, E, Dev>;
type Halve<E, Dev> = Conv2d<Grid, Grid, Window<3, Stride<2>, Padding<1>>, Identity, E, Dev>;
type Twice<E, Dev> = ConvTranspose2d<Grid, Grid, Window<4, Stride<2>, Padding<1>>, Identity, E, Dev>;

/// On the way down, the halving, the doubling, and on the way up.
#[derive(Clone, Debug)]
pub struct Level<E: Dtype, Dev: Storage<E>> {
    down: Residual<E, Dev>,
    halve: Halve<E, Dev>,
    double: Twice<E, Dev>,
    up: Residual<E, Dev>,
}

fields! { [] Level[] { module down, module halve, module double, module up } }

/// `h + conv(silu(conv(h)) + t)`
#[derive(Clone, Debug)]
pub struct Residual<E: Dtype, Dev: Storage<E>> {
    inner: Same<Silu, E, Dev>,
    outer: Same<Identity, E, Dev>,
}

fields! { [] Residual[] { module inner, module outer } }

impl<E: Real, Dev: Device<E>> Residual<E, Dev> {
    fn forward<T: Tape<E, Dev>>(
        &self,
        h: Planes<E, Dev, T>,
        time: Tensor<(usize, usize), E, Dev, T>,
    ) -> Planes<E, Dev, T> {
        let x = self.inner.forward(h.with_empty_tape());
        sum(self.outer.forward(add_to_planes(x, time)), h)
    }
}

/// From the full size to logits.
#[derive(Clone, Debug)]
pub struct Output<K: Dim, E: Dtype, Dev: Storage<E>> {
    dense: Dense<usize, K, Identity, E, Dev>,
    scale: Tensor<(usize,), E, Dev>,
}

fields! { [K: Size,] Output[K,] { module dense, tensor scale: any_shape(true) } }

impl<K: Size, S: Size, E: Real, Dev: Device<E>> UNet<K, S, E, Dev> {
    /// A randomly initialised U-Net.
    ///
    /// # Errors
    /// When a size is 0, the map cannot be halved so often, the heads do not divide the channels of the middle, or the device has no
    /// memory for it.
    pub fn new(device: &Dev, (categories, states): (K, S), config: &UNetConfig) -> Result<Self> {
        let UNetConfig { height, width, channels, halvings, heads } = *config;
        for (name, size) in [("height", height), ("width", width), ("channels", channels), ("heads", heads)] {
            if size == 0 {
                return Err(Error::out_of_range(name, size, "1 ≤ value"));
            }
        }
        let part = u32::try_from(halvings).ok().and_then(|n| 1_usize.checked_shl(n)).unwrap_or(0);
        if halvings == 0 || part == 0 || !height.is_multiple_of(part) || !width.is_multiple_of(part) {
            return Err(Error::invalid(format!("maps of {height} × {width} cannot be halved {halvings} times")));
        }
        let widest = channels.checked_mul(part);
        let all = widest.and_then(|w| w.checked_mul(w)?.checked_mul(80));
        afford(all, 4 * size_of::<E>(), "the parameters of the U-Net", "fewer channels")?;
        let widest = channels * part;
        if !widest.is_multiple_of(heads) {
            return Err(Error::invalid(format!("{heads} heads do not divide {widest} channels in the middle")));
        }
        let mut rng = Seed(device.random_u64()).stream("u-net", 0);
        let mut levels = Vec::with_capacity(halvings);
        for level in 0..halvings {
            let (c, next) = (channels << level, channels << (level + 1));
            let mut residual = || -> Result<Residual<E, Dev>> {
                Ok(Residual {
                    inner: Conv2d::draw(device, (c, c), 1.0, &mut rng)?,
                    outer: Conv2d::draw(device, (c, c), 0.3, &mut rng)?,
                })
            };
            let (down, up) = (residual()?, residual()?);
            let halve = Conv2d::draw(device, (c, next), 1.0, &mut rng)?;
            let double = ConvTranspose2d::new(device, next, c)?;
            levels.push(Level { down, halve, double, up });
        }
        // A time for each of the two residual branches of every level.
        let times = 2 * channels * (part - 1);
        Ok(Self {
            table: normals(device, (states, channels), 1.0)?,
            time: (Dense::new(device, widest, widest)?, Dense::new(device, widest, times)?),
            levels: Stack::new(levels),
            middle: EncoderBlock::new(device, widest, (heads, height / part * (width / part)))?,
            output: Output {
                dense: Dense::new(device, channels, categories)?,
                scale: device.try_ones_like(&(1,)).map_err(Error::invalid)?,
            },
            shape: Shape { height, width, heads },
        })
    }

    fn categories_known(&self) -> K {
        self.output.dense.bias.shape().0
    }

    fn states_known(&self) -> S {
        self.table.shape().0
    }

    fn is_of(&self, length: usize) -> Result<()> {
        let Shape { height, width, .. } = self.shape;
        match length == height * width {
            true => Ok(()),
            false => Err(Error::invalid(format!("rows of {length} positions; the U-Net is of {height} × {width}"))),
        }
    }
}

impl<K: Size, S: Size, E: Real, Dev: Device<E>> Network<E, Dev> for UNet<K, S, E, Dev> {
    type Categories = K;
    type States = S;

    fn describe(&self) -> String {
        let (Shape { height, width, .. }, channels) = (&self.shape, self.table.shape().1);
        format!("U-Net of {height} × {width}, {channels} channels, halved {} times", self.levels.layers().len())
    }

    fn device(&self) -> Dev {
        self.output.scale.device().clone()
    }

    fn least_rows(&self, length: usize) -> usize {
        // The smallest map has the fewest numbers.
        let part = 1 << (2 * self.levels.layers().len());
        let numbers = self.output.dense.bias.shape().0.size().min(self.table.shape().1);
        least(numbers).div_ceil((length / part).max(1))
    }

    fn forward<T: Tape<E, Dev>>(&self, noisy: Noisy, tape: T) -> Logits<K, E, Dev, T> {
        let Shape { height, width, heads } = self.shape;
        let picked = noisy.states.iter().map(|state| u32::from(*state)).collect();
        let x = embed(self.table.clone().put_tape(tape), picked);
        let wide = self.time.1.weight.shape().1;
        let waves = waves(x.device(), noisy.times, wide);
        let (times, of_times) = self.time.forward(waves.retaped::<T>()).split_tape();
        let (x, tape) = to_planes(x, (height, width)).split_tape();
        let mut h = x.put_tape(tape.merge(of_times));
        let mut from = 0;
        let mut time = |channels: usize| {
            from += channels;
            columns(times.retaped::<T>(), (from - channels..from).collect())
        };
        let mut skips = Vec::new();
        for level in self.levels.layers() {
            h = level.down.forward(h, time(level.down.inner.bias.shape().0));
            skips.push(h.with_empty_tape());
            h = level.halve.forward(h);
        }
        let (_, channels, low, narrow) = *h.shape();
        let heads = Heads { length: low * narrow, heads, causal: false };
        h = to_planes(self.middle.forward(from_planes(h), heads), (low, narrow));
        debug_assert_eq!(h.shape().1, channels);
        for (level, skip) in self.levels.layers().iter().zip(skips).rev() {
            h = sum(level.double.forward(h), skip);
            h = level.up.forward(h, time(level.up.inner.bias.shape().0));
        }
        scaled(self.output.dense.forward(from_planes(h)), &self.output.scale)
    }
}

denoises! { [K: Size, S: Size,] UNet<K, S, E, Dev>, is_of }
