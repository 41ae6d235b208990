//! A training step on the GPU beside the same on the CPU, as CSV: `step,device,milliseconds`. The side of PyTorch and PyJuice is
//! `peers/gpu.py`. Each is the shortest of several forward and backward passes with an update, of 1,024 rows; of a few rows, and
//! of small circuits, to try the program itself, where `ROWS` says so.

use dfdx::{nn::TensorCollection, prelude::*};
use limbeck::{
    diffusion::{
        Ancestral, Decoder, Diffusion, DiffusionLearner, Drawing, Fall, Objectives, Steps, Times, Transformer,
        TransformerConfig, Uniform,
    },
    flows::{AffineCoupling, Autoregressive, Bijection, Bounded, Mask, Stack},
    nn::{
        Dense, Device, Relu, Tanh,
        device::{devices, gpu},
        optim::{Adam, AdamConfig, Schedule},
    },
    prelude::*,
    train::{Clock, Learner, Run},
};
use std::time::{Duration, Instant};

const DIMS: usize = 64;
const HIDDEN: usize = 512;

type Mlp<D> = (
    Dense<Const<64>, Const<512>, Relu, f32, D>,
    Dense<Const<512>, Const<512>, Relu, f32, D>,
    Dense<Const<512>, Const<64>, limbeck::nn::Identity, f32, D>,
);

/// Rows of a step.
fn rows() -> usize {
    std::env::var("ROWS").map_or(1024, |rows| rows.parse().expect("ROWS is a number"))
}

/// The shortest of as many steps as fit in two seconds; of a few, where rows are few.
fn shortest(mut step: impl FnMut()) -> f64 {
    let time = Duration::from_secs(if rows() < 64 { 0 } else { 2 });
    step();
    let (began, mut best) = (Instant::now(), f64::INFINITY);
    while best.is_infinite() || began.elapsed() < time {
        let start = Instant::now();
        step();
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    best
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 + 1.0) * 12.9898).sin()).collect()
}

fn adam<D: Device<f32>>() -> Adam<D> {
    Adam::new(AdamConfig { rate: Schedule::constant(1e-3), ..Default::default() })
        .expect("the settings are in their ranges")
}

fn mlp<D: Device<f32> + Synchronize>(device: &D) -> f64 {
    let mut net: Mlp<D> = BuildModule::build(device);
    let x: Tensor<(usize, Const<64>), f32, D> = device.tensor_from_vec(numbers(rows() * 64), (rows(), Const));
    let (mut adam, mut grads) = (adam(), Some(net.alloc_grads()));
    shortest(|| {
        let y = net.forward(x.clone().traced(grads.take().expect("each step gives them back")));
        let mut found = y.square().mean().backward();
        adam.update(&mut net, &mut found).expect("the gradients are finite");
        net.zero_grads(&mut found);
        device.synchronize();
        grads = Some(found);
    })
}

fn flow<D: Device<f32> + Synchronize, B: Bijection<usize, f32, D> + TensorCollection<f32, D>>(
    device: &D,
    bijection: B,
) -> f64 {
    let mut flow = Flow::normal(bijection);
    let x: Tensor<(usize, usize), f32, D> = device.tensor_from_vec(numbers(rows() * DIMS), (rows(), DIMS));
    let (mut adam, mut grads) = (adam(), Some(flow.bijection.alloc_grads()));
    shortest(|| {
        let x = x.clone().traced(grads.take().expect("each step gives them back"));
        let mut found = (-flow.sequential().log_prob(x).mean()).backward();
        adam.update(&mut flow.bijection, &mut found).expect("the gradients are finite");
        flow.bijection.zero_grads(&mut found);
        device.synchronize();
        grads = Some(found);
    })
}

