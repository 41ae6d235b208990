//! Adam, with clipping and decoupled weight decay.

use dfdx::{
    nn::{
        RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
    },
    optim::WeightDecay,
    shapes::{HasShape, Shape},
    tensor::{Gradients, Tensor},
};

use super::Schedule;
use crate::{
    Error, Result,
    nn::{
        Device, NamedArray,
        params::{by_name, none_left, shape_of, take},
    },
};

/// What Adam is told.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AdamConfig {
    /// The learning rate at each step.
    pub rate: Schedule,
    /// The decays β₁ and β₂ of the two moments.
    pub betas: [f64; 2],
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
    /// λ of the decoupled weight decay; 0 for none.
    pub weight_decay: f64,
    /// The largest norm that all gradients together may have; none for no limit.
    pub clip: Option<f64>,
}

impl Default for AdamConfig {
    /// A constant rate of 10⁻³, β = (0.9, 0.999), ε = 10⁻⁸, no decay, no clipping.
    fn default() -> Self {
        Self { rate: Schedule::constant(1e-3), betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.0, clip: None }
    }
}

impl AdamConfig {
    /// For a training of so many steps: a rate that warms up for a twentieth of them and falls along a cosine to a hundredth, and
    /// gradients of at most that norm.
    pub fn over(steps: u64, rate: f64, clip: f64) -> Self {
        let rate = Schedule::constant(rate).warmed_up(steps / 20).cosine(steps, 0.01);
        Self { rate, clip: Some(clip), ..Self::default() }
    }
}

/// The optimizer Adam.
///
/// ```text
/// g ← g · min(1, clip / ‖g‖)                       ‖g‖ over all parameters together
/// m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
/// θ ← θ − rate(t) · ( m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε) + λ θ )
/// ```
///
/// Source: Kingma and Ba 2015, algorithm 1; the decay as in Loshchilov and Hutter 2019, algorithm 2.
///
/// ```
/// use dfdx::{nn::ZeroGrads, prelude::*};
/// use limbeck::nn::{Dense, optim::{Adam, AdamConfig}};
///
/// let device = Cpu::seed_from_u64(0);
/// let mut model = Dense::<Const<2>, Const<1>>::build_on_device(&device);
/// let mut adam = Adam::new(AdamConfig { clip: Some(1.0), ..Default::default() })?;
/// let mut grads = model.alloc_grads();
/// for _ in 0..3 {
///     let y = model.forward(device.ones::<Rank2<4, 2>>().traced(grads));
///     grads = y.square().mean().backward();
///     let norm = adam.update(&mut model, &mut grads)?;
///     model.zero_grads(&mut grads);
/// #   assert!(norm > 0.0);
/// }
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Debug)]
pub struct Adam<D: Device<f32>> {
    config: AdamConfig,
    step: u64,
    first: Gradients<f32, D>,
    second: Gradients<f32, D>,
}

