//! Convolutions. Sizes that the compiler knows are checked when the program is compiled, others when it runs.

use std::{fmt::Debug, marker::PhantomData};

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, NonMutableModule},
    shapes::{Const, Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::Device as Plain,
};
use rand::Rng;

use super::{
    Activation, Device, Identity, Image, ImageSize, Real, Size, fields, init,
    ops::{Geometry, map_size},
};
use crate::{Error, Result};

/// What a unit of a convolution sees: `K` × `K` pixels. Neighbouring units see windows that are a [`Stride`] apart, and a
/// [`Padding`] of zeros lies around the image.
#[derive(Clone, Copy, Debug)]
pub struct Window<const K: usize, S = Stride<1>, P = Padding<0>>(PhantomData<(S, P)>);

/// Pixels from one [`Window`] to the next.
#[derive(Clone, Copy, Debug)]
pub struct Stride<const N: usize>;

/// Zeros on each side of an image.
#[derive(Clone, Copy, Debug)]
pub struct Padding<const N: usize>;

/// The numbers of a [`Window`].
pub trait Sliding: 'static + Copy + Debug + Send + Sync {
    /// Its height and its width.
    type Side: Size;
    /// The same as a number.
    const SIDE: usize;
    /// Pixels from one window to the next.
    const STRIDE: usize;
    /// Zeros on each side of the image.
    const PADDING: usize;
}

impl<const K: usize, const S: usize, const P: usize> Sliding for Window<K, Stride<S>, Padding<P>> {
    type Side = Const<K>;
    const SIDE: usize = K;
    const STRIDE: usize = S;
    const PADDING: usize = P;
}

/// A window of weights for every channel of the map and every channel of the image, in this order.
pub type Filters<Map, Image, K, E, D> = Tensor<
    (<Map as ImageSize>::Channels, <Image as ImageSize>::Channels, <K as Sliding>::Side, <K as Sliding>::Side),
    E,
    D,
>;

/// A 2-D convolution with its activation, as one fused op: from an image of one size to an image of another, through a window.
///
/// ```text
/// y[o, i, j] = f(b[o] + Σ_{c,u,v} W[o, c, u, v] · x[c, i·S + u − P, j·S + v − P])
/// ```
///
/// with zeros outside `x`. Shapes: `x (batch, C, H, W)`, `y (batch, O, OH, OW)`, `W (O, C, K, K)`, `b (O)`, with
/// `OH = ⌊(H + 2P − K) / S⌋ + 1` and `OW` alike. Another `OH` or `OW` does not compile. Weights start uniform in
/// `±1/√(C K²)`.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{Conv2d, Image, Padding, Relu, Stride, Window};
///
/// type Halve = Conv2d<Image<1, 8, 8>, Image<4, 4, 4>, Window<3, Stride<2>, Padding<1>>, Relu>;
/// let device = Cpu::seed_from_u64(0);
/// let y = Halve::build_on_device(&device).forward(device.zeros::<Rank4<5, 1, 8, 8>>());
/// assert_eq!(y.shape(), &(Const::<5>, Const::<4>, Const::<4>, Const::<4>));
/// ```
///
/// ```compile_fail,E0080
/// use dfdx::prelude::*;
/// use limbeck::nn::{Conv2d, Image, Padding, Stride, Window};
///
/// type Wrong = Conv2d<Image<1, 8, 8>, Image<4, 5, 5>, Window<3, Stride<2>, Padding<1>>>;
/// let wrong = Wrong::build_on_device(&Cpu::default());
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d<X: ImageSize, Y: ImageSize, K: Sliding, A = Identity, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `W`.
    pub weight: Filters<Y, X, K, E, D>,
    /// `b`, one a channel of the output.
    pub bias: Tensor<(Y::Channels,), E, D>,
    what: PhantomData<(X, Y, K, A)>,
}

