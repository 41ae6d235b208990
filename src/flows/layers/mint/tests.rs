use super::*;
use crate::{
    nn::{
        load_params,
        ops::testing::{assert_close, numbers, numeric_gradient},
        params,
    },
    random::Seed,
};
use dfdx::{
    prelude::{Backward, SumTo},
    shapes::Rank0,
    tensor::{TensorFromVec, Trace},
};
use rand::RngExt;

const GRID: Grid = Grid { channels: 2, height: 2, width: 3 };

/// A layer of images whose weights are far from small.
fn layer(backwards: bool) -> Mint<usize, f64> {
    let mut layer = Mint::new(&Cpu::seed_from_u64(1), GRID.dims(), GRID, 3, 3, backwards).unwrap();
    let mut rng = Seed(4).stream("weights", 0);
    let mut arrays = params(&layer);
    arrays.iter_mut().for_each(|a| a.2.iter_mut().for_each(|x| *x += 1.6 * (rng.random::<f32>() - 0.5)));
    load_params(&mut layer, &arrays).unwrap();
    layer
}

fn rows(n: usize, reach: f64) -> Batch<usize, f64, Cpu> {
    let values = numbers(n * GRID.dims(), 7).into_iter().map(|x: f64| reach * x).collect();
    Cpu::default().tensor_from_vec(values, (n, GRID.dims()))
}

#[test]
fn the_jacobian_is_triangular_and_its_diagonal_is_what_the_layer_says() {
    let d = GRID.dims();
    for backwards in [false, true] {
        let layer = layer(backwards);
        let x = rows(1, 2.0);
        let [_, diagonal] = layer.run(&layer.masked::<NoneTape>().0, x.clone());
        // In the order of pixels, and of channels in each.
        let place = |i: usize| (i % GRID.pixels(), i / GRID.pixels());
        for (i, own) in diagonal.as_vec().into_iter().enumerate() {
            assert!(own > 0.0);
            for j in 0..d {
                let at = |by: f64| {
                    let mut moved = x.as_vec();
                    moved[j] += by;
                    layer.forward(Cpu::default().tensor_from_vec(moved, (1, d))).0.as_vec()[i]
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                let after = if backwards { place(j) < place(i) } else { place(j) > place(i) };
                assert!(
                    if after { slope == 0.0 } else { i != j || (slope - own).abs() < 1e-6 },
                    "∂z{i}/∂x{j} = {slope}"
                );
            }
        }
    }
}

#[test]
fn a_fixed_point_is_found_with_small_steps_and_reported_where_steps_are_too_large() {
    let layer = layer(false);
    let x = rows(20, 3.0);
    let z = layer.forward(x.clone()).0;
    let solve = |step: f64| layer.solve(z.clone(), &Solver { step, iterations: 400, tolerance: 1e-11 });
    for step in [0.3, 1.0, 1.5] {
        let solved = solve(step);
        assert!(solved.converged.iter().all(|c| *c), "{step}: {:?}", solved.errors.last());
        assert_close(&solved.x.as_vec(), &x.as_vec(), 1e-8);
    }
    assert!(!solve(2.2).converged.iter().any(|c| *c));
    assert!(solve(1.0).errors.len() < solve(0.3).errors.len());
    let (again, back) = layer.inverse(z);
    assert_close(&again.as_vec(), &x.as_vec(), 1e-9);
    let there = layer.forward(x).1.as_vec();
    assert!(back.as_vec().iter().zip(there).all(|(b, t)| (b + t).abs() < 1e-9));
}

#[test]
fn parameters_have_their_slopes_through_both_directions() {
    let mut layer = layer(false);
    let z = rows(3, 1.0);
    let start = params(&layer);
    for inverse in [false, true] {
        let value = |layer: &Mint<usize, f64>| {
            let (x, log_det) = if inverse { layer.inverse(z.clone()) } else { layer.forward(z.clone()) };
            (x.square().sum::<Rank0, _>() + log_det.sum::<Rank0, _>()).as_vec()[0]
        };
        let (x, log_det) = if inverse { layer.inverse(z.leaky_trace()) } else { layer.forward(z.leaky_trace()) };
        let grads = (x.square().sum::<Rank0, _>() + log_det.sum::<Rank0, _>()).backward();
        let weights = layer.weights.each_ref().map(|w| grads.get(w).as_vec());
        let biases = [0, 1].map(|l| grads.get(&layer.biases[l]).as_vec());
        let scale = grads.get(&layer.log_scale).as_vec();
        let found = weights.into_iter().chain(biases).chain([scale]);
        let names = ["first.weight", "second.weight", "third.weight", "first.bias", "second.bias", "log_scale"];
        for (name, found) in names.into_iter().zip(found) {
            let array = start.iter().position(|a| a.0 == name).unwrap();
            for at in (0..found.len()).step_by(1 + found.len() / 12) {
                let mut moved = |by: f32| {
                    let mut arrays = start.clone();
                    arrays[array].2[at] += by;
                    let step = f64::from(arrays[array].2[at]);
                    load_params(&mut layer, &arrays).unwrap();
                    (value(&layer), step)
                };
                let ((up, high), (down, low)) = (moved(1e-3), moved(-1e-3));
                let numeric = (up - down) / (high - low);
                let near = (found[at] - numeric).abs() < 2e-3 * (1.0 + numeric.abs());
                assert!(near, "{name}[{at}], inverse {inverse}: {} for {numeric}", found[at]);
            }
        }
        load_params(&mut layer, &start).unwrap();
    }
}

#[test]
fn the_slope_of_elu_is_its_slope() {
    for x in [-30.0, -1.0, -1e-3, 1e-3, 2.0] {
        let at = |x: f64| elu::<f64, Cpu, NoneTape>(Cpu::default().tensor_from_vec(vec![x], (1, 1))).as_vec()[0];
        assert_close(&[slope(x)], &numeric_gradient(&[x], |x| at(x[0])), 1e-7);
    }
}

#[test]
fn a_layer_that_does_not_fit_is_refused() {
    let message = |dims: usize, kernel: usize, hidden: usize| {
        Mint::<usize>::new(&Cpu::default(), dims, GRID, kernel, hidden, false).unwrap_err().to_string()
    };
    assert_eq!(message(11, 3, 2), "images of 2 × 2 × 3 for rows of 11 coordinates");
    assert_eq!(message(12, 2, 2), "kernel is 2; it must satisfy an odd number of pixels");
    assert_eq!(message(12, 3, 0), "hidden is 0; it must satisfy hidden ≥ 1");
}
