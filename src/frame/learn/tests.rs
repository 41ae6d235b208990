//! Where learning comes to, and the slope of slopes. Closed forms: `research/frame.md` §1f.

use super::{transport::Looks, *};
use crate::{
    archive::Archive,
    frame::{
        ConvNet, Energy, Head, Scoring,
        samplers::{Chains, Ula},
    },
    nn::{
        Activation, Dense, Grid, Identity, Perceptron, Silu, Stride, Window, load_params,
        optim::{AdamConfig, Schedule},
        params,
    },
    random::Seed,
    train::{Clock, GradientLearner, Learner, Objective, Plan, quiet, train},
};
use dfdx::{
    prelude::Backward,
    shapes::{Axis, Const, Rank0},
    tensor::{Cpu, TensorFromVec, Trace},
    tensor_ops::SumTo,
};

type Linear = Dense<usize, Const<1>, Identity>;

/// `θ` of `Φ = θᵀx` on N(0, 1), learned from two points around `m`.
fn learned(transport: Option<Transport>, seed: Seed) -> Vec<f32> {
    let device = Cpu::seed_from_u64(0);
    let law = Energy::new(&device, Linear::new(&device, 2, Const).unwrap(), 1.0).unwrap();
    let data = [1.4, 0.2, 0.6, -1.4];
    let particles = Particles { walk: Ula::new(0.2).unwrap(), steps: 8, restarts: 0.0 };
    let chains = Chains::normal(1000, 2, 1.0, seed).unwrap();
    let contrast = Contrast::new(&data, chains, particles, transport).unwrap();
    let adam = AdamConfig { rate: Schedule::constant(0.05).cosine(250, 0.02), ..AdamConfig::default() };
    let mut learner = GradientLearner::of(contrast, law, adam).unwrap();
    train(&mut learner, &Plan::new(250, 2, seed), &mut quiet).unwrap();
    learner.into_model().score.weight.as_vec()
}

#[test]
fn every_estimator_comes_to_its_fixed_point() {
    // The data's mean is (1, −0.6).
    let of = |estimator, weight| Some(Transport { estimator, weight, ..Transport::default() });
    for (transport, scale) in [
        (None, 1.0),
        (of(Estimator::GradNorm, 0.5), 1.0 / 1.5),
        (of(Estimator::Drift, 0.5), 1.0),
        (of(Estimator::Difference, 0.5), 1.0),
        (of(Estimator::Fisher, 0.5), 1.0),
    ] {
        let found = learned(transport, Seed(1));
        for (theta, mean) in found.iter().zip([1.0, -0.6]) {
            // Means of 1000 chains that remember a fifth of where they were, averaged over the last steps.
            assert!((f64::from(*theta) - scale * mean).abs() < 0.05, "{transport:?}: {found:?}");
        }
    }
}

#[test]
fn without_weight_it_is_frame_to_the_last_bit() {
    let nothing = Transport { weight: 0.0, ..Transport::default() };
    assert_eq!(learned(Some(nothing), Seed(2)), learned(None, Seed(2)));
    let little = Transport { weight: 1e-3, ..Transport::default() };
    assert_ne!(learned(Some(little), Seed(2)), learned(None, Seed(2)));
}

/// `½ mean |∇_x Φ|²` of a perceptron with these numbers, in double precision.
fn half_square(arrays: &[crate::nn::NamedArray], points: &[f32]) -> f64 {
    let device = Cpu::seed_from_u64(0);
    let mut net = Perceptron::<usize, Const<1>, Silu, f64>::dense(&device, 3, 16, Const).unwrap();
    load_params(&mut net, arrays).unwrap();
    let points: Vec<f64> = points.iter().map(|x| f64::from(*x)).collect();
    let rows = points.len() / 3;
    let x = device.tensor_from_vec(points, (rows, 3));
    let slopes = net.forward(x.leaky_trace()).sum::<Rank0, _>().backward().get(&x).as_vec();
    0.5 * slopes.iter().map(|s| s * s).sum::<f64>() / rows as f64
}