/// A transposed 2-D convolution with its activation, as one fused op: the adjoint of a [`Conv2d`] from `(OH, OW)` to `(H, W)`.
///
/// ```text
/// y[o, p, q] = f(b[o] + Σ_{c,i,j,u,v} W[c, o, u, v] · x[c, i, j])    over i·S + u − P = p, j·S + v − P = q
/// ```
///
/// Shapes: `x (batch, C, H, W)`, `y (batch, O, OH, OW)`, `W (C, O, K, K)`, `b (O)`. Any `OH` is allowed that a convolution
/// brings back to `H`, `H = ⌊(OH + 2P − K) / S⌋ + 1`: `(H − 1) S − 2P + K` and up to `S − 1` more, PyTorch's output padding.
/// Another size does not compile; where the compiler knows none it is the least. Weights start uniform in `±1/√(O K²)`.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{ConvTranspose2d, Image, Padding, Stride, Tanh, Window};
///
/// type Double = ConvTranspose2d<Image<4, 4, 4>, Image<1, 8, 8>, Window<4, Stride<2>, Padding<1>>, Tanh>;
/// let device = Cpu::seed_from_u64(0);
/// let y = Double::build_on_device(&device).forward(device.zeros::<Rank4<5, 4, 4, 4>>());
/// assert_eq!(y.shape(), &(Const::<5>, Const::<1>, Const::<8>, Const::<8>));
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose2d<X: ImageSize, Y: ImageSize, K: Sliding, A = Identity, E: Dtype = f32, D: Storage<E> = Cpu> {
    /// `W`.
    pub weight: Filters<X, Y, K, E, D>,
    /// `b`, one a channel of the output.
    pub bias: Tensor<(Y::Channels,), E, D>,
    what: PhantomData<(X, Y, K, A)>,
}

/// Whether a convolution makes the second side of the first, where the compiler knows both.
const fn fits<Large: Size, Small: Size, K: Sliding>() -> bool {
    match (Large::KNOWN, Small::KNOWN) {
        (Some(image), Some(map)) => map > 0 && map == map_size(image, K::SIDE, K::STRIDE, K::PADDING),
        _ => true,
    }
}

/// Inputs of a unit that sees these channels.
const fn inputs<C: Size, K: Sliding>() -> Option<usize> {
    match C::KNOWN {
        Some(channels) => Some(channels * K::SIDE * K::SIDE),
        None => None,
    }
}

/// How images of this size lie on the maps that a convolution to `channels` makes of them.
fn forward<K: Sliding>(image: [usize; 3], channels: usize) -> Geometry {
    Geometry::new(image, channels, K::SIDE, K::STRIDE, K::PADDING)
}

/// How maps of this size lie on the images of `channels` that a transposed convolution makes of them.
fn transposed<Y: ImageSize, K: Sliding>(map: [usize; 3], channels: usize) -> Geometry {
    let least = |side: usize| (side.saturating_sub(1) * K::STRIDE + K::SIDE).saturating_sub(2 * K::PADDING);
    let height = Y::Height::KNOWN.unwrap_or_else(|| least(map[1]));
    let width = Y::Width::KNOWN.unwrap_or_else(|| least(map[2]));
    Geometry::new([channels, height, width], map[0], K::SIDE, K::STRIDE, K::PADDING)
}

