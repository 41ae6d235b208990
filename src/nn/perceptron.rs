//! A perceptron with two hidden layers, whose sizes are known at run time; what the layers of a flow are made of.

use std::{marker::PhantomData, sync::Arc};

use dfdx::{
    dtypes::Dtype,
    nn::{ModuleVisitor, ScalarOptions, TensorCollection},
    shapes::{Dim, HasShape},
    tensor::{Cpu, Storage, Tape, Tensor},
    tensor_ops::Device as Plain,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Activation, Device, Real, init::any_shape, ops::Layer};
use crate::{Error, Result};

/// A perceptron with two hidden layers, either dense or autoregressive.
///
/// ```text
/// y = W₃ f(W₂ f(W₁ x + b₁) + b₂) + b₃
/// ```
///
/// Shapes: `x (batch, inputs)`, `y (batch, outputs)`. In an autoregressive one the inputs are `context` numbers that every
/// output sees and `dims` coordinates; of its `dims · k` outputs the `k` of coordinate `i` see those before `i` alone. Its
/// hidden units are sorted by degree, so that its masks are block-triangular.
///
/// Weights and biases start uniform in `±1/√(inputs of the layer)`, in the last layer within a tenth of that, so that what the
/// outputs parametrise starts near its value at zero. Source: Germain et al. 2015 (MADE), §3.
#[derive(Clone, Debug)]
pub struct Perceptron<A, E: Dtype = f32, D: Storage<E> = Cpu> {
    weights: [Tensor<(usize, usize), E, D>; 3],
    biases: [Tensor<(usize,), E, D>; 3],
    /// Coordinates of an autoregressive perceptron; 0 for a dense one.
    dims: usize,
    activation: PhantomData<A>,
}

impl<A: Activation, E: Real, D: Device<E>> Perceptron<A, E, D> {
    /// Every output sees every input.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn dense(device: &D, inputs: usize, hidden: usize, outputs: usize) -> Result<Self> {
        Self::start(device, [inputs, hidden, hidden, outputs], 0)
    }

    /// `k` outputs for each of `dims` coordinates, which see `context` inputs and the coordinates before.
    ///
    /// # Errors
    /// When a size other than that of the context is 0, or the device has no memory for it.
    pub fn autoregressive(device: &D, context: usize, dims: usize, hidden: usize, k: usize) -> Result<Self> {
        if dims == 0 {
            return Err(Error::invalid("a network of 0 coordinates; at least 1 is needed"));
        }
        Self::start(device, [context + dims, hidden, hidden, dims * k], dims)
    }

    fn start(device: &D, sizes: [usize; 4], dims: usize) -> Result<Self> {
        if sizes.contains(&0) {
            return Err(Error::invalid(format!("a network of {sizes:?} units; at least 1 is needed in each layer")));
        }
        let reach = reach(sizes, dims);
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        let mut layer = |l: usize| {
            let (below, units) = (sizes[l], sizes[l + 1]);
            let bound = if l == 2 { 0.1 } else { 1.0 } / (below as f64).sqrt();
            let mut value = || bound * (2.0 * rng.random::<f64>() - 1.0);
            let seen = |at: usize| at % below < reach[l][at / below];
            let weight = (0..units * below).map(|at| E::of(if seen(at) { value() } else { 0.0 })).collect();
            let bias = (0..units).map(|_| E::of(value())).collect();
            let weight = device.try_tensor_from_vec(weight, (units, below)).map_err(Error::invalid)?;
            Ok::<_, Error>((weight, device.try_tensor_from_vec(bias, (units,)).map_err(Error::invalid)?))
        };
        let [(w1, b1), (w2, b2), (w3, b3)] = [layer(0)?, layer(1)?, layer(2)?];
        Ok(Self { weights: [w1, w2, w3], biases: [b1, b2, b3], dims, activation: PhantomData })
    }

    /// The outputs of every row.
    pub fn forward<I: Dim, T: Tape<E, D>>(&self, x: Tensor<(usize, I), E, D, T>) -> Tensor<(usize, usize), E, D, T> {
        D::try_perceptron::<A, I, T>(x, &self.layers()).expect("the device has memory for the network's outputs")
    }

    /// Refuses weights outside the masks of an autoregressive network, which are zero when it is made and stay so.
    pub(crate) fn check(&self) -> Result<()> {
        let reach = reach(self.sizes(), self.dims);
        for (weight, reach) in self.weights.iter().zip(reach) {
            let below = weight.shape().1;
            let outside = |(at, w): (usize, &E)| at % below >= reach[at / below] && *w != E::default();
            if D::elements(weight).iter().enumerate().any(outside) {
                return Err(Error::invalid("a connection against the order of the coordinates"));
            }
        }
        Ok(())
    }

    /// The weights, one matrix a layer.
    #[cfg(test)]
    pub(crate) fn layers_mut(&mut self) -> &mut [Tensor<(usize, usize), E, D>; 3] {
        &mut self.weights
    }

    /// The layers with what their units see.
    pub fn layers(&self) -> [Layer<E, D>; 3] {
        let reach = reach(self.sizes(), self.dims);
        let mut reach = reach.into_iter();
        std::array::from_fn(|l| Layer {
            weight: self.weights[l].clone(),
            bias: self.biases[l].clone(),
            reach: reach.next().expect("there are three layers"),
        })
    }
}

