//! Filters by hand, and that learning leaves them alone.

use super::*;
use crate::{
    frame::{
        Contrast, ConvNet, Energy, Head, Particles,
        samplers::{Chains, LogDensity, Ula},
    },
    nn::{Conv2d, Identity, NamedArray, Padding, Relu, Stride, Window, params},
    random::Seed,
    train::{GradientLearner, Plan, train},
};
use dfdx::{nn::Module, tensor::TensorFromVec, tensor_ops::ReshapeTo};
use safetensors::{Dtype, tensor::TensorView};
use std::ops::ControlFlow;

const IMAGE: Grid = Grid { channels: 2, height: 6, width: 5 };

fn arrays(seed: u64) -> Vec<NamedArray> {
    let device = Cpu::seed_from_u64(seed);
    type Conv<K> = Conv2d<Grid, Grid, K, Relu>;
    let first = Conv::<Window<3, Stride<1>, Padding<1>>>::new(&device, 2, 4).unwrap();
    let second = Conv::<Window<2, Stride<2>>>::new(&device, 4, 3).unwrap();
    let named = |layer: &str, arrays: Vec<NamedArray>| {
        let layer = layer.to_owned();
        arrays.into_iter().map(move |(name, shape, values)| (format!("{layer}.{name}"), shape, values))
    };
    named("features.0", params(&first)).chain(named("features.3", params(&second))).collect()
}

const LAYS: [(&str, Lay); 2] = [
    ("features.0", Lay { stride: 1, padding: 1, bend: Bend::Relu }),
    ("features.3", Lay { stride: 2, padding: 0, bend: Bend::None }),
];

fn filters() -> DeepFilters {
    DeepFilters::of_arrays(&Cpu::default(), IMAGE, &arrays(1), &LAYS).unwrap()
}

fn points(n: usize) -> Vec<f32> {
    Chains::normal(n, 60, 1.0, Seed(2)).unwrap().points().to_vec()
}

#[test]
fn maps_are_those_of_the_layers_that_the_weights_are_from() {
    let device = Cpu::seed_from_u64(1);
    let first = Conv2d::<Grid, Grid, Window<3, Stride<1>, Padding<1>>, Relu>::new(&device, 2, 4).unwrap();
    let second = Conv2d::<Grid, Grid, Window<2, Stride<2>>, Identity>::new(&device, 4, 3).unwrap();
    let filters = filters();
    assert_eq!(filters.grid(), Grid { channels: 3, height: 3, width: 2 });
    let x = device.tensor_from_vec(points(4), (4, 60));
    let theirs = second.forward(first.forward(x.clone().reshape_like(&(4, 2, 6, 5))));
    assert_eq!(filters.maps(x).as_vec(), theirs.as_vec());
}

#[test]
fn a_texture_weighs_what_filters_find_on_the_whole() {
    let device = Cpu::seed_from_u64(5);
    let filters = filters();
    let top = ConvNet::<Window<1>, Identity>::new(&device, filters.grid(), &[], Head::Mean).unwrap();
    let deep = Deep::new(filters.clone(), top).unwrap();
    let weights = params(deep.top());
    let (w, b) = (&weights[0].2, weights[1].2[0]);
    let maps = filters.maps(device.tensor_from_vec(points(3), (3, 60))).as_vec();
    let scores = deep.scores(device.tensor_from_vec(points(3), (3, 60))).as_vec();
    for (maps, score) in maps.chunks_exact(18).zip(scores) {
        let sum: f32 = maps.chunks_exact(6).zip(w).map(|(map, w)| w * map.iter().sum::<f32>() / 6.0).sum();
        assert!((sum + b - score).abs() < 1e-6);
    }
    // Slopes of points go through the filters.
    let law = Energy::new(&device, deep, 1.0).unwrap();
    let (mut points, mut slopes) = (points(1), vec![0.0; 60]);
    law.log_probs(&points, &mut slopes).unwrap();
    let mut at = |by: f32| {
        points[17] += by;
        law.log_probs(&points, &mut [0.0; 60]).unwrap()[0]
    };
    let slope = (at(1e-2) - at(-2e-2)) / 2e-2;
    assert!((slope - f64::from(slopes[17])).abs() < 1e-3, "{slope} for {}", slopes[17]);
}

