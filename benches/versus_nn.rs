//! Dense and convolutional networks against PyTorch: one forward and backward pass. `just versus nn` runs it.

mod versus;

use std::{hint::black_box, process::ExitCode};

use dfdx::prelude::*;
use limbeck::nn::{Activation, Conv2d, ConvTranspose2d, Dense, Image, Padding, Relu, Stride, Tanh, Window};
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
    type Net<A> = (Dense<Const<64>, Const<512>, A>, Dense<Const<512>, Const<512>, A>, Dense<Const<512>, Const<64>>);
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
        Conv2d<Image<1, 28, 28>, Image<32, 28, 28>, Window<3, Stride<1>, Padding<1>>, Relu>,
        Conv2d<Image<32, 28, 28>, Image<64, 14, 14>, Window<3, Stride<2>, Padding<1>>, Relu>,
        ConvTranspose2d<Image<64, 14, 14>, Image<1, 28, 28>, Window<4, Stride<2>, Padding<1>>>,
    );
    let net = Net::build(&device);
    let x: Tensor<Rank4<64, 1, 28, 28>, f32, Cpu> = device.sample_normal();
    best(|| {
        let y = net.forward(x.clone().traced(net.alloc_grads()));
        black_box(y.square().mean().backward());
    })
}
