//! What a ladder learns where it is known, and ladders that cannot be.

use super::{ladder::expanded, *};
use crate::{
    frame::{
        Pictures,
        samplers::{Chains, Ula},
    },
    nn::{
        Dense, Grid, Identity, load_params,
        optim::{AdamConfig, Schedule},
        params,
    },
    random::Seed,
    train::{GradientLearner, Plan, Trained, quiet, train},
};
use dfdx::{shapes::Const, tensor::Cpu};

type Linear = Dense<usize, Const<1>, Identity>;
type Two = Rung<16, Linear, Rung<4, Linear, Ground>>;

/// Two linear grids, whose slopes are 0 at first.
fn flat(channels: usize) -> Two {
    let device = Cpu::default();
    let linear = |side: usize| Linear::new(&device, channels * side * side, Const).unwrap();
    let mut ladder = Rung::new(linear(16), Rung::new(linear(4), Ground));
    let mut arrays = params(&ladder);
    arrays.iter_mut().for_each(|(_, _, values)| values.fill(0.0));
    load_params(&mut ladder, &arrays).unwrap();
    ladder
}

fn pictures(n: usize, channels: usize) -> Pictures {
    let grid = Grid { channels, height: 16, width: 16 };
    let values = Chains::<f32>::normal(n, grid.dims(), 0.2, Seed(3)).unwrap().points().to_vec();
    let lit = values.iter().enumerate().map(|(i, x)| x + if i % 16 < 8 { 0.6 } else { -0.3 }).collect();
    Pictures::new(grid, lit).unwrap()
}

#[test]
fn a_sample_begins_where_the_grid_below_has_come_to() {
    let small: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let large = expanded(&small, 2);
    assert_eq!(&large[..8], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    let grid = Grid { channels: 2, height: 8, width: 8 };
    let back = Pictures::new(grid, large).unwrap().shrunk(4).unwrap();
    assert_eq!(back.values(), small);
    // Walks that hardly move leave the colours as they are.
    let still = (Ula::new(1e-12).unwrap(), 1);
    let grids = MultiGrid::new(&Cpu::default(), flat(3), 3, 1.0, still).unwrap();
    let drawn = grids.climb(&[0.1, 0.2, 0.3, -0.4, -0.5, -0.6], Seed(0)).unwrap();
    assert_eq!(drawn.iter().map(|p| p.grid().height).collect::<Vec<_>>(), [1, 4, 16]);
    assert!((drawn[2].picture(1)[256 + 17] + 0.5).abs() < 1e-4);
}

#[test]
fn long_walks_learn_the_means_on_every_grid() {
    // Φ = θᵀx on N(0, 1) has the mean θ, and so the data's.
    let data = pictures(40, 1);
    let walk = (Ula::new(0.3).unwrap(), 8);
    let grids = MultiGrid::new(&Cpu::default(), flat(1), 1, 1.0, walk).unwrap();
    let contrast = GridContrast::new(&data).unwrap();
    let adam = AdamConfig { rate: Schedule::constant(0.05).cosine(200, 0.02), ..AdamConfig::default() };
    let mut learner = GradientLearner::of(contrast, grids, adam).unwrap();
    train(&mut learner, &Plan::new(200, 40, Seed(0)), &mut quiet).unwrap();
    let learned = params(learner.model().module());
    for (name, data) in [("below.score.weight", data.shrunk(4).unwrap()), ("score.weight", data.clone())] {
        let (_, _, found) = learned.iter().find(|(other, ..)| other == name).unwrap();
        let (n, dims) = (data.len(), found.len());
        let mean = |v: usize| (0..n).map(|i| data.picture(i)[v]).sum::<f32>() / n as f32;
        let missed = (0..dims).map(|v| (found[v] - mean(v)).powi(2)).sum::<f32>() / dims as f32;
        assert!(missed.sqrt() < 0.08, "{name}: {}", missed.sqrt());
    }
    let drawn = learner.model().sample(&data, 50, Seed(2)).unwrap();
    let left = drawn.values().iter().enumerate().filter(|(i, _)| i % 16 < 8).map(|(_, x)| x).sum::<f32>() / 6400.0;
    assert!((left - 0.6).abs() < 0.1, "{left}");
}

#[test]
fn pictures_of_other_grids_are_refused() {
    let device = Cpu::default();
    let walk = (Ula::new(0.1).unwrap(), 3);
    let refused = MultiGrid::new(&device, flat(1), 3, 1.0, walk).unwrap_err().to_string();
    assert!(refused.contains("grid of 4 × 4 has 16 inputs, pictures of 3 channels 48"), "{refused}");
    assert!(MultiGrid::new(&device, flat(1), 1, 0.0, walk).is_err());
    assert!(MultiGrid::new(&device, flat(1), 1, 1.0, (walk.0, 0)).is_err());
    let small = pictures(2, 1).shrunk(2).unwrap();
    let refused = GridContrast::<Two>::new(&small).err().unwrap().to_string();
    assert!(refused.contains("pictures of 1 × 8 × 8; the ladder is of 1 × 16 × 16"), "{refused}");
    let grids = MultiGrid::new(&device, flat(1), 1, 1.0, walk).unwrap();
    assert!(grids.climb(&[], Seed(0)).is_err() && grids.sample(&small, 1, Seed(0)).is_err());
    assert!(grids.sample(&pictures(2, 1), 0, Seed(0)).is_err());
}
