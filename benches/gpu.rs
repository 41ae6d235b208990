//! A training step on the GPU beside the same on the CPU, as CSV: `step,device,milliseconds`. PyTorch's side is
//! `peers/gpu.py`. Each is the shortest of many forward and backward passes with an update, of 1,024 rows; of a few rows, to try
//! the program itself, where `ROWS` says so.

use dfdx::{nn::TensorCollection, prelude::*};
use limbeck::{
    flows::{AffineCoupling, Autoregressive, Bijection, Bounded, Mask, Stack},
    nn::{
        Dense, Device, Relu, Tanh,
        device::{devices, gpu},
        optim::{Adam, AdamConfig, Schedule},
    },
    prelude::Flow,
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
}

fn main() {
    println!("step,device,milliseconds");
    if let Some(cuda) = gpu(0) {
        let named = devices().into_iter().find_map(|line| line.strip_prefix("cuda:0: ").map(String::from));
        all(&cuda, &named.unwrap_or_else(|| "cuda".into()));
    }
    all(&Cpu::seed_from_u64(0), &format!("CPU with {} threads", rayon::current_num_threads()));
}
