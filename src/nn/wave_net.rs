//! WaveNet: a causal network of sequences, a pass at a time or a moment at a time.

use dfdx::{
    dtypes::Dtype,
    shapes::HasShape,
    tensor::{Cpu, PutTape, SplitTape, Storage, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::borrow::Cow;

use super::{
    Dense, Device, Identity, Real, Stack, fields,
    ops::{Taps, causal, pointwise},
};
use crate::{Error, Result, simd::vectorised};

/// A causal network: its outputs at a moment see the input up to that moment.
///
/// ```text
/// h₀ = W ∗ x + b
/// uₗ = tanh(Wₗ ∗ hₗ + bₗ) ⊙ σ(Vₗ ∗ hₗ + cₗ)      hₗ₊₁ = hₗ + Rₗ uₗ + rₗ
/// y = Y relu(S relu(Σ uₗ) + s) + y₀
/// ```
///
/// Convolution `l` sees two moments that lie `2^(l mod cycle)` apart, so that the output sees twice as far back with every layer.
/// Shapes: `x (batch, moments)`, `y (batch, outputs · moments)`, channel after channel. Source: van den Oord et al. 2016, §2; the
/// gated values go to the output as they are, without a matrix for each layer.
#[derive(Clone, Debug)]
pub struct WaveNet<E: Dtype = f32, D: Storage<E> = Cpu> {
    input: Channels<E, D>,
    /// Both halves of a gate: first the arguments of tanh.
    gates: Stack<Channels<E, D>>,
    residuals: Stack<Channels<E, D>>,
    skip: Channels<E, D>,
    output: Channels<E, D>,
}

/// What every moment goes through alike, or two moments together.
type Channels<E, D> = Dense<usize, usize, Identity, E, D>;

/// Layers after which dilations begin again at 1.
const CYCLE: usize = 10;

/// How far apart are the moments that gate `layer` sees.
fn dilation(layer: usize) -> usize {
    1 << (layer % CYCLE)
}

impl<E: Real, D: Device<E>> WaveNet<E, D> {
    /// A network of `layers` gates, `hidden` channels wide.
    ///
    /// # Errors
    /// When a size is 0, or the device has no memory for it.
    pub fn new(device: &D, layers: usize, hidden: usize, outputs: usize) -> Result<Self> {
        if [layers, hidden, outputs].contains(&0) {
            let sizes = format!("{layers} layers of {hidden} channels, {outputs} outputs");
            return Err(Error::invalid(format!("a causal network of {sizes}; no size may be 0")));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(device.random_u64());
        let mut weights = |inputs, outputs, gain| Dense::draw(device, (inputs, outputs), gain, &mut rng, |_, _| true);
        Ok(Self {
            input: weights(1, hidden, 1.0)?,
            gates: Stack::new((0..layers).map(|_| weights(2 * hidden, 2 * hidden, 1.0)).collect::<Result<_>>()?),
            residuals: Stack::new((0..layers).map(|_| weights(hidden, hidden, 1.0)).collect::<Result<_>>()?),
            skip: weights(hidden, hidden, 1.0)?,
            output: weights(hidden, outputs, 0.1)?,
        })
    }

    /// Moments that an output sees.
    pub fn reach(&self) -> usize {
        1 + (0..self.gates.layers().len()).map(dilation).sum::<usize>()
    }

    /// The outputs at all moments.
    pub fn forward<T: Tape<E, D>>(&self, x: Tensor<(usize, usize), E, D, T>) -> Tensor<(usize, usize), E, D, T> {
        fn at<E: Real, D: Device<E>, T: Tape<E, D>>(
            x: Tensor<(usize, usize), E, D, T>,
            weights: &Channels<E, D>,
        ) -> Tensor<(usize, usize), E, D, T> {
            causal(x, &weights.weight, &weights.bias, Taps { taps: 1, dilation: 1 })
        }
        let relu = |x: Tensor<(usize, usize), E, D, T>| {
            let slope = |x: E| if x > E::default() { E::ONE } else { E::default() };
            pointwise(x, |x: E| if x > E::default() { x } else { E::default() }, slope)
        };
        let mut h = at(x, &self.input);
        let mut total: Option<Tensor<(usize, usize), E, D, T>> = None;
        for (l, (gate, residual)) in self.gates.layers().iter().zip(self.residuals.layers()).enumerate() {
            let both = causal(h.retaped::<T>(), &gate.weight, &gate.bias, Taps { taps: 2, dilation: dilation(l) });
            let u = gated(both);
            h = at(u.retaped::<T>(), residual) + h;
            total = Some(match total {
                Some(total) => total + u,
                None => u,
            });
        }
        // What comes after the last gate goes nowhere, but its history is that of the input.
        let (total, tape) = total.unwrap_or_else(|| unreachable!("there is a layer")).split_tape();
        let total = total.put_tape(tape.merge(h.split_tape().1));
        at(relu(at(relu(total), &self.skip)), &self.output)
    }
}

/// `tanh` of the first half of every row times `σ` of the second.
fn gated<E: Real, D: Device<E>, T: Tape<E, D>>(x: Tensor<(usize, usize), E, D, T>) -> Tensor<(usize, usize), E, D, T> {
    let (x, mut tape) = x.contiguous().split_tape();
    let (rows, width) = *x.shape();
    let half = width / 2;
    let mut values = vec![E::default(); rows * half];
    let from = D::elements(&x);
    values.par_chunks_mut(half).zip(from.par_chunks(width)).for_each(|(out, x)| {
        let (a, b) = x.split_at(half);
        vectorised!(out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a.tanh() * b.sigmoid()));
    });
    drop(from);
    let out = x.device().tensor_from_vec(values, (rows, half));
    if T::OWNS_TAPE {
        let ghost = out.ghost();
        tape.add_backward_op(move |grads| {
            let given = D::read_buffer(grads.get_or_alloc_mut(&ghost)?, <[E]>::to_vec)?;
            let at = D::elements(&x);
            D::edit_buffer(grads.get_or_alloc_mut(&x)?, |into| {
                let each = into.par_chunks_mut(width).zip(at.par_chunks(width)).zip(given.par_chunks(half));
                each.for_each(|((into, x), given)| {
                    let ((a, b), (da, db)) = (x.split_at(half), into.split_at_mut(half));
                    vectorised!({
                        for ((((a, b), da), db), d) in a.iter().zip(b).zip(da).zip(db).zip(given) {
                            let (tanh, open) = (a.tanh(), b.sigmoid());
                            *da += *d * open * (E::ONE - tanh * tanh);
                            *db += *d * tanh * open * (E::ONE - open);
                        }
                    });
                });
            })
        });
    }
    out.put_tape(tape)
}

/// A matrix and its biases on the host.
struct OnHost<'a, E: Real> {
    weight: Cow<'a, [E]>,
    bias: Cow<'a, [E]>,
}

impl<'a, E: Real> OnHost<'a, E> {
    fn new<D: Device<E>>(weights: &'a Channels<E, D>) -> Self {
        Self { weight: D::elements(&weights.weight), bias: D::elements(&weights.bias) }
    }

    /// `W (x, more) + b`, with one number of `more` after each of `x`: the order of taps.
    fn apply(&self, x: &[E], more: Option<&[E]>, out: &mut [E]) {
        let inputs = self.weight.len() / self.bias.len();
        for ((out, bias), weights) in out.iter_mut().zip(self.bias.iter()).zip(self.weight.chunks_exact(inputs)) {
            *out = *bias;
            match more {
                None => weights.iter().zip(x).for_each(|(w, x)| *out += *w * *x),
                Some(more) => {
                    let pairs = weights.chunks_exact(2).zip(x).zip(more);
                    pairs.for_each(|((w, x), more)| *out += w[0] * *x + w[1] * *more);
                }
            }
        }
    }
}

/// A network that is given one moment after the other, and computes each once.
pub(crate) struct Moments<'a, E: Real> {
    input: OnHost<'a, E>,
    gates: Vec<OnHost<'a, E>>,
    residuals: Vec<OnHost<'a, E>>,
    skip: OnHost<'a, E>,
    output: OnHost<'a, E>,
    hidden: usize,
}

