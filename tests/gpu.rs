//! The CUDA path against the CPU: on a GPU (`just gpu-kit`), or on the stand-in for libcuda (`tests/cuda`) where there is none.

use std::{env, process::Command};

use dfdx::{
    nn::{BuildModule, Module, TensorCollection, ZeroGrads},
    shapes::{Const, Rank2, Rank3, Rank4},
    tensor::{Cpu, Tensor, TensorFromVec, Trace},
    tensor_ops::{Backward, MeanTo, ReshapeTo},
};
use limbeck::nn::{
    self, Attention, Conv2d, ConvTranspose2d, Dense, Device, Gelu, Image, LeakyRelu, Padding, Relu, Sigmoid, Silu,
    Stride, Tanh, Window,
    device::{devices, gpu},
    optim::{Adam, AdamConfig, Ema, Schedule},
};
use limbeck::{
    diffusion::{DiffusionKind, DiffusionModel, FitDiffusion, NetworkKind},
    flows::{AffineCoupling, Autoregressive, BatchNorm, Bijection, Bounded, FlowLearner, Lu, Mask, Permute, Stack},
    growth::Learn,
    prelude::*,
    train::Run,
};

const BATCH: usize = 4;

type Encode<D> = (
    Conv2d<Image<1, 8, 8>, Image<3, 4, 4>, Window<3, Stride<2>, Padding<1>>, Relu, f32, D>,
    Conv2d<Image<3, 4, 4>, Image<4, 4, 4>, Window<1, Stride<1>, Padding<0>>, Silu, f32, D>,
);
type Middle<D> = (
    Dense<Const<64>, Const<12>, Tanh, f32, D>,
    (Dense<Const<12>, Const<12>, Gelu, f32, D>, Dense<Const<12>, Const<16>, LeakyRelu, f32, D>),
);
type Decode<D> = ConvTranspose2d<Image<1, 4, 4>, Image<1, 8, 8>, Window<4, Stride<2>, Padding<1>>, Sigmoid, f32, D>;
type Net<D> = (Encode<D>, Middle<D>, Attention<Const<4>, 2, true, f32, D>, Decode<D>);

/// Numbers in (−1, 1) without pattern.
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 + 1.0) * 12.9898).sin()).collect()
}

/// Three steps of an autoencoder; what there is to compare afterwards.
fn train<D: Device<f32>>(device: &D) -> Vec<nn::NamedArray> {
    let mut net: Net<D> = BuildModule::build(device);
    let x: Tensor<Rank4<BATCH, 1, 8, 8>, f32, D> = device.tensor_from_vec(numbers(BATCH * 64), Default::default());
    let config = AdamConfig {
        rate: Schedule::constant(0.01).warmed_up(2),
        weight_decay: 0.01,
        clip: Some(0.05),
        ..Default::default()
    };
    let mut adam = Adam::new(config).unwrap();
    let mut average = Ema::new(&net, 0.5).unwrap();
    let mut grads = net.alloc_grads();
    let mut out = Vec::new();
    for step in 0..3 {
        let code = net.0.forward(x.clone().traced(grads)).reshape::<Rank2<BATCH, 64>>();
        let tokens = net.1.forward(code).reshape::<Rank3<BATCH, 4, 4>>();
        let image = net.2.forward(tokens).reshape::<Rank4<BATCH, 1, 4, 4>>();
        let loss = (net.3.forward(image) - x.clone()).square().mean();
        out.push((format!("loss {step}"), vec![], vec![nn::optim::loss_value(&loss).unwrap()]));
        grads = loss.backward();
        let norm = adam.update(&mut net, &mut grads).unwrap();
        assert!(norm > 0.05, "clipping is exercised, the norm is {norm}");
        out.push((format!("norm {step}"), vec![], vec![norm as f32]));
        average.update(&net).unwrap();
        net.zero_grads(&mut grads);
    }
    out.extend(nn::params(&net));
    out.extend(average.state());
    let state = adam.state(&net);
    let mut resumed = Adam::new(config).unwrap();
    resumed.load_state(&net, &state).unwrap();
    assert_eq!(resumed.state(&net), state);
    out.extend(state);
    out
}

fn is_standin() -> bool {
    env::var_os("FAKECUDA_KERNELS").is_some()
}

