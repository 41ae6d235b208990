//! The masked autoencoder: a transformer that fills in squares which it does not see.

use super::{Likelihood, Teacher};
use crate::{
    Error, Result,
    data::{Patches, Rows, Schema, complete, fingerprint},
    evidence::Fingerprint,
    flows::PerRow,
    memory::afford,
    nn::{Attention, Dense, Device, Identity, Real, Relu, Stack, fields, ops::rowwise, optim::AdamConfig},
    random::{Seed, Stream, permutation},
    train::{Clock, GradientLearner, Loss, Objective, Trained},
};
use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::{Axis, HasShape},
    tensor::{Cpu, Gradients, Storage, Tape, Tensor, Trace},
    tensor_ops::{ReshapeTo, SumTo},
};
use serde::{Deserialize, Serialize};
use std::{marker::PhantomData, sync::Arc};

/// The sizes of a [`MaskedAutoencoder`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskedConfig {
    /// Pixels along a square.
    pub side: usize,
    /// The share of the squares that is hidden.
    pub hidden_share: f64,
    /// Numbers of a square within; a multiple of four.
    pub width: usize,
    /// Blocks of attention.
    pub blocks: usize,
    /// Components of what is said of a pixel of more than two levels ([`super::MixtureOfLogistics`]).
    pub components: usize,
}

impl Default for MaskedConfig {
    fn default() -> Self {
        Self { side: 4, hidden_share: 0.5, width: 64, blocks: 2, components: 2 }
    }
}

/// A masked autoencoder: some squares of a picture are hidden, and a transformer says what they may be, given the others.
///
/// ```text
/// loss = −Σ_{i hidden} log p(x_i | x_visible)
/// ```
///
/// It has no latent variables and no likelihood of its own; what it sees in a square is the last of what it computes for it, with
/// nothing hidden. Its encoder sees a mark in the place of a hidden square, where the source leaves these out and has a second
/// network for them. Source: He et al. 2022; as a teacher: Liu et al. 2022 (LVD).
#[derive(Clone, Debug)]
pub struct MaskedAutoencoder<L, Dev: Device<f32> = Cpu> {
    net: Transformer<f32, Dev>,
    likelihood: L,
    patches: Patches,
    hidden_share: f64,
}

/// Heads of attention.
const HEADS: usize = 4;

/// Attention, and a perceptron for each square.
type Block<E, Dev> =
    (Attention<usize, HEADS, false, E, Dev>, Dense<usize, usize, Relu, E, Dev>, Dense<usize, usize, Identity, E, Dev>);

/// The network.
#[derive(Clone, Debug)]
pub struct Transformer<E: Dtype, Dev: Storage<E>> {
    /// From the values of a square, whether it is hidden, and where it is.
    first: Dense<usize, usize, Identity, E, Dev>,
    blocks: Stack<Block<E, Dev>>,
    last: Dense<usize, usize, Identity, E, Dev>,
}

fields! { [] Transformer[] { module first, module blocks, module last } }

/// A number for every place of every square of every picture.
type Squares<E, Dev, T> = Tensor<(usize, usize, usize), E, Dev, T>;

impl<E: Real, Dev: Device<E>> Transformer<E, Dev> {
    fn new(device: &Dev, inputs: usize, outputs: usize, config: &MaskedConfig) -> Result<Self> {
        let width = config.width;
        let block = width.checked_mul(width).and_then(|w| w.checked_mul(8)?.checked_mul(config.blocks));
        let ends = width.checked_mul(inputs + outputs);
        let all = block.zip(ends).and_then(|(block, ends)| block.checked_add(ends));
        afford(all, 4 * size_of::<E>(), "the parameters of the autoencoder", "a smaller width, or fewer blocks")?;
        let block = || {
            let inner = Dense::new(device, width, 2 * width)?;
            Ok((Attention::new(device, width)?, inner, Dense::new(device, 2 * width, width)?))
        };
        Ok(Self {
            first: Dense::new(device, inputs, width)?,
            blocks: Stack::new((0..config.blocks).map(|_| block()).collect::<Result<_>>()?),
            last: Dense::new(device, width, outputs)?,
        })
    }

    /// What is seen in every square, `(pictures, squares, width)`.
    fn seen<T: Tape<E, Dev>>(&self, x: Squares<E, Dev, T>) -> Squares<E, Dev, T> {
        let mut h = self.first.forward(x);
        for (attention, inner, outer) in self.blocks.layers() {
            h = attention.forward(normalised(h.retaped::<T>())) + h;
            h = outer.forward(inner.forward(normalised(h.retaped::<T>()))) + h;
        }
        normalised(h)
    }

