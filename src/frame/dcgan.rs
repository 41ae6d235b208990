//! What few-shot synthesis is compared with: a generative adversarial network of convolutions.

use super::{Pictures, samplers::Chains};
use crate::{
    Error, Result,
    nn::{
        Conv2d, ConvTranspose2d, Dense, Grid, Identity, Image, LeakyRelu, Padding, Relu, Stride, Tanh, Window,
        load_params,
        optim::{Adam, AdamConfig, Schedule},
        params,
    },
    random::Seed,
};
use dfdx::{
    losses::binary_cross_entropy_with_logits_loss as entropy,
    nn::{BuildOnDevice, Module, ModuleMut, TensorCollection, ZeroGrads, builders, modules::BatchNorm2D},
    prelude::Backward,
    shapes::{Const, HasShape},
    tensor::{Cpu, OwnedTape, Tensor, TensorFromVec, Trace},
    tensor_ops::ReshapeTo,
};
use rand::RngExt;

/// Numbers that a picture is made of.
const LATENT: usize = 100;
const SIDE: usize = 32;

type Halving = Window<4, Stride<2>, Padding<1>>;
type Leaky = LeakyRelu<20>;
type Norm<const C: usize> = BatchNorm2D<C, f32, Cpu>;
type Up<X, Y, A = Identity> = ConvTranspose2d<X, Y, Halving, A>;
type Down<X, Y, A = Identity> = Conv2d<X, Y, Halving, A>;

type Seedling = Dense<Const<LATENT>, Const<2048>>;
type Growth = (
    (Norm<128>, Relu),
    (Up<Image<128, 4, 4>, Image<64, 8, 8>>, Norm<64>, Relu),
    (Up<Image<64, 8, 8>, Image<32, 16, 16>>, Norm<32>, Relu),
    Up<Image<32, 16, 16>, Image<1, SIDE, SIDE>, Tanh>,
);
type Look = (
    Down<Image<1, SIDE, SIDE>, Image<32, 16, 16>, Leaky>,
    (Down<Image<32, 16, 16>, Image<64, 8, 8>>, Norm<64>, Leaky),
    (Down<Image<64, 8, 8>, Image<128, 4, 4>>, Norm<128>, Leaky),
);
type Verdict = Dense<Const<2048>, Const<1>>;

type Shown = Tensor<(usize, Const<1>, Const<SIDE>, Const<SIDE>), f32, Cpu, OwnedTape<f32, Cpu>>;
type Small = (usize, Const<128>, Const<4>, Const<4>);

/// A generator and a discriminator for grey pictures of 32 × 32 pixels, which learn against each other: the rival of few-shot synthesis.
/// Its settings are those of its paper: 100 even numbers in, batch normalisation, Adam at 0.0002 with β₁ = 0.5, weights that start
/// normal with a deviation of 0.02, slopes of 0.2. Pictures are half as large as the paper's, so there is a layer less, and maps are
/// half as many in each that is left. It has no likelihood. Source: Radford, Metz, Chintala 2016.
///
/// ```
/// # use limbeck::{frame::{Dcgan, Pictures}, prelude::*};
/// let grass = Pictures::of(&shipped::texture("grass")?.discrete())?.crops(32, 5, Seed(0))?;
/// let mut rival = Dcgan::new(Seed(1))?;
/// let losses = rival.learn(&grass, 2, 8, Seed(2))?;
/// assert_eq!((losses.len(), rival.sample(3, Seed(3))?.len()), (2, 3));
/// # Ok::<(), limbeck::Error>(())
/// ```
pub struct Dcgan {
    generator: (Seedling, Growth),
    discriminator: (Look, Verdict),
    adams: [Adam<Cpu>; 2],
}

impl Dcgan {
    /// Networks as they start.
    ///
    /// # Errors
    /// When there is no memory for them.
    pub fn new(seed: Seed) -> Result<Self> {
        let device = Cpu::seed_from_u64(seed.child("networks", 0).0);
        fn up<M: BuildOnDevice<Cpu, f32, Built = M>>(device: &Cpu) -> M {
            M::build_on_device(device)
        }
        fn norm<const C: usize>(device: &Cpu) -> Norm<C> {
            builders::BatchNorm2D::<C>::build_on_device(device)
        }
        let growth = (
            (norm(&device), Relu),
            (up(&device), norm(&device), Relu),
            (up(&device), norm(&device), Relu),
            up(&device),
        );
        let look = (up(&device), (up(&device), norm(&device), Leaky {}), (up(&device), norm(&device), Leaky {}));
        let (mut generator, mut discriminator) = ((up(&device), growth), (look, up(&device)));
        start(&mut generator, seed.child("generator", 0))?;
        start(&mut discriminator, seed.child("discriminator", 0))?;
        let adam = AdamConfig { rate: Schedule::constant(2e-4), betas: [0.5, 0.999], ..AdamConfig::default() };
        Ok(Self { generator, discriminator, adams: [Adam::new(adam)?, Adam::new(adam)?] })
    }

