//! Hidden Chow-Liu trees against libcirkit: the same rows, states and batches. `just versus circuits` runs it.

mod versus;

use limbeck::prelude::*;
use limbeck::train::{Clock, Learner};
use std::{hint::black_box, process::ExitCode};
use versus::{Versus, best, report};

const ROWS: usize = 1500;
const BATCH: usize = 250;

fn main() -> ExitCode {
    Versus { name: "circuits", peer: "libcirkit", rounds: 2, ours }.main()
}

fn ours() {
    let digits = shipped::digits().expect("the data ships with the repository").discrete();
    let rows = digits.select(&(0..ROWS).collect::<Vec<_>>());
    let tree = Tree::chow_liu(&rows, Seed(0)).expect("rows in memory can be read");
    for states in std::env::var("ONLY").map_or(vec![16, 64, 256], |s| vec![s.parse().unwrap()]) {
        let graph = Graph::hclt(&tree, states).expect("valid sizes");
        let circuit = Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(0)).expect("valid sizes");
        let name = |what: &str| format!("HCLT 64×17, H = {states}, {what} of {ROWS} rows");
        let log_prob = best(|| drop(black_box(circuit.log_prob(&rows))));
        report(&name("log-likelihood"), log_prob);
        let mut learner = EmLearner::new(circuit, &rows, None, Em::default()).expect("valid settings");
        let all: Vec<usize> = (0..ROWS).collect();
        let clock = Clock { step: 1, steps: 1000, epoch: 1, seed: Seed(0) };
        let epoch = best(|| {
            for batch in all.chunks(BATCH) {
                black_box(learner.step(batch, &clock)).expect("rows in memory can be read");
            }
        });
        report(&name("EM epoch"), epoch);
    }
}
