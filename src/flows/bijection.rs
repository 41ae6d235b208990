//! What a bijection is, and how bijections are put together.

use crate::nn::{Device, Real, Repeated};
use dfdx::{
    shapes::{Const, HasShape},
    tensor::{NoneTape, Tape, Tensor},
};

/// A batch of rows of `D` numbers.
pub type Rows<const D: usize, E, Dev, T = NoneTape> = Tensor<(usize, Const<D>), E, Dev, T>;
/// A number a row.
pub type PerRow<E, Dev, T = NoneTape> = Tensor<(usize,), E, Dev, T>;

/// A differentiable map of `ℝᴰ` onto itself and back, with the logarithm of how much it stretches volume.
///
/// ```text
/// forward   z = f(x)      log |det ∂z/∂x|
/// inverse   x = f⁻¹(z)    log |det ∂x/∂z|
/// ```
///
/// Forward is the direction of the density, from the data to the base. The two results of a call share a history: their tapes
/// belong together, and are joined where the results are added up.
pub trait Bijection<const D: usize, E: Real, Dev: Device<E>> {
    /// `z` and `log |det ∂z/∂x|` of every row.
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>);

    /// `x` and `log |det ∂x/∂z|` of every row.
    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>);
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

impl<const D: usize, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev> for Inverse<B> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        self.0.inverse(x)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        self.0.forward(z)
    }
}

impl<B: FastInverse> FastForward for Inverse<B> {}
impl<B: FastForward> FastInverse for Inverse<B> {}
impl<B: VolumePreserving> VolumePreserving for Inverse<B> {}

macro_rules! composed {
    ($($name:ident $field:tt),+; $last:tt; $($back:tt),*) => {
        impl<const D: usize, Scalar: Real, Dev: Device<Scalar>, $($name: Bijection<D, Scalar, Dev>),+>
            Bijection<D, Scalar, Dev> for ($($name,)+)
        {
            fn forward<T: Tape<Scalar, Dev>>(
                &self,
                x: Rows<D, Scalar, Dev, T>,
            ) -> (Rows<D, Scalar, Dev, T>, PerRow<Scalar, Dev, T>) {
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
                z: Rows<D, Scalar, Dev, T>,
            ) -> (Rows<D, Scalar, Dev, T>, PerRow<Scalar, Dev, T>) {
                let (rows, total) = self.$last.inverse(z);
                $(
                    let (rows, log_det) = self.$back.inverse(rows);
                    let total = total + log_det;
                )*
                (rows, total)
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

impl<const N: usize, const D: usize, E: Real, Dev: Device<E>, B: Bijection<D, E, Dev>> Bijection<D, E, Dev>
    for Repeated<B, N>
{
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let start = no_change(&x);
        self.modules.iter().fold((x, start), |(rows, total), part| {
            let (rows, log_det) = part.forward(rows);
            (rows, total + log_det)
        })
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let start = no_change(&z);
        self.modules.iter().rev().fold((z, start), |(rows, total), part| {
            let (rows, log_det) = part.inverse(rows);
            (rows, total + log_det)
        })
    }
}

impl<const N: usize, B: FastForward> FastForward for Repeated<B, N> {}
impl<const N: usize, B: FastInverse> FastInverse for Repeated<B, N> {}
impl<const N: usize, B: VolumePreserving> VolumePreserving for Repeated<B, N> {}

/// A log-determinant of zero for every row.
pub(super) fn no_change<const D: usize, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: &Rows<D, E, Dev, T>,
) -> PerRow<E, Dev, T> {
    x.device().zeros_like(&(x.shape().0,)).retaped()
}
