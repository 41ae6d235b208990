//! Fused layers against what they replace: dfdx's composition, and a convolution written as loops.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dfdx::prelude::*;
use limbeck::nn::{Conv2d, Dense, Image, Padding, Relu, Stride, Window};

const BATCH: usize = 512;

type Fused = (Dense<Const<64>, Const<512>, Relu>, Dense<Const<512>, Const<512>, Relu>, Dense<Const<512>, Const<64>>);
type Plain = ((Linear<64, 512>, ReLU), (Linear<512, 512>, ReLU), Linear<512, 64>);

fn mlp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("MLP step 64-512-512-64, batch 512");
    let device = Cpu::seed_from_u64(0);
    let x: Tensor<Rank2<BATCH, 64>, f32, Cpu> = device.sample_normal();
    macro_rules! step {
        ($name:literal, $net:ty) => {
            let net = device.build_module::<$net, f32>();
            group.bench_function($name, |bencher| {
                bencher.iter(|| {
                    let y = net.forward(x.clone().traced(net.alloc_grads()));
                    black_box(y.square().mean().backward())
                });
            });
        };
    }
    step!("fused", Fused);
    step!("dfdx", Plain);
    group.finish();
}

/// A 3×3 convolution from 16 to 16 channels with padding 1, as its definition.
fn loops(x: &[f32], w: &[f32], b: &[f32], y: &mut [f32], [channels, height, width]: [usize; 3]) {
    for (x, y) in x.chunks(channels * height * width).zip(y.chunks_mut(channels * height * width)) {
        for o in 0..channels {
            for i in 0..height {
                for j in 0..width {
                    let mut sum = b[o];
                    for c in 0..channels {
                        for u in 0..3 {
                            for v in 0..3 {
                                let (p, q) = (i + u, j + v);
                                if (1..=height).contains(&p) && (1..=width).contains(&q) {
                                    let weight = w[((o * channels + c) * 3 + u) * 3 + v];
                                    sum += weight * x[(c * height + p - 1) * width + q - 1];
                                }
                            }
                        }
                    }
                    y[(o * height + i) * width + j] = sum.max(0.0);
                }
            }
        }
    }
}

fn convolution(criterion: &mut Criterion) {
    const SAMPLES: usize = 32;
    let mut group = criterion.benchmark_group("convolution 16-16, 3×3, 28×28, batch 32, forward");
    let device = Cpu::seed_from_u64(0);
    let layer = Conv2d::<Image<16, 28, 28>, Image<16, 28, 28>, Window<3, Stride<1>, Padding<1>>, Relu>::build_on_device(
        &device,
    );
    let x: Tensor<Rank4<SAMPLES, 16, 28, 28>, f32, Cpu> = device.sample_normal();
    group.bench_function("fused", |bencher| bencher.iter(|| black_box(layer.forward(x.clone()))));
    let (xs, w, b) = (x.as_vec(), layer.weight.as_vec(), layer.bias.as_vec());
    let mut y = vec![0.0; xs.len()];
    group.bench_function("loops", |bencher| {
        bencher.iter(|| loops(black_box(&xs), &w, &b, black_box(&mut y), [16, 28, 28]));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = mlp, convolution
}
criterion_main!(benches);
