use super::*;
use crate::{
    circuits::{FitCircuit, Structure},
    diffusion::{Decoder, Diffusion, DiffusionLearner, Fall, Mlp, Objectives, Schedule, Times},
    nn::optim,
    train::{Plan, quiet, train},
};

const L: usize = 3;

fn process(steps: usize) -> Absorbing<Const<3>, Const<4>> {
    Absorbing::new(Const, Const, Schedule::new(Fall::Linear, steps).unwrap()).unwrap()
}

/// Three positions that are one category, or three in turn.
fn rows(n: usize) -> Discrete {
    let mut rng = Seed(1).stream("rows", 0);
    let row = |_| {
        let first = rng.random_range(0..3_u16);
        let by = u16::from(rng.random::<f64>() < 0.5);
        [first, (first + by) % 3, (first + 2 * by) % 3]
    };
    Discrete::new(Schema::uniform(&[L], 3), (0..n).flat_map(row).collect()).unwrap()
}

fn network() -> Mlp<Const<3>, Const<4>> {
    Mlp::new(&Cpu::seed_from_u64(1), (Const, Const), L, 24).unwrap()
}

type Model = Coupled<Absorbing<Const<3>, Const<4>>, Mlp<Const<3>, Const<4>>, 9, 72>;

fn model(steps: usize) -> Model {
    let circuit =
        FitCircuit::new(Structure::Hmm { states: 4, homogeneous: false }).start_circuit(&rows(50), Seed(2)).unwrap();
    Coupled::new(process(steps), network(), &circuit).unwrap()
}

#[test]
fn in_one_step_the_bound_is_the_likelihood_and_samples_follow_it() {
    // All hidden, then all shown: p(x) = C(x) Π x̂_0 / Z, over 27 rows.
    let (model, steps) = (model(1), Steps::all(&process(1), Decoder::Posterior));
    let all: Vec<u16> = (0..27).flat_map(|i| [i / 9, i / 3 % 3, i % 3]).collect();
    let all = Discrete::new(Schema::uniform(&[L], 3), all).unwrap();
    let p: Vec<f64> = model.evidence(&all, &steps, 1, Seed(1)).unwrap().log_probs().iter().map(|p| p.exp()).collect();
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{}", p.iter().sum::<f64>());
    let n = 20_000;
    let drawn = model.sample(n, &steps, Seed(3)).unwrap();
    let mut counts = vec![0.0; 27];
    drawn.codes().chunks_exact(L).for_each(|r| counts[(r[0] * 9 + r[1] * 3 + r[2]) as usize] += 1.0);
    let chi: f64 = p.iter().zip(&counts).map(|(p, c)| (c - p * n as f64).powi(2) / (p * n as f64)).sum();
    // 26 degrees of freedom.
    assert!(chi < 66.0, "{chi}");
}

#[test]
fn slopes_reach_the_network_and_the_circuit() {
    let begun = model(4);
    let steps = Steps::all(&process(4), Decoder::Posterior);
    let adam = AdamConfig { rate: optim::Schedule::constant(1e-2), ..AdamConfig::default() };
    let data = rows(300);
    let mut learner = CoupledLearner::new(begun, &data, steps, adam).unwrap();
    let history = train(&mut learner, &Plan::new(20, 60, Seed(0)), &mut quiet).unwrap();
    let losses: Vec<f64> = history.records().iter().map(|r| r.loss).collect();
    let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
    assert!(mean(&losses[80..]) < 0.8 * mean(&losses[..10]), "{losses:?}");
    let moved = learner.model().circuit().log_prob(&data).unwrap();
    let before = model(4).circuit().log_prob(&data).unwrap();
    assert!(moved.iter().zip(&before).any(|(a, b)| (a - b).abs() > 0.01));
}

#[test]
fn two_steps_of_joint_positions_beat_two_of_independent_ones() {
    // The data have log 6 = 1.79 nats. Two steps show half of the positions together.
    let (data, test, steps) = (rows(600), rows(200), Steps::all(&process(2), Decoder::Posterior));
    let adam = || AdamConfig { rate: optim::Schedule::constant(1e-2), ..AdamConfig::default() };
    let mut joint = CoupledLearner::new(model(2), &data, steps.clone(), adam()).unwrap();
    train(&mut joint, &Plan::new(40, 60, Seed(0)), &mut quiet).unwrap();
    let joint = -joint.into_model().evidence(&test, &steps, 8, Seed(5)).unwrap().mean();
    let apart = Diffusion::new(process(2), network()).unwrap();
    let what = Objectives { bound: steps.clone(), times: Times::Stratified, hybrid: 0.0 };
    let mut apart = DiffusionLearner::new(apart, &data, None, what, adam(), Seed(0)).unwrap();
    train(&mut apart, &Plan::new(40, 60, Seed(0)), &mut quiet).unwrap();
    let apart = -apart.into_model().evidence(&test, &steps, 64, Seed(5)).unwrap().mean();
    assert!(joint < 2.4 && apart > joint + 0.2, "{joint} {apart}");
}

#[test]
fn circuits_of_other_rows_are_refused() {
    let other = Discrete::new(Schema::uniform(&[L], 4), vec![0, 1, 3, 2, 2, 1]).unwrap();
    let circuit =
        FitCircuit::new(Structure::Hmm { states: 4, homogeneous: false }).start_circuit(&other, Seed(2)).unwrap();
    let error = Coupled::<_, _, 12, 78>::new(process(2), network(), &circuit).err().unwrap().to_string();
    assert!(error.contains("of 4 categories; the process is of 3"), "{error}");
    let hole = Discrete::new(Schema::uniform(&[L], 3), vec![0, MISSING, 1]).unwrap();
    let steps = Steps::all(&process(2), Decoder::Posterior);
    let error = model(2).evidence(&hole, &steps, 1, Seed(0)).unwrap_err().to_string();
    assert!(error.contains("row 0, column 1: missing"), "{error}");
}