impl<E: Real, D: Device<E>> WaveNet<E, D> {
    pub(crate) fn moments(&self) -> Moments<'_, E> {
        Moments {
            input: OnHost::new::<D>(&self.input),
            gates: self.gates.layers().iter().map(OnHost::new::<D>).collect(),
            residuals: self.residuals.layers().iter().map(OnHost::new::<D>).collect(),
            skip: OnHost::new::<D>(&self.skip),
            output: OnHost::new::<D>(&self.output),
            hidden: self.input.bias.shape().0,
        }
    }
}

impl<E: Real> Moments<'_, E> {
    /// Room for the past of one sequence: what every gate has seen at every moment.
    pub(crate) fn past(&self) -> Vec<Vec<E>> {
        vec![Vec::new(); self.gates.len()]
    }

    /// The outputs at the next moment, at which the input is `x`.
    pub(crate) fn next(&self, x: E, past: &mut [Vec<E>]) -> Vec<E> {
        let n = self.hidden;
        let (mut h, mut both, mut total) = (vec![E::default(); n], vec![E::default(); 2 * n], vec![E::default(); n]);
        let zeros = vec![E::default(); n];
        self.input.apply(&[x], None, &mut h);
        let mut change = zeros.clone();
        for (l, ((gate, residual), past)) in self.gates.iter().zip(&self.residuals).zip(past).enumerate() {
            let before = past.len().checked_sub(dilation(l) * n).map_or(&zeros[..], |at| &past[at..at + n]);
            gate.apply(&h, Some(before), &mut both);
            past.extend_from_slice(&h);
            let (a, b) = both.split_at_mut(n);
            a.iter_mut().zip(b).for_each(|(a, b)| *a = a.tanh() * b.sigmoid());
            let u = &both[..n];
            total.iter_mut().zip(u).for_each(|(total, u)| *total += *u);
            residual.apply(u, None, &mut change);
            h.iter_mut().zip(&change).for_each(|(h, change)| *h += *change);
        }
        let relu = |x: &mut E| *x = if *x > E::default() { *x } else { E::default() };
        total.iter_mut().for_each(relu);
        self.skip.apply(&total, None, &mut h);
        h.iter_mut().for_each(relu);
        let mut out = vec![E::default(); self.output.bias.len()];
        self.output.apply(&h, None, &mut out);
        out
    }
}

