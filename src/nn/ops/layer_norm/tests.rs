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

const WIDTH: usize = 21;

fn run<E: Real>([x, gamma, beta]: &[Vec<E>; 3], fused: bool) -> (Vec<E>, [Vec<E>; 3])
where
    Cpu: Device<E>,
{
    let device = Cpu::default();
    let rows = x.len() / WIDTH;
    let x = device.tensor_from_vec(x.clone(), (rows, WIDTH));
    let [gamma, beta] = [gamma, beta].map(|p| device.tensor_from_vec(p.clone(), (WIDTH,)));
    let y = match fused {
        true => Cpu::try_layer_norm(x.leaky_trace(), &gamma, &beta).unwrap(),
        false => plain::layer_norm(x.leaky_trace(), &gamma, &beta).unwrap(),
    };
    let out = y.as_vec();
    let weights = device.tensor_from_vec(numbers(rows * WIDTH, 9), (rows, WIDTH));
    let grads = (y * weights).sum::<Rank0, _>().backward();
    (out, [grads.get(&x).as_vec(), grads.get(&gamma).as_vec(), grads.get(&beta).as_vec()])
}

fn case<E: Real>(rows: usize) -> [Vec<E>; 3] {
    [numbers(rows * WIDTH, 1), numbers(WIDTH, 2), numbers(WIDTH, 3)]
}

#[test]
fn it_agrees_with_the_composition_and_with_finite_differences() {
    let single = case::<f32>(5);
    let ((y, slopes), (plain_y, plain_slopes)) = (run(&single, true), run(&single, false));
    assert_close(&y, &plain_y, 1e-5);
    slopes.iter().zip(&plain_slopes).for_each(|(found, want)| assert_close(found, want, 1e-5));
    let double = case::<f64>(5);
    let (_, slopes) = run(&double, true);
    let weights: Vec<f64> = numbers(5 * WIDTH, 9);
    for (which, slopes) in slopes.iter().enumerate() {
        let loss = |x: &[f64]| {
            let mut at = double.clone();
            at[which] = x.to_vec();
            run(&at, true).0.iter().zip(&weights).map(|(y, c)| y * c).sum::<f64>()
        };
        assert_close(slopes, &numeric_gradient(&double[which], loss), 1e-7);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let case = case::<f32>(700);
    let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    assert_eq!(pool(1).install(|| run(&case, true)), pool(3).install(|| run(&case, true)));
}

#[test]
fn a_constant_row_stays_a_number() {
    let mut case = case::<f32>(1);
    case[0].fill(1e6);
    let (y, slopes) = run(&case, true);
    assert!(y.iter().chain(slopes.iter().flatten()).all(|y| y.is_finite()));
}
