//! The grids, one above the other, as a type.

use super::{STEP, learn::Climb};
use crate::{
    Error, Result,
    frame::{
        Scoring,
        energy::Lent,
        samplers::{Chains, Sampler},
    },
    nn::Device,
    random::Seed,
    train::Loss,
};
use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, TensorCollection, ZeroSizedModule},
    shapes::{Axis, Rank0},
    tensor::{Gradients, Trace},
    tensor_ops::{Device as Plain, SumTo},
};

/// The lowest grid: one pixel, whose law is that of the data's mean colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ground;
impl ZeroSizedModule for Ground {}

/// A grid of `SIDE` × `SIDE` pixels with the scoring function of its pictures, and the grids below. A ladder whose grids are not four
/// times as high and as wide as the ones below does not compile:
///
/// ```
/// # use limbeck::{dfdx::prelude::*, frame::grids::{Ground, Rung, Side}, nn::{Dense, Identity}};
/// # let device = Cpu::seed_from_u64(0);
/// # let net = |inputs| Dense::<usize, Const<1>, Identity>::new(&device, inputs, Const).unwrap();
/// fn sides<L: Side>(_: &L) -> Vec<usize> {
///     L::sides()
/// }
/// let ladder = Rung::<16, _, _>::new(net(256), Rung::<4, _, _>::new(net(16), Ground));
/// assert_eq!(sides(&ladder), [1, 4, 16]);
/// ```
/// ```compile_fail,E0080
/// # use limbeck::{dfdx::prelude::*, frame::grids::{Ground, Rung}, nn::{Dense, Identity}};
/// # let device = Cpu::seed_from_u64(0);
/// # let net = |inputs| Dense::<usize, Const<1>, Identity>::new(&device, inputs, Const).unwrap();
/// let ladder = Rung::<64, _, _>::new(net(4096), Rung::<4, _, _>::new(net(16), Ground));
/// ```
#[derive(Clone, Debug)]
pub struct Rung<const SIDE: usize, N, B> {
    /// `Φ` of this grid.
    pub score: N,
    /// The grids below.
    pub below: B,
}

/// How high and wide the highest grid of a ladder is.
pub trait Side {
    /// Pixels along it.
    const SIDE: usize;

    /// Those along every grid, the lowest first.
    fn sides() -> Vec<usize>;
}

impl Side for Ground {
    const SIDE: usize = 1;

    fn sides() -> Vec<usize> {
        vec![1]
    }
}

impl<const SIDE: usize, N, B: Side> Side for Rung<SIDE, N, B> {
    const SIDE: usize = SIDE;

    fn sides() -> Vec<usize> {
        let mut sides = B::sides();
        sides.push(SIDE);
        sides
    }
}

/// A ladder of grids whose networks can be asked: [`Ground`], or a [`Rung`] on a ladder.
pub trait Rungs<Dev: Device<f32>>: Side + TensorCollection<f32, Dev> {
    /// Refuses networks of other pictures than those of so many channels.
    ///
    /// # Errors
    /// Which grid it is.
    fn check(&self, channels: usize) -> Result<()>;

    /// Samples of every grid on those of the ground, which are there.
    #[doc(hidden)]
    fn climb(&self, how: &Climb<'_, Dev>, grids: &mut Vec<Vec<f32>>, seed: Seed) -> Result<()>;

    /// The sum of the grids' losses, pictures and samples of every grid given; or where a tape may begin, on the ground.
    #[doc(hidden)]
    fn contrast(&self, device: &Dev, grids: &[[Vec<f32>; 2]], begin: Gradients<f32, Dev>) -> Sum<Dev>;
}

/// Losses added up, or none yet and where their tape begins.
pub type Sum<Dev> = std::result::Result<Loss<Dev>, Gradients<f32, Dev>>;

impl<const SIDE: usize, N, B: Side> Rung<SIDE, N, B> {
    /// A grid on a ladder.
    pub fn new(score: N, below: B) -> Self {
        const { assert!(SIDE == STEP * B::SIDE, "a grid is four times as high and as wide as the one below") };
        Self { score, below }
    }
}

impl<const SIDE: usize, N: TensorCollection<E, Dev>, B: TensorCollection<E, Dev>, E: Dtype, Dev: Plain<E>>
    TensorCollection<E, Dev> for Rung<SIDE, N, B>
{
    type To<E2: Dtype, D2: Plain<E2>> = Rung<SIDE, N::To<E2, D2>, B::To<E2, D2>>;

    fn iter_tensors<V: ModuleVisitor<Self, E, Dev>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let below = Self::module("below", |s| &s.below, |s| &mut s.below);
        let score = Self::module("score", |s| &s.score, |s| &mut s.score);
        visitor.visit_fields((below, score), |(below, score)| Rung { score, below })
    }
}

