//! MintNet's layer: a residual block of masked convolutions whose Jacobian is triangular.

use crate::{
    Error, Result,
    flows::{
        Batch, Bijection, FastForward, Grid, WithLogDet,
        bijection::{free, typed},
    },
    nn::{
        Device, Identity, Real, any_shape,
        ops::{Geometry, pointwise},
    },
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    shapes::{Axes2, Axis, Dim, HasShape},
    tensor::{Cpu, NoneTape, PutTape, SplitTape, Storage, Tape, Tensor},
    tensor_ops::{BroadcastTo, Device as Plain, PermuteTo, ReshapeTo, SumTo, TryMatMul},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{cmp::Ordering, marker::PhantomData};

mod solve;
#[cfg(test)]
mod tests;

pub use solve::{Solved, Solver};

/// A residual block of masked convolutions, the layer of MintNet.
///
/// ```text
/// z = t ⊙ x + W₃ ∗ h(W₂ ∗ h(W₁ ∗ x + b₁) + b₂) + b₃      t > 0, h = ELU
/// log |det| = Σ log ∂zᵢ/∂xᵢ                              ∂zᵢ/∂xᵢ = tᵢ + Σ |w₃ w₂ w₁| h′ h′ > 0
/// ```
///
/// The weights are masked so that a coordinate sees those before it alone, pixel after pixel and channel after channel, or all of
/// that backwards: the Jacobian is triangular, and its determinant exact. On the way from a coordinate to itself the weights of
/// `W₂` take the signs that make every product positive. Density is one pass; the inverse is a fixed point: [`Self::solve`].
///
/// `t` is kept as its logarithm. On a [`Grid::pixel`] the convolutions are matrices, for tables. Through an inverse gradients are
/// exact, and cost a pass for each coordinate. Source: Song, Meng and Ermon 2019, §3.
#[derive(Clone, Debug)]
pub struct Mint<D, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    weights: [Tensor<(usize, usize), E, Dev>; 3],
    biases: [Tensor<(usize,), E, Dev>; 3],
    /// `log t`, one a coordinate.
    log_scale: Tensor<(usize,), E, Dev>,
    layout: Layout,
    what: PhantomData<D>,
}

/// What sees what.
#[derive(Clone, Copy, Debug)]
struct Layout {
    grid: Grid,
    /// Hidden units for each channel, at every pixel.
    hidden: usize,
    kernel: usize,
    /// 1 where the order is backwards.
    backwards: usize,
}

impl Layout {
    /// Channels of the input, of the two hidden maps, and of the output.
    fn channels(&self) -> [usize; 4] {
        let (c, hidden) = (self.grid.channels, self.hidden * self.grid.channels);
        [c, hidden, hidden, c]
    }

    /// The channel of the image that a unit of map `l` belongs to.
    fn group(&self, l: usize, unit: usize) -> usize {
        if l == 0 || l == 3 { unit } else { unit / self.hidden }
    }

    fn geometry(&self, l: usize, kernel: usize) -> Geometry {
        let (channels, Grid { height, width, .. }) = (self.channels(), self.grid);
        Geometry::new([channels[l], height, width], channels[l + 1], kernel, 1, kernel / 2)
    }

    /// Every weight of convolution `l`: where what it sees lies, and which units it leads to and from.
    fn places(&self, l: usize) -> impl Iterator<Item = (Place, usize, usize)> {
        let (layout, channels, taps) = (*self, self.channels(), self.kernel * self.kernel);
        (0..channels[l + 1] * channels[l] * taps).map(move |at| {
            let (to, from, tap) = (at / taps / channels[l], at / taps % channels[l], at % taps);
            let order = (tap, layout.group(l, from)).cmp(&(taps / 2, layout.group(l + 1, to)));
            let place = match if layout.backwards == 1 { order.reverse() } else { order } {
                Ordering::Less => Place::Before,
                Ordering::Equal => Place::Own,
                Ordering::Greater => Place::After,
            };
            (place, to, from)
        })
    }

    /// 1 for the weights of convolution `l` at those places, 0 for the others.
    fn mask<E: Real>(&self, l: usize, places: &[Place]) -> Vec<E> {
        self.places(l).map(|(place, ..)| if places.contains(&place) { E::ONE } else { E::default() }).collect()
    }
}

/// Where what a weight sees lies from the coordinate it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Own,
    After,
}

type Matrix<E, Dev, T = NoneTape> = Tensor<(usize, usize), E, Dev, T>;

/// Masked weights, and those on the way of each coordinate to itself.
struct Masked<E: Dtype, Dev: Storage<E>> {
    weights: [Matrix<E, Dev>; 3],
    /// From the first slopes to the arguments of the second, and from there to the diagonal.
    own: [Matrix<E, Dev>; 2],
}

