use dfdx::{
    shapes::{Const, HasShape, Rank2},
    tensor::{Cpu, Tensor, TensorFromVec, Trace},
    tensor_ops::{Backward, BroadcastTo, Device, MeanTo, PermuteTo, SumTo, TryAdd},
};

use super::{DenseKernel, plain};
use crate::nn::{
    Activation, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Tanh,
    ops::{
        Real,
        testing::{assert_close, numbers, numeric_gradient},
    },
};

const IN: usize = 5;
const OUT: usize = 7;
const BATCH: usize = 6;

struct Case<E> {
    x: Vec<E>,
    w: Vec<E>,
    b: Vec<E>,
}

fn case<E: Real>() -> Case<E> {
    Case { x: numbers(BATCH * IN, 1), w: numbers(OUT * IN, 2), b: numbers(OUT, 3) }
}

/// The op's output, loss `Σ c y` and the gradients of the loss in `x`, `w` and `b`.
fn run<A: Activation, E: Real>(case: &Case<E>, fused: bool) -> (Vec<E>, f64, [Vec<E>; 3])
where
    Cpu: Device<E>,
{
    let device = Cpu::default();
    let x = device.tensor_from_vec(case.x.clone(), (BATCH, Const::<IN>));
    let w = device.tensor_from_vec(case.w.clone(), (Const::<OUT>, Const::<IN>));
    let b = device.tensor_from_vec(case.b.clone(), (Const::<OUT>,));
    let traced = x.leaky_trace();
    let y = if fused {
        Cpu::try_dense::<A, _, _, _, _>(traced, &w, &b).unwrap()
    } else {
        plain::dense::<A, _, _, _, _, _, _>(traced, &w, &b).unwrap()
    };
    let out = y.as_vec();
    let c = device.tensor_from_vec(numbers(BATCH * OUT, 9), (BATCH, Const::<OUT>));
    let loss = (y * c).sum();
    let value = loss.as_vec()[0].wide();
    let grads = loss.backward();
    (out, value, [grads.get(&x).as_vec(), grads.get(&w).as_vec(), grads.get(&b).as_vec()])
}

fn check<A: Activation>() {
    let single = case::<f32>();
    let (y, _, [dx, dw, db]) = run::<A, f32>(&single, true);
    let (plain_y, _, [plain_dx, plain_dw, plain_db]) = run::<A, f32>(&single, false);
    assert_close(&y, &plain_y, 1e-6);
    assert_close(&dx, &plain_dx, 2e-6);
    assert_close(&dw, &plain_dw, 2e-6);
    assert_close(&db, &plain_db, 2e-6);

    let double = case::<f64>();
    let (_, _, [dx, dw, db]) = run::<A, f64>(&double, true);
    let loss =
        |x: &[f64], w: &[f64], b: &[f64]| run::<A, f64>(&Case { x: x.to_vec(), w: w.to_vec(), b: b.to_vec() }, true).1;
    let (x, w, b) = (&double.x, &double.w, &double.b);
    assert_close(&dx, &numeric_gradient(x, |x| loss(x, w, b)), 1e-8);
    assert_close(&dw, &numeric_gradient(w, |w| loss(x, w, b)), 1e-8);
    assert_close(&db, &numeric_gradient(b, |b| loss(x, w, b)), 1e-8);
}

#[test]
fn every_activation_agrees_with_the_composition_and_with_finite_differences() {
    check::<Identity>();
    check::<Relu>();
    check::<LeakyRelu<20>>();
    check::<Tanh>();
    check::<Sigmoid>();
    check::<Silu>();
    check::<Gelu>();
}

#[test]
fn onto_a_stream_is_the_sum() {
    let case = case::<f64>();
    let device = Cpu::default();
    let run = |x: &[f64], onto: &[f64], fused: bool| {
        let x = device.tensor_from_vec(x.to_vec(), (BATCH, Const::<IN>));
        let onto = device.tensor_from_vec(onto.to_vec(), (BATCH, Const::<OUT>));
        let w = device.tensor_from_vec(case.w.clone(), (Const::<OUT>, Const::<IN>));
        let b = device.tensor_from_vec(case.b.clone(), (Const::<OUT>,));
        let y = match fused {
            true => Cpu::try_dense_onto(x.leaky_trace(), &w, &b, onto.retaped()).unwrap(),
            false => {
                Cpu::try_dense::<Identity, _, _, _, _>(x.leaky_trace(), &w, &b).unwrap()
                    + onto.retaped::<dfdx::tensor::NoneTape>()
            }
        };
        let (out, c) = (y.as_vec(), device.tensor_from_vec(numbers(BATCH * OUT, 9), (BATCH, Const::<OUT>)));
        let grads = (y * c).sum().backward();
        (out, [grads.get(&x).as_vec(), grads.get(&onto).as_vec(), grads.get(&w).as_vec(), grads.get(&b).as_vec()])
    };
    let onto = numbers(BATCH * OUT, 4);
    let (found, want) = (run(&case.x, &onto, true), run(&case.x, &onto, false));
    assert_close(&found.0, &want.0, 1e-14);
    found.1.iter().zip(&want.1).for_each(|(found, want)| assert_close(found, want, 1e-14));
}

