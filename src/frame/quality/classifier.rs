//! A small network that tells kinds of pictures apart.

use crate::{
    Error, Result,
    data::shipped,
    frame::{
        Pictures,
        deep::{Bend, DeepFilters, Lay},
    },
    math::log_sum_exp_of,
    nn::{
        Conv2d, Dense, Device, Grid, Identity, Padding, Silu, Stack, Stride, Window, fields, ops::means,
        optim::AdamConfig, params,
    },
    random::Seed,
    train::{Clock, GradientLearner, Loss, Objective, Plan, Trained, quiet, train},
};
use dfdx::{
    dtypes::Dtype,
    losses::cross_entropy_with_logits_loss,
    nn::Module,
    shapes::HasShape,
    tensor::{Cpu, Gradients, Storage, Tape, Tensor, TensorFromVec, Trace},
    tensor_ops::ReshapeTo,
};

type Layer<E, D> = Conv2d<Grid, Grid, Window<5, Stride<2>, Padding<2>>, Silu, E, D>;

/// Two convolutions, the means of their maps, and a number for every class.
#[derive(Clone, Debug)]
pub struct Network<E: Dtype = f32, D: Storage<E> = Cpu> {
    layers: Stack<Layer<E, D>>,
    last: Dense<usize, usize, Identity, E, D>,
    side: usize,
}

fields! { [] Network[] { module layers, module last, size side } }

impl<Dev: Device<f32>> Network<f32, Dev> {
    /// A number for every picture and class.
    fn forward<T: Tape<f32, Dev>>(
        &self,
        x: Tensor<(usize, usize), f32, Dev, T>,
    ) -> Tensor<(usize, usize), f32, Dev, T> {
        let rows = x.shape().0;
        let mut h = x.reshape_like(&(rows, 1, self.side, self.side));
        for layer in self.layers.layers() {
            h = layer.forward(h);
        }
        self.last.forward(means(h))
    }
}

/// Maps of the two layers.
const MAPS: [usize; 2] = [16, 32];

/// A small network that tells kinds of grey pictures apart, learned from examples in some seconds. It stands where others use one that
/// was learned from a million photographs, and says less: an Inception score is not to be had of it. Its two layers of filters are what
/// deep FRAME looks through where nobody gives it better ones.
///
/// ```
/// # use limbeck::{frame::{Pictures, quality::Classifier}, prelude::*};
/// let of = |name: &str| Pictures::of(&shipped::texture(name)?.discrete());
/// let kinds = [("brick", of("brick")?), ("grass", of("grass")?)];
/// let classifier = Classifier::learn(&kinds, 16, 30, Seed(0))?;
/// let bricks = of("brick")?.crops(16, 40, Seed(1))?;
/// assert!(classifier.words(&bricks)?.iter().filter(|words| words[0] > 0.5).count() > 30);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classifier {
    network: Network,
    classes: Vec<String>,
}

impl Classifier {
    /// From pictures of each kind, out of which squares of `side` pixels are cut, 64 for every step.
    ///
    /// # Errors
    /// When there are fewer than two kinds, pictures are not grey, or smaller than a square.
    pub fn learn(kinds: &[(&str, Pictures)], side: usize, steps: u64, seed: Seed) -> Result<Self> {
        if kinds.len() < 2 {
            return Err(Error::invalid("a classifier of fewer than two kinds"));
        }
        if let Some((name, pictures)) = kinds.iter().find(|(_, pictures)| pictures.grid().channels != 1) {
            let channels = pictures.grid().channels;
            return Err(Error::invalid(format!("{name}: pictures of {channels} channels; grey ones are told apart")));
        }
        let device = Cpu::seed_from_u64(seed.child("classifier", 0).0);
        let layers = vec![Layer::new(&device, 1, MAPS[0])?, Layer::new(&device, MAPS[0], MAPS[1])?];
        let last = Dense::new(&device, MAPS[1], kinds.len())?;
        let network = Network { layers: Stack::new(layers), last, side };
        let classes = kinds.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut learner =
            GradientLearner::of(Kinds { kinds, side }, Self { network, classes }, AdamConfig::over(steps, 3e-3, 1.0))?;
        train(&mut learner, &Plan::steps(steps, 1, seed), &mut quiet)?;
        Ok(learner.into_model())
    }