impl<D: Device<f32>> Adam<D> {
    /// An optimizer before its first step.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a number of the configuration is out of its range.
    pub fn new(config: AdamConfig) -> Result<Self> {
        config.rate.check()?;
        if config.betas.iter().any(|beta| !(0.0..1.0).contains(beta)) {
            return Err(Error::invalid(format!("Adam's betas are {:?}; both must satisfy 0 ≤ β < 1", config.betas)));
        }
        for (name, value) in [("epsilon", config.epsilon), ("weight decay", config.weight_decay)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid(format!("Adam's {name} is {value}; it must be finite and not negative")));
            }
        }
        if config.clip.is_some_and(|clip| clip.is_nan() || clip <= 0.0) {
            return Err(Error::invalid("the clipping norm must be positive"));
        }
        Ok(Self { config, step: 0, first: Gradients::leaky(), second: Gradients::leaky() })
    }

    /// What it was told.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// One step down the gradient. Returns the norm of all gradients together, before clipping.
    ///
    /// A parameter without a gradient counts as having zero. The gradients are left clipped.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the parameter whose gradient is NaN or infinite; nothing is changed then.
    pub fn update<M: TensorCollection<f32, D>>(&mut self, model: &mut M, grads: &mut Gradients<f32, D>) -> Result<f64> {
        let mut norm = Norm { grads, squares: 0.0 };
        M::iter_tensors(&mut RecursiveWalker { m: (&*model, String::new()), f: &mut norm })?;
        let norm = norm.squares.sqrt();
        let scale = self.config.clip.map_or(1.0, |clip| (clip / norm).min(1.0)) as f32;
        self.step += 1;
        let config = dfdx::tensor_ops::AdamConfig {
            lr: self.config.rate.at(self.step),
            betas: self.config.betas,
            eps: self.config.epsilon,
            weight_decay: (self.config.weight_decay > 0.0).then_some(WeightDecay::Decoupled(self.config.weight_decay)),
        };
        let mut descend = Descend { adam: self, config, grads, scale };
        M::iter_tensors(&mut RecursiveWalker { m: model, f: &mut descend }).map_err(Error::invalid)?;
        Ok(norm)
    }

    /// The moments and the step by name, to go on from later.
    pub fn state<M: TensorCollection<f32, D>>(&mut self, model: &M) -> Vec<NamedArray> {
        // A step as four exact 16-bit pieces: f32 alone would round it past 2²⁴.
        let pieces = (0..4).map(|i| f32::from((self.step >> (16 * i)) as u16)).collect();
        let mut save = Save { adam: self, arrays: vec![("step".into(), vec![4], pieces)] };
        M::iter_tensors(&mut RecursiveWalker { m: (model, String::new()), f: &mut save })
            .expect("a moment can be allocated");
        save.arrays
    }

    /// Goes on from where [`state`](Self::state) was taken, bit for bit.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the array which is missing, left over, repeated or of another shape. The optimizer is
    /// then as new.
    pub fn load_state<M: TensorCollection<f32, D>>(&mut self, model: &M, state: &[NamedArray]) -> Result<()> {
        let mut fresh = Self::new(self.config)?;
        let mut given = by_name(state)?;
        let pieces = &take(&mut given, "step", &[4])?.2;
        if pieces.iter().any(|p| p.fract() != 0.0 || !(0.0..65536.0).contains(p)) {
            return Err(Error::invalid("the array `step` does not hold a step"));
        }
        fresh.step = pieces.iter().rev().fold(0, |step, piece| (step << 16) | *piece as u64);
        let mut load = Load { adam: &mut fresh, given };
        M::iter_tensors(&mut RecursiveWalker { m: (model, String::new()), f: &mut load })?;
        none_left(&load.given)?;
        *self = fresh;
        Ok(())
    }
}

struct Norm<'a, D: Device<f32>> {
    grads: &'a mut Gradients<f32, D>,
    squares: f64,
}

impl<D: Device<f32>> TensorVisitor<f32, D> for Norm<'_, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = Error;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, f32, D>,
        (tensor, name): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>> {
        if options.do_gradient_update {
            let gradient = self.grads.get_or_alloc_mut(tensor).map_err(Error::invalid)?;
            let squares = D::read_buffer(gradient, |g| {
                // Eight sums, so that the additions do not wait for one another.
                let mut sums = [0.0_f64; 8];
                for chunk in g.chunks(8) {
                    sums.iter_mut().zip(chunk).for_each(|(sum, g)| *sum += f64::from(*g) * f64::from(*g));
                }
                let squares: f64 = sums.iter().sum();
                if squares.is_finite() {
                    Ok(squares)
                } else {
                    Err(g.iter().position(|g| !g.is_finite()).map(|i| (i, g[i])))
                }
            });
            match squares.map_err(Error::invalid)? {
                Ok(squares) => self.squares += squares,
                Err(at) => {
                    let (i, g) = at.unwrap_or((0, f32::NAN));
                    let n = tensor.shape().num_elements();
                    return Err(Error::invalid(format!("the gradient of `{name}` is {g} at element {i} of {n}")));
                }
            }
        }
        Ok(None)
    }
}

struct Descend<'a, D: Device<f32>> {
    adam: &'a mut Adam<D>,
    config: dfdx::tensor_ops::AdamConfig,
    grads: &'a mut Gradients<f32, D>,
    scale: f32,
}

