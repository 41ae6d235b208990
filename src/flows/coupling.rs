//! Couplings: some coordinates stay, and say how the others move.

use super::{Bijection, FastForward, FastInverse, PerRow, Rows, VolumePreserving, bijection::no_change};
use crate::{
    Error, Result,
    nn::{Dense, Device, Identity, Real, Relu, Tanh},
};
use dfdx::{
    dtypes::Dtype,
    nn::{BuildModule, Module, ModuleVisitor, TensorCollection, TensorOptions},
    shapes::{Axis, Rank1},
    tensor::{Cpu, Storage, Tape, Tensor, WithEmptyTape},
    tensor_ops::{BroadcastTo, Device as Plain, SumTo},
};

/// Two hidden layers of `H` units.
type Mlp<const D: usize, const H: usize, A, E, Dev> =
    (Dense<D, H, A, E, Dev>, Dense<H, H, A, E, Dev>, Dense<H, D, Identity, E, Dev>);

/// RealNVP's affine coupling.
///
/// ```text
/// z = x on the coordinates that stay      z = x ⊙ exp s(x_stay) + t(x_stay) on the others
/// log |det| = Σ s
/// ```
///
/// The network of `s` has tanh units, that of `t` rectified ones, both without a bound on their outputs, as in the MAF paper.
/// Source: Dinh, Sohl-Dickstein and Bengio 2017, eq. 7; Papamakarios et al. 2017.
#[derive(Clone, Debug)]
pub struct AffineCoupling<const D: usize, const H: usize, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    log_scale: Mlp<D, H, Tanh, E, Dev>,
    shift: Mlp<D, H, Relu, E, Dev>,
    /// 1 where a coordinate moves.
    moves: Tensor<Rank1<D>, E, Dev>,
}

/// NICE's additive coupling, which keeps volumes.
///
/// ```text
/// z = x on the coordinates that stay      z = x + m(x_stay) on the others
/// log |det| = 0
/// ```
/// Source: Dinh, Krueger and Bengio 2015, §3.2.
#[derive(Clone, Debug)]
pub struct AdditiveCoupling<const D: usize, const H: usize, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    shift: Mlp<D, H, Relu, E, Dev>,
    moves: Tensor<Rank1<D>, E, Dev>,
}

/// NICE's last layer: a scale of its own for each coordinate.
///
/// ```text
/// z = x ⊙ exp d      log |det| = Σ d
/// ```
#[derive(Clone, Debug)]
pub struct Rescale<const D: usize, E: Dtype = f32, Dev: Storage<E> = Cpu> {
    /// `d`.
    pub log_scale: Tensor<Rank1<D>, E, Dev>,
}

/// Which coordinates a coupling moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// Those with even numbers.
    Even,
    /// Those with odd numbers.
    Odd,
}

impl Moves {
    fn tensor<const D: usize, E: Real, Dev: Plain<E>>(self, device: &Dev) -> Result<Tensor<Rank1<D>, E, Dev>> {
        if D < 2 {
            return Err(Error::invalid(format!("a coupling of {D} coordinates: one stays and one moves, at least")));
        }
        let moved = usize::from(self == Self::Odd);
        let values = (0..D).map(|i| if i % 2 == moved { E::ONE } else { E::default() }).collect();
        device.try_tensor_from_vec(values, (dfdx::shapes::Const,)).map_err(Error::invalid)
    }
}

/// The coordinates that stay, the others zero; and the mask of those that move, for every row.
fn seen<const D: usize, E: Real, Dev: Device<E>, T: Tape<E, Dev>>(
    x: &Rows<D, E, Dev, T>,
    moves: &Tensor<Rank1<D>, E, Dev>,
) -> (Rows<D, E, Dev, T>, Rows<D, E, Dev>) {
    let moves = moves.clone().broadcast_like::<_, Axis<0>>(x);
    (x.retaped::<T>() * (moves.clone().negate() + E::ONE), moves)
}

impl<const D: usize, const H: usize, E: Real, Dev: Device<E>> AffineCoupling<D, H, E, Dev> {
    /// A coupling that begins anywhere.
    ///
    /// # Errors
    /// When `D` is below 2, or the device has no memory for it.
    pub fn new(device: &Dev, moves: Moves) -> Result<Self> {
        let mut coupling = Self::try_build(device).map_err(Error::invalid)?;
        coupling.moves = moves.tensor(device)?;
        Ok(coupling)
    }

    /// `s` and `t`, both zero on the coordinates that stay.
    fn moved<T: Tape<E, Dev>>(&self, x: &Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, Rows<D, E, Dev, T>) {
        let (seen, moves) = seen(x, &self.moves);
        let log_scale = self.log_scale.forward(seen.retaped::<T>()) * moves.clone();
        (log_scale, self.shift.forward(seen) * moves)
    }
}

