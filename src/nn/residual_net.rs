//! A convolutional residual network whose sizes are known at run time; what the couplings of images are made of.

use dfdx::{
    dtypes::Dtype,
    nn::Module,
    shapes::HasShape,
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Conv2d, Device, Grid, Identity, Padding, Real, Relu, Stack, Stride, Window, fields};
use crate::{Error, Result};

/// A convolutional residual network.
///
/// ```text
/// h₀ = relu(W₀ ∗ x + b₀)      hᵢ₊₁ = hᵢ + W′ᵢ ∗ relu(Wᵢ ∗ hᵢ + bᵢ) + b′ᵢ      y = W ∗ h + b
/// ```
///
/// Shapes: `x (batch, C · H · W)`, `y (batch, O · H · W)`, channel after channel; kernels of 3 × 3 pixels with zeros around the
/// image. Weights start uniform in `±1/√(inputs)`, those of the last convolution within a tenth of that.
#[derive(Clone, Debug)]
pub struct ResidualNet<E: Dtype = f32, D: Storage<E> = Cpu> {
    first: Convolution<Relu, E, D>,
    blocks: Stack<Block<E, D>>,
    last: Convolution<Identity, E, D>,
    height: usize,
    width: usize,
}

/// One that keeps the size of the image.
type Convolution<A, E, D> = Conv2d<Grid, Grid, Window<3, Stride<1>, Padding<1>>, A, E, D>;
/// `Wᵢ` and `W′ᵢ`.
type Block<E, D> = (Convolution<Relu, E, D>, Convolution<Identity, E, D>);

impl<E: Real, D: Device<E>> ResidualNet<E, D> {
    /// A network from `image` to `outputs` channels of the same size, `hidden` channels wide, with `blocks` residual blocks.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &D, image: Grid, outputs: usize, hidden: usize, blocks: usize) -> Result<Self> {
        let Grid { channels, height, width } = image;
        if [channels, height, width, outputs, hidden].contains(&0) {
            let image = format!("{channels} × {height} × {width}");
            let sizes = format!("a network from {image} to {outputs} channels, {hidden} wide");
            return Err(Error::invalid(format!("{sizes}; no size may be 0")));
        }
        let rng = &mut ChaCha8Rng::seed_from_u64(device.random_u64());
        let first = Conv2d::draw(device, (channels, hidden), 1.0, rng)?;
        let mut block = || {
            let inner = Conv2d::draw(device, (hidden, hidden), 1.0, rng)?;
            Ok((inner, Conv2d::draw(device, (hidden, hidden), 1.0, rng)?))
        };
        let blocks = Stack::new((0..blocks).map(|_| block()).collect::<Result<_>>()?);
        let last = Conv2d::draw(device, (hidden, outputs), 0.1, rng)?;
        Ok(Self { first, blocks, last, height, width })
    }

    /// The maps of every image.
    pub fn forward<T: Tape<E, D>>(&self, x: Tensor<(usize, usize), E, D, T>) -> Tensor<(usize, usize), E, D, T> {
        let (rows, channels) = (x.shape().0, self.first.weight.shape().1);
        let mut h = self.first.forward(x.reshape_like(&(rows, channels, self.height, self.width)));
        for (inner, outer) in self.blocks.layers() {
            h = outer.forward(inner.forward(h.retaped::<T>())) + h;
        }
        let y = self.last.forward(h);
        let width = self.last.bias.shape().0 * self.height * self.width;
        y.reshape_like(&(rows, width))
    }
}

fields! { [] ResidualNet[] { module first, module blocks, module last, size height, size width } }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{
        fresh_copy,
        ops::testing::{assert_close, numbers, numeric_gradient},
        params,
    };
    use dfdx::{
        prelude::{Backward, SumTo},
        shapes::Rank0,
        tensor::{TensorFromVec, Trace},
    };

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let net = ResidualNet::<f64>::new(&Cpu::seed_from_u64(3), Grid { channels: 2, height: 3, width: 2 }, 3, 4, 2)
            .unwrap();
        let weights: Tensor<(usize, usize), f64, Cpu> = Cpu::default().tensor_from_vec(numbers(36, 2), (2, 18));
        let at = |x: &[f64]| Cpu::default().tensor_from_vec(x.to_vec(), (2, 12));
        let x = at(&numbers(24, 1));
        let found = (net.forward(x.leaky_trace()) * weights.clone()).sum::<Rank0, _>().backward().get(&x).as_vec();
        let value = |x: &[f64]| (net.forward(at(x)) * weights.clone()).as_vec().iter().sum();
        assert_close(&found, &numeric_gradient(&x.as_vec(), value), 1e-6);
        let copy = fresh_copy(&net).unwrap();
        assert_eq!(params(&copy), params(&net));
        assert_eq!(copy.forward(x.clone()).as_vec(), net.forward(x).as_vec());
        assert!(ResidualNet::<f32>::new(&Cpu::default(), Grid { channels: 1, height: 2, width: 2 }, 2, 0, 1).is_err());
    }
}