    /// `log p(x_i | visible)` of every square of every picture, and 0 for those that are visible.
    fn log_probs<L: Likelihood, T: Tape<E, Dev>>(
        &self,
        likelihood: &L,
        x: Squares<E, Dev, T>,
        values: Vec<E>,
        hidden: Vec<bool>,
    ) -> PerRow<E, Dev, T> {
        let outputs = self.last.forward(self.seen(x));
        let (pictures, squares, width) = *outputs.shape();
        let (of_pixel, pixel) = (likelihood.width(), likelihood.values());
        let each = width / of_pixel * pixel;
        let (values, hidden) = (Arc::<[E]>::from(values), Arc::<[bool]>::from(hidden));
        let (values_again, asked, likelihood, again) =
            (values.clone(), hidden.clone(), likelihood.clone(), likelihood.clone());
        rowwise(
            outputs.reshape_like(&(pictures * squares, width)),
            move |i, p| {
                let pixels = p.chunks_exact(of_pixel).zip(values[i * each..].chunks_exact(pixel));
                pixels.filter(|_| hidden[i]).fold(E::default(), |sum, (p, x)| sum + likelihood.log_prob(x, p))
            },
            move |i, p, d, into| {
                let pixels = p.chunks_exact(of_pixel).zip(into.chunks_exact_mut(of_pixel));
                let pixels = pixels.zip(values_again[i * each..].chunks_exact(pixel)).filter(|_| asked[i]);
                pixels.for_each(|((p, into), x)| again.slopes(x, p, d, into));
            },
        )
    }
}

/// Every square's numbers with mean 0 and variance 1.
fn normalised<E: Real, Dev: Device<E>, T: Tape<E, Dev>>(x: Squares<E, Dev, T>) -> Squares<E, Dev, T> {
    x.normalize::<Axis<2>>(1e-5)
}

/// Pictures that one call of the network works on.
const BLOCK: usize = 256;

impl<L: Likelihood, Dev: Device<f32>> MaskedAutoencoder<L, Dev> {
    /// A randomly initialised autoencoder of pictures with these columns, whose pixels have that likelihood.
    ///
    /// # Errors
    /// When squares of that side do not fill the pictures, the likelihood is of other pixels, the share is not within `0..1` or hides
    /// no square or all, the width is no multiple of four, or the device has no memory for it.
    pub fn new(device: &Dev, pictures: &Schema, likelihood: L, config: &MaskedConfig) -> Result<Self> {
        let patches = Patches::new(pictures, config.side)?;
        let squares = patches.positions();
        let outputs = super::outputs(&likelihood, &patches)?;
        let net = Transformer::new(device, patches.values() + 1 + squares, outputs, config)?;
        let hidden_share = config.hidden_share;
        if !(1..squares).contains(&hidden(hidden_share, squares)) {
            let of = format!("a share of {hidden_share} of {squares} squares");
            return Err(Error::invalid(format!("{of}: one square or more must be hidden, and one visible")));
        }
        Ok(Self { net, likelihood, patches, hidden_share })
    }

    /// The squares of its pictures.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// Pictures with these indices, their hidden squares out of sight; and the values of all.
    fn read(
        &self,
        rows: &dyn Rows,
        which: &[usize],
        hidden: &[bool],
    ) -> Result<(Squares<f32, Dev, dfdx::tensor::NoneTape>, Vec<f32>)> {
        let (places, whole) = (self.patches.places(), self.patches.whole());
        self.patches.check(rows)?;
        let pictures = complete(rows, which, whole.len())?;
        let (squares, each, by_pixel) = (places.len(), self.patches.values(), self.patches.by_pixel());
        let width = each + 1 + squares;
        let (mut input, mut values) = (vec![0.0; which.len() * squares * width], Vec::with_capacity(pictures.len()));
        for (i, input) in input.chunks_exact_mut(width).enumerate() {
            let (picture, square) = (&pictures[i / squares * whole.len()..][..whole.len()], i % squares);
            if hidden[i] {
                input[each] = 1.0;
            } else {
                for (to, place) in input.iter_mut().zip(&places[square]) {
                    let last = (whole.variables[*place].categories - 1).max(1) as f32;
                    *to = 2.0 * picture[*place] / last - 1.0;
                }
            }
            input[each + 1 + square] = 1.0;
            values.extend(by_pixel.iter().map(|value| picture[places[square][*value]]));
        }
        Ok((self.net.first.weight.device().tensor_from_vec(input, (which.len(), squares, width)), values))
    }

    /// Which squares of so many pictures are hidden.
    fn hide(&self, pictures: usize, rng: &mut Stream) -> Vec<bool> {
        let squares = self.patches.positions();
        let mut all = vec![false; pictures * squares];
        for picture in all.chunks_exact_mut(squares) {
            let order = permutation(squares, rng);
            order[..hidden(self.hidden_share, squares)].iter().for_each(|square| picture[*square] = true);
        }
        all
    }