/// How far single precision may be from single precision: a GPU sums in another order, and its matrix products may round more.
fn tolerance() -> f32 {
    if is_standin() { 1e-5 } else { 1e-3 }
}

#[test]
fn three_steps_agree_with_the_cpu() {
    let cuda = gpu(7).expect("a device answers");
    let named = devices().into_iter().find(|line| line.starts_with("cuda:0: ")).expect("it is listed");
    assert_eq!(named == "cuda:0: stand-in on the CPU", is_standin(), "{named}");
    let (ours, reference) = (train(&cuda), train(&Cpu::seed_from_u64(7)));
    assert_eq!(ours.len(), reference.len());
    for ((name, shape, values), (reference_name, reference_shape, expected)) in ours.iter().zip(&reference) {
        assert_eq!((name, shape), (reference_name, reference_shape));
        for (value, expected) in values.iter().zip(expected) {
            let tolerance = tolerance() * expected.abs().max(1.0);
            assert!((value - expected).abs() <= tolerance, "{name}: {value} on Cuda, {expected} on Cpu");
        }
    }
}

/// A flow on a device after a few steps of maximum likelihood: the densities it gives, and samples.
fn learn_flow<D, B>(device: &D, bijection: B) -> Vec<f32>
where
    D: Device<f32> + TensorFromVec<f32>,
    B: Bijection<usize, f32, D> + TensorCollection<f32, D> + Clone,
{
    let rows = Oracle::Moons.sample(96, Seed(0)).unwrap();
    let adam = AdamConfig { rate: Schedule::constant(1e-3), clip: Some(5.0), ..Default::default() };
    let mut learner = FlowLearner::new(device, Flow::normal(bijection), 2, &rows, None, adam).unwrap();
    let history = limbeck::train::train(&mut learner, &Plan::new(2, 32, Seed(1)), &mut quiet).unwrap();
    let model = learner.into_model();
    let evidence = model.evidence(&rows).unwrap();
    let drawn = model.flow().sequential().sample((8, 2_usize), device, Seed(2)).as_vec();
    let losses = history.epochs().into_iter().map(|epoch| epoch.1 as f32);
    losses.chain(evidence.log_probs().iter().map(|p| *p as f32)).chain(drawn).collect()
}

/// The same on a GPU and on the CPU, from the same first weights. Adam divides by the roots of small gradients, so that rounding
/// grows from step to step.
macro_rules! same_on_both {
    ($name:literal, |$device:ident| $bijection:expr) => {{
        let on_gpu = {
            let $device = &gpu(7).expect("a device answers");
            learn_flow($device, $bijection)
        };
        let on_cpu = {
            let $device = &Cpu::seed_from_u64(7);
            learn_flow($device, $bijection)
        };
        assert_eq!(on_gpu.len(), on_cpu.len());
        for (gpu, cpu) in on_gpu.into_iter().zip(on_cpu) {
            assert!(
                (gpu - cpu).abs() <= 100.0 * tolerance() * cpu.abs().max(1.0),
                "{}: {gpu} on Cuda, {cpu} on Cpu",
                $name
            );
        }
    }};
}

#[test]
fn flows_learn_the_same_on_both() {
    same_on_both!("coupling", |device| Stack::new(vec![
        AffineCoupling::new(device, 2_usize, 8, Mask::Even).unwrap(),
        AffineCoupling::new(device, 2_usize, 8, Mask::Odd).unwrap(),
    ]));
    same_on_both!("autoregressive", |device| (
        Autoregressive::<usize, Bounded, Tanh, f32, _>::new(device, 2, 8).unwrap(),
        Permute::reversed(device, 2_usize).unwrap(),
    ));
    same_on_both!("norm and LU", |device| (
        BatchNorm::new(device, 2_usize).unwrap(),
        Lu::new(device, 2_usize, Some(Seed(3))).unwrap(),
    ));
}

