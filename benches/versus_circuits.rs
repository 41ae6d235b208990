//! Circuits against libcirkit and spflow: the same rows, structures, sizes and batches. `just versus circuits` runs it.

mod versus;

use limbeck::prelude::*;
use limbeck::train::{Clock, Learner};
use std::{hint::black_box, process::ExitCode};
use versus::{Versus, best, report};

const ROWS: usize = 1500;
const BATCH: usize = 250;

fn main() -> ExitCode {
    Versus {
        name: "circuits",
        peers: &[
            (
                "libcirkit",
                "circuits.py",
                &["hclt-digits", "rat-spn", "quad-tree", "hclt-fashion-16", "hclt-fashion-64"],
            ),
            ("spflow", "circuits_spflow.py", &["hclt-digits-16", "hclt-digits-64"]),
        ],
        cases: &[
            "hclt-digits-16",
            "hclt-digits-64",
            "hclt-digits-256",
            "rat-spn-digits-32",
            "quad-tree-digits-32",
            "hclt-fashion-16*",
            "hclt-fashion-64*",
            "hclt-fashion-256*",
        ],
        rounds: 2,
        ours,
    }
    .main()
}

/// `case` is `structure-data-units`.
fn ours(case: &str) {
    let [units, data, structure] = case.rsplitn(3, '-').collect::<Vec<_>>()[..] else { panic!("no case {case}") };
    let units: usize = units.parse().expect("a number of units");
    let rows = match data {
        "digits" => shipped::digits().expect("the data ships with the repository").discrete(),
        _ => shipped::fashion_mnist().expect("the data ships with the repository").0.discrete(),
    };
    let rows = rows.select(&(0..ROWS).collect::<Vec<_>>());
    let graph = match structure {
        "hclt" => Structure::hclt(units),
        "rat-spn" => Structure::RatSpn { depth: 6, replicas: 4, units, layer: SumProduct::Cp },
        _ => Structure::QuadTree { units, layer: SumProduct::Cp, tied: false },
    }
    .graph(&rows, Seed(0))
    .expect("valid sizes");
    let circuit = Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(0)).expect("valid sizes");
    let (parameters, edges) = (circuit.parameters(), circuit.layouts().len());
    let log_prob = best(|| drop(black_box(circuit.log_prob(&rows))));
    report(&format!("{case}, log-likelihood of {ROWS} rows"), log_prob, Some(parameters));
    let mut learner = EmLearner::new(circuit, &rows, None, Em::default()).expect("valid settings");
    let all: Vec<usize> = (0..ROWS).collect();
    let clock = Clock { step: 1, steps: 1000, epoch: 1, seed: Seed(0) };
    let epoch = best(|| {
        for batch in all.chunks(BATCH) {
            black_box(learner.step(batch, &clock)).expect("rows in memory can be read");
        }
    });
    report(&format!("{case}, EM epoch of {ROWS} rows"), epoch, Some(parameters));
    if structure == "hclt" && rayon::current_num_threads() == 1 {
        let rate = 100.0 * products(units, edges - 1) / epoch;
        eprintln!("{case}: {rate:.0} % of the rate of bare matrix products");
    }
}

/// Milliseconds for the matrix products of an EM epoch alone, by the gemm crate, in the shapes that the passes have: for each
/// of the edges, up, down and the parameters' flow of each tile of 128 rows.
fn products(states: usize, edges: usize) -> f64 {
    const TILE: usize = 128;
    let (a, b) = (vec![0.01_f32; states * states], vec![0.5_f32; states * TILE]);
    let (mut c, mut sums) = (vec![0.0_f32; states * TILE], vec![0.0_f32; states * states]);
    let tiles = ROWS.div_ceil(BATCH) * BATCH.div_ceil(TILE);
    let h = states as isize;
    best(|| {
        for _ in 0..edges * tiles {
            // SAFETY: every matrix has the size and the strides it is given with.
            unsafe {
                let product = |m: usize,
                               n: usize,
                               k: usize,
                               dst: *mut f32,
                               row: isize,
                               add: bool,
                               a: (*const f32, isize, isize),
                               b: (*const f32, isize, isize)| {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        dst,
                        1,
                        row,
                        add,
                        a.0,
                        a.2,
                        a.1,
                        b.0,
                        b.2,
                        b.1,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                };
                let tile = TILE as isize;
                product(states, TILE, states, c.as_mut_ptr(), tile, false, (a.as_ptr(), h, 1), (b.as_ptr(), tile, 1));
                product(states, TILE, states, c.as_mut_ptr(), tile, false, (a.as_ptr(), 1, h), (b.as_ptr(), tile, 1));
                product(states, states, TILE, sums.as_mut_ptr(), h, true, (c.as_ptr(), tile, 1), (b.as_ptr(), 1, tile));
            }
        }
        black_box((&c, &sums));
    })
}