    /// One of the shipped textures and photographs, in grey, 400 steps.
    ///
    /// # Errors
    /// As [`Self::learn`]; also where the shipped files are missing.
    pub fn shipped(side: usize, seed: Seed) -> Result<Self> {
        let texture = |name: &str| Pictures::of(&shipped::texture(name)?.discrete());
        let photo = |name: &str| Ok::<_, Error>(Pictures::of(&shipped::photo_patches::<96>(name)?.discrete())?.grey());
        let kinds = [
            ("brick", texture("brick")?),
            ("grass", texture("grass")?),
            ("gravel", texture("gravel")?),
            ("coffee", photo("coffee")?),
            ("chelsea", photo("chelsea")?),
        ];
        Self::learn(&kinds, side, 400, seed)
    }

    /// The classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The probability of every class, for every picture.
    ///
    /// # Errors
    /// When pictures are of another size than those it learned from.
    pub fn words(&self, pictures: &Pictures) -> Result<Vec<Vec<f64>>> {
        let (side, grid) = (self.network.side, pictures.grid());
        if grid != (Grid { channels: 1, height: side, width: side }) {
            return Err(Error::invalid(format!(
                "pictures of {grid:?}; the classifier is of grey ones of {side} × {side}"
            )));
        }
        let device = Cpu::default();
        let mut all = Vec::with_capacity(pictures.len());
        for pictures in pictures.values().chunks(64 * grid.dims()) {
            let rows = pictures.len() / grid.dims();
            let logits = self.network.forward(device.tensor_from_vec(pictures.to_vec(), (rows, grid.dims()))).as_vec();
            all.extend(logits.chunks_exact(self.classes.len()).map(probabilities));
        }
        Ok(all)
    }

    /// `exp E KL(p(class | picture) ‖ p(class))`: 1 where all pictures are called alike, the number of classes where each is clearly of
    /// one and all come up as often. The formula is that of the Inception score, the classifier is not.
    ///
    /// # Errors
    /// As [`Self::words`].
    pub fn score(&self, pictures: &Pictures) -> Result<f64> {
        let words = self.words(pictures)?;
        let n = words.len() as f64;
        let all: Vec<f64> = (0..self.classes.len()).map(|c| words.iter().map(|w| w[c]).sum::<f64>() / n).collect();
        let apart = |(p, q): (&f64, &f64)| if *p > 0.0 { p * (p / q).ln() } else { 0.0 };
        Ok((words.iter().map(|w| w.iter().zip(&all).map(apart).sum::<f64>()).sum::<f64>() / n).exp())
    }

    /// Its two layers as filters for pictures of any size.
    ///
    /// # Errors
    /// When the pictures are smaller than a window.
    pub fn filters<Dev: Device<f32>>(&self, device: &Dev, image: Grid) -> Result<DeepFilters<f32, Dev>> {
        let lay = Lay { stride: 2, padding: 2, bend: Bend::Silu };
        DeepFilters::of_arrays(device, image, &params(&self.network), &[("layers.0", lay), ("layers.1", lay)])
    }
}

fn probabilities(logits: &[f32]) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
    let sum = log_sum_exp_of(&logits);
    logits.into_iter().map(|l| (l - sum).exp()).collect()
}

impl Trained<Cpu> for Classifier {
    type Module = Network;

    fn module(&self) -> &Network {
        &self.network
    }

    fn module_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

/// Squares of every kind, and which they are of.
struct Kinds<'a> {
    kinds: &'a [(&'a str, Pictures)],
    side: usize,
}

impl Objective for Kinds<'_> {
    type Model = Classifier;

    fn describe(&self, model: &Classifier) -> String {
        format!("a classifier of {:?}", model.classes)
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn loss(&self, model: &Classifier, grads: Gradients<f32, Cpu>, _: &[usize], clock: &Clock) -> Result<Loss<Cpu>> {
        const ROWS: usize = 64;
        let (mut pictures, mut classes) = (Vec::new(), Vec::new());
        let count = self.kinds.len();
        for (class, (_, all)) in self.kinds.iter().enumerate() {
            // As even as it goes, the rest in turn.
            let share = (ROWS + (class + clock.step as usize) % count) / count;
            if share == 0 {
                continue;
            }
            let seed = clock.seed.child("squares", clock.step * count as u64 + class as u64);
            pictures.extend_from_slice(all.crops(self.side, share, seed)?.values());
            classes.extend((0..share * count).map(|i| f32::from(u8::from(i % count == class))));
        }
        let (rows, device) = (classes.len() / count, Cpu::default());
        let x = device.tensor_from_vec(pictures, (rows, self.side * self.side));
        let classes = device.tensor_from_vec(classes, (rows, count));
        Ok(cross_entropy_with_logits_loss(model.network.forward(x.traced(grads)), classes))
    }
}
