//! The passes of a hidden Chow-Liu tree on digits, by number of states.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use limbeck::{
    prelude::*,
    train::{Clock, Learner},
};

fn passes(c: &mut Criterion) {
    let digits = shipped::digits().expect("the data ships with the repository").discrete();
    let rows = digits.select(&(0..1500).collect::<Vec<_>>());
    let tree = Tree::chow_liu(&rows, Seed(0)).expect("rows in memory can be read");
    let all: Vec<usize> = (0..1500).collect();
    let mut group = c.benchmark_group("hclt 64×17, 1500 rows");
    group.sample_size(10);
    for states in [16, 64, 256] {
        let graph = Graph::hclt(&tree, states).expect("valid sizes");
        let circuit = Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(0)).expect("valid sizes");
        group.bench_function(BenchmarkId::new("log-likelihood", states), |b| b.iter(|| circuit.log_prob(&rows)));
        let mut learner = EmLearner::new(circuit, &rows, None, Em::default()).expect("valid settings");
        let clock = Clock { step: 1, steps: 1000, epoch: 1, seed: Seed(0) };
        group.bench_function(BenchmarkId::new("EM epoch, batches of 250", states), |b| {
            b.iter(|| all.chunks(250).map(|batch| learner.step(batch, &clock)).collect::<Vec<_>>());
        });
    }
    group.finish();
    c.bench_function("Chow-Liu tree of 64×17", |b| b.iter(|| Tree::chow_liu(&rows, Seed(0))));
}

/// A step on a single row, which is little but the M-step, by the distributions at the leaves.
fn leaves(c: &mut Criterion) {
    let codes: Vec<u16> = (0..64 * 64_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u16).collect();
    let rows = Discrete::new(Schema::uniform(&[64], 256), codes).expect("codes below 256");
    let mut group = c.benchmark_group("M-step of 64 × 32 leaves of 256 categories");
    group.sample_size(10);
    for leaf in [Leaf::Categorical, Leaf::Binomial, Leaf::Poisson, Leaf::DiscretisedLogistic] {
        let settings = FitCircuit { leaf, ..FitCircuit::new(Structure::Mixture { components: 32 }) };
        let circuit = settings.start_circuit(&rows, Seed(0)).expect("valid settings");
        let mut learner = EmLearner::new(circuit, &rows, None, Em::default()).expect("valid settings");
        let clock = Clock { step: 1, steps: 1000, epoch: 1, seed: Seed(0) };
        group.bench_function(leaf.name(), |b| b.iter(|| learner.step(&[0], &clock)));
    }
    group.finish();
}

/// What is asked of a circuit beside its likelihood, all of the same rows.
fn queries(c: &mut Criterion) {
    let digits = shipped::digits().expect("the data ships with the repository").discrete();
    let rows = digits.select(&(0..512).collect::<Vec<_>>());
    let tree = Tree::chow_liu(&rows, Seed(0)).expect("rows in memory can be read");
    let graph = Graph::hclt(&tree, 64).expect("valid sizes");
    let circuit = Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(0)).expect("valid sizes");
    let half = rows.mask(|_, v| v < 32);
    let mut group = c.benchmark_group("hclt 64×17 with 64 states, 512 rows, half of each known");
    group.sample_size(10);
    group.bench_function("log-likelihood", |b| b.iter(|| circuit.log_prob(&half)));
    group.bench_function("conditionals", |b| b.iter(|| circuit.conditionals(&half)));
    group.bench_function("inpainting", |b| b.iter(|| circuit.complete(&half, Seed(1))));
    group.finish();
}

criterion_group!(benches, passes, leaves, queries);
criterion_main!(benches);
