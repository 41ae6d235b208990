//! The CUDA path against the CPU, on the stand-in for libcuda (`tests/cuda`), where there is no GPU.

use std::{env, process::Command};

use dfdx::{
    nn::{BuildModule, Module, ZeroGrads},
    shapes::{Rank2, Rank3, Rank4},
    tensor::{Cpu, Tensor, Trace},
    tensor_ops::{Backward, MeanTo, ReshapeTo},
};
use limbeck::nn::{
    self, Attention, Conv2d, ConvTranspose2d, Dense, Device, Gelu, LeakyRelu, MaskedDense, Relu, Sigmoid, Silu, Tanh,
    device::{devices, gpu},
    optim::{Adam, AdamConfig, Ema, Schedule},
};

const BATCH: usize = 4;

type Encode<D> = (Conv2d<1, 3, 3, 2, 1, 8, 8, 4, 4, Relu, f32, D>, Conv2d<3, 4, 1, 1, 0, 4, 4, 4, 4, Silu, f32, D>);
type Middle<D> = (Dense<64, 12, Tanh, f32, D>, (MaskedDense<12, 12, Gelu, f32, D>, Dense<12, 16, LeakyRelu, f32, D>));
type Decode<D> = ConvTranspose2d<1, 1, 4, 2, 1, 4, 4, 8, 8, Sigmoid, f32, D>;
type Net<D> = (Encode<D>, Middle<D>, Attention<4, 2, true, f32, D>, Decode<D>);

/// Numbers in (−1, 1) without pattern.
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 + 1.0) * 12.9898).sin()).collect()
}

/// Three steps of an autoencoder; what there is to compare afterwards.
fn train<D: Device<f32>>(device: &D) -> Vec<nn::NamedArray> {
    let mut net: Net<D> = BuildModule::build(device);
    net.1.1.0 = MaskedDense::new(device, |o, i| i <= o).unwrap();
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

#[test]
fn three_steps_agree_with_the_cpu() {
    let cuda = gpu(7).expect("the stand-in answers");
    assert!(devices().iter().any(|line| line == "cuda:0: stand-in on the CPU"), "{:?}", devices());
    let (ours, reference) = (train(&cuda), train(&Cpu::seed_from_u64(7)));
    assert_eq!(ours.len(), reference.len());
    for ((name, shape, values), (reference_name, reference_shape, expected)) in ours.iter().zip(&reference) {
        assert_eq!((name, shape), (reference_name, reference_shape));
        for (value, expected) in values.iter().zip(expected) {
            let tolerance = 1e-5 * expected.abs().max(1.0);
            assert!((value - expected).abs() <= tolerance, "{name}: {value} on Cuda, {expected} on Cpu");
        }
    }
}

#[test]
fn a_driver_without_a_device_is_no_panic() {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "without_a_device", "--ignored"])
        .env("FAKECUDA_DEVICES", "0")
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