    /// `log p(x_hidden | x_visible)` of every picture for a draw of the hidden squares, nats.
    ///
    /// # Errors
    /// When the rows have other variables, or a value is missing.
    pub fn log_prob_of_hidden(&self, rows: &dyn Rows, seed: Seed) -> Result<Vec<f64>> {
        let (all, squares) = ((0..rows.len()).collect::<Vec<_>>(), self.patches.positions());
        let mut logs = Vec::with_capacity(rows.len());
        for (b, block) in all.chunks(BLOCK).enumerate() {
            let hidden = self.hide(block.len(), &mut seed.stream("hidden", b as u64));
            let (input, values) = self.read(rows, block, &hidden)?;
            let each = self.net.log_probs(&self.likelihood, input, values, hidden).as_vec();
            logs.extend(each.chunks(squares).map(|logs| logs.iter().map(|l| f64::from(*l)).sum::<f64>()));
        }
        Ok(logs)
    }
}

fn hidden(share: f64, squares: usize) -> usize {
    (share * squares as f64).round() as usize
}

impl<L: Likelihood, Dev: Device<f32>> Teacher for MaskedAutoencoder<L, Dev> {
    fn parts(&self) -> usize {
        self.patches.positions()
    }

    fn width(&self) -> usize {
        self.net.first.bias.shape().0
    }

    fn features_of(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        let (squares, mut features) = (self.patches.positions(), Vec::new());
        for block in which.chunks(BLOCK) {
            let (input, _) = self.read(rows, block, &vec![false; block.len() * squares])?;
            features.extend(self.net.seen(input).as_vec());
        }
        Ok(features)
    }
}

/// The loss of a [`MaskedAutoencoder`], nats a picture.
pub struct HiddenLoss<'a, L, Dev = Cpu> {
    train: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    seed: Seed,
    model: PhantomData<fn() -> (L, Dev)>,
}

/// A [`MaskedAutoencoder`] that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type MaskedLearner<'a, L, Dev = Cpu> = GradientLearner<HiddenLoss<'a, L, Dev>, Dev>;

impl<'a, L: Likelihood, Dev: Device<f32>> MaskedLearner<'a, L, Dev> {
    /// `valid` decides when to stop, if the plan has a patience.
    ///
    /// # Errors
    /// When rows have other variables than the autoencoder, or a setting of Adam is out of range.
    pub fn new(
        model: MaskedAutoencoder<L, Dev>,
        train: &'a dyn Rows,
        valid: Option<&'a dyn Rows>,
        adam: AdamConfig,
        seed: Seed,
    ) -> Result<Self> {
        model.read(train, &[], &[])?;
        valid.map(|valid| model.read(valid, &[], &[])).transpose()?;
        let valid = valid.filter(|valid| !valid.is_empty());
        Self::of(HiddenLoss { train, valid, seed, model: PhantomData }, model, adam)
    }
}

impl<L: Likelihood, Dev: Device<f32>> Objective<Dev> for HiddenLoss<'_, L, Dev> {
    type Model = MaskedAutoencoder<L, Dev>;

    fn describe(&self, model: &Self::Model) -> String {
        let (width, share) = (model.net.first.bias.shape().0, model.hidden_share);
        format!("masked autoencoder, {}, {width} wide, {share} hidden, validation seed {}", L::NAME, self.seed.0)
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), self.valid.map(fingerprint).transpose()?])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Dev>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Dev>> {
        let hidden = model.hide(rows.len(), &mut clock.seed.stream("hidden", clock.step));
        let (input, values) = model.read(self.train, rows, &hidden)?;
        let sum: Loss<Dev> = model.net.log_probs(&model.likelihood, input.traced(grads), values, hidden).sum();
        Ok(sum / -(rows.len() as f32))
    }

    /// With the same squares hidden every time, so that epochs compare.
    fn validate(&self, model: &Self::Model) -> Result<Option<Vec<f64>>> {
        let losses = |valid| -> Result<Vec<f64>> {
            Ok(model.log_prob_of_hidden(valid, self.seed)?.into_iter().map(|log_prob| -log_prob).collect())
        };
        self.valid.map(losses).transpose()
    }
}

impl<L: Likelihood, Dev: Device<f32>> Trained<Dev> for MaskedAutoencoder<L, Dev> {
    type Module = Transformer<f32, Dev>;

    fn module(&self) -> &Self::Module {
        &self.net
    }