macro_rules! convolution {
    ($layer:ident, image: $image:ident, map: $map:ident, $geometry:expr, from: $from:ident, to: $to:ident, $run:ident, $in:tt, $filters:expr) => {
        impl<X: ImageSize, Y: ImageSize, K: Sliding, A, E: Dtype, D: Storage<E>> $layer<X, Y, K, A, E, D> {
            /// Evaluating it is what refuses sizes that the compiler knows and that do not fit.
            const FITS: () = {
                assert!(
                    fits::<$image::Height, $map::Height, K>(),
                    concat!(
                        stringify!($layer),
                        ": the smaller height must be (larger + 2 padding − window) / stride + 1, rounded down"
                    )
                );
                assert!(
                    fits::<$image::Width, $map::Width, K>(),
                    concat!(
                        stringify!($layer),
                        ": the smaller width must be (larger + 2 padding − window) / stride + 1, rounded down"
                    )
                );
            };
            /// Values that an output is made of, where the compiler knows their number.
            const INPUTS: Option<usize> = inputs::<$image::Channels, K>();
        }

        impl<X: ImageSize, Y: ImageSize, K: Sliding, A, E: Real, D: Plain<E>> $layer<X, Y, K, A, E, D> {
            /// A layer between these numbers of channels. It starts as those that `build_on_device` makes of sizes known to the
            /// compiler.
            ///
            /// # Errors
            /// When a number is 0, or the device has no memory for it.
            pub fn new(device: &D, from: X::Channels, to: Y::Channels) -> Result<Self> {
                let _ = const { Self::FITS };
                if from.size() == 0 || to.size() == 0 {
                    let sizes = format!("a convolution from {} to {} channels", from.size(), to.size());
                    return Err(Error::invalid(format!("{sizes}; at least 1 is needed of each")));
                }
                let (map, image) = $filters(from, to);
                let inputs = Some(image.size() * K::SIDE * K::SIDE);
                let start = || -> std::result::Result<_, D::Err> {
                    let mut weight = device.try_zeros_like(&(map, image, K::Side::default(), K::Side::default()))?;
                    init::uniform(&mut weight, inputs)?;
                    let mut bias = device.try_zeros_like(&(to,))?;
                    init::uniform(&mut bias, inputs)?;
                    Ok(Self { weight, bias, what: PhantomData })
                };
                start().map_err(Error::invalid)
            }
        }

        fields! {
            [X: ImageSize, Y: ImageSize, K: Sliding, A: Activation,] $layer[X, Y, K, A,] {
                tensor weight: init::options(true, |t| init::uniform(t, Self::INPUTS)),
                tensor bias: init::options(true, |t| init::uniform(t, Self::INPUTS)),
            } what, checked by FITS
        }

        impl<
            const C: usize,
            const H: usize,
            const W: usize,
            const O: usize,
            const OH: usize,
            const OW: usize,
            K: Sliding,
            A: Activation,
            E: Dtype,
            D: Storage<E>,
            D2: Plain<E>,
        > BuildOnDevice<D2, E> for $layer<Image<C, H, W>, Image<O, OH, OW>, K, A, E, D>
        {
            type Built = $layer<Image<C, H, W>, Image<O, OH, OW>, K, A, E, D2>;
        }

        impl<X: ImageSize, Y: ImageSize, K: Sliding, A, E: Dtype, D: Storage<E>> NonMutableModule
            for $layer<X, Y, K, A, E, D>
        {
        }

        impl<X: ImageSize, Y: ImageSize, K: Sliding, A: Activation, B: Dim, E: Real, D: Device<E>, T: Tape<E, D>>
            Module<Tensor<(B, X::Channels, X::Height, X::Width), E, D, T>> for $layer<X, Y, K, A, E, D>
        {
            type Output = Tensor<(B, Y::Channels, Y::Height, Y::Width), E, D, T>;
            type Error = D::Err;

            fn try_forward(
                &self,
                x: Tensor<(B, X::Channels, X::Height, X::Width), E, D, T>,
            ) -> Result<Self::Output, D::Err> {
                const { Self::FITS };
                let ((batch, channels, height, width), (outputs,)) = (*x.shape(), *self.bias.shape());
                let geometry = $geometry([channels.size(), height.size(), width.size()], outputs.size());
                let ([_, h, w], [_, oh, ow]) = (geometry.$from, geometry.$to);
                let to = Y::Height::from_size(oh).zip(Y::Width::from_size(ow));
                let to = to.filter(|_| [h, w] == [height.size(), width.size()]);
                let (oh, ow) = to.unwrap_or_else(|| panic!("images of {height:?} × {width:?} pixels to {oh} × {ow}"));
                assert!(
                    self.weight.shape().$in == channels,
                    "images of {} channels for a convolution of {}",
                    channels.size(),
                    self.weight.shape().$in.size()
                );
                let shape = (batch, outputs, oh, ow);
                D::$run::<A, _, _, _, _, T>(geometry, x, &self.weight, &self.bias, shape)
            }
        }
    };
}

