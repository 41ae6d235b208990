//! Learning all grids at once, and drawing from them.

use super::{Rungs, STEP};
use crate::{
    Error, Result,
    evidence::Fingerprint,
    frame::{
        Pictures,
        learn::hash_of,
        samplers::{Chains, Ula},
    },
    nn::{Device, Grid},
    random::Seed,
    train::{Clock, Loss, Objective, Trained, name_of},
};
use dfdx::tensor::{Cpu, Gradients};
use rand::RngExt;
use std::marker::PhantomData;

/// A law of pictures on every grid of a ladder, `p(x) = 1/Z e^Φ(x) N(x; 0, σ²)` each. A sample begins as a colour, and on every grid as
/// what was drawn on the one below, its pixels copied to squares; then it walks a few Langevin steps.
///
/// Few steps from such a beginning draw from no law that is written down: the model is what its sampler makes of it. The code that was
/// published with it walks without noise, which this one does not. Source: Gao, Lu, Zhou, Zhu, Wu 2018.
#[derive(Clone, Debug)]
pub struct MultiGrid<L, Dev = Cpu> {
    /// The scoring functions.
    pub ladder: L,
    channels: usize,
    deviation: f64,
    walk: Ula,
    steps: usize,
    device: Dev,
}

/// How samples climb.
#[doc(hidden)]
pub struct Climb<'a, Dev> {
    pub(super) device: &'a Dev,
    pub(super) deviation: f64,
    pub(super) walk: Ula,
    pub(super) steps: usize,
}

impl<L: Rungs<Dev>, Dev: Device<f32>> MultiGrid<L, Dev> {
    /// Networks of pictures of so many channels, with the deviation `σ` of their normal law, ∞ for none, and so many steps on every grid.
    ///
    /// # Errors
    /// When a network is of other pictures, there are no steps, or the deviation is not above 0.
    pub fn new(device: &Dev, ladder: L, channels: usize, deviation: f64, (walk, steps): (Ula, usize)) -> Result<Self> {
        ladder.check(channels)?;
        if steps == 0 {
            return Err(Error::out_of_range("steps", 0, "1 ≤ steps"));
        }
        match deviation > 0.0 {
            true => Ok(Self { ladder, channels, deviation, walk, steps, device: device.clone() }),
            false => Err(Error::out_of_range("deviation", deviation, "0 < deviation")),
        }
    }

    /// Samples of every grid that begin at these colours, the colours first.
    ///
    /// # Errors
    /// When a colour is cut off or there is none, or a chain leaves where a network can be evaluated.
    pub fn climb(&self, colours: &[f32], seed: Seed) -> Result<Vec<Pictures>> {
        let ground = Grid { channels: self.channels, height: 1, width: 1 };
        let colours = Pictures::new(ground, colours.to_vec())?;
        let mut grids = vec![colours.values().to_vec()];
        let Self { deviation, walk, steps, .. } = *self;
        self.ladder.climb(&Climb { device: &self.device, deviation, walk, steps }, &mut grids, seed)?;
        let picture =
            |(side, values)| Pictures::new(Grid { channels: self.channels, height: side, width: side }, values);
        L::sides().into_iter().zip(grids).map(picture).collect()
    }

    /// New samples of the highest grid. Colours are those of pictures, moved at random by Silverman's width of a kernel.
    ///
    /// # Errors
    /// As [`Self::climb`]; also when the pictures do not fill the ladder.
    pub fn sample(&self, like: &Pictures, n: usize, seed: Seed) -> Result<Pictures> {
        let ground = pyramid(like, self.channels, L::SIDE)?.swap_remove(0);
        let dims = self.channels;
        let mut colours = Vec::with_capacity(n * dims);
        let noise = Chains::<f32>::normal(n.max(1), dims, 1.0, seed.child("colours", 0))?;
        let mut rng = seed.stream("whose", 0);
        let widths: Vec<f32> = (0..dims).map(|c| width(&ground, c, dims)).collect();
        for noise in noise.points().chunks_exact(dims).take(n) {
            let whose = rng.random_range(0..like.len()) * dims;
            colours.extend((0..dims).map(|c| ground[whose + c] + widths[c] * noise[c]));
        }
        let mut grids = self.climb(&colours, seed.child("climb", 0))?;
        grids.pop().ok_or_else(|| Error::invalid("a ladder without grids"))
    }
}

