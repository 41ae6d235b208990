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

criterion_group!(benches, passes);
criterion_main!(benches);
