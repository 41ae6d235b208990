//! Dense and convolutional networks against PyTorch: one forward and backward pass. `just versus nn` runs it.

mod versus;

use std::{hint::black_box, process::ExitCode};

use dfdx::prelude::*;
use limbeck::nn::{Activation, Conv2d, ConvTranspose2d, Dense, Relu, Tanh};
use versus::{Versus, best, report};

fn main() -> ExitCode {
    Versus { name: "nn", peers: &[("torch", "nn.py", &["networks"])], cases: &["networks"], rounds: 3, ours }.main()
}

fn ours(_: &str) {
    report("MLP 64-512-512-64, relu, batch 512", mlp::<Relu>(), None);
    report("MLP 64-512-512-64, tanh, batch 512", mlp::<Tanh>(), None);
    report("convolutions on 28×28, batch 64", convolutions(), None);
}

fn mlp<A: Activation>() -> f64 {
    let device = Cpu::seed_from_u64(0);
    type Net<A> = (Dense<64, 512, A>, Dense<512, 512, A>, Dense<512, 64>);
    let net = Net::<A>::build(&device);
    let x: Tensor<Rank2<512, 64>, f32, Cpu> = device.sample_normal();
    best(|| {
        let y = net.forward(x.clone().traced(net.alloc_grads()));
        black_box(y.square().mean().backward());
    })
}

fn convolutions() -> f64 {
    let device = Cpu::seed_from_u64(0);
    type Net = (
        Conv2d<1, 32, 3, 1, 1, 28, 28, 28, 28, Relu>,
        Conv2d<32, 64, 3, 2, 1, 28, 28, 14, 14, Relu>,
        ConvTranspose2d<64, 1, 4, 2, 1, 14, 14, 28, 28>,
    );
    let net = Net::build(&device);
    let x: Tensor<Rank4<64, 1, 28, 28>, f32, Cpu> = device.sample_normal();
    best(|| {
        let y = net.forward(x.clone().traced(net.alloc_grads()));
        black_box(y.square().mean().backward());
    })
}