    fn module_mut(&mut self) -> &mut Self::Module {
        &mut self.net
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::Archive,
        data::{Discrete, Split, shipped},
        nn::{
            ops::testing::{assert_close, numbers, numeric_gradient},
            optim::Schedule,
        },
        teachers::DiscretisedLogistic,
        train::{Learner, Plan, quiet, train},
    };
    use dfdx::{prelude::Backward, shapes::Rank0, tensor::TensorFromVec};

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let config = MaskedConfig { width: 8, blocks: 2, ..MaskedConfig::default() };
        let net = Transformer::<f64, Cpu>::new(&Cpu::seed_from_u64(3), 6, 6, &config).unwrap();
        let likelihood = DiscretisedLogistic::<5>;
        let (values, hidden) =
            (vec![0.0, 2.0, 4.0, 1.0, 3.0, 2.0, 1.0, 1.0, 0.0, 4.0, 2.0, 3.0], vec![true, false, true, true]);
        let at = |x: &[f64]| Cpu::default().tensor_from_vec(x.to_vec(), (2, 2, 6));
        let x: Squares<f64, Cpu, _> = at(&numbers(24, 1));
        let found =
            net.log_probs(&likelihood, x.leaky_trace(), values.clone(), hidden.clone()).sum::<Rank0, _>().backward();
        let value = |x: &[f64]| net.log_probs(&likelihood, at(x), values.clone(), hidden.clone()).as_vec().iter().sum();
        assert_close(&found.get(&x).as_vec(), &numeric_gradient(&x.as_vec(), value), 1e-5);
    }

    #[test]
    fn what_is_hidden_is_out_of_sight_and_learned_from_what_is_not() {
        let digits = shipped::digits().unwrap().discrete();
        let split = Split::random(digits.len(), 0.0, 0.3, Seed(0));
        let (rows, test) = (digits.select(&split.train), digits.select(&split.test));
        let config = MaskedConfig { side: 2, width: 32, ..MaskedConfig::default() };
        let fresh = |seed| {
            MaskedAutoencoder::new(&Cpu::seed_from_u64(seed), rows.schema(), DiscretisedLogistic::<17>, &config)
                .unwrap()
        };
        let model = fresh(1);
        let hidden: Vec<bool> = (0..16).map(|i| i % 2 == 0).collect();
        let other = rows.mask(|_, _| false);
        let changed: Vec<u16> = (0..64)
            .map(|v| if (v / 16 * 4 + v % 8 / 2) % 2 == 0 { 16 - other.row(0)[v] } else { other.row(0)[v] })
            .collect();
        let changed = Discrete::new(rows.schema().clone(), changed).unwrap();
        let (a, b) = (model.read(&rows, &[0], &hidden).unwrap().0, model.read(&changed, &[0], &hidden).unwrap().0);
        assert_eq!(a.as_vec(), b.as_vec());

        let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(100.0), ..Default::default() };
        let mean = |model: &MaskedAutoencoder<_>| {
            let logs = model.log_prob_of_hidden(&test, Seed(5)).unwrap();
            logs.iter().sum::<f64>() / logs.len() as f64
        };
        let before = mean(&model);
        let mut learner = MaskedLearner::new(model, &rows, Some(&test), adam, Seed(0)).unwrap();
        train(&mut learner, &Plan::new(8, 64, Seed(0)), &mut quiet).unwrap();
        let after = mean(learner.model());
        // What the marginal distributions of the pixels alone would say is about −54 nats.
        assert!(after > before + 10.0, "{before} → {after}");
        assert_eq!(learner.model().features(&test).unwrap().len(), 16 * test.len());
        let mut archive = Archive::default();
        Learner::save(&learner, &mut archive);
        let mut again = MaskedLearner::new(fresh(9), &rows, Some(&test), adam, Seed(0)).unwrap();
        again.load(&archive).unwrap();
        assert_eq!(again.validate().unwrap(), learner.validate().unwrap());
    }

    #[test]
    fn settings_that_hide_nothing_or_all_are_refused() {
        let schema = Schema::uniform(&[8, 8], 17);
        let says = |config: MaskedConfig, what: &str| {
            let error = MaskedAutoencoder::new(&Cpu::default(), &schema, DiscretisedLogistic::<17>, &config)
                .unwrap_err()
                .to_string();
            assert!(error.contains(what), "{error}");
        };
        says(MaskedConfig { hidden_share: 0.0, ..Default::default() }, "must be hidden");
        says(MaskedConfig { hidden_share: 1.0, ..Default::default() }, "one visible");
        says(MaskedConfig { hidden_share: f64::NAN, ..Default::default() }, "a share of NaN");
        says(MaskedConfig { blocks: usize::MAX, ..Default::default() }, "the parameters of the autoencoder");
        says(MaskedConfig { width: 6, ..Default::default() }, "heads do not divide");
        says(MaskedConfig { side: 5, ..Default::default() }, "squares of 5");
    }
}