#[test]
fn a_gradient_is_added_to_what_another_branch_left() {
    let device = Cpu::default();
    let x: Tensor<Rank2<3, 2>, f64, _> = device.tensor_from_vec(numbers(6, 1), Default::default());
    let w: Tensor<Rank2<2, 2>, f64, _> = device.tensor_from_vec(numbers(4, 2), Default::default());
    let b = device.tensor_from_vec(numbers(2, 3), (Const::<2>,));
    let dense = |x| Cpu::try_dense::<Tanh, _, _, _, _>(x, &w, &b).unwrap();
    let once = dense(x.leaky_trace()).sum().backward();
    let traced = x.leaky_trace();
    let twice = dense(traced.retaped()).try_add(dense(traced)).unwrap().sum().backward();
    for (one, two) in [
        (once.get(&x).as_vec(), twice.get(&x).as_vec()),
        (once.get(&w).as_vec(), twice.get(&w).as_vec()),
        (once.get(&b).as_vec(), twice.get(&b).as_vec()),
    ] {
        let doubled: Vec<f64> = one.iter().map(|g| 2.0 * g).collect();
        assert_close(&two, &doubled, 1e-14);
    }
}

#[test]
fn a_transposed_or_broadcast_input_is_read_in_its_own_order() {
    let device = Cpu::default();
    let x: Tensor<Rank2<2, 3>, f64, _> = device.tensor_from_vec(numbers(6, 1), Default::default());
    let w: Tensor<Rank2<4, 2>, f64, _> = device.tensor_from_vec(numbers(8, 2), Default::default());
    let b = device.tensor_from_vec(numbers(4, 3), (Const::<4>,));
    let permuted = x.leaky_trace().try_permute::<Rank2<3, 2>, _>().unwrap();
    let copied = device.tensor_from_vec(permuted.as_vec(), (Const::<3>, Const::<2>));
    let y = Cpu::try_dense::<Tanh, _, _, _, _>(permuted, &w, &b).unwrap();
    let z = Cpu::try_dense::<Tanh, _, _, _, _>(copied.leaky_trace(), &w, &b).unwrap();
    assert_eq!(y.as_vec(), z.as_vec());
    let (dy, dz) = (y.mean().backward(), z.mean().backward());
    let back = dz.get(&copied).try_permute::<Rank2<2, 3>, _>().unwrap();
    assert_close(&dy.get(&x).as_vec(), &back.as_vec(), 1e-15);

    let row = device.tensor_from_vec(numbers::<f64>(2, 5), (Const::<2>,));
    let rows = row.leaky_trace().broadcast_like(&(3, Const::<2>));
    let grads = Cpu::try_dense::<Identity, _, _, _, _>(rows, &w, &b).unwrap().sum().backward();
    let columns: Vec<f64> = (0..2).map(|i| 3.0 * (0..4).map(|o| w[[o, i]]).sum::<f64>()).collect();
    assert_close(&grads.get(&row).as_vec(), &columns, 1e-14);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    const WIDE: usize = 130;
    let go = || {
        let device = Cpu::default();
        let x = device.tensor_from_vec(numbers::<f32>(700 * WIDE, 1), (700, Const::<WIDE>));
        let w = device.tensor_from_vec(numbers::<f32>(WIDE * WIDE, 2), (Const::<WIDE>, Const::<WIDE>));
        let b = device.tensor_from_vec(numbers::<f32>(WIDE, 3), (Const::<WIDE>,));
        let y = Cpu::try_dense::<Gelu, _, _, _, _>(x.leaky_trace(), &w, &b).unwrap();
        let mut bits = y.as_vec();
        let grads = y.mean().backward();
        bits.extend(grads.get(&x).as_vec());
        bits.extend(grads.get(&w).as_vec());
        bits.extend(grads.get(&b).as_vec());
        bits.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    assert_eq!(pool(1).install(go), pool(3).install(go));
}

#[test]
fn an_empty_batch_passes_through() {
    let device = Cpu::default();
    let x: Tensor<(usize, Const<2>), f32, _> = device.tensor_from_vec(vec![], (0, Const::<2>));
    let w: Tensor<Rank2<3, 2>, f32, _> = device.tensor_from_vec(numbers(6, 2), Default::default());
    let b = device.tensor_from_vec(numbers(3, 3), (Const::<3>,));
    let y = Cpu::try_dense::<Relu, _, _, _, _>(x.leaky_trace(), &w, &b).unwrap();
    assert_eq!(y.shape().0, 0);
}