    /// Steps of both, each on a batch of pictures drawn with replacement and on as many of its own; returns the losses of the
    /// discriminator and of the generator, nats, at every step.
    ///
    /// # Errors
    /// When pictures are not grey ones of 32 × 32, a batch has fewer than two, or a loss is not finite.
    pub fn learn(&mut self, pictures: &Pictures, steps: u64, batch: usize, seed: Seed) -> Result<Vec<[f64; 2]>> {
        let grid = pictures.grid();
        if grid != (Grid { channels: 1, height: SIDE, width: SIDE }) {
            return Err(Error::invalid(format!("pictures of {grid:?}; a DCGAN is of grey ones of {SIDE} × {SIDE}")));
        }
        if batch < 2 {
            return Err(Error::out_of_range("batch", batch, "2 ≤ batch"));
        }
        let device = Cpu::default();
        let all = |value: f32| device.tensor_from_vec(vec![value; batch], (batch, Const::<1>));
        let mut losses = Vec::new();
        for step in 0..steps {
            let mut rng = seed.stream("batch", step);
            let seen: Vec<f32> =
                (0..batch).flat_map(|_| pictures.picture(rng.random_range(0..pictures.len()))).copied().collect();
            let latent = device.tensor_from_vec(latent(batch, seed.child("latent", step)), (batch, Const::<LATENT>));
            let h = self.generator.0.forward(latent.traced(self.generator.alloc_grads()));
            let drawn = self.generator.1.forward_mut(h.reshape_like::<Small>(&(batch, Const, Const, Const)));
            let mut on = |values: Vec<f32>, word: f32| {
                let shape = (batch, Const::<1>, Const::<SIDE>, Const::<SIDE>);
                let x = device.tensor_from_vec(values, shape).traced(self.discriminator.alloc_grads());
                entropy(self.judge(x), all(word))
            };
            let loss = on(seen, 1.0) + on(drawn.as_vec(), 0.0);
            let of_discriminator = f64::from(loss.as_vec()[0]);
            let mut grads = loss.backward();
            self.adams[0].update(&mut self.discriminator, &mut grads)?;

            let loss = entropy(self.judge(drawn), all(1.0));
            let of_generator = f64::from(loss.as_vec()[0]);
            let mut grads = loss.backward();
            self.adams[1].update(&mut self.generator, &mut grads)?;
            if !of_discriminator.is_finite() || !of_generator.is_finite() {
                return Err(Error::invalid(format!(
                    "step {step}: the losses are {of_discriminator} and {of_generator}"
                )));
            }
            losses.push([of_discriminator, of_generator]);
        }
        Ok(losses)
    }

    /// Pictures out of nothing.
    ///
    /// # Errors
    /// When there are to be none.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Pictures> {
        let values = if n == 0 { Vec::new() } else { self.generate(&latent(n, seed)).as_vec() };
        Pictures::new(Grid { channels: 1, height: SIDE, width: SIDE }, values)
    }

    fn generate(&self, latent: &[f32]) -> Tensor<(usize, Const<1>, Const<SIDE>, Const<SIDE>), f32, Cpu> {
        let n = latent.len() / LATENT;
        let z = Cpu::default().tensor_from_vec(latent.to_vec(), (n, Const::<LATENT>));
        let h = self.generator.0.forward(z).reshape_like::<Small>(&(n, Const, Const, Const));
        self.generator.1.forward(h)
    }

    fn judge(&mut self, x: Shown) -> Tensor<(usize, Const<1>), f32, Cpu, OwnedTape<f32, Cpu>> {
        let n = x.shape().0;
        let h = self.discriminator.0.forward_mut(x);
        self.discriminator.1.forward(h.reshape_like(&(n, Const::<2048>)))
    }
}

fn latent(n: usize, seed: Seed) -> Vec<f32> {
    let mut rng = seed.stream("latent", 0);
    (0..n * LATENT).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

/// Weights normal around 0, scales of batch normalisation around 1, with a deviation of 0.02; biases 0.
fn start<M: TensorCollection<f32, Cpu>>(network: &mut M, seed: Seed) -> Result<()> {
    let mut arrays = params(network);
    for (i, (name, _, values)) in arrays.iter_mut().enumerate() {
        let middle = match name.rsplit('.').next() {
            Some("weight") => 0.0,
            Some("scale") => 1.0,
            Some("bias") => {
                values.fill(0.0);
                continue;
            }
            // Running statistics.
            _ => continue,
        };
        let noise = Chains::<f32>::normal(1, values.len(), 0.02, seed.child("array", i as u64))?;
        values.iter_mut().zip(noise.points()).for_each(|(w, noise)| *w = middle + noise);
    }
    load_params(network, &arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_where_there_is_one_thing_to_draw() {
        // One picture, again and again: half black, half white.
        let grid = Grid { channels: 1, height: SIDE, width: SIDE };
        let half: Vec<f32> = (0..grid.dims()).map(|v| if v % SIDE < SIDE / 2 { -0.8 } else { 0.8 }).collect();
        let picture = Pictures::new(grid, half).unwrap();
        let mut rival = Dcgan::new(Seed(0)).unwrap();
        let losses = rival.learn(&picture, 200, 8, Seed(1)).unwrap();
        assert_eq!(losses.len(), 200);
        let mean = |pictures: &Pictures, side: usize| {
            let pixels = pictures.values().iter().enumerate();
            let own: Vec<f32> = pixels.filter(|(i, _)| (i % SIDE) / (SIDE / 2) == side).map(|(_, x)| *x).collect();
            own.iter().sum::<f32>() / own.len() as f32
        };
        let drawn = rival.sample(8, Seed(2)).unwrap();
        assert!(mean(&drawn, 1) - mean(&drawn, 0) > 0.4, "{} {}", mean(&drawn, 0), mean(&drawn, 1));
        // The same seed, the same networks.
        let mut again = Dcgan::new(Seed(0)).unwrap();
        assert_eq!(again.learn(&picture, 3, 8, Seed(1)).unwrap(), losses[..3]);
        assert!(rival.learn(&picture.shrunk(2).unwrap(), 1, 8, Seed(0)).is_err());
        assert!(rival.learn(&picture, 1, 1, Seed(0)).is_err() && rival.sample(0, Seed(0)).is_err());
    }
}
