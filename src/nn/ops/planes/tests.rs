use dfdx::{
    prelude::{Backward, SumTo},
    shapes::Rank0,
    tensor::{Cpu, TensorFromVec, Trace},
};

use super::*;
use crate::nn::ops::testing::{assert_close, numbers, numeric_gradient};

#[test]
fn planes_and_positions_are_the_same_numbers_and_slopes_go_back() {
    let device = Cpu::default();
    let (x, z): (Vec<f64>, Vec<f64>) = (numbers(2 * 6 * 3, 1), numbers(2 * 3, 2));
    let weights: Vec<f64> = numbers(36, 3);
    let run = |x: &[f64], z: &[f64], plain: bool| {
        let (x, z) = (device.tensor_from_vec(x.to_vec(), (12, 3)), device.tensor_from_vec(z.to_vec(), (2, 3)));
        let y = match plain {
            false => {
                let planes = to_planes(x.leaky_trace(), (2, 3));
                from_planes(sum(add_to_planes(planes.retaped(), z.retaped()), planes))
            }
            true => {
                let planes = plain::to_planes(x.leaky_trace(), (2, 3)).unwrap();
                let moved = plain::add_to_planes(planes.retaped(), z.retaped()).unwrap();
                plain::from_planes(moved + planes).unwrap()
            }
        };
        let out = y.as_vec();
        let grads = (y * device.tensor_from_vec(weights.clone(), (12, 3))).sum::<Rank0, _>().backward();
        (out, grads.get(&x).as_vec(), grads.get(&z).as_vec())
    };
    let (y, dx, dz) = run(&x, &z, false);
    let (plain_y, plain_dx, plain_dz) = run(&x, &z, true);
    assert_close(&y, &plain_y, 1e-15);
    assert_close(&dx, &plain_dx, 1e-15);
    assert_close(&dz, &plain_dz, 1e-15);
    // Image 1, pixel 4, channel 2.
    assert_close(&y[(6 + 4) * 3 + 2..][..1], &[2.0 * x[(6 + 4) * 3 + 2] + z[3 + 2]], 1e-15);
    let loss = |x: &[f64], z: &[f64]| run(x, z, false).0.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>();
    assert_close(&dx, &numeric_gradient(&x, |x| loss(x, &z)), 1e-9);
    assert_close(&dz, &numeric_gradient(&z, |z| loss(&x, z)), 1e-9);
    let planes = to_planes(device.tensor_from_vec(x.clone(), (12, 3)), (2, 3)).as_vec();
    assert_eq!(planes[(3 + 2) * 6 + 4], x[(6 + 4) * 3 + 2]);
}

#[test]
fn means_are_those_of_dfdx_bit_for_bit() {
    let device = Cpu::default();
    let x = device.tensor_from_vec(numbers::<f32>(2 * 3 * 35, 1), (2, 3, 5, 7));
    let weights = device.tensor_from_vec(numbers::<f32>(6, 2), (2, 3));
    let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let run = |plain: bool| {
        let y = if plain { plain::means(x.leaky_trace()).unwrap() } else { means(x.leaky_trace()) };
        let values = bits(y.as_vec());
        let loss = x.leaky_trace().square().sum::<Rank0, _>() + (y * weights.clone()).sum();
        (values, bits(loss.backward().get(&x).as_vec()))
    };
    assert_eq!(run(false), run(true));
}