impl<Dev: Device<f32>> Rungs<Dev> for Ground {
    fn check(&self, _: usize) -> Result<()> {
        Ok(())
    }

    fn climb(&self, _: &Climb<'_, Dev>, _: &mut Vec<Vec<f32>>, _: Seed) -> Result<()> {
        Ok(())
    }

    fn contrast(&self, _: &Dev, _: &[[Vec<f32>; 2]], begin: Gradients<f32, Dev>) -> Sum<Dev> {
        Err(begin)
    }
}

impl<const SIDE: usize, N: Scoring<Dev>, B: Rungs<Dev>, Dev: Device<f32>> Rungs<Dev> for Rung<SIDE, N, B> {
    fn check(&self, channels: usize) -> Result<()> {
        self.below.check(channels)?;
        match (self.score.dims(), channels * SIDE * SIDE) {
            (own, dims) if own == dims => Ok(()),
            (own, dims) => Err(Error::invalid(format!(
                "the network of the grid of {SIDE} × {SIDE} has {own} inputs, pictures of {channels} channels {dims}"
            ))),
        }
    }

    fn climb(&self, how: &Climb<'_, Dev>, grids: &mut Vec<Vec<f32>>, seed: Seed) -> Result<()> {
        self.below.climb(how, grids, seed)?;
        let below = grids.last().map(Vec::as_slice).unwrap_or_default();
        let mut chains = Chains::new(self.score.dims(), expanded(below, SIDE / STEP))?;
        let law = Lent { score: &self.score, deviation: how.deviation, device: how.device };
        let mut walk = how.walk;
        walk.steps(&law, &mut chains, how.steps, seed.child("grid", SIDE as u64))?;
        grids.push(chains.points().to_vec());
        Ok(())
    }

    fn contrast(&self, device: &Dev, grids: &[[Vec<f32>; 2]], begin: Gradients<f32, Dev>) -> Sum<Dev> {
        let Some(([seen, drawn], below)) = grids.split_last() else { return Err(begin) };
        let below = self.below.contrast(device, below, begin);
        let dims = self.score.dims();
        let (of_data, of_chains) = (seen.len() / dims, drawn.len() / dims);
        let mut weights = vec![-1.0 / of_data as f32; of_data];
        weights.extend(vec![1.0 / of_chains as f32; of_chains]);
        let count = weights.len();
        let x = device.tensor_from_vec([seen.as_slice(), drawn].concat(), (count, dims));
        let weights = device.tensor_from_vec(weights, (count,));
        let on = |tape| (self.score.scores(x.traced(tape)) * weights).sum::<Rank0, Axis<0>>();
        Ok(match below {
            Err(begin) => on(begin),
            Ok(sum) => sum + on(Gradients::leaky()),
        })
    }
}

/// Pictures of `side` × `side` pixels, each pixel as a square of four times four.
pub(super) fn expanded(pictures: &[f32], side: usize) -> Vec<f32> {
    let mut large = Vec::with_capacity(pictures.len() * STEP * STEP);
    for row in pictures.chunks_exact(side) {
        for _ in 0..STEP {
            large.extend(row.iter().flat_map(|x| [*x; STEP]));
        }
    }
    large
}