#[test]
fn a_flow_is_fitted_on_one_device_and_asked_on_another() {
    let rows = Oracle::Moons.sample(96, Seed(0)).unwrap();
    let settings = FitFlow { layers: 2, hidden: 8, epochs: 2, batch: 32, ..FitFlow::new(FlowKind::RealNvp) };
    let cuda = gpu(7).expect("a device answers");
    let mut watch = quiet;
    let run = Run::new(Seed(1), &mut watch);
    let flow = settings.fit_on(&cuda, &rows, None, run).unwrap().0;
    let (here, there) = (flow.evidence(&rows).unwrap(), flow.evidence_on(&cuda, &rows).unwrap());
    for (here, there) in here.log_probs().iter().zip(there.log_probs()) {
        assert!((here - there).abs() <= f64::from(10.0 * tolerance()) * here.abs().max(1.0), "{here} and {there}");
    }
    let (here, there) = (flow.sample(5, Seed(2)).unwrap(), flow.sample_on(&cuda, 5, Seed(2)).unwrap());
    for (here, there) in (0..5).flat_map(|i| here.row(i).iter().zip(there.row(i))) {
        assert!((here - there).abs() <= f64::from(10.0 * tolerance()) * here.abs().max(1.0), "{here} and {there}");
    }
}

#[test]
fn denoisers_learn_the_same_on_both() {
    let maps: Vec<u16> =
        (0..24).flat_map(|i| (0..32).map(move |at| (at % 8 > i % 7) as u16 + (at / 8 > i % 4) as u16)).collect();
    let maps = Discrete::new(Schema::uniform(&[4, 8], 3), maps).unwrap();
    let texts = Discrete::new(Schema::uniform(&[32], 3), maps.codes().to_vec()).unwrap();
    for (network, rows) in
        [(NetworkKind::Transformer, &texts), (NetworkKind::UNet, &maps), (NetworkKind::Perceptron, &texts)]
    {
        let settings = FitDiffusion {
            network,
            width: 8,
            heads: 2,
            epochs: 2,
            batch: 12,
            steps: 10,
            ..FitDiffusion::new(DiffusionKind::Multinomial)
        };
        let on_cpu = settings.fit_on(&Cpu::seed_from_u64(7), rows, None, Run::new(Seed(1), &mut quiet)).unwrap().0;
        let cuda = gpu(7).expect("a device answers");
        let on_gpu = settings.fit_on(&cuda, rows, None, Run::new(Seed(1), &mut quiet)).unwrap().0;
        let bound = |model: &DiffusionModel| model.bound(rows, 4, Seed(2)).unwrap().mean();
        let (here, there) = (bound(&on_cpu), bound(&on_gpu));
        assert!((here - there).abs() <= f64::from(100.0 * tolerance()) * here.abs(), "{network:?}: {here} and {there}");
    }
}

/// Rows of 20 variables with 5 values, some of them missing, that depend on each other.
fn rows_of_categories(n: usize) -> Discrete {
    let value = |i: usize| {
        let (row, v) = (i / 20, i % 20);
        match (row * 7 + v * 3) % 11 {
            0 => u16::MAX,
            other => ((other + row % 3 * v) % 5) as u16,
        }
    };
    Discrete::new(Schema::uniform(&[20], 5), (0..n * 20).map(value).collect()).unwrap()
}

#[test]
fn circuits_give_and_learn_the_same_on_both() {
    let rows = rows_of_categories(45);
    let (units, layer) = (5, SumProduct::Tucker);
    let structures = [
        Structure::hclt(5),
        Structure::Hclt { states: 4, joined: true, shared: 3 },
        Structure::Hmm { states: 34, homogeneous: true },
        Structure::RatSpn { depth: 2, replicas: 2, units, layer },
        Structure::RandomTree { units, layer: SumProduct::Cp },
    ];
    let exact = Em { pseudocount: 0.3, ..Em::exact() };
    let part = Em::default();
    for (structure, leaf, em) in [
        (&structures[0], Leaf::Categorical, exact),
        (&structures[1], Leaf::Categorical, part),
        (&structures[2], Leaf::Categorical, exact),
        (&structures[3], Leaf::Categorical, part),
        (&structures[4], Leaf::DiscretisedLogistic, exact),
    ] {
        let settings = FitCircuit { epochs: 2, batch: 20, patience: 0, leaf, em, ..FitCircuit::new(structure.clone()) };
        let learn = |gpu| {
            let mut watch = quiet;
            let run = Run { gpu, ..Run::new(Seed(1), &mut watch) };
            settings.fit_with(&rows, Some(&rows), run).unwrap()
        };
        let ((here, history), (there, of_gpu)) = (learn(false), learn(true));
        let near = |a: f64, b: f64, what: &str| {
            assert!((a - b).abs() <= 1e-3 * b.abs().max(1.0), "{structure:?}, {what}: {a} on the GPU, {b} on the CPU");
        };
        for (a, b) in of_gpu.records().iter().zip(history.records()) {
            near(a.loss, b.loss, "loss");
            near(a.valid.unwrap_or(0.0), b.valid.unwrap_or(0.0), "validation");
        }
        let (found, same) = (there.evidence_on_gpu(&rows).unwrap(), there.evidence(&rows).unwrap());
        let expected = here.evidence(&rows).unwrap();
        assert_eq!(found.rows(), expected.rows());
        for ((found, same), expected) in found.log_probs().iter().zip(same.log_probs()).zip(expected.log_probs()) {
            assert!((found - same).abs() <= 1e-5 * same.abs().max(1.0), "{structure:?}: {found} and {same}");
            near(*found, *expected, "a row");
        }
    }
}

