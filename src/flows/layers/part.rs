//! Bijections of a part of the coordinates.

use crate::flows::{
    Batch, Bijection, FastForward, FastInverse, Phase, VolumePreserving, WithLogDet,
    bijection::{free, typed},
};
use crate::nn::{Device, Real, ops::columns};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    shapes::{Axis, Dim, HasShape},
    tensor::Tape,
    tensor_ops::{Device as Plain, ReshapeTo, SumTo, TryConcatAlong},
};

/// A bijection of the first coordinates; the others stay as they are, on their way to the base.
///
/// ```text
/// z = (f(x₁ … xₙ), xₙ₊₁ … x_D)      log |det| = log |det ∂f|
/// ```
///
/// With a squeeze before it, it is the factor-out of RealNVP: half of the channels leave at every scale. Source: Dinh,
/// Sohl-Dickstein and Bengio 2017, §3.6.
#[derive(Clone, Debug)]
pub struct First<B> {
    inner: B,
    dims: usize,
}

impl<B> First<B> {
    /// `inner` for the first `dims` coordinates.
    pub fn new(dims: usize, inner: B) -> Self {
        Self { inner, dims }
    }

    /// What `f` makes of the first coordinates, and the others.
    fn apply<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>, R>(
        dims: usize,
        x: Batch<D, E, Dev, T>,
        f: impl FnOnce(Batch<usize, E, Dev, T>) -> (Batch<usize, E, Dev, T>, R),
    ) -> (Batch<D, E, Dev, T>, R) {
        let x = free(x);
        let width = x.shape().1;
        assert!(0 < dims && dims <= width, "the first {dims} of {width} coordinates");
        if dims == width {
            let (z, rest) = f(x);
            return (typed(z), rest);
        }
        let others = columns(x.retaped::<T>(), (dims..width).collect());
        let (z, rest) = f(columns(x, (0..dims).collect()));
        (typed((z, others).concat_along(Axis::<1>)), rest)
    }
}

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<usize, E, Dev>> Bijection<D, E, Dev> for First<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        Self::apply(self.dims, x, |x| self.inner.forward(x))
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        Self::apply(self.dims, z, |z| self.inner.inverse(z))
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        Self::apply(self.dims, x, |x| (self.inner.adapt(x, phase), ())).0
    }

    fn check(&self) -> crate::Result<()> {
        self.inner.check()
    }

    fn has_statistics(&self) -> bool {
        self.inner.has_statistics()
    }
}

/// The same bijection for every block of coordinates: all patches of an image by one rotation, for instance.
///
/// ```text
/// z = (f(x₁ … xₙ), f(xₙ₊₁ … x₂ₙ), …)      log |det| = Σ log |det ∂f|
/// ```
#[derive(Clone, Debug)]
pub struct Blocks<B> {
    inner: B,
    dims: usize,
}

impl<B> Blocks<B> {
    /// `inner` for every `dims` coordinates.
    pub fn new(dims: usize, inner: B) -> Self {
        Self { inner, dims }
    }

    /// Every block as a row.
    fn blocks<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
        dims: usize,
        x: Batch<D, E, Dev, T>,
    ) -> (Batch<usize, E, Dev, T>, (usize, usize)) {
        let x = free(x);
        let shape = *x.shape();
        assert!(dims > 0 && shape.1.is_multiple_of(dims), "blocks of {dims} of {} coordinates", shape.1);
        (x.reshape_like(&(shape.0 * (shape.1 / dims), dims)), shape)
    }

    fn apply<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
        &self,
        x: Batch<D, E, Dev, T>,
        f: impl FnOnce(&B, Batch<usize, E, Dev, T>) -> WithLogDet<usize, E, Dev, T>,
    ) -> WithLogDet<D, E, Dev, T> {
        let (x, (rows, width)) = Self::blocks(self.dims, x);
        let (z, log_det) = f(&self.inner, x);
        let log_det = log_det.reshape_like(&(rows, width / self.dims)).sum::<_, Axis<1>>();
        (typed(z.reshape_like(&(rows, width))), log_det)
    }
}

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<usize, E, Dev>> Bijection<D, E, Dev> for Blocks<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(x, B::forward)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.apply(z, B::inverse)
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        let (x, shape) = Self::blocks(self.dims, x);
        typed(self.inner.adapt(x, phase).reshape_like(&shape))
    }

    fn check(&self) -> crate::Result<()> {
        self.inner.check()
    }

    fn has_statistics(&self) -> bool {
        self.inner.has_statistics()
    }
}

macro_rules! wrapper {
    ($name:ident) => {
        impl<B: FastForward> FastForward for $name<B> {}
        impl<B: FastInverse> FastInverse for $name<B> {}
        impl<B: VolumePreserving> VolumePreserving for $name<B> {}

        impl<E: Dtype, Dev: Plain<E>, B: TensorCollection<E, Dev>> TensorCollection<E, Dev> for $name<B> {
            type To<E2: Dtype, D2: Plain<E2>> = $name<B::To<E2, D2>>;

            fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(
                visitor: &mut V,
            ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
                visitor.visit_fields(
                    (
                        Self::module("inner", |s| &s.inner, |s| &mut s.inner),
                        Self::scalar("dims", |s| &s.dims, |s| &mut s.dims, ScalarOptions::from_default(0)),
                    ),
                    |(inner, dims)| $name { inner, dims },
                )
            }
        }
    };
}
wrapper!(First);
wrapper!(Blocks);