/// A text's transformer (27 letters, 64 at a time, 128 wide, two blocks): a training step, and texts drawn in 100 steps.
fn denoiser<D: Device<f32> + Synchronize>(device: &D, name: &str) {
    const K: usize = 27;
    let length = if rows() < 64 { 8 } else { 64 };
    let schedule = limbeck::diffusion::Schedule::new(Fall::Cosine, 100).expect("steps");
    let process = Uniform::new(Const::<K>, schedule).expect("categories");
    let config = TransformerConfig { length, width: 128, heads: 4, blocks: 2 };
    let network =
        Transformer::<Const<K>, Const<K>, f32, D>::new(device, (Const, Const), &config).expect("the device has memory");
    let model = Diffusion::new(process, network).expect("one K");
    let codes = (0..rows() * length).map(|i| (i * 7 % 11 + i % 13) as u16).collect();
    let texts = Discrete::new(Schema::uniform(&[length], K), codes).expect("codes are below 27");
    let steps = Steps::all(model.process(), Decoder::Posterior);
    let what = Objectives { bound: steps.clone(), times: Times::Uniform, hybrid: 0.0 };
    let adam = AdamConfig { rate: Schedule::constant(1e-4), ..Default::default() };
    let mut learner = DiffusionLearner::new(model, &texts, None, what, adam, Seed(0)).expect("rows that fit");
    let batch: Vec<usize> = (0..rows()).collect();
    let mut clock = Clock { step: 0, steps: 1 << 20, epoch: 1, seed: Seed(1) };
    let step = shortest(|| {
        clock.step += 1;
        learner.step(&batch, &clock).expect("the gradients are finite");
        device.synchronize();
    });
    println!("diffusion: transformer on {length} letters,{name},{step:.4}");
    let model = learner.into_model();
    let (none, how) = (Discrete::all_missing(texts.schema().clone(), rows()), Drawing::new(steps));
    let draw = shortest(|| drop(model.draw(&none, &Ancestral, &how, Seed(2)).expect("valid settings")));
    println!("diffusion: {length} letters drawn in 100 steps,{name},{draw:.4}");
}

fn all<D: Device<f32> + Synchronize>(device: &D, name: &str) {
    let coupling = |i| AffineCoupling::new(device, DIMS, HIDDEN, if i % 2 == 0 { Mask::Even } else { Mask::Odd });
    let couplings = (0..4).map(|i| coupling(i).expect("the device has memory")).collect();
    let maf =
        |_| Autoregressive::<usize, Bounded, Tanh, f32, D>::new(device, DIMS, HIDDEN).expect("the device has memory");
    println!("MLP 64-512-512-64,{name},{:.4}", mlp(device));
    println!("4 affine couplings of 64 coordinates,{name},{:.4}", flow(device, Stack::new(couplings)));
    println!(
        "2 autoregressive layers of 64 coordinates,{name},{:.4}",
        flow(device, Stack::new((0..2).map(maf).collect()))
    );
    denoiser(device, name);
}

/// Pictures of a round blot, of another size at another place in each.
fn blots() -> Discrete {
    let (side, n) = if rows() < 64 { (4, 2 * rows()) } else { (28, 4 * rows()) };
    let code = |i: usize| {
        let (row, y, x) = (i / (side * side), i / side % side, i % side);
        let share = |k: usize| ((row * 3 + k) as f64 * 12.9898).sin().abs();
        let (from_y, from_x) = (y as f64 / side as f64 - share(0), x as f64 / side as f64 - share(1));
        (255.0 * (-(from_y * from_y + from_x * from_x) / (0.02 + 0.1 * share(2))).exp()) as u16
    };
    Discrete::new(Schema::uniform(&[1, side, side], 256), (0..n * side * side).map(code).collect())
        .expect("codes are below 256")
}

/// A step of EM, with the pictures read and the parameters set.
fn circuits(images: &Discrete, gpu: bool, name: &str) {
    for states in if rows() < 64 { [2, 3] } else { [64, 256] } {
        let settings = FitCircuit {
            epochs: if gpu { 5 } else { 1 },
            batch: rows(),
            patience: 0,
            ..FitCircuit::new(Structure::hclt(states))
        };
        let mut watch = quiet;
        let run = Run { gpu, ..Run::new(Seed(0), &mut watch) };
        let history = settings.fit_with(images, None, run).expect("the circuit is learned").1;
        let seconds: Vec<f64> = history.records().iter().map(|record| record.seconds).collect();
        let shortest = seconds.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        println!(
            "EM of a hidden Chow-Liu tree of {} variables with {states} states,{name},{:.4}",
            images.schema().len(),
            shortest * 1e3
        );
    }
}

fn main() {
    println!("step,device,milliseconds");
    let images = blots();
    if let Some(cuda) = gpu(0) {
        let named = devices().into_iter().find_map(|line| line.strip_prefix("cuda:0: ").map(String::from));
        let name = named.unwrap_or_else(|| "cuda".into());
        all(&cuda, &name);
        circuits(&images, true, &name);
    }
    let name = format!("CPU with {} threads", rayon::current_num_threads());
    all(&Cpu::seed_from_u64(0), &name);
    circuits(&images, false, &name);
}
