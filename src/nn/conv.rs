//! Convolutions whose output size is part of the type and checked when the program is compiled.

use std::marker::PhantomData;

use dfdx::{
    dtypes::Dtype,
    nn::{BuildOnDevice, Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Const, Dim, HasShape, Rank1, Rank4},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::Device as Plain,
};

use super::{
    Activation, Device, Identity, Real, init,
    ops::{Geometry, map_size},
};

/// A 2-D convolution with its activation, as one fused op.
///
/// ```text
/// y[o, i, j] = f(b[o] + Σ_{c,u,v} W[o, c, u, v] · x[c, i·S + u − P, j·S + v − P])
/// ```
///
/// with zeros outside `x`. Shapes: `x (batch, C, H, W)`, `y (batch, O, OH, OW)`, `W (O, C, K, K)`, `b (O)`, with
/// `OH = ⌊(H + 2P − K) / S⌋ + 1` and `OW` alike. Another `OH` or `OW` does not compile. Weights start uniform in
/// `±1/√(C K²)`.
///
/// The parameters: channels in and out, kernel `K`, stride `S`, padding `P`, then the sizes in and out.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{Conv2d, Relu};
///
/// let device = Cpu::seed_from_u64(0);
/// let halve = Conv2d::<1, 4, 3, 2, 1, 8, 8, 4, 4, Relu>::build_on_device(&device);
/// let y = halve.forward(device.zeros::<Rank4<5, 1, 8, 8>>());
/// assert_eq!(y.shape(), &(Const::<5>, Const::<4>, Const::<4>, Const::<4>));
/// ```
///
/// ```compile_fail
/// use dfdx::prelude::*;
/// use limbeck::nn::{Conv2d, Relu};
///
/// let wrong = Conv2d::<1, 4, 3, 2, 1, 8, 8, 5, 5, Relu>::build_on_device(&Cpu::default());
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d<
    const C: usize,
    const O: usize,
    const K: usize,
    const S: usize,
    const P: usize,
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    A = Identity,
    E: Dtype = f32,
    D: Storage<E> = Cpu,
> {
    /// `W`.
    pub weight: Tensor<Rank4<O, C, K, K>, E, D>,
    /// `b`, one a channel of the output.
    pub bias: Tensor<Rank1<O>, E, D>,
    activation: PhantomData<A>,
}

/// A transposed 2-D convolution with its activation, as one fused op: the adjoint of a [`Conv2d`] from `(OH, OW)` to `(H, W)`.
///
/// ```text
/// y[o, p, q] = f(b[o] + Σ_{c,i,j,u,v} W[c, o, u, v] · x[c, i, j])    over i·S + u − P = p, j·S + v − P = q
/// ```
///
/// Shapes: `x (batch, C, H, W)`, `y (batch, O, OH, OW)`, `W (C, O, K, K)`, `b (O)`. Any `OH` is allowed that a convolution
/// brings back to `H`, `H = ⌊(OH + 2P − K) / S⌋ + 1`: `(H − 1) S − 2P + K` and up to `S − 1` more, PyTorch's output padding.
/// Another size does not compile. Weights start uniform in `±1/√(O K²)`.
///
/// ```
/// use dfdx::prelude::*;
/// use limbeck::nn::{ConvTranspose2d, Tanh};
///
/// let device = Cpu::seed_from_u64(0);
/// let double = ConvTranspose2d::<4, 1, 4, 2, 1, 4, 4, 8, 8, Tanh>::build_on_device(&device);
/// let y = double.forward(device.zeros::<Rank4<5, 4, 4, 4>>());
/// assert_eq!(y.shape(), &(Const::<5>, Const::<1>, Const::<8>, Const::<8>));
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose2d<
    const C: usize,
    const O: usize,
    const K: usize,
    const S: usize,
    const P: usize,
    const H: usize,
    const W: usize,
    const OH: usize,
    const OW: usize,
    A = Identity,
    E: Dtype = f32,
    D: Storage<E> = Cpu,
> {
    /// `W`.
    pub weight: Tensor<Rank4<C, O, K, K>, E, D>,
    /// `b`, one a channel of the output.
    pub bias: Tensor<Rank1<O>, E, D>,
    activation: PhantomData<A>,
}

