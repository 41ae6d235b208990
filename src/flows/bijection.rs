//! What a bijection is, and how bijections are put together.

use crate::{
    Result,
    nn::{Device, Real, Repeated, Stack},
    train::Phase,
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, TensorCollection},
    shapes::{Dim, HasShape},
    tensor::{NoneTape, Tape, Tensor},
    tensor_ops::{Device as Plain, RealizeTo},
};

/// A batch of rows of `D` numbers, `D` a [`Const`](dfdx::shapes::Const) known to the compiler or a `usize` known at run time.
pub type Batch<D, E, Dev, T = NoneTape> = Tensor<(usize, D), E, Dev, T>;
/// A number a row.
pub type PerRow<E, Dev, T = NoneTape> = Tensor<(usize,), E, Dev, T>;
/// Where the rows went, and the log-determinant of each.
pub type WithLogDet<D, E, Dev, T = NoneTape> = (Batch<D, E, Dev, T>, PerRow<E, Dev, T>);

/// A differentiable map of `ℝᴰ` onto itself and back, with the logarithm of how much it stretches volume.
///
/// ```text
/// forward   z = f(x)      log |det ∂z/∂x|
/// inverse   x = f⁻¹(z)    log |det ∂x/∂z|
/// ```
///
/// Forward is the direction of the density, from the data to the base. The two results of a call share a history: their tapes
/// belong together, and are joined where the results are added up.
pub trait Bijection<D: Dim, E: Real, Dev: Device<E>> {
    /// `z` and `log |det ∂z/∂x|` of every row.
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T>;

    /// `x` and `log |det ∂x/∂z|` of every row.
    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T>;

    /// Sets what is learned from data otherwise than by gradients, and returns the rows as they leave: see [`Phase`].
    /// Nothing in most bijections.
    fn adapt(&mut self, x: Batch<D, E, Dev>, _: Phase) -> Batch<D, E, Dev> {
        self.forward(x).0
    }

    /// Refuses fixed parts that make it no bijection, as a damaged file may hold them: an order in which a coordinate comes twice, a
    /// connection against a mask. Nothing in most bijections.
    ///
    /// # Errors
    /// Which part it is.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Whether it has statistics of the data, which [`Phase::Settle`] sets.
    fn has_statistics(&self) -> bool {
        false
    }
}

/// The density direction takes one pass: `log_prob` is fast.
#[diagnostic::on_unimplemented(
    message = "the density direction of `{Self}` takes more than one pass",
    note = "`.sequential()` computes it all the same"
)]
pub trait FastForward {}
/// The sampling direction takes one pass: `sample` is fast.
#[diagnostic::on_unimplemented(
    message = "the sampling direction of `{Self}` takes more than one pass",
    note = "`.sequential()` computes it all the same"
)]
pub trait FastInverse {}
/// `|det ∂z/∂x| = 1` everywhere.
pub trait VolumePreserving {}

/// A bijection turned round: its forward direction is the other's inverse.
///
/// An inverse autoregressive flow is `Inverse<Maf>`.
#[derive(Clone, Debug)]
pub struct Inverse<B>(pub B);

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Inverse<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.0.inverse(x)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        self.0.forward(z)
    }

    // A layer adapts to the data, which enter an inverse at its far end.
    fn adapt(&mut self, x: Batch<D, E, Dev>, _: Phase) -> Batch<D, E, Dev> {
        self.forward(x).0
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<E: Dtype, Dev: Plain<E>, B: TensorCollection<E, Dev>> TensorCollection<E, Dev> for Inverse<B> {
    type To<E2: Dtype, D2: Plain<E2>> = Inverse<B::To<E2, D2>>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(Self::module("inverse", |s| &s.0, |s| &mut s.0), Inverse)
    }
}

impl<B: FastInverse> FastForward for Inverse<B> {}
impl<B: FastForward> FastInverse for Inverse<B> {}
impl<B: VolumePreserving> VolumePreserving for Inverse<B> {}