fields! { [] WaveNet[] { module input, module gates, module residuals, module skip, module output } }

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
    fn it_is_causal_and_the_same_a_moment_at_a_time() {
        let net = WaveNet::<f64>::new(&Cpu::seed_from_u64(3), 3, 4, 2).unwrap();
        assert_eq!(net.reach(), 8);
        let at = |x: &[f64]| Cpu::default().tensor_from_vec(x.to_vec(), (1, x.len()));
        let x = numbers(12, 1);
        let all = net.forward(at(&x)).as_vec();
        let (moments, mut moved) = (net.moments(), x.clone());
        let mut past = moments.past();
        for (t, x) in x.iter().enumerate() {
            let now = moments.next(*x, &mut past);
            assert_close(&now, &[all[t], all[12 + t]], 1e-12);
        }
        moved[6] += 1.0;
        let other = net.forward(at(&moved)).as_vec();
        for (i, (a, b)) in all.iter().zip(other).enumerate() {
            assert_eq!(*a != b, i % 12 >= 6, "moment {}", i % 12);
        }
        let copy = fresh_copy(&net).unwrap();
        assert_eq!((params(&copy), copy.forward(at(&x)).as_vec()), (params(&net), all));
        assert!(WaveNet::<f64>::new(&Cpu::default(), 0, 4, 2).is_err());
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let net = WaveNet::<f64>::new(&Cpu::seed_from_u64(3), 2, 3, 2).unwrap();
        let weights: Tensor<(usize, usize), f64, Cpu> = Cpu::default().tensor_from_vec(numbers(24, 2), (2, 12));
        let at = |x: &[f64]| Cpu::default().tensor_from_vec(x.to_vec(), (2, 6));
        let x = at(&numbers(12, 1));
        let grads = (net.forward(x.leaky_trace()) * weights.clone()).sum::<Rank0, _>().backward();
        let value = |x: &[f64]| (net.forward(at(x)) * weights.clone()).as_vec().iter().sum();
        assert_close(&grads.get(&x).as_vec(), &numeric_gradient(&x.as_vec(), value), 1e-6);
        // Those of the biases of a gate, too.
        let bias = &net.gates.layers()[0].bias;
        let found = grads.get(bias).as_vec();
        let moved = |b: &[f64]| {
            let mut net = net.clone();
            let mut own = net.gates.layers()[0].bias.clone();
            own.copy_from(b);
            net.gates.layers_mut()[0].bias = own;
            (net.forward(x.clone()) * weights.clone()).as_vec().iter().sum()
        };
        assert_close(&found, &numeric_gradient(&bias.as_vec(), moved), 1e-6);
    }
}
