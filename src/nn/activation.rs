//! Activations as type markers: each is a scalar function, its slope, and the dfdx composition of the same.

use dfdx::{
    dtypes::Dtype,
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::Shape,
    tensor::{Tape, Tensor, WithEmptyTape},
    tensor_ops::{Device, TryMul, TryPReLU},
};

use super::ops::Real;

/// An elementwise function that a layer applies to its output in the same pass.
pub trait Activation: 'static + Copy + Default + std::fmt::Debug + Send + Sync {
    /// Whether it is the identity, and costs nothing.
    const IDENTITY: bool = false;
    /// Whether the slope is a function of the value, so that the argument need not be kept for the backward pass.
    const SLOPE_OF_VALUE: bool = true;

    /// `f(x)`.
    fn value<E: Real>(x: E) -> E;

    /// `f′(x)`, given `f(x)` where [`SLOPE_OF_VALUE`](Self::SLOPE_OF_VALUE) and `x` otherwise.
    fn slope<E: Real>(at: E) -> E;

    /// `f` as dfdx operations, for a device without the fused kernel.
    ///
    /// # Errors
    /// The device's own: out of memory.
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err>;
}

macro_rules! layer {
    ($name:ty $(, $generic:ident)?) => {
        impl$(<const $generic: usize>)? ZeroSizedModule for $name {}
        impl$(<const $generic: usize>)? NonMutableModule for $name {}
        impl<$(const $generic: usize,)? S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>> Module<Tensor<S, E, D, T>> for $name {
            type Output = Tensor<S, E, D, T>;
            type Error = D::Err;

            fn try_forward(&self, x: Tensor<S, E, D, T>) -> Result<Self::Output, D::Err> {
                <Self as Activation>::compose(x)
            }
        }
    };
}

/// No activation: `f(x) = x`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;
layer!(Identity);

impl Activation for Identity {
    const IDENTITY: bool = true;

    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        x
    }
    #[inline(always)]
    fn slope<E: Real>(_: E) -> E {
        E::ONE
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        Ok(x)
    }
}

/// `f(x) = max(x, 0)`, with slope 0 at 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu;
layer!(Relu);

impl Activation for Relu {
    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        // Written so that NaN stays NaN.
        if x < E::default() { E::default() } else { x }
    }
    #[inline(always)]
    fn slope<E: Real>(y: E) -> E {
        if y > E::default() { E::ONE } else { E::default() }
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        x.try_relu()
    }
}

/// `f(x) = x` above 0 and `PERCENT/100 · x` below.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeakyRelu<const PERCENT: usize = 1>;
layer!(LeakyRelu<PERCENT>, PERCENT);

impl<const PERCENT: usize> Activation for LeakyRelu<PERCENT> {
    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        if x < E::default() { x * E::of(PERCENT as f64 / 100.0) } else { x }
    }
    #[inline(always)]
    fn slope<E: Real>(y: E) -> E {
        if y < E::default() { E::of(PERCENT as f64 / 100.0) } else { E::ONE }
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        let slope = E::from_f64(PERCENT as f64 / 100.0).expect("a float holds a fraction");
        x.try_prelu(slope)
    }
}

/// `f(x) = tanh x`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tanh;
layer!(Tanh);

impl Activation for Tanh {
    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        x.tanh()
    }
    #[inline(always)]
    fn slope<E: Real>(y: E) -> E {
        E::ONE - y * y
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        x.try_tanh()
    }
}

/// The logistic function `σ(x) = 1 / (1 + e⁻ˣ)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sigmoid;
layer!(Sigmoid);

impl Activation for Sigmoid {
    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        x.sigmoid()
    }
    #[inline(always)]
    fn slope<E: Real>(y: E) -> E {
        y * (E::ONE - y)
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        x.try_sigmoid()
    }
}

/// `f(x) = x σ(x)`. Source: Elfwing et al. 2018; called swish elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silu;
layer!(Silu);

impl Activation for Silu {
    const SLOPE_OF_VALUE: bool = false;

    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        x * x.sigmoid()
    }
    #[inline(always)]
    fn slope<E: Real>(x: E) -> E {
        let s = x.sigmoid();
        s * (E::ONE + x * (E::ONE - s))
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        x.with_empty_tape().try_sigmoid()?.try_mul(x)
    }
}

/// The Gaussian error unit in its tanh form, `f(x) = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
///
/// Source: Hendrycks and Gimpel 2016, §2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gelu;
layer!(Gelu);

const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBIC: f64 = 0.044_715;

impl Activation for Gelu {
    const SLOPE_OF_VALUE: bool = false;

    #[inline(always)]
    fn value<E: Real>(x: E) -> E {
        let inner = E::of(GELU_SCALE) * x * (E::ONE + E::of(GELU_CUBIC) * x * x);
        E::of(0.5) * x * (E::ONE + inner.tanh())
    }
    #[inline(always)]
    fn slope<E: Real>(x: E) -> E {
        let inner = E::of(GELU_SCALE) * x * (E::ONE + E::of(GELU_CUBIC) * x * x);
        let t = inner.tanh();
        let growth = E::of(GELU_SCALE) * (E::ONE + E::of(3.0 * GELU_CUBIC) * x * x);
        E::of(0.5) * (E::ONE + t + x * (E::ONE - t * t) * growth)
    }
    fn compose<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err> {
        x.try_fast_gelu()
    }
}