#[test]
fn the_slope_of_a_squared_slope_is_that_of_double_precision() {
    let device = Cpu::seed_from_u64(5);
    let mut net = Perceptron::<usize, Const<1>, Silu>::dense(&device, 3, 16, Const).unwrap();
    // Weights as large as after some learning.
    let mut arrays = params(&net);
    arrays.iter_mut().flat_map(|(_, _, values)| values).for_each(|w| *w *= 3.0);
    load_params(&mut net, &arrays).unwrap();
    let law = Energy::new(&device, net, 1.0).unwrap();
    let points = Chains::<f32>::normal(6, 3, 1.0, Seed(1)).unwrap().points().to_vec();
    let (_, slopes) = law.scores_and_slopes(&points);
    let transport = Transport { weight: 1.0, ..Transport::default() };
    let mut looks = Looks { points: vec![], weights: vec![] };
    transport.slopes(&mut looks, &points, &slopes, 3, 1.0);
    let count = looks.weights.len();
    let x = device.tensor_from_vec(looks.points, (count, 3));
    let weights = device.tensor_from_vec(looks.weights, (count,));
    let scores = law.score.scores(x.leaky_trace());
    let grads = (scores * weights).sum::<Rank0, Axis<0>>().backward();
    let [first, second, third] = law.score.layers();
    let found = [first, second, third].map(|layer| grads.get(&layer.weight).as_vec());
    for (layer, at) in [(0, 5), (0, 40), (1, 3), (1, 200), (2, 7)] {
        let name = ["first.weight", "second.weight", "third.weight"][layer];
        let moved = |by: f32| {
            let mut arrays = arrays.clone();
            let (_, _, values) = arrays.iter_mut().find(|(n, _, _)| n == name).unwrap();
            values[at] += by;
            (f64::from(values[at]), half_square(&arrays, &points))
        };
        let ((a, high), (b, low)) = (moved(1e-3), moved(-1e-3));
        let (slope, own) = ((high - low) / (a - b), f64::from(found[layer][at]));
        assert!((slope - own).abs() < 2e-3 * (slope.abs() + 0.02), "{name} {at}: {own} for {slope}");
    }
}

#[test]
fn a_run_that_stops_goes_on_as_it_would_have() {
    let device = Cpu::seed_from_u64(0);
    let grid = Grid { channels: 1, height: 6, width: 6 };
    let data: Vec<f32> = (0..36 * 4).map(|i| ((i * 7 % 11) as f32 - 5.0) / 5.0).collect();
    fn learner<'a, A: Activation>(
        device: &Cpu,
        data: &'a [f32],
        grid: Grid,
    ) -> GradientLearner<Contrast<'a, ConvNet<Window<3, Stride<2>>, A>>> {
        let net = ConvNet::<Window<3, Stride<2>>, A>::new(&Cpu::seed_from_u64(3), grid, &[4], Head::Places).unwrap();
        let law = Energy::new(device, net, 1.0).unwrap();
        let particles = Particles { walk: Ula::new(0.01).unwrap(), steps: 3, restarts: 0.25 };
        let chains = Chains::normal(8, 36, 1.0, Seed(9)).unwrap();
        let contrast = Contrast::new(data, chains, particles, Some(Transport::default())).unwrap();
        GradientLearner::of(contrast, law, AdamConfig::default()).unwrap()
    }
    let mut whole = learner::<Silu>(&device, &data, grid);
    train(&mut whole, &Plan::new(6, 2, Seed(4)), &mut quiet).unwrap();
    let mut half = learner::<Silu>(&device, &data, grid);
    let clock = |step: u64| crate::train::Clock { step, steps: 12, epoch: step.div_ceil(2), seed: Seed(4) };
    let batches: Vec<Vec<usize>> =
        (1..=6).flat_map(|epoch| crate::data::Batches::new(4, (2, 1), Seed(4), epoch)).collect();
    for step in 1..=5 {
        half.step(&batches[step as usize - 1], &clock(step)).unwrap();
    }
    let mut archive = Archive::default();
    half.save(&mut archive);
    let mut rest = learner::<Silu>(&device, &data, grid);
    rest.load(&archive).unwrap();
    for step in 6..=12 {
        rest.step(&batches[step as usize - 1], &clock(step)).unwrap();
    }
    assert_eq!(params(&rest.model().score), params(&whole.model().score));
    assert_eq!(rest.objective().chains().points(), whole.objective().chains().points());
    assert_eq!(whole.objective().pulses().len(), 12);
    // Other points are other data.
    let mut others = data.clone();
    others[7] += 1.0;
    let other = learner::<Silu>(&device, &others, grid);
    assert_ne!(other.data().unwrap()[0].unwrap(), whole.data().unwrap()[0].unwrap());
    let bad = |transport: Transport| {
        let chains = Chains::normal(8, 36, 1.0, Seed(9)).unwrap();
        let particles = Particles { walk: Ula::new(0.01).unwrap(), steps: 3, restarts: 0.0 };
        Contrast::<ConvNet<Window<3>, Silu>>::new(&data, chains, particles, Some(transport)).is_err()
    };
    assert!(bad(Transport { weight: -1.0, ..Transport::default() }));
    assert!(bad(Transport { after: 1.5, ..Transport::default() }));
    assert!(bad(Transport { reach: 0.0, ..Transport::default() }));
}

/// Points around (1, −0.5) with a deviation.
fn around(deviation: f64, n: usize) -> Vec<f32> {
    let mut data = Chains::<f32>::normal(n, 2, deviation, Seed(8)).unwrap().points().to_vec();
    data.chunks_exact_mut(2).for_each(|x| (x[0], x[1]) = (x[0] + 1.0, x[1] - 0.5));
    data
}