impl<D: Device<f32>> TensorVisitor<f32, D> for Descend<'_, D> {
    type Viewer = ViewTensorMut;
    type Err = D::Err;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, f32, D>,
        tensor: &mut Tensor<S, f32, D>,
    ) -> Result<Option<Tensor<S, f32, D>>, D::Err> {
        if options.do_gradient_update {
            let gradient = self.grads.get_or_alloc_mut(tensor)?;
            if self.scale != 1.0 {
                D::edit_buffer(gradient, |g| g.iter_mut().for_each(|g| *g *= self.scale))?;
            }
            let first = self.adam.first.get_or_alloc_mut(tensor)?;
            let second = self.adam.second.get_or_alloc_mut(tensor)?;
            // Past 2³¹ steps the corrections are 1 to the last bit.
            let step = i32::try_from(self.adam.step).unwrap_or(i32::MAX);
            self.config.try_update(step, tensor, first, second, gradient)?;
        }
        Ok(None)
    }
}

struct Save<'a, D: Device<f32>> {
    adam: &'a mut Adam<D>,
    arrays: Vec<NamedArray>,
}

impl<D: Device<f32>> TensorVisitor<f32, D> for Save<'_, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = D::Err;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, f32, D>,
        (tensor, name): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, D::Err> {
        if options.do_gradient_update {
            for (moment, which) in [(&mut self.adam.first, "first"), (&mut self.adam.second, "second")] {
                let values = D::read_buffer(moment.get_or_alloc_mut(tensor)?, <[f32]>::to_vec)?;
                self.arrays.push((format!("{which}.{name}"), shape_of(tensor), values));
            }
        }
        Ok(None)
    }
}

struct Load<'a, D: Device<f32>> {
    adam: &'a mut Adam<D>,
    given: std::collections::HashMap<&'a str, &'a NamedArray>,
}

