use dfdx::{
    shapes::{Const, Rank0},
    tensor::{Cpu, Tensor, TensorFromVec, Trace},
    tensor_ops::{Backward, SumTo},
};

use super::{Layer, PerceptronKernel, plain};
use crate::nn::{
    Activation, Identity, Real, Relu, Silu, Tanh,
    ops::testing::{assert_close, numbers},
};

/// A layer whose weights outside its reach are zero.
fn layer<E: Real>(below: usize, reach: &[usize], seed: u64) -> Layer<E, Cpu>
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    let device = Cpu::default();
    let mut weight = numbers::<E>(reach.len() * below, seed);
    weight.iter_mut().enumerate().filter(|(i, _)| i % below >= reach[i / below]).for_each(|(_, w)| *w = E::default());
    Layer {
        weight: device.tensor_from_vec(weight, (reach.len(), below)),
        bias: device.tensor_from_vec(numbers(reach.len(), seed + 1), (reach.len(),)),
        reach: reach.into(),
    }
}

fn net<E: Real>() -> Vec<Layer<E, Cpu>>
where
    Cpu: dfdx::tensor_ops::Device<E>,
{
    let hidden: Vec<usize> = (0..70).map(|h| 1 + h / 35).collect();
    let second: Vec<usize> = hidden.iter().map(|d| 35 * d).collect();
    vec![layer(3, &hidden, 1), layer(70, &second, 3), layer(70, &[0, 0, 35, 35, 70, 70], 5)]
}

fn agree<A: Activation, E: Real>(rows: usize, tolerance: f64)
where
    Cpu: dfdx::tensor_ops::Device<E> + PerceptronKernel<E>,
{
    let layers = net::<E>();
    let x: Tensor<(usize, Const<3>), E, Cpu> = Cpu::default().tensor_from_vec(numbers(3 * rows, 9), (rows, Const));
    let one = <Cpu as PerceptronKernel<E>>::try_perceptron::<A, _, _>(x.leaky_trace(), &layers).unwrap();
    let other = plain::perceptron::<A, _, _, _, _>(x.leaky_trace(), &layers).unwrap();
    assert_close(&one.as_vec(), &other.as_vec(), tolerance);
    let (one, other) = (one.square().sum::<Rank0, _>().backward(), other.square().sum::<Rank0, _>().backward());
    assert_close(&one.get(&x).as_vec(), &other.get(&x).as_vec(), tolerance);
    for layer in &layers {
        assert_close(&one.get(&layer.weight).as_vec(), &other.get(&layer.weight).as_vec(), tolerance);
        assert_close(&one.get(&layer.bias).as_vec(), &other.get(&layer.bias).as_vec(), tolerance);
    }
}

#[test]
fn the_fused_network_is_the_composed_one() {
    for rows in [1, 5, 130] {
        agree::<Relu, f64>(rows, 1e-12);
        agree::<Tanh, f64>(rows, 1e-12);
        agree::<Silu, f64>(rows, 1e-12);
        agree::<Identity, f64>(rows, 1e-12);
    }
    agree::<Tanh, f32>(130, 1e-4);
}

#[test]
fn nothing_depends_on_the_number_of_threads() {
    let reach = |units: usize, below: usize| (0..units).map(|u| 1 + u * (below - 1) / units).collect::<Vec<_>>();
    let layers =
        vec![layer::<f32>(40, &reach(300, 40), 1), layer(300, &reach(300, 300), 3), layer(300, &reach(80, 300), 5)];
    let run = |threads: usize, rows: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let x: Tensor<(usize, Const<40>), f32, Cpu> =
                Cpu::default().tensor_from_vec(numbers(40 * rows, 9), (rows, Const));
            let y = <Cpu as PerceptronKernel<f32>>::try_perceptron::<Tanh, _, _>(x.leaky_trace(), &layers).unwrap();
            let values = y.as_vec();
            let grads = y.square().sum::<Rank0, _>().backward();
            [values, grads.get(&x).as_vec(), grads.get(&layers[1].weight).as_vec(), grads.get(&layers[1].bias).as_vec()]
        })
    };
    for rows in [33, 49, 100, 300] {
        let one = run(1, rows);
        for threads in [2, 3, 5] {
            assert!(run(threads, rows) == one, "{rows} rows on {threads} threads");
        }
    }
}

#[test]
fn what_a_unit_cannot_see_has_no_effect() {
    let layers = net::<f64>();
    let at = |x: [f64; 3]| {
        let x = Cpu::default().tensor_from_vec(x.to_vec(), (1, Const::<3>));
        <Cpu as PerceptronKernel<f64>>::try_perceptron::<Tanh, _, _>(x, &layers).unwrap().as_vec()
    };
    let (a, b) = (at([0.3, 0.1, -2.0]), at([0.3, 0.7, 5.0]));
    assert_eq!(a[..4], b[..4], "the first outputs see the first input alone");
    assert_ne!(a[4..], b[4..]);
    assert_eq!(layers[2].bias.as_vec()[..2], a[..2], "and the very first none");
}