#[test]
fn heads_learn_from_their_own_rows_on_both() {
    let rows = rows_of_categories(40);
    let labels: Vec<u32> = (0..40).map(|row| row % 3).collect();
    let settings = FitCircuit::new(Structure::hclt(4));
    let learn = |gpu| {
        let start = settings.start_heads(&rows, 3, Seed(2)).unwrap();
        let mut watch = quiet;
        let run = Run { gpu, ..Run::new(Seed(1), &mut watch) };
        Learn { epochs: 2, batch: 16, ..Learn::default() }.run(start, &rows, &labels, run).unwrap().0
    };
    let by_head = |circuit: &Circuit| circuit.log_prob_by_head(&rows).unwrap();
    let (here, there) = (by_head(&learn(false)), by_head(&learn(true)));
    assert_eq!(here.len(), there.len());
    for (here, there) in here.iter().zip(&there) {
        assert!((here - there).abs() <= 1e-3 * here.abs().max(1.0), "{there} on the GPU, {here} on the CPU");
    }
}

/// Values that no path of the circuit has in single precision: the GPU's rows are computed again on the CPU.
#[test]
fn what_single_precision_does_not_reach_is_as_probable_on_both() {
    let rows = Discrete::new(Schema::uniform(&[3], 256), vec![0, 255, 0, 255, 0, 255, 120, 121, 119]).unwrap();
    let mut watch = quiet;
    let run = Run { gpu: true, ..Run::new(Seed(0), &mut watch) };
    let settings = FitCircuit { epochs: 2, leaf: Leaf::Poisson, ..FitCircuit::new(Structure::hclt(2)) };
    let circuit = settings.fit_with(&rows, None, run).unwrap().0;
    let (found, expected) = (circuit.evidence_on_gpu(&rows).unwrap(), circuit.evidence(&rows).unwrap());
    for (found, expected) in found.log_probs().iter().zip(expected.log_probs()) {
        assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{found} and {expected}");
    }
}

#[test]
fn what_a_gpu_does_not_learn_is_refused() {
    let run = || Run { gpu: true, ..Run::new(Seed(0), Box::leak(Box::new(quiet))) };
    let says = |error: limbeck::Error, what: &str| assert!(error.to_string().contains(what), "{error}");
    let settings = FitCircuit { em: Em::anemone(), ..FitCircuit::new(Structure::hclt(2)) };
    says(settings.fit_with(&rows_of_categories(9), None, run()).unwrap_err(), "mini-batch and full-batch");
    let moons = Oracle::Moons.sample(20, Seed(0)).unwrap();
    let settings = FitCircuit::new(Structure::Mixture { components: 2 }).reals();
    says(settings.fit_with(&moons, None, run()).unwrap_err(), "for the CPU");
}

#[test]
fn a_driver_without_a_device_is_no_panic() {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "without_a_device", "--ignored"])
        .envs([("FAKECUDA_DEVICES", "0"), ("CUDA_VISIBLE_DEVICES", "")])
        .status()
        .unwrap();
    assert!(child.success());
}

#[test]
#[ignore = "run by `a_driver_without_a_device_is_no_panic`"]
fn without_a_device() {
    assert!(gpu(0).is_none());
    assert_eq!(devices().last().unwrap(), "cuda: no device answers");
}