impl<A, E: Dtype, D: Storage<E>> Perceptron<A, E, D> {
    /// Inputs, hidden units twice, outputs.
    pub fn sizes(&self) -> [usize; 4] {
        let [first, second, third] = &self.weights;
        [first.shape().1, first.shape().0, second.shape().0, third.shape().0]
    }

    /// Where its weights are.
    pub(crate) fn device(&self) -> &D {
        self.weights[0].device()
    }

    /// Coordinates of an autoregressive perceptron; 0 for a dense one.
    pub fn dims(&self) -> usize {
        self.dims
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

impl<A: Activation, E: Dtype, D: Plain<E>> TensorCollection<E, D> for Perceptron<A, E, D> {
    type To<E2: Dtype, D2: Plain<E2>> = Perceptron<A, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let weight = |l: usize| {
            let name = ["first.weight", "second.weight", "third.weight"][l];
            Self::tensor(name, move |s| &s.weights[l], move |s| &mut s.weights[l], any_shape(true))
        };
        let bias = |l: usize| {
            let name = ["first.bias", "second.bias", "third.bias"][l];
            Self::tensor(name, move |s| &s.biases[l], move |s| &mut s.biases[l], any_shape(true))
        };
        let dims = Self::scalar("dims", |s| &s.dims, |s| &mut s.dims, ScalarOptions::from_default(0));
        let fields = ((0..3).map(weight).collect::<Vec<_>>(), (0..3).map(bias).collect::<Vec<_>>(), dims);
        visitor.visit_fields(fields, |(weights, biases, dims)| Perceptron {
            weights: weights.try_into().unwrap_or_else(|_| unreachable!("there are three layers")),
            biases: biases.try_into().unwrap_or_else(|_| unreachable!("there are three layers")),
            dims,
            activation: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Tanh, fresh_copy, params};
    use dfdx::tensor::TensorFromVec;

    /// The outputs for one row.
    fn at(net: &Perceptron<Tanh, f64>, x: &[f64]) -> Vec<f64> {
        net.forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, x.len()))).as_vec()
    }

    #[test]
    fn an_output_sees_the_context_and_what_comes_before() {
        let device = Cpu::seed_from_u64(2);
        for (context, dims, hidden) in [(0, 4, 9), (2, 4, 9), (0, 1, 5), (3, 1, 5), (1, 7, 3), (0, 2, 10)] {
            let net = Perceptron::<Tanh, f64>::autoregressive(&device, context, dims, hidden, 2).unwrap();
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
        let net = Perceptron::<Tanh, f64>::autoregressive(&Cpu::seed_from_u64(2), 1, 3, 8, 2).unwrap();
        let copy = fresh_copy(&net).unwrap();
        assert_eq!(params(&copy), params(&net));
        assert_eq!(at(&copy, &[0.1, 0.2, 0.3, 0.4]), at(&net, &[0.1, 0.2, 0.3, 0.4]));
        let names: Vec<String> = params(&net).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names[..3], ["first.weight", "second.weight", "third.weight"]);
    }

    #[test]
    fn a_network_without_units_is_refused() {
        let message = Perceptron::<Tanh>::dense(&Cpu::default(), 3, 0, 2).unwrap_err().to_string();
        assert_eq!(message, "a network of [3, 0, 0, 2] units; at least 1 is needed in each layer");
    }
}