impl<D: Dim, E: Real, Dev: Device<E>> Mint<D, E, Dev> {
    /// `hidden` units for each channel and pixel, in each of the two hidden maps; an odd `kernel`, 1 for a table. The order is
    /// pixel after pixel, and channel after channel in each, or all of that `backwards`.
    ///
    /// # Errors
    /// When the grid has other coordinates, there are no hidden units, the kernel is even, or the device has no memory for it.
    pub fn new(device: &Dev, dims: D, grid: Grid, kernel: usize, hidden: usize, backwards: bool) -> Result<Self> {
        let layout = Layout { grid: grid.of(dims.size())?, hidden, kernel, backwards: usize::from(backwards) };
        if hidden == 0 {
            return Err(Error::out_of_range("hidden", hidden, "hidden ≥ 1"));
        }
        if kernel.is_multiple_of(2) {
            return Err(Error::out_of_range("kernel", kernel, "an odd number of pixels"));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        let channels = layout.channels();
        let mut layer = |l: usize| {
            let (units, mask) = (channels[l + 1], layout.mask::<E>(l, &[Place::Before, Place::Own]));
            let inputs = mask.iter().filter(|seen| **seen == E::ONE).count() as f64 / units as f64;
            let bound = if l == 2 { 0.1 } else { 1.0 } / inputs.max(1.0).sqrt();
            let mut value = || E::of(bound * (2.0 * rng.random::<f64>() - 1.0));
            let shape = (units, mask.len() / units);
            let weights = mask.into_iter().map(|seen| seen * value()).collect();
            let bias = (0..units).map(|_| value()).collect();
            let weight = device.try_tensor_from_vec(weights, shape).map_err(Error::invalid)?;
            Ok::<_, Error>((weight, device.try_tensor_from_vec(bias, (units,)).map_err(Error::invalid)?))
        };
        let [(w1, b1), (w2, b2), (w3, b3)] = [layer(0)?, layer(1)?, layer(2)?];
        let log_scale = device.try_zeros_like(&(dims.size(),)).map_err(Error::invalid)?;
        Ok(Self { weights: [w1, w2, w3], biases: [b1, b2, b3], log_scale, layout, what: PhantomData })
    }

    /// The weights with their masks and signs, and the tape that leads to them.
    fn masked<T: Tape<E, Dev>>(&self) -> (Masked<E, Dev>, T) {
        let (device, layout) = (self.log_scale.device(), &self.layout);
        let [channels, units, ..] = layout.channels();
        let taps = layout.kernel * layout.kernel;
        let [first, second, third] = self.weights.each_ref().map(Dev::elements);
        let sign = |x: E| if x < E::default() { -E::ONE } else { E::ONE };
        // The weights from a unit's own coordinate to it, and from it to its own coordinate.
        let into = |unit: usize| first[(unit * channels + layout.group(1, unit)) * taps + taps / 2];
        let out_of = |unit: usize| third[(layout.group(2, unit) * units + unit) * taps + taps / 2];
        let signs = layout.places(1).zip(second.iter()).map(|((place, to, from), weight)| match place {
            Place::Before => E::ONE,
            Place::Own => sign(into(from)) * sign(*weight) * sign(out_of(to)),
            Place::After => E::default(),
        });
        let seen = |l: usize| layout.mask(l, &[Place::Before, Place::Own]);
        let mut tape = T::default();
        let mut kept = |w: Matrix<E, Dev, T>| {
            let (w, own) = w.split_tape();
            tape = std::mem::take(&mut tape).merge(own);
            w
        };
        let factors = [seen(0), signs.collect(), seen(2)];
        let mut l = 0..3;
        let weights = factors.map(|factors| {
            let weight = &self.weights[l.next().expect("there are three convolutions")];
            kept(weight.retaped::<T>() * device.tensor_from_vec(factors, *weight.shape()))
        });
        // A unit has one own input: a sum over all of them picks it.
        let own = |l: usize| {
            let mask = device.tensor_from_vec(layout.mask(l, &[Place::Own]), *self.weights[l].shape());
            (weights[l].retaped::<T>() * mask).reshape_like(&(weights[l].shape().0, layout.channels()[l], taps))
        };
        let first = own(0).sum::<(usize,), Axes2<1, 2>>().broadcast_like::<_, Axis<0>>(&(units, units));
        let own =
            [kept(own(1).sum::<(usize, usize), Axis<2>>() * first), kept(own(2).sum::<(usize, usize), Axis<2>>())];
        (Masked { weights, own }, tape)
    }

    /// `z` and the diagonal of the Jacobian, whose tapes belong together.
    fn run<T: Tape<E, Dev>>(
        &self,
        masked: &Masked<E, Dev>,
        x: Batch<usize, E, Dev, T>,
    ) -> [Batch<usize, E, Dev, T>; 2] {
        let (device, layout) = (self.log_scale.device(), &self.layout);
        let (rows, channels, kernel) = (x.shape().0, layout.channels(), layout.kernel);
        let convolve =
            |l: usize, kernel: usize, x: Batch<usize, E, Dev, T>, w: &Matrix<E, Dev>, b: &Tensor<(usize,), E, Dev>| {
                let shape = (rows, channels[l + 1] * layout.grid.pixels());
                if layout.grid.pixels() == 1 && kernel == 1 {
                    // On a single pixel it is a product of matrices, for all rows at once.
                    let bias = b.retaped::<T>().broadcast_like::<_, Axis<0>>(&shape);
                    return x.matmul(w.retaped::<T>().permute::<_, Axes2<1, 0>>()) + bias;
                }
                Dev::try_conv2d::<Identity, _, _, _, _, T>(layout.geometry(l, kernel), x, w, b, shape)
                    .expect("the device has memory for a map")
            };
        let zeros = |l: usize| device.zeros_like(&(channels[l + 1],));
        let scale = || self.log_scale.retaped::<T>().exp().broadcast_like::<_, Axis<0>>(&(rows, layout.grid.dims()));
        let first = convolve(0, kernel, x.retaped::<T>(), &masked.weights[0], &self.biases[0]);
        let first_slope = elu_slope(first.retaped::<T>());
        let second = convolve(1, kernel, elu(first), &masked.weights[1], &self.biases[1]);
        let second_slope = elu_slope(second.retaped::<T>());
        let z = convolve(2, kernel, elu(second), &masked.weights[2], &self.biases[2]) + x * scale();
        let along = convolve(1, 1, first_slope, &masked.own[0], &zeros(1));
        let diagonal = convolve(2, 1, second_slope * along, &masked.own[1], &zeros(2)) + scale();
        [z, diagonal]
    }
}

/// `x` above 0, and `eˣ − 1` below.
fn elu<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(x: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
    let value = |x: E| if x > E::default() { x } else { x.exp() - E::ONE };
    pointwise(x, value, slope)
}

/// The slope of [`elu`].
fn elu_slope<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(x: Batch<usize, E, Dev, T>) -> Batch<usize, E, Dev, T> {
    pointwise(x, slope, |x: E| if x > E::default() { E::default() } else { x.exp() })
}

#[inline(always)]
fn slope<E: Real>(x: E) -> E {
    (if x > E::default() { E::default() } else { x }).exp()
}

impl<D: Dim, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Mint<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let (masked, tape) = self.masked::<T>();
        let [z, diagonal] = self.run(&masked, free(x));
        let (log_det, own) = diagonal.ln().sum::<_, Axis<1>>().split_tape();
        (typed(z), log_det.put_tape(own.merge(tape)))
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let (z, tape) = free(z).split_tape();
        let (masked, own) = self.masked::<T>();
        let (mut x, mut tape) = (self.found(&z), tape.merge(own));
        if T::OWNS_TAPE {
            // Newton's steps on the diagonal do not move a solution, and as many as there are coordinates have its slopes: what
            // they neglect is the strict triangle of the Jacobian, which is nilpotent.
            let [_, diagonal] = self.run(&masked, x.clone());
            for _ in 0..self.layout.grid.dims() {
                let [now, _] = self.run(&masked, x.retaped::<T>());
                let (next, own) = (x.retaped::<T>() + (z.retaped::<T>() - now) / diagonal.clone()).split_tape();
                (x, tape) = (next, tape.merge(own));
            }
        }
        let [again, diagonal] = self.run(&masked, x.retaped::<T>());
        let tape = tape.merge(again.split_tape().1);
        (typed(x.put_tape(tape)), diagonal.ln().sum::<_, Axis<1>>().negate())
    }
}

