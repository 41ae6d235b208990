//! Slopes against differences, and laws against their closed forms. Closed forms: `research/frame.md` §4C.

use super::*;
use crate::{
    frame::samplers::{Chains, Mala, Sampler},
    nn::{Grid, Padding, Relu, Silu, Stride, Window},
    random::Seed,
};
use dfdx::tensor::TensorFromVec;

#[test]
fn slopes_of_points_are_those_of_differences() {
    let device = Cpu::seed_from_u64(3);
    for head in [Head::Places, Head::Mean] {
        let grid = Grid { channels: 2, height: 7, width: 6 };
        let net = ConvNet::<Window<3, Stride<2>, Padding<1>>, Silu>::new(&device, grid, &[5, 4], head).unwrap();
        let law = Energy::new(&device, net, 0.7).unwrap();
        let points = Chains::<f32>::normal(3, 84, 0.5, Seed(1)).unwrap().points().to_vec();
        let mut slopes = vec![0.0; points.len()];
        let all = law.log_probs(&points, &mut slopes).unwrap();
        for at in [0, 100, 251] {
            let moved = |by: f32| {
                let mut points = points.clone();
                points[at] += by;
                law.log_probs(&points, &mut vec![0.0; slopes.len()]).unwrap()[at / 84]
            };
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - f64::from(slopes[at])).abs() < 1e-3 * (1.0 + slope.abs()), "{slope} for {}", slopes[at]);
        }
        // Points beside it change nothing.
        let one = law.log_probs(&points[84..168], &mut vec![0.0; 84]).unwrap();
        assert!((one[0] - all[1]).abs() < 1e-6);
    }
}

#[test]
fn one_unit_has_the_law_that_is_known() {
    // Φ = max(0, x) on N(0, 1): P(x > 0) = 0.7350492222329299 = E[x].
    let device = Cpu::default();
    let grid = Grid { channels: 1, height: 1, width: 1 };
    let mut net = ConvNet::<Window<1>, Relu>::new(&device, grid, &[1], Head::Places).unwrap();
    let one = [
        ("layers.0.weight", vec![1, 1, 1, 1], 1.0),
        ("layers.0.bias", vec![1], 0.0),
        ("last.weight", vec![1, 1], 1.0),
        ("last.bias", vec![1], 0.0),
    ];
    let arrays = one.map(|(name, shape, value)| (name.to_owned(), shape, vec![value]));
    crate::nn::load_params(&mut net, &arrays).unwrap();
    let law = Energy::new(&device, net, 1.0).unwrap();
    let mut chains = Chains::normal(20_000, 1, 1.0, Seed(0)).unwrap();
    Mala::new(0.9).unwrap().steps(&law, &mut chains, 60, Seed(1)).unwrap();
    let n = chains.len() as f64;
    let above = chains.points().iter().filter(|x| **x > 0.0).count() as f64 / n;
    let mean = chains.points().iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    assert!((above - 0.735_049).abs() < 0.0125 && (mean - 0.735_049).abs() < 0.03, "{above}, {mean}");
    // Its constant by annealing, against 0.635064.
    use crate::frame::log_z::{FromNormal, Stops, forwards};
    let mut path = FromNormal::new(&law, 1.0, Mala::new(0.9).unwrap()).unwrap();
    let mut state = path.begin(4000, Seed(2)).unwrap();
    let weights = forwards(&mut path, &mut state, &Stops::even(10, 1).unwrap(), Seed(3)).unwrap();
    let found = weights.from_below() - 0.5 * std::f64::consts::TAU.ln();
    assert!((found - 0.635_064).abs() < 0.03, "{found}");
}

#[test]
fn the_slopes_of_parameters_are_left_alone_where_they_are_not_wanted() {
    let device = Cpu::seed_from_u64(0);
    let grid = Grid { channels: 1, height: 5, width: 5 };
    let net = ConvNet::<Window<3>, Silu>::new(&device, grid, &[3], Head::Places).unwrap();
    let x = device.tensor_from_vec(vec![0.3; 50], (2, 25));
    let slopes = |alone: bool| {
        let work = || net.scores(x.leaky_trace()).sum::<dfdx::shapes::Rank0, Axis<0>>().backward();
        let grads = if alone { inputs_alone(work) } else { work() };
        grads.get(&x).as_vec()
    };
    assert_eq!(slopes(true), slopes(false));
    assert!(ConvNet::<Window<3>, Silu>::new(&device, grid, &[3, 3, 3], Head::Mean).is_err());
    assert!(Energy::new(&device, net, 0.0).is_err());
}

#[test]
fn the_slope_of_log_z_is_the_expected_slope_of_the_scores() {
    // Images of three pixels, all of them on a lattice: ∂ log Z / ∂θ = E ∂Φ/∂θ.
    let device = Cpu::seed_from_u64(2);
    let grid = Grid { channels: 1, height: 1, width: 3 };
    let mut net = ConvNet::<Window<3, Stride<1>, Padding<1>>, Silu>::new(&device, grid, &[3], Head::Places).unwrap();
    let mut arrays = crate::nn::params(&net);
    arrays.iter_mut().for_each(|(_, _, values)| values.iter_mut().for_each(|w| *w *= 2.0));
    crate::nn::load_params(&mut net, &arrays).unwrap();
    const SIDE: usize = 40;
    let at = |i: usize| -5.0 + 10.0 * (i as f32 + 0.5) / SIDE as f32;
    let lattice: Vec<f32> =
        (0..SIDE.pow(3)).flat_map(|i| [at(i / SIDE / SIDE), at(i / SIDE % SIDE), at(i % SIDE)]).collect();
    let mut law = Energy::new(&device, net, 1.0).unwrap();
    let weigh = |law: &Energy<ConvNet<_, Silu>>| -> (f64, Vec<f64>) {
        let logs = law.log_probs(&lattice, &mut vec![0.0; lattice.len()]).unwrap();
        let most = logs.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logs.iter().map(|l| (l - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        (most + sum.ln(), weights.into_iter().map(|w| w / sum).collect())
    };
    let (_, weights) = weigh(&law);
    let x = device.tensor_from_vec(lattice.clone(), (SIDE.pow(3), 3));
    let weights = device.tensor_from_vec(weights.iter().map(|w| *w as f32).collect::<Vec<_>>(), (SIDE.pow(3),));
    let slopes = {
        use dfdx::nn::ZeroGrads;
        let scores = law.score.scores(x.traced(law.score.alloc_grads()));
        (scores * weights).sum::<dfdx::shapes::Rank0, Axis<0>>().backward()
    };
    let expected = slopes.get(&law.score.layers.layers()[0].weight).as_vec();
    for which in [0, 3, 5, 8, 16] {
        let mut log_z = |by: f32| {
            let mut moved = arrays.clone();
            moved[0].2[which] += by;
            crate::nn::load_params(&mut law.score, &moved).unwrap();
            weigh(&law).0
        };
        let slope = (log_z(1e-2) - log_z(-1e-2)) / 2e-2;
        assert!((slope - f64::from(expected[which])).abs() < 2e-3, "{slope} for {}", expected[which]);
    }
}