impl<D: Device<f32>> TensorVisitor<f32, D> for Load<'_, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = Error;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, f32, D>,
        (tensor, name): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>> {
        if options.do_gradient_update {
            for (moment, which) in [(&mut self.adam.first, "first"), (&mut self.adam.second, "second")] {
                let array = take(&mut self.given, &format!("{which}.{name}"), &shape_of(tensor))?;
                let buffer = moment.get_or_alloc_mut(tensor).map_err(Error::invalid)?;
                D::edit_buffer(buffer, |m| m.copy_from_slice(&array.2)).map_err(Error::invalid)?;
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use dfdx::{
        nn::{BuildOnDevice, Module, ZeroGrads},
        shapes::{Const, Rank1, Rank2},
        tensor::{Cpu, SampleTensor, TensorFrom, Trace},
        tensor_ops::{Backward, MeanTo, SumTo},
    };

    use super::*;
    use crate::nn::{Dense, Tanh, load_params, params};

    type Net = (Dense<Const<3>, Const<4>, Tanh>, Dense<Const<4>, Const<1>>);

    fn gradients(net: &Net, device: &Cpu) -> Gradients<f32, Cpu> {
        let x = device.sample_normal::<Rank2<8, 3>>();
        net.forward(x.traced(net.alloc_grads())).square().mean().backward()
    }

    #[test]
    fn a_step_is_the_formula() {
        let device = Cpu::default();
        let mut theta: Tensor<Rank1<2>, f32, Cpu> = device.tensor([1.0, -2.0]);
        let config =
            AdamConfig { rate: Schedule::constant(0.1), weight_decay: 0.5, clip: Some(1.0), ..Default::default() };
        let mut adam = Adam::new(config).unwrap();
        let (mut expected, mut m, mut v) = ([1.0_f64, -2.0], [0.0; 2], [0.0; 2]);
        for t in 1..=5 {
            let mut grads = (theta.leaky_trace().square() * 1.5).sum().backward();
            let g = expected.map(|x| 3.0 * x);
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!((adam.update(&mut theta, &mut grads).unwrap() - norm).abs() < 1e-5 * norm);
            for i in 0..2 {
                let g = g[i] * (1.0 / norm).min(1.0);
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (m, v) = (m[i] / (1.0 - 0.9_f64.powi(t)), v[i] / (1.0 - 0.999_f64.powi(t)));
                expected[i] -= 0.1 * (m / (v.sqrt() + 1e-8) + 0.5 * expected[i]);
            }
            for (x, e) in theta.as_vec().iter().zip(expected) {
                assert!((f64::from(*x) - e).abs() < 1e-5, "step {t}: {x} against {e}");
            }
        }
    }

    #[test]
    fn a_resumed_run_is_the_uninterrupted_one_bit_for_bit() {
        let config = AdamConfig { clip: Some(0.1), weight_decay: 0.01, ..Default::default() };
        let device = Cpu::seed_from_u64(1);
        let mut net = Net::build_on_device(&device);
        let mut adam = Adam::new(config).unwrap();
        for _ in 0..3 {
            let mut grads = gradients(&net, &device);
            adam.update(&mut net, &mut grads).unwrap();
        }
        let (saved_net, saved_adam) = (params(&net), adam.state(&net));
        let mut other = Net::build_on_device(&Cpu::seed_from_u64(2));
        load_params(&mut other, &saved_net).unwrap();
        let mut resumed = Adam::new(config).unwrap();
        resumed.load_state(&other, &saved_adam).unwrap();
        assert_eq!(resumed.step(), 3);
        for seed in 0..3 {
            let mut grads = gradients(&net, &Cpu::seed_from_u64(seed));
            adam.update(&mut net, &mut grads).unwrap();
            let mut grads = gradients(&other, &Cpu::seed_from_u64(seed));
            resumed.update(&mut other, &mut grads).unwrap();
        }
        assert_eq!(params(&net), params(&other));
        assert_eq!(adam.state(&net), resumed.state(&other));
    }

    #[test]
    fn a_wrong_state_is_refused_by_name() {
        let net = Net::build_on_device(&Cpu::default());
        let mut adam = Adam::new(AdamConfig::default()).unwrap();
        let state = adam.state(&net);
        let refuse = |change: &dyn Fn(&mut Vec<NamedArray>)| {
            let mut state = state.clone();
            change(&mut state);
            Adam::<Cpu>::new(AdamConfig::default()).unwrap().load_state(&net, &state).unwrap_err().to_string()
        };
        assert_eq!(refuse(&|s| drop(s.remove(1))), "the array `first.0.weight` is missing");
        assert!(refuse(&|s| s[2].1 = vec![3, 4]).starts_with("the array `second.0.weight` has shape [3, 4]"));
        assert_eq!(refuse(&|s| s[0].2[0] = 0.5), "the array `step` does not hold a step");
        assert_eq!(
            refuse(&|s| s.push(("third".into(), vec![], vec![0.0]))),
            "the array `third` belongs to no tensor here"
        );
    }

    #[test]
    fn a_gradient_that_is_no_number_is_named_and_changes_nothing() {
        let device = Cpu::seed_from_u64(1);
        let mut net = Net::build_on_device(&device);
        let mut adam = Adam::new(AdamConfig::default()).unwrap();
        let mut grads = gradients(&net, &device);
        grads.get_or_alloc_mut(&net.1.weight).unwrap()[2] = f32::NAN;
        let before = params(&net);
        let message = adam.update(&mut net, &mut grads).unwrap_err().to_string();
        assert_eq!(message, "the gradient of `1.weight` is NaN at element 2 of 4");
        assert_eq!((params(&net), adam.step()), (before, 0));
        assert!(super::super::loss_value(&device.tensor(f32::INFINITY)).is_err());
    }

    #[test]
    fn an_impossible_configuration_is_refused() {
        for config in [
            AdamConfig { betas: [1.0, 0.9], ..Default::default() },
            AdamConfig { epsilon: -1.0, ..Default::default() },
            AdamConfig { clip: Some(0.0), ..Default::default() },
            AdamConfig { rate: Schedule::constant(-1.0), ..Default::default() },
        ] {
            assert!(Adam::<Cpu>::new(config).is_err());
        }
    }
}