impl<D, E: Dtype, Dev: Storage<E>> FastForward for Mint<D, E, Dev> {}

impl<D, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Mint<D, E, Dev> {
    type To<E2: Dtype, D2: Plain<E2>> = Mint<D, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let weight = |l: usize| {
            let name = ["first.weight", "second.weight", "third.weight"][l];
            Self::tensor(name, move |s| &s.weights[l], move |s| &mut s.weights[l], any_shape(true))
        };
        let bias = |l: usize| {
            let name = ["first.bias", "second.bias", "third.bias"][l];
            Self::tensor(name, move |s| &s.biases[l], move |s| &mut s.biases[l], any_shape(true))
        };
        macro_rules! size {
            ($name:literal, $($field:tt)+) => {
                Self::scalar($name, |s| &s.layout.$($field)+, |s| &mut s.layout.$($field)+, ScalarOptions::from_default(0))
            };
        }
        let sizes = (
            (size!("channels", grid.channels), size!("height", grid.height), size!("width", grid.width)),
            (size!("hidden", hidden), size!("kernel", kernel), size!("backwards", backwards)),
        );
        let log_scale = Self::tensor("log_scale", |s| &s.log_scale, |s| &mut s.log_scale, any_shape(true));
        let fields = ((0..3).map(weight).collect::<Vec<_>>(), (0..3).map(bias).collect::<Vec<_>>(), log_scale, sizes);
        visitor.visit_fields(
            fields,
            |(weights, biases, log_scale, ((channels, height, width), (hidden, kernel, backwards)))| Mint {
                weights: weights.try_into().unwrap_or_else(|_| unreachable!("there are three convolutions")),
                biases: biases.try_into().unwrap_or_else(|_| unreachable!("there are three convolutions")),
                log_scale,
                layout: Layout { grid: Grid { channels, height, width }, hidden, kernel, backwards },
                what: PhantomData,
            },
        )
    }
}
