//! A perceptron with two hidden layers: what the layers of a flow are made of.

use std::sync::Arc;

use dfdx::{
    dtypes::Dtype,
    shapes::{Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::RealizeTo,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Activation, Dense, Device, Identity, Real, Size, fields, ops::Layer};
use crate::{Error, Result};

/// A perceptron with two hidden layers, either dense or autoregressive.
///
/// ```text
/// y = W₃ f(W₂ f(W₁ x + b₁) + b₂) + b₃
/// ```
///
/// Shapes: `x (batch, I)`, `y (batch, O)`. In an autoregressive one the inputs are `context` numbers that every
/// output sees and `dims` coordinates; of its `dims · k` outputs the `k` of coordinate `i` see those before `i` alone. Its
/// hidden units are sorted by degree, so that its masks are block-triangular.
///
/// Weights and biases start uniform in `±1/√(inputs of the layer)`, in the last layer within a tenth of that, so that what the
/// outputs parametrise starts near its value at zero. Source: Germain et al. 2015 (MADE), §3.
#[derive(Clone, Debug)]
pub struct Perceptron<I: Dim, O: Dim, A, E: Dtype = f32, D: Storage<E> = Cpu> {
    first: Dense<I, usize, A, E, D>,
    second: Dense<usize, usize, A, E, D>,
    third: Dense<usize, O, Identity, E, D>,
    /// Coordinates of an autoregressive perceptron; 0 for a dense one.
    dims: usize,
}

impl<I: Dim, O: Dim, A: Activation, E: Real, D: Device<E>> Perceptron<I, O, A, E, D> {
    /// Every output sees every input.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn dense(device: &D, inputs: I, hidden: usize, outputs: O) -> Result<Self> {
        Self::start(device, (inputs, hidden, outputs), 0)
    }

    fn start(device: &D, (inputs, hidden, outputs): (I, usize, O), dims: usize) -> Result<Self> {
        let sizes = [inputs.size(), hidden, hidden, outputs.size()];
        if sizes.contains(&0) {
            return Err(Error::invalid(format!("a network of {sizes:?} units; at least 1 is needed in each layer")));
        }
        let reach = reach(sizes, dims);
        let sees = |l: usize| {
            let reach = &reach[l];
            move |unit: usize, below: usize| below < reach[unit]
        };
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        Ok(Self {
            first: Dense::draw(device, (inputs, hidden), 1.0, &mut rng, sees(0))?,
            second: Dense::draw(device, (hidden, hidden), 1.0, &mut rng, sees(1))?,
            third: Dense::draw(device, (hidden, outputs), 0.1, &mut rng, sees(2))?,
            dims,
        })
    }

    /// The outputs of every row.
    pub fn forward<T: Tape<E, D>>(&self, x: Tensor<(usize, I), E, D, T>) -> Tensor<(usize, O), E, D, T> {
        let y =
            D::try_perceptron::<A, I, T>(x, &self.layers()).expect("the device has memory for the network's outputs");
        y.try_realize().unwrap_or_else(|_| unreachable!("the last layer has these outputs"))
    }

    /// Refuses weights outside the masks of an autoregressive network, which are zero when it is made and stay so.
    pub(crate) fn check(&self) -> Result<()> {
        for Layer { weight, reach, .. } in self.layers() {
            let below = weight.shape().1;
            let outside = |(at, w): (usize, &E)| at % below >= reach[at / below] && *w != E::default();
            if D::elements(&weight).iter().enumerate().any(outside) {
                return Err(Error::invalid("a connection against the order of the coordinates"));
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn first_mut(&mut self) -> &mut Dense<I, usize, A, E, D> {
        &mut self.first
    }

    /// The layers with what their units see.
    pub fn layers(&self) -> [Layer<E, D>; 3] {
        let [first, second, third] = reach(self.sizes(), self.dims);
        [self.first.with_reach(first), self.second.with_reach(second), self.third.with_reach(third)]
    }
}

impl<I: Dim, A: Activation, E: Real, D: Device<E>> Perceptron<I, usize, A, E, D> {
    /// `k` outputs for each of the last `dims` inputs, which see the coordinates before and the inputs that are none.
    ///
    /// # Errors
    /// When there are no coordinates or more than inputs, another size is 0, or the device has no memory for it.
    pub fn autoregressive(device: &D, inputs: I, dims: usize, hidden: usize, k: usize) -> Result<Self> {
        if dims == 0 || dims > inputs.size() {
            let all = inputs.size();
            return Err(Error::invalid(format!(
                "a network of {dims} coordinates among {all} inputs; at least 1 is needed"
            )));
        }
        Self::start(device, (inputs, hidden, dims * k), dims)
    }
}

impl<I: Dim, O: Dim, A, E: Dtype, D: Storage<E>> Perceptron<I, O, A, E, D> {
    /// Inputs, hidden units twice, outputs.
    pub fn sizes(&self) -> [usize; 4] {
        let ((first, inputs), (outputs, second)) = (*self.first.weight.shape(), *self.third.weight.shape());
        [inputs.size(), first, second, outputs.size()]
    }

    /// Where its weights are.
    pub(crate) fn device(&self) -> &D {
        self.first.weight.device()
    }

    /// Coordinates of an autoregressive perceptron; 0 for a dense one.
    pub fn dims(&self) -> usize {
        self.dims
    }
}

impl<I: Dim, O: Dim, A, E: Real, D: Device<E>> Dense<I, O, A, E, D> {
    /// The same tensors without their sizes, and what the units see.
    fn with_reach(&self, reach: Arc<[usize]>) -> Layer<E, D> {
        let free = "every size is a number";
        Layer {
            weight: self.weight.clone().try_realize().unwrap_or_else(|_| unreachable!("{free}")),
            bias: self.bias.clone().try_realize().unwrap_or_else(|_| unreachable!("{free}")),
            reach,
        }
    }
}

/// How many units below each unit sees.
fn reach([inputs, first, second, outputs]: [usize; 4], dims: usize) -> [Arc<[usize]>; 3] {
    let all = |units: usize, below: usize| vec![below; units].into();
    if dims == 0 {
        return [all(first, inputs), all(second, first), all(outputs, second)];
    }
    let (context, heads) = (inputs - dims, outputs / dims);
    // A unit of degree m sees the first m coordinates. Degrees are spread evenly, and sorted; those of units that see no
    // coordinate are of use where there is a context, or a single coordinate.
    let lowest = usize::from(context == 0 && dims > 1);
    let degrees = dims - lowest;
    let degree = |unit: usize, units: usize| lowest + unit * degrees / units.max(1);
    // Units of a layer whose degree is at most m: the first ones.
    let up_to = |m: usize, units: usize| (0..units).take_while(|unit| degree(*unit, units) <= m).count();
    let counts = |units: usize| (0..=dims).map(|m| up_to(m, units)).collect::<Vec<_>>();
    let (below_second, below_outputs) = (counts(first), counts(second));
    [
        (0..first).map(|unit| context + degree(unit, first)).collect(),
        (0..second).map(|unit| below_second[degree(unit, second)]).collect(),
        (0..outputs).map(|output| below_outputs[output / heads]).collect(),
    ]
}

fields! {
    [I: Size, O: Size, A: Activation,] Perceptron[I, O, A,] { module first, module second, module third, size dims }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Tanh, fresh_copy, params};
    use dfdx::tensor::TensorFromVec;

    type Net = Perceptron<usize, usize, Tanh, f64>;

    /// The outputs for one row.
    fn at(net: &Net, x: &[f64]) -> Vec<f64> {
        net.forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, x.len()))).as_vec()
    }

    #[test]
    fn an_output_sees_the_context_and_what_comes_before() {
        let device = Cpu::seed_from_u64(2);
        for (context, dims, hidden) in [(0, 4, 9), (2, 4, 9), (0, 1, 5), (3, 1, 5), (1, 7, 3), (0, 2, 10)] {
            let net = Net::autoregressive(&device, context + dims, dims, hidden, 2).unwrap();
            let x: Vec<f64> = (0..context + dims).map(|i| 0.3 - 0.2 * i as f64).collect();
            let before = at(&net, &x);
            for input in 0..context + dims {
                let mut moved = x.clone();
                moved[input] += 0.5;
                let moved = at(&net, &moved);
                for (output, (a, b)) in before.iter().zip(&moved).enumerate() {
                    let sees = input < context + output / 2;
                    let must = sees && hidden >= dims;
                    assert!(a == b || sees, "{context}+{dims}: output {output} sees input {input}");
                    assert!(a != b || !must, "{context}+{dims}: output {output} does not see input {input}");
                }
            }
        }
    }

    #[test]
    fn a_copy_is_the_same_network() {
        let net = Net::autoregressive(&Cpu::seed_from_u64(2), 4, 3, 8, 2).unwrap();
        let copy = fresh_copy(&net).unwrap();
        assert_eq!(params(&copy), params(&net));
        assert_eq!(at(&copy, &[0.1, 0.2, 0.3, 0.4]), at(&net, &[0.1, 0.2, 0.3, 0.4]));
        let names: Vec<String> = params(&net).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names[..3], ["first.weight", "first.bias", "second.weight"]);
    }

    #[test]
    fn a_network_without_units_is_refused() {
        let message = Net::dense(&Cpu::default(), 3, 0, 2).unwrap_err().to_string();
        assert_eq!(message, "a network of [3, 0, 0, 2] units; at least 1 is needed in each layer");
    }
}