macro_rules! convolution {
    ($layer:ident, fan_in: $fan:expr, geometry: $geometry:expr, method: $method:ident) => {
        impl<
            const C: usize,
            const O: usize,
            const K: usize,
            const S: usize,
            const P: usize,
            const H: usize,
            const W: usize,
            const OH: usize,
            const OW: usize,
            A,
            E: Dtype,
            D: Storage<E>,
        > $layer<C, O, K, S, P, H, W, OH, OW, A, E, D>
        {
            /// How the larger side and the smaller lie on each other. Evaluating it is what refuses a wrong size.
            pub const GEOMETRY: Geometry = $geometry;
        }

        impl<
            const C: usize,
            const O: usize,
            const K: usize,
            const S: usize,
            const P: usize,
            const H: usize,
            const W: usize,
            const OH: usize,
            const OW: usize,
            A: Activation,
            E: Dtype,
            D: Plain<E>,
        > TensorCollection<E, D> for $layer<C, O, K, S, P, H, W, OH, OW, A, E, D>
        {
            type To<E2: Dtype, D2: Plain<E2>> = $layer<C, O, K, S, P, H, W, OH, OW, A, E2, D2>;

            fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
                visitor: &mut V,
            ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
                let _ = const { Self::GEOMETRY };
                visitor.visit_fields(
                    (
                        Self::tensor(
                            "weight",
                            |s| &s.weight,
                            |s| &mut s.weight,
                            TensorOptions::reset_with(|t| init::uniform(t, $fan)),
                        ),
                        Self::tensor(
                            "bias",
                            |s| &s.bias,
                            |s| &mut s.bias,
                            TensorOptions::reset_with(|t| init::uniform(t, $fan)),
                        ),
                    ),
                    |(weight, bias)| $layer { weight, bias, activation: PhantomData },
                )
            }
        }

        impl<
            const C: usize,
            const O: usize,
            const K: usize,
            const S: usize,
            const P: usize,
            const H: usize,
            const W: usize,
            const OH: usize,
            const OW: usize,
            A: Activation,
            E: Dtype,
            D: Storage<E>,
            D2: Plain<E>,
        > BuildOnDevice<D2, E> for $layer<C, O, K, S, P, H, W, OH, OW, A, E, D>
        {
            type Built = $layer<C, O, K, S, P, H, W, OH, OW, A, E, D2>;
        }

        impl<
            const C: usize,
            const O: usize,
            const K: usize,
            const S: usize,
            const P: usize,
            const H: usize,
            const W: usize,
            const OH: usize,
            const OW: usize,
            A,
            E: Dtype,
            D: Storage<E>,
        > NonMutableModule for $layer<C, O, K, S, P, H, W, OH, OW, A, E, D>
        {
        }

        impl<
            const C: usize,
            const O: usize,
            const K: usize,
            const S: usize,
            const P: usize,
            const H: usize,
            const W: usize,
            const OH: usize,
            const OW: usize,
            A: Activation,
            B: Dim,
            E: Real,
            D: Device<E>,
            T: Tape<E, D>,
        > Module<Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>> for $layer<C, O, K, S, P, H, W, OH, OW, A, E, D>
        {
            type Output = Tensor<(B, Const<O>, Const<OH>, Const<OW>), E, D, T>;
            type Error = D::Err;

            fn try_forward(
                &self,
                x: Tensor<(B, Const<C>, Const<H>, Const<W>), E, D, T>,
            ) -> Result<Self::Output, D::Err> {
                let shape = (x.shape().0, Const, Const, Const);
                D::$method::<A, _, _, _, _, T>(const { Self::GEOMETRY }, x, &self.weight, &self.bias, shape)
            }
        }
    };
}

convolution!(
    Conv2d,
    fan_in: C * K * K,
    geometry: {
        assert!(OH == map_size(H, K, S, P), "Conv2d: OH must be (H + 2P − K) / S + 1, rounded down");
        assert!(OW == map_size(W, K, S, P), "Conv2d: OW must be (W + 2P − K) / S + 1, rounded down");
        Geometry::new([C, H, W], O, K, S, P)
    },
    method: try_conv2d
);
convolution!(
    ConvTranspose2d,
    fan_in: O * K * K,
    geometry: {
        assert!(H == map_size(OH, K, S, P), "ConvTranspose2d: OH must be (H − 1)S − 2P + K, or up to S − 1 more");
        assert!(W == map_size(OW, K, S, P), "ConvTranspose2d: OW must be (W − 1)S − 2P + K, or up to S − 1 more");
        Geometry::new([O, OH, OW], C, K, S, P)
    },
    method: try_conv_transpose2d
);