/// Silverman's `1.06 s n^(−1/5)`, for one channel.
fn width(colours: &[f32], channel: usize, channels: usize) -> f32 {
    let own: Vec<f64> = colours.iter().skip(channel).step_by(channels).map(|x| f64::from(*x)).collect();
    let n = own.len() as f64;
    let mean = own.iter().sum::<f64>() / n;
    let deviation = (own.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    (1.06 * deviation * n.powf(-0.2)) as f32
}

/// Pictures on every grid, the ground first.
fn pyramid(pictures: &Pictures, channels: usize, side: usize) -> Result<Vec<Vec<f32>>> {
    let grid = pictures.grid();
    if grid != (Grid { channels, height: side, width: side }) {
        let Grid { channels: own, height, width } = grid;
        let given = format!("pictures of {own} × {height} × {width}");
        return Err(Error::invalid(format!("{given}; the ladder is of {channels} × {side} × {side}")));
    }
    let mut grids = vec![pictures.values().to_vec()];
    let mut small = pictures.clone();
    while small.grid().height > 1 {
        small = small.shrunk(STEP)?;
        grids.push(small.values().to_vec());
    }
    grids.reverse();
    Ok(grids)
}

impl<L: Rungs<Dev>, Dev: Device<f32>> Trained<Dev> for MultiGrid<L, Dev> {
    type Module = L;

    fn module(&self) -> &L {
        &self.ladder
    }

    fn module_mut(&mut self) -> &mut L {
        &mut self.ladder
    }
}

/// Learns a [`MultiGrid`] from pictures. Each picture of a batch has a sample that begins at its own colour, and every grid's network is
/// raised at the picture's grid and lowered at the sample's:
///
/// ```text
/// ∇_θ_s ℓ ≈ mean ∇Φ_s(y_s) − mean ∇Φ_s(x_s)
/// ```
///
/// Source: Gao, Lu, Zhou, Zhu, Wu 2018.
pub struct GridContrast<L, Dev: Device<f32> = Cpu> {
    /// The pictures on every grid.
    grids: Vec<Vec<f32>>,
    channels: usize,
    rows: Fingerprint,
    what: PhantomData<(L, Dev)>,
}

impl<L: Rungs<Dev>, Dev: Device<f32>> GridContrast<L, Dev> {
    /// From pictures as large as the ladder's highest grid.
    ///
    /// # Errors
    /// When they are not.
    pub fn new(pictures: &Pictures) -> Result<Self> {
        let (grid, channels) = (pictures.grid(), pictures.grid().channels);
        let rows = hash_of(pictures.values(), grid.dims())?;
        Ok(Self { grids: pyramid(pictures, channels, L::SIDE)?, channels, rows, what: PhantomData })
    }
}

impl<L: Rungs<Dev>, Dev: Device<f32>> Objective<Dev> for GridContrast<L, Dev> {
    type Model = MultiGrid<L, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let MultiGrid { channels, deviation, walk, steps, .. } = model;
        format!("grids {}, {channels} channels on deviation {deviation}, {steps} of {walk:?}", name_of::<L>())
    }

    fn rows(&self) -> Option<usize> {
        Some(self.grids[0].len() / self.channels)
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(self.rows), None])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let all = self.rows().unwrap_or(0);
        let seen: Vec<Vec<f32>> = (self.grids.iter())
            .map(|grid| {
                let dims = grid.len() / all;
                rows.iter().flat_map(|row| &grid[row * dims..(row + 1) * dims]).copied().collect()
            })
            .collect();
        let drawn = model.climb(&seen[0], clock.seed.child("climb", clock.step))?;
        let grids: Vec<[Vec<f32>; 2]> =
            seen.into_iter().zip(drawn).map(|(seen, drawn)| [seen, drawn.values().to_vec()]).collect();
        let sum = model.ladder.contrast(&model.device, &grids, grads);
        sum.map_err(|_| Error::invalid("a ladder without grids learns nothing"))
    }
}