impl<const D: usize, const H: usize, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for AffineCoupling<D, H, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let (log_scale, shift) = self.moved(&x);
        let log_det = log_scale.with_empty_tape().sum::<_, Axis<1>>();
        (x * log_scale.exp() + shift, log_det)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        // What stays is the same on both sides.
        let (log_scale, shift) = self.moved(&z);
        let back = log_scale.negate();
        let log_det = back.with_empty_tape().sum::<_, Axis<1>>();
        ((z - shift) * back.exp(), log_det)
    }
}

impl<const D: usize, const H: usize, E: Dtype, Dev: Storage<E>> FastForward for AffineCoupling<D, H, E, Dev> {}
impl<const D: usize, const H: usize, E: Dtype, Dev: Storage<E>> FastInverse for AffineCoupling<D, H, E, Dev> {}

impl<const D: usize, const H: usize, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev>
    for AffineCoupling<D, H, E, Dev>
{
    type To<E2: Dtype, D2: Plain<E2>> = AffineCoupling<D, H, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("log_scale", |s| &s.log_scale, |s| &mut s.log_scale),
                Self::module("shift", |s| &s.shift, |s| &mut s.shift),
                Self::tensor(
                    "moves",
                    |s| &s.moves,
                    |s| &mut s.moves,
                    TensorOptions::detached(|t| t.try_fill_with_ones()),
                ),
            ),
            |(log_scale, shift, moves)| AffineCoupling { log_scale, shift, moves },
        )
    }
}

impl<const D: usize, const H: usize, E: Real, Dev: Device<E>> AdditiveCoupling<D, H, E, Dev> {
    /// A coupling that begins anywhere.
    ///
    /// # Errors
    /// When `D` is below 2, or the device has no memory for it.
    pub fn new(device: &Dev, moves: Moves) -> Result<Self> {
        let mut coupling = Self::try_build(device).map_err(Error::invalid)?;
        coupling.moves = moves.tensor(device)?;
        Ok(coupling)
    }

    fn moved<T: Tape<E, Dev>>(&self, x: &Rows<D, E, Dev, T>) -> Rows<D, E, Dev, T> {
        let (seen, moves) = seen(x, &self.moves);
        self.shift.forward(seen) * moves
    }
}

impl<const D: usize, const H: usize, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for AdditiveCoupling<D, H, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let (shift, zeros) = (self.moved(&x), no_change(&x));
        (x + shift, zeros)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let (shift, zeros) = (self.moved(&z), no_change(&z));
        (z - shift, zeros)
    }
}

impl<const D: usize, const H: usize, E: Dtype, Dev: Storage<E>> FastForward for AdditiveCoupling<D, H, E, Dev> {}
impl<const D: usize, const H: usize, E: Dtype, Dev: Storage<E>> FastInverse for AdditiveCoupling<D, H, E, Dev> {}
impl<const D: usize, const H: usize, E: Dtype, Dev: Storage<E>> VolumePreserving for AdditiveCoupling<D, H, E, Dev> {}

impl<const D: usize, const H: usize, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev>
    for AdditiveCoupling<D, H, E, Dev>
{
    type To<E2: Dtype, D2: Plain<E2>> = AdditiveCoupling<D, H, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::module("shift", |s| &s.shift, |s| &mut s.shift),
                Self::tensor(
                    "moves",
                    |s| &s.moves,
                    |s| &mut s.moves,
                    TensorOptions::detached(|t| t.try_fill_with_ones()),
                ),
            ),
            |(shift, moves)| AdditiveCoupling { shift, moves },
        )
    }
}

impl<const D: usize, E: Real, Dev: Device<E>> Bijection<D, E, Dev> for Rescale<D, E, Dev> {
    fn forward<T: Tape<E, Dev>>(&self, x: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let log_scale = self.log_scale.retaped::<T>().broadcast_like::<_, Axis<0>>(&x);
        let log_det = log_scale.with_empty_tape().sum::<_, Axis<1>>();
        (x * log_scale.exp(), log_det)
    }

    fn inverse<T: Tape<E, Dev>>(&self, z: Rows<D, E, Dev, T>) -> (Rows<D, E, Dev, T>, PerRow<E, Dev, T>) {
        let back = self.log_scale.retaped::<T>().broadcast_like::<_, Axis<0>>(&z).negate();
        let log_det = back.with_empty_tape().sum::<_, Axis<1>>();
        (z * back.exp(), log_det)
    }
}

impl<const D: usize, E: Dtype, Dev: Storage<E>> FastForward for Rescale<D, E, Dev> {}
impl<const D: usize, E: Dtype, Dev: Storage<E>> FastInverse for Rescale<D, E, Dev> {}

impl<const D: usize, E: Dtype, Dev: Plain<E>> TensorCollection<E, Dev> for Rescale<D, E, Dev> {
    type To<E2: Dtype, D2: Plain<E2>> = Rescale<D, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let field = Self::tensor("log_scale", |s| &s.log_scale, |s| &mut s.log_scale, TensorOptions::reset_to_zeros());
        visitor.visit_fields(field, |log_scale| Rescale { log_scale })
    }
}