#[test]
fn learning_moves_what_is_on_top_alone() {
    let device = Cpu::seed_from_u64(5);
    // A new layer of units.
    let top = ConvNet::<Window<2>, Relu>::new(&device, filters().grid(), &[4], Head::Places).unwrap();
    let law = Energy::new(&device, Deep::new(filters(), top).unwrap(), 1.0).unwrap();
    let before = params(&law.score);
    let data = points(8);
    let particles = Particles { walk: Ula::new(0.01).unwrap(), steps: 2, restarts: 0.0 };
    let chains = Chains::normal(4, 60, 1.0, Seed(0)).unwrap();
    let contrast = Contrast::new(&data, chains, particles, None).unwrap();
    let mut learner = GradientLearner::of(contrast, law, Default::default()).unwrap();
    let plan = Plan::steps(3, 4, Seed(1));
    train(&mut learner, &plan, &mut |_| ControlFlow::Continue(())).unwrap();
    for ((name, _, was), (_, _, is)) in before.iter().zip(params(&learner.model().score)) {
        // A constant of Φ changes nothing.
        let stays = name.starts_with("filters.") || name == "top.last.bias";
        assert_eq!(*was == is, stays, "{name}");
    }
}

#[test]
fn filters_of_a_file_are_those_of_its_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let arrays = arrays(1);
    let bytes: Vec<Vec<u8>> = arrays.iter().map(|a| a.2.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let views = arrays.iter().zip(&bytes).map(|(a, bytes)| (a.0.as_str(), view(Dtype::F32, &a.1, bytes)));
    // What belongs to no layer isn't asked what it is.
    let other = ("classifier.steps", view(Dtype::I8, &[1], &[7]));
    let file = safetensors::serialize(views.chain([other]), None).unwrap();
    std::fs::write(&path, file).unwrap();
    let device = Cpu::default();
    let loaded = DeepFilters::load(&device, IMAGE, &path, &LAYS).unwrap();
    assert_eq!(params(&loaded), params(&filters()));
    let refused = DeepFilters::load(&device, IMAGE, &path, &[("features.9", LAYS[0].1)]).unwrap_err().to_string();
    assert!(refused.contains("net.safetensors") && refused.contains("features.9.weight"), "{refused}");
}

#[test]
fn arrays_that_are_no_filters_are_refused() {
    let device = Cpu::default();
    let refused = |change: &dyn Fn(&mut Vec<NamedArray>), lays: &[(&str, Lay)], image: Grid| {
        let mut arrays = arrays(1);
        change(&mut arrays);
        DeepFilters::of_arrays(&device, image, &arrays, lays).unwrap_err().to_string()
    };
    let nothing: &dyn Fn(&mut Vec<NamedArray>) = &|_| {};
    assert!(refused(nothing, &[], IMAGE).contains("without a layer"));
    assert!(refused(nothing, &[("feature.0", LAYS[0].1)], IMAGE).contains(r#"of ["features.0", "features.3"]"#));
    assert!(refused(nothing, &LAYS[1..], IMAGE).contains("for images of 2 channels"));
    assert!(refused(nothing, &LAYS, Grid { height: 1, ..IMAGE }).contains("layer features.3: windows of 2 pixels"));
    assert!(refused(&|a| a[0].2[3] = f32::NAN, &LAYS, IMAGE).contains("not finite"));
    assert!(refused(&|a| a[0].1 = vec![4, 18], &LAYS, IMAGE).contains("shape [4, 18]"));
    assert!(refused(&|a| a[0].1 = vec![4, 2, 9, 1], &LAYS, IMAGE).contains("one side"));
    assert!(refused(&|a| a[1].1 = vec![2, 2], &LAYS, IMAGE).contains("biases of shape"));
    let zero = [("features.0", Lay { stride: 0, ..LAYS[0].1 })];
    assert!(refused(nothing, &zero, IMAGE).contains("0 apart"));
    let wide = [("features.0", Lay { padding: usize::MAX, ..LAYS[0].1 })];
    assert!(refused(nothing, &wide, IMAGE).contains("zeros around"));
    let top = ConvNet::<Window<1>, Identity>::new(&device, IMAGE, &[], Head::Mean).unwrap();
    assert!(Deep::new(filters(), top).unwrap_err().to_string().contains("has 60 inputs"));
    // Without biases they are 0.
    let plain: Vec<NamedArray> = arrays(1).into_iter().filter(|(name, ..)| name.ends_with("weight")).collect();
    let filters = DeepFilters::of_arrays(&device, IMAGE, &plain, &LAYS).unwrap();
    assert!(filters.maps(device.tensor_from_vec(vec![0.0; 60], (1, 60))).as_vec().iter().all(|r| *r == 0.0));
}