macro_rules! composed {
    ($($name:ident $field:tt),+; $last:tt; $($back:tt),*) => {
        impl<D: Dim, Scalar: Real, Dev: Device<Scalar>, $($name: Bijection<D, Scalar, Dev>),+>
            Bijection<D, Scalar, Dev> for ($($name,)+)
        {
            fn forward<T: Tape<Scalar, Dev>>(
                &self,
                x: Batch<D, Scalar, Dev, T>,
            ) -> WithLogDet<D, Scalar, Dev, T> {
                let total = no_change(&x);
                let rows = x;
                $(
                    let (rows, log_det) = self.$field.forward(rows);
                    let total = total + log_det;
                )+
                (rows, total)
            }

            fn inverse<T: Tape<Scalar, Dev>>(
                &self,
                z: Batch<D, Scalar, Dev, T>,
            ) -> WithLogDet<D, Scalar, Dev, T> {
                let (rows, total) = self.$last.inverse(z);
                $(
                    let (rows, log_det) = self.$back.inverse(rows);
                    let total = total + log_det;
                )*
                (rows, total)
            }

            fn adapt(&mut self, x: Batch<D, Scalar, Dev>, phase: Phase) -> Batch<D, Scalar, Dev> {
                let rows = x;
                $(let rows = self.$field.adapt(rows, phase);)+
                rows
            }

            fn check(&self) -> Result<()> {
                $(self.$field.check()?;)+
                Ok(())
            }

            fn has_statistics(&self) -> bool {
                false $(|| self.$field.has_statistics())+
            }
        }

        impl<$($name: FastForward),+> FastForward for ($($name,)+) {}
        impl<$($name: FastInverse),+> FastInverse for ($($name,)+) {}
        impl<$($name: VolumePreserving),+> VolumePreserving for ($($name,)+) {}
    };
}

composed!(A 0, B 1; 1; 0);
composed!(A 0, B 1, C 2; 2; 1, 0);
composed!(A 0, B 1, C 2, F 3; 3; 2, 1, 0);
composed!(A 0, B 1, C 2, F 3, G 4; 4; 3, 2, 1, 0);
composed!(A 0, B 1, C 2, F 3, G 4, H 5; 5; 4, 3, 2, 1, 0);

impl<const N: usize, D: Dim, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Repeated<B, N> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let start = no_change(&x);
        self.modules.iter().fold((x, start), |(rows, total), part| {
            let (rows, log_det) = part.forward(rows);
            (rows, total + log_det)
        })
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let start = no_change(&z);
        self.modules.iter().rev().fold((z, start), |(rows, total), part| {
            let (rows, log_det) = part.inverse(rows);
            (rows, total + log_det)
        })
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        self.modules.iter_mut().fold(x, |rows, part| part.adapt(rows, phase))
    }

    fn check(&self) -> Result<()> {
        self.modules.iter().try_for_each(|part| part.check())
    }

    fn has_statistics(&self) -> bool {
        self.modules.iter().any(|part| part.has_statistics())
    }
}

impl<const N: usize, B: FastForward> FastForward for Repeated<B, N> {}
impl<const N: usize, B: FastInverse> FastInverse for Repeated<B, N> {}
impl<const N: usize, B: VolumePreserving> VolumePreserving for Repeated<B, N> {}

/// A log-determinant of zero for every row.
pub(super) fn no_change<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: &Batch<D, E, Dev, T>,
) -> PerRow<E, Dev, T> {
    x.device().zeros_like(&(x.shape().0,)).retaped()
}

/// The same rows, their width known at run time alone.
pub(super) fn free<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<D, E, Dev, T>,
) -> Batch<usize, E, Dev, T> {
    x.try_realize().unwrap_or_else(|_| unreachable!("every width is a number"))
}

/// The same rows, of `dims` coordinates.
pub(super) fn typed<D: Dim, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: Batch<usize, E, Dev, T>,
) -> Batch<D, E, Dev, T> {
    x.try_realize().unwrap_or_else(|x| panic!("a bijection that began with another width than {}", x.shape().1))
}

impl<D: Dim, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Stack<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let start = no_change(&x);
        self.layers().iter().fold((x, start), |(rows, total), layer| {
            let (rows, log_det) = layer.forward(rows);
            (rows, total + log_det)
        })
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Batch<D, E, Dev, T>) -> WithLogDet<D, E, Dev, T> {
        let start = no_change(&z);
        self.layers().iter().rev().fold((z, start), |(rows, total), layer| {
            let (rows, log_det) = layer.inverse(rows);
            (rows, total + log_det)
        })
    }

    fn adapt(&mut self, x: Batch<D, E, Dev>, phase: Phase) -> Batch<D, E, Dev> {
        self.layers_mut().iter_mut().fold(x, |rows, layer| layer.adapt(rows, phase))
    }

    fn check(&self) -> Result<()> {
        self.layers().iter().try_for_each(|layer| layer.check())
    }

    fn has_statistics(&self) -> bool {
        self.layers().iter().any(|layer| layer.has_statistics())
    }
}

impl<B: FastForward> FastForward for Stack<B> {}
impl<B: FastInverse> FastInverse for Stack<B> {}
impl<B: VolumePreserving> VolumePreserving for Stack<B> {}