convolution!(Conv2d, image: X, map: Y, forward::<K>, from: image, to: map, try_conv2d, 1, |from, to| (to, from));
convolution!(ConvTranspose2d, image: Y, map: X, transposed::<Y, K>, from: map, to: image, try_conv_transpose2d, 0, |from, to| (from, to));

impl<X: ImageSize, Y: ImageSize, K: Sliding, A, E: Real, D: Plain<E>> Conv2d<X, Y, K, A, E, D> {
    /// A convolution between these numbers of channels. It starts uniform in `± gain / √(C K²)`, from a stream that goes on to
    /// the layers after it.
    pub(crate) fn draw(
        device: &D,
        (from, to): (X::Channels, Y::Channels),
        gain: f64,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let inputs = from.size() * K::SIDE * K::SIDE;
        let mut value = init::draw(inputs, gain, rng);
        let weight = (0..to.size() * inputs).map(|_| value()).collect();
        let bias = (0..to.size()).map(|_| value()).collect();
        let window = (to, from, K::Side::default(), K::Side::default());
        Ok(Self {
            weight: device.try_tensor_from_vec(weight, window).map_err(Error::invalid)?,
            bias: device.try_tensor_from_vec(bias, (to,)).map_err(Error::invalid)?,
            what: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Grid, Tanh, fresh_copy, params};
    use dfdx::{
        shapes::{Rank3, Rank4},
        tensor::{SampleTensor, ZerosTensor},
        tensor_ops::{RealizeTo, ReshapeTo},
    };

    type Halving = Window<3, Stride<2>, Padding<1>>;

    fn free(from: usize, to: usize) -> Conv2d<Grid, Grid, Halving, Tanh> {
        Conv2d::new(&Cpu::seed_from_u64(1), from, to).unwrap()
    }

    #[test]
    fn sizes_known_at_run_time_make_the_same_maps() {
        let device = Cpu::seed_from_u64(1);
        let typed = Conv2d::<Image<2, 5, 6>, Image<3, 3, 3>, Halving, Tanh>::build_on_device(&device);
        let free = free(2, 3);
        assert_eq!(params(&typed), params(&free));
        assert!(Conv2d::<Grid, Grid, Halving>::new(&device, 0, 1).is_err());
        assert_eq!(params(&fresh_copy(&free).unwrap()), params(&free));
        let x: Tensor<Rank4<4, 2, 5, 6>, f32, Cpu> = device.sample_normal();
        let y = free.forward(x.clone().realize::<(usize, usize, usize, usize)>());
        assert_eq!((typed.forward(x).as_vec(), *y.shape()), (y.as_vec(), (4, 3, 3, 3)));
    }

    #[test]
    fn a_transposed_convolution_makes_the_least_image_where_the_compiler_knows_none() {
        let device = Cpu::seed_from_u64(1);
        type Doubling<Y> = ConvTranspose2d<Image<2, 3, 4>, Y, Window<4, Stride<2>, Padding<1>>>;
        let typed = Doubling::<Image<1, 6, 8>>::build_on_device(&device);
        let free = Doubling::<Grid>::new(&Cpu::seed_from_u64(1), Const, 1).unwrap();
        assert_eq!(params(&typed), params(&free));
        let x: Tensor<Rank4<5, 2, 3, 4>, f32, Cpu> = device.sample_normal();
        let y = free.forward(x.clone());
        assert_eq!((typed.forward(x).as_vec(), *y.shape()), (y.as_vec(), (Const::<5>, 1, 6, 8)));
    }

    #[test]
    #[should_panic(expected = "images of 2 channels for a convolution of 3")]
    fn images_of_other_channels_are_named() {
        free(3, 1).forward(Cpu::default().zeros_like(&(1, 2, 4, 4)));
    }

    #[test]
    #[should_panic(expected = "the kernel is larger than the padded image")]
    fn images_smaller_than_the_window_are_refused() {
        let one: Tensor<Rank3<1, 0, 0>, f32, Cpu> = Cpu::default().zeros();
        free(1, 1).forward(one.reshape_like(&(1, 1, 0, 0)));
    }
}
