use dfdx::{
    prelude::{Backward, SumTo},
    shapes::Rank0,
    tensor::{Cpu, TensorFromVec, Trace},
};

use super::*;
use crate::nn::{
    Device,
    ops::testing::{assert_close, numbers, numeric_gradient},
};

const WIDTH: usize = 6;

/// Distances of up to 20 positions.
const REACH: usize = 39;

/// Output, and the slopes of `Σ c y` along queries, keys, values and distances.
fn run<E: Real>(at: &[Vec<E>; 4], heads: Heads, fused: bool) -> (Vec<E>, [Vec<E>; 4])
where
    Cpu: Device<E>,
{
    let device = Cpu::default();
    let rows = at[0].len() / WIDTH;
    let [q, k, v] = [0, 1, 2].map(|i| device.tensor_from_vec(at[i].clone(), (rows, WIDTH)));
    let r = device.tensor_from_vec(at[3].clone(), (at[3].len() / REACH, REACH));
    let distances = Some(&r).filter(|_| !at[3].is_empty());
    let (a, b, c) = (q.leaky_trace(), k.retaped(), v.retaped());
    let y = match fused {
        true => Cpu::try_attend(a, b, c, distances, heads).unwrap(),
        false => plain::attend(a, b, c, distances, heads).unwrap(),
    };
    let out = y.as_vec();
    let weights = device.tensor_from_vec(numbers(rows * WIDTH, 9), (rows, WIDTH));
    let grads = (y * weights).sum::<Rank0, _>().backward();
    let slopes = distances.map(|r| grads.get(r).as_vec()).unwrap_or_default();
    (out, [grads.get(&q).as_vec(), grads.get(&k).as_vec(), grads.get(&v).as_vec(), slopes])
}

fn case<E: Real>(positions: usize, distances: usize) -> [Vec<E>; 4] {
    std::array::from_fn(|i| numbers(if i < 3 { positions * WIDTH } else { distances * REACH }, i as u64))
}

fn check(length: usize, causal: bool, distances: usize) {
    let heads = Heads { length, heads: 3, causal };
    let single = case::<f32>(2 * length, distances);
    let ((y, slopes), (plain_y, plain_slopes)) = (run(&single, heads, true), run(&single, heads, false));
    assert_close(&y, &plain_y, 1e-6);
    slopes.iter().zip(&plain_slopes).for_each(|(found, want)| assert_close(found, want, 2e-6));
    let double = case::<f64>(2 * length, distances);
    let (_, slopes) = run(&double, heads, true);
    let weights: Vec<f64> = numbers(2 * length * WIDTH, 9);
    for (which, slopes) in slopes.iter().enumerate() {
        let loss = |x: &[f64]| {
            let mut at = double.clone();
            at[which] = x.to_vec();
            run(&at, heads, true).0.iter().zip(&weights).map(|(y, c)| y * c).sum::<f64>()
        };
        assert_close(slopes, &numeric_gradient(&double[which], loss), 1e-8);
    }
}

#[test]
fn it_agrees_with_the_composition_and_with_finite_differences() {
    for length in [1, 5, 19] {
        check(length, false, 0);
        check(length, true, 0);
        check(length, false, 3);
        check(length, true, 3);
    }
}

#[test]
fn a_sequence_may_attend_to_itself_by_one_tensor() {
    let x: Vec<f64> = numbers(4 * WIDTH, 3);
    let heads = Heads { length: 4, heads: 2, causal: false };
    let device = Cpu::default();
    let tensor = device.tensor_from_vec(x.clone(), (4, WIDTH));
    let y = |t: &Tensor<(usize, usize), f64, Cpu>| {
        Cpu::try_attend(t.leaky_trace(), t.retaped(), t.retaped(), None, heads).unwrap()
    };
    let found = y(&tensor).sum::<Rank0, _>().backward().get(&tensor).as_vec();
    let loss = |x: &[f64]| y(&device.tensor_from_vec(x.to_vec(), (4, WIDTH))).as_vec().iter().sum();
    assert_close(&found, &numeric_gradient(&x, loss), 1e-8);
}

#[test]
fn the_number_of_threads_does_not_change_a_bit_and_neither_does_what_stands_beside() {
    let qkv = case::<f32>(7 * 19, 2);
    let heads = Heads { length: 19, heads: 2, causal: false };
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    let (one, three) = (pool(1).install(|| run(&qkv, heads, true)), pool(3).install(|| run(&qkv, heads, true)));
    assert_eq!(one, three);
    let mut first = qkv.each_ref().map(|x| x[..x.len().min(19 * WIDTH)].to_vec());
    first[3] = qkv[3].clone();
    assert_eq!(run(&first, heads, true).0, one.0[..19 * WIDTH]);
}

#[test]
#[should_panic(expected = "7 positions are not sequences of 3")]
fn parts_of_sequences_are_refused() {
    run(&case::<f32>(7, 0), Heads { length: 3, heads: 1, causal: false }, true);
}
