//! A convolutional residual network whose sizes are known at run time; what the couplings of images are made of.

use dfdx::{
    dtypes::Dtype,
    shapes::HasShape,
    tensor::{Cpu, Storage, Tape, Tensor},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Device, Identity, Real, Relu, Stack, Weights, fields, ops::Geometry};
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
    convolutions: Stack<Weights<E, D>>,
    height: usize,
    width: usize,
}

/// The side of a kernel.
const KERNEL: usize = 3;

impl<E: Real, D: Device<E>> ResidualNet<E, D> {
    /// A network from `[channels, height, width]` to `outputs` channels of the same size, `hidden` channels wide, with `blocks`
    /// residual blocks.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &D, image: [usize; 3], outputs: usize, hidden: usize, blocks: usize) -> Result<Self> {
        let [inputs, height, width] = image;
        if [inputs, height, width, outputs, hidden].contains(&0) {
            let sizes = format!("a network from {image:?} to {outputs} channels, {hidden} wide");
            return Err(Error::invalid(format!("{sizes}; no size may be 0")));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        let last = 1 + 2 * blocks;
        let convolution = |i: usize| {
            let from = if i == 0 { inputs } else { hidden };
            let to = if i == last { outputs } else { hidden };
            Weights::new(device, from * KERNEL * KERNEL, to, if i == last { 0.1 } else { 1.0 }, &mut rng)
        };
        let convolutions = Stack::new((0..=last).map(convolution).collect::<Result<_>>()?);
        Ok(Self { convolutions, height, width })
    }

    /// The maps of every image.
    pub fn forward<T: Tape<E, D>>(&self, x: Tensor<(usize, usize), E, D, T>) -> Tensor<(usize, usize), E, D, T> {
        let last = self.convolutions.layers().len() - 1;
        let mut h = self.convolve::<Relu, T>(0, x);
        for i in (1..last).step_by(2) {
            let inner = self.convolve::<Relu, T>(i, h.retaped::<T>());
            h = self.convolve::<Identity, T>(i + 1, inner) + h;
        }
        self.convolve::<Identity, T>(last, h)
    }

    fn convolve<A: super::Activation, T: Tape<E, D>>(
        &self,
        i: usize,
        x: Tensor<(usize, usize), E, D, T>,
    ) -> Tensor<(usize, usize), E, D, T> {
        let Weights { weight, bias } = &self.convolutions.layers()[i];
        let (to, patch) = *weight.shape();
        let image = [patch / (KERNEL * KERNEL), self.height, self.width];
        let shape = (x.shape().0, to * self.height * self.width);
        let geometry = Geometry::new(image, to, KERNEL, 1, KERNEL / 2);
        D::try_conv2d::<A, _, _, _, _, T>(geometry, x, weight, bias, shape).expect("the device has memory for a map")
    }
}

fields! { [] ResidualNet[] { module convolutions, size height, size width } }

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
        let net = ResidualNet::<f64>::new(&Cpu::seed_from_u64(3), [2, 3, 2], 3, 4, 2).unwrap();
        let weights: Tensor<(usize, usize), f64, Cpu> = Cpu::default().tensor_from_vec(numbers(36, 2), (2, 18));
        let at = |x: &[f64]| Cpu::default().tensor_from_vec(x.to_vec(), (2, 12));
        let x = at(&numbers(24, 1));
        let found = (net.forward(x.leaky_trace()) * weights.clone()).sum::<Rank0, _>().backward().get(&x).as_vec();
        let value = |x: &[f64]| (net.forward(at(x)) * weights.clone()).as_vec().iter().sum();
        assert_close(&found, &numeric_gradient(&x.as_vec(), value), 1e-6);
        let copy = fresh_copy(&net).unwrap();
        assert_eq!(params(&copy), params(&net));
        assert_eq!(copy.forward(x.clone()).as_vec(), net.forward(x).as_vec());
        assert!(ResidualNet::<f32>::new(&Cpu::default(), [1, 2, 2], 2, 0, 1).is_err());
    }
}
