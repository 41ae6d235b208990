//! Diffusion over categories against PyTorch: the same transformer, batches and optimizer. `just versus diffusion` runs it.

mod versus;

use dfdx::{
    nn::NumParams,
    prelude::{Const, Cpu},
};
use limbeck::{
    data::{Discrete, Schema},
    diffusion::{
        Ancestral, Decoder, Diffusion, DiffusionLearner, Drawing, Fall, Objectives, Schedule, Steps, Times,
        Transformer, TransformerConfig, Uniform,
    },
    nn::optim::{self, AdamConfig},
    random::Seed,
    train::{Clock, Learner, Trained},
};
use rand::RngExt;
use std::{hint::black_box, process::ExitCode};
use versus::{Versus, best, report};

const K: usize = 27;
const LENGTH: usize = 64;
const BATCH: usize = 32;
const STEPS: usize = 100;
const SAMPLES: usize = 16;

fn main() -> ExitCode {
    Versus {
        name: "diffusion",
        peers: &[
            ("PyTorch", "diffusion.py multinomial", &["text"]),
            ("flow-matching", "diffusion.py flow-matching", &["text"]),
        ],
        cases: &["text"],
        rounds: 3,
        ours,
    }
    .main()
}

type Network = Transformer<Const<K>, Const<K>>;

fn ours(case: &str) {
    let device = Cpu::seed_from_u64(0);
    let process = Uniform::new(Const, Schedule::new(Fall::Cosine, STEPS).expect("steps")).expect("categories");
    let config = TransformerConfig { length: LENGTH, width: 128, heads: 4, blocks: 2 };
    let network = Network::new(&device, (Const, Const), &config).expect("valid sizes");
    let model = Diffusion::new(process, network).expect("one K");
    let parameters = model.module().num_trainable_params();
    let mut rng = Seed(0).stream("rows", 0);
    let codes = (0..BATCH * LENGTH).map(|_| rng.random_range(0..K as u16)).collect();
    let rows = Discrete::new(Schema::uniform(&[LENGTH], K), codes).expect("categories");
    let steps = Steps::all(model.process(), Decoder::Posterior);
    let what = Objectives { bound: steps.clone(), times: Times::Uniform, hybrid: 0.0 };
    let adam = AdamConfig { rate: optim::Schedule::constant(1e-4), ..AdamConfig::default() };
    let mut learner = DiffusionLearner::new(model, &rows, None, what, adam, Seed(0)).expect("rows that fit");
    let batch: Vec<usize> = (0..BATCH).collect();
    let mut clock = Clock { step: 0, steps: 1 << 20, epoch: 1, seed: Seed(1) };
    let step = best(|| {
        clock.step += 1;
        black_box(learner.step(&batch, &clock).expect("finite gradients"));
    });
    report(&format!("{case}, training step of {BATCH} × {LENGTH}"), step, Some(parameters));
    let model = learner.into_model();
    let none = Discrete::all_missing(Schema::uniform(&[LENGTH], K), SAMPLES);
    let how = Drawing::new(steps);
    let mut seed = 0;
    let sample = best(|| {
        seed += 1;
        drop(black_box(model.draw(&none, &Ancestral, &how, Seed(seed)).expect("valid settings")));
    });
    report(&format!("{case}, {SAMPLES} × {LENGTH} drawn in {STEPS} steps"), sample, Some(parameters));
}