#[test]
fn the_slope_of_matching_is_that_of_what_it_shows() {
    let device = Cpu::seed_from_u64(3);
    let net = Perceptron::<usize, Const<1>, Silu>::dense(&device, 2, 8, Const).unwrap();
    let mut law = Energy::new(&device, net, 2.0).unwrap();
    let data = around(0.3, 16);
    let matching = Matching::new(&data, 2, Passage::default(), 10, 0.5).unwrap();
    let clock = Clock { step: 3, steps: 10, epoch: 1, seed: Seed(4) };
    let rows: Vec<usize> = (0..16).collect();
    let begin = |law: &Energy<_>| matching.loss(law, dfdx::nn::ZeroGrads::alloc_grads(&law.score), &rows, &clock);
    let arrays = params(&law.score);
    let slopes = begin(&law).unwrap().backward();
    let first = &law.score.layers()[0];
    let found = slopes.get(&first.weight).as_vec();
    for at in [0, 5, 15] {
        let mut shown = |by: f32| {
            let mut moved = arrays.clone();
            moved[0].2[at] += by;
            load_params(&mut law.score, &moved).unwrap();
            f64::from(begin(&law).unwrap().as_vec()[0])
        };
        let slope = (shown(2e-2) - shown(-2e-2)) / 4e-2;
        assert!((slope - f64::from(found[at])).abs() < 1e-3 + 1e-2 * slope.abs(), "{slope} for {}", found[at]);
    }
}

#[test]
fn noise_is_carried_onto_data_that_are_as_wide() {
    // The best way from N(0, 1) to N(m, 1) is everywhere m, the slope of Φ = mᵀx.
    let device = Cpu::seed_from_u64(0);
    let law = Energy::new(&device, Linear::new(&device, 2, Const).unwrap(), f64::INFINITY).unwrap();
    let data = around(1.0, 512);
    let mean = |d: usize| data.iter().skip(d).step_by(2).sum::<f32>() / 512.0;
    let matching = Matching::new(&data, 2, Passage::default(), 0, 0.0).unwrap();
    let adam = AdamConfig { rate: Schedule::constant(0.05).cosine(200, 0.02), ..AdamConfig::default() };
    let mut learner = GradientLearner::of(matching, law, adam).unwrap();
    train(&mut learner, &Plan::new(50, 128, Seed(0)), &mut quiet).unwrap();
    let found = learner.into_model().score.weight.as_vec();
    assert!((found[0] - mean(0)).abs() < 0.05 && (found[1] - mean(1)).abs() < 0.05, "{found:?}");
}

#[test]
fn what_is_near_the_data_becomes_a_law_of_their_width() {
    let data = around(0.3, 512);
    let passage = Passage { step: 0.05, temperature: 0.1, onset: 0.5, end: 1.5 };
    let width = |weight: f64| {
        let device = Cpu::seed_from_u64(1);
        let net = Perceptron::<usize, Const<1>, Silu>::dense(&device, 2, 32, Const).unwrap();
        let law = Energy::new(&device, net, f64::INFINITY).unwrap();
        let matching = Matching::new(&data, 2, passage, 400, weight).unwrap();
        let adam = AdamConfig { rate: Schedule::constant(0.005).cosine(800, 0.1), ..AdamConfig::default() };
        let mut learner = GradientLearner::of(matching, law, adam).unwrap();
        train(&mut learner, &Plan::new(100, 64, Seed(0)), &mut quiet).unwrap();
        let mut chains = Chains::normal(400, 2, 1.0, Seed(9)).unwrap();
        Passage { end: 6.0, ..passage }.carry(learner.model(), &mut chains, 0.0, Seed(3)).unwrap();
        let x: Vec<f64> = chains.points().iter().step_by(2).map(|x| f64::from(*x)).collect();
        let mean = x.iter().sum::<f64>() / 400.0;
        (mean, (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 400.0).sqrt())
    };
    // The slopes alone lead on beyond the data.
    assert!((width(0.0).0 - 1.0).abs() > 0.3);
    let (mean, deviation) = width(1.0);
    assert!((mean - 1.0).abs() < 0.15 && (deviation - 0.3).abs() < 0.06, "{mean}, {deviation}");
}

#[test]
fn a_passage_that_cannot_be_is_refused() {
    let passage = Passage::default();
    let refused = |passage: Passage| Matching::<Linear>::new(&[0.0; 4], 2, passage, 0, 0.1).is_err();
    assert!(!refused(passage));
    assert!(refused(Passage { step: 0.0, ..passage }) && refused(Passage { step: f64::NAN, ..passage }));
    assert!(refused(Passage { onset: 1.5, ..passage }) && refused(Passage { temperature: 0.0, ..passage }));
    assert!(refused(Passage { end: f64::INFINITY, ..passage }) && refused(Passage { step: 1e-300, ..passage }));
    assert!(Matching::<Linear>::new(&[0.0; 4], 3, passage, 0, 0.1).is_err());
    assert!(Matching::<Linear>::new(&[0.0, f32::NAN], 2, passage, 0, 0.1).is_err());
    assert!(Matching::<Linear>::new(&[0.0; 4], 2, passage, 0, -0.1).is_err());
}
