//! Each step by what it promises, and all of them together.

use super::*;
use crate::{
    circuits::{Circuit, Graph, Heads, Leaf, Structure},
    data::{Continuous, Discrete, Rows, Schema},
    random::Seed,
    train::{Run, quiet},
};
use rand::RngExt;

/// Rows of four kinds, in which all values but one in ten are the kind's own, and features that tell the kinds apart.
fn kinds(n: usize) -> (Discrete, Continuous) {
    let mut rng = Seed(1).stream("kinds", 0);
    let (mut codes, mut places) = (Vec::new(), Vec::new());
    for row in 0..n {
        let kind = row % 4;
        for v in 0..6 {
            let own = (kind >> (v % 2) & 1) as u16 * 2 + (v as u16 + kind as u16) % 2;
            codes.push(if rng.random_bool(0.1) { rng.random_range(0..4) } else { own });
        }
        places.extend([kind % 2, kind / 2].map(|x| 3.0 * x as f64 + rng.random::<f64>()));
    }
    let names = vec!["a".into(), "b".into()];
    (Discrete::new(Schema::uniform(&[6], 4), codes).unwrap(), Continuous::new(names, places).unwrap())
}

fn start(rows: &Discrete, heads: usize) -> Circuit {
    let graph: Graph = Structure::hclt(2).graph(rows, Seed(0)).unwrap().with_heads(heads).unwrap();
    Circuit::random(graph, rows.schema().clone(), Leaf::Categorical, Seed(2)).unwrap()
}

fn run(seed: u64) -> Run<'static> {
    Run::new(Seed(seed), Box::leak(Box::new(quiet)))
}

const QUICK: Learn = Learn { epochs: 8, batch: 64, ..LEARN };
const LEARN: Learn = Learn { epochs: 50, batch: 256, em: EM, unused: 1e-4 };
const EM: crate::circuits::Em = crate::circuits::Em {
    rule: crate::circuits::Rule::MiniBatch,
    pseudocount: 0.1,
    first_step: 0.5,
    last_step: 0.05,
    memory: 10_000.0,
    momentum: 0.9,
};

#[test]
fn heads_learn_from_their_own_rows() {
    let (rows, _) = kinds(400);
    let labels: Vec<u32> = (0..400).map(|i| i % 4).collect();
    let (circuit, _) = QUICK.run(start(&rows, 4), &rows, &labels, run(1)).unwrap();
    let logs = circuit.log_prob_by_head(&rows).unwrap();
    for head in 0..4 {
        let ones: Vec<u32> = vec![head; 400];
        let same = circuit.log_prob_of_heads(&rows, Heads::Labels(&ones)).unwrap();
        assert!(same.iter().enumerate().all(|(i, log)| (log - logs[4 * i + head as usize]).abs() < 1e-6));
    }
    let right = (0..400).filter(|i| (0..4).all(|head| logs[4 * i + i % 4] >= logs[4 * i + head])).count();
    assert!(right > 360, "{right} of 400 are likeliest under their own head");
    assert!(circuit.parameters() < start(&rows, 4).parameters(), "what nothing used is pruned");
}

#[test]
fn relabelling_never_lowers_the_objective_and_reluctance_keeps_rows_where_they_are() {
    let (rows, _) = kinds(400);
    for seed in 0..5 {
        let mut rng = Seed(seed).stream("labels", 0);
        let labels: Vec<u32> = (0..400).map(|_| rng.random_range(0..3)).collect();
        let (circuit, _) = QUICK.run(start(&rows, 3), &rows, &labels, run(seed)).unwrap();
        let [before, after] = relabel(&circuit, &rows, &labels, 0.0).unwrap();
        assert!(after.objective >= before.objective && before.labels == labels && before.moved == 0);
        let logs = circuit.log_prob_by_head(&rows).unwrap();
        for (row, label) in after.labels.iter().enumerate() {
            assert!(logs[3 * row..3 * row + 3].iter().all(|log| *log <= logs[3 * row + *label as usize]));
        }
        let mean: f64 = (0..400).map(|row| logs[3 * row + labels[row] as usize]).sum::<f64>() / 400.0;
        assert!((mean - before.objective).abs() < 1e-9);
        let moved = |reluctance| relabel(&circuit, &rows, &labels, reluctance).unwrap()[1].moved;
        assert!(moved(0.0) >= moved(1.0) && moved(1.0) >= moved(5.0));
        assert_eq!(moved(f64::INFINITY), 0);
        assert!([-1.0, f64::NAN].iter().all(|r| relabel(&circuit, &rows, &labels, *r).is_err()));
        let again = relabel(&circuit, &rows, &after.labels, 0.0).unwrap();
        assert_eq!((again[1].moved, &again[1].labels), (0, &after.labels));
    }
}

#[test]
fn the_least_likely_clusters_are_divided() {
    let clusters =
        [(10, -3.0), (30, -9.0), (0, 0.0), (40, -5.0), (20, -1.0)].map(|(rows, log_prob)| Cluster { rows, log_prob });
    assert_eq!(Select::Share(0.4).of(&clusters), [1, 3]);
    assert_eq!(Select::Share(0.29).of(&clusters), [1]);
    assert_eq!(Select::Share(1.0).of(&clusters), [1, 3, 0, 4]);
    assert_eq!(Select::Lowest(1).of(&clusters), [1]);
    assert_eq!(Select::Lowest(9).of(&clusters), [1, 3, 0, 4]);
    let mut rng = Seed(0).stream("more", 0);
    assert_eq!(More::One.of(2, 70, 9, &mut rng), Some(3));
    assert_eq!(More::Double.of(2, 70, 9, &mut rng), Some(4));
    assert_eq!(More::Double.of(2, 70, 3, &mut rng), Some(3));
    assert_eq!(More::One.of(2, 70, 2, &mut rng), None, "there are clusters enough");
    assert_eq!(More::One.of(2, 2, 9, &mut rng), None, "there are not rows enough");
    assert!((0..20).all(|_| (5..=6).contains(&More::Random { rows: 10 }.of(4, 60, 99, &mut rng).unwrap())));
    assert_eq!(More::Random { rows: 20 }.of(4, 60, 99, &mut rng), None);
}

#[test]
fn divided_clusters_keep_their_numbers_and_new_heads_are_copies() {
    let (rows, features) = kinds(400);
    let labels: Vec<u32> = (0..400).map(|i| i % 2).collect();
    let (circuit, _) = QUICK.run(start(&rows, 2), &rows, &labels, run(1)).unwrap();
    let still = Expand { grow: crate::circuits::Grow { noise: 0.0, ..Default::default() }, ..Expand::default() };
    let (grown, new) = still.run(&circuit, (&rows, &features), &labels, (&[1], 2), Seed(3)).unwrap();
    assert_eq!(grown.graph().heads(), 3);
    // Cluster 1 was of two kinds, which the features tell apart; cluster 0 is as it was.
    assert!((0..400).step_by(2).all(|row| new[row] == 0));
    assert!((1..400).step_by(2).all(|row| new[row] == new[1 + 2 * (row / 2 % 2)] && [1, 2].contains(&new[row])));
    assert_ne!(new[1], new[3]);
    let (old, now) = (circuit.log_prob_by_head(&rows).unwrap(), grown.log_prob_by_head(&rows).unwrap());
    for row in 0..400 {
        for (head, of) in [(0, 0), (1, 1), (2, 1)] {
            assert!((now[3 * row + head] - old[2 * row + of]).abs() < 1e-4);
        }
    }
    // Where both are divided, each new head is a copy of the one that most of its rows come from.
    let (grown, new) = still.run(&circuit, (&rows, &features), &labels, (&[1, 0], 4), Seed(3)).unwrap();
    let now = grown.log_prob_by_head(&rows).unwrap();
    let origin = |row: usize| labels[row] as usize;
    assert!((0..400).all(|row| (now[4 * row + new[row] as usize] - old[2 * row + origin(row)]).abs() < 1e-4));
    assert!((0..400).all(|row| new[row] == new[row % 4]) && (0..4).all(|label| new[..4].contains(&label)));
    let says = |result: crate::Result<(Circuit, Vec<u32>)>, what: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(still.run(&circuit, (&rows, &features), &labels, (&[0], 3), Seed(0)), "2 ≤ clusters ≤ 2");
    says(still.run(&circuit, (&rows, &features), &labels, (&[0, 0], 3), Seed(0)), "has no rows");
    says(still.run(&circuit, (&rows, &features.select(&[0])), &labels, (&[0], 2), Seed(0)), "features of 1");
}

#[test]
fn a_grown_circuit_finds_the_kinds_and_is_the_same_whatever_the_threads() {
    let ((rows, features), (test, _)) = (kinds(600), kinds(200));
    let growing = Growing { learn: QUICK, ..Growing::default() };
    let grow = |growing: &Growing| growing.run(start(&rows, 1), (&rows, &features), Some(&test), run(4)).unwrap();
    let grown = grow(&growing);
    assert_eq!((grown.circuit.graph().heads(), grown.rounds.len()), (4, 4));
    for round in &grown.rounds {
        assert!(round.relabelled >= round.learned && round.valid.is_some());
    }
    let (first, last) = (grown.rounds[0].valid.unwrap(), grown.rounds[3].valid.unwrap());
    assert!(last > first, "{first} with one head, {last} with four");
    let mixture = grown.mixed().unwrap();
    let mean = mixture.log_prob(&test).unwrap().iter().sum::<f64>() / 200.0;
    assert!((mean - last).abs() < 1e-9, "{mean} for {last}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let again = pool.install(|| grow(&growing));
    assert_eq!((again.circuit, again.clusters, again.rounds), (grown.circuit, grown.clusters, grown.rounds));
    // By what is held out it ends early, with the circuit that was best there.
    let patient = grow(&Growing { clusters: 40, patience: 2, ..growing });
    let best = patient.rounds.iter().map(|round| round.valid.unwrap()).fold(f64::NEG_INFINITY, f64::max);
    let mean = patient.mixed().unwrap().log_prob(&test).unwrap().iter().sum::<f64>() / 200.0;
    assert!((mean - best).abs() < 1e-9 && patient.rounds.len() < 37, "{} rounds", patient.rounds.len());
}

#[test]
fn every_setting_of_the_published_code_runs() {
    let (rows, features) = kinds(300);
    let published = Growing {
        clusters: 6,
        learn: QUICK,
        reluctance: 1.0,
        select_before: true,
        more: More::Random { rows: 20 },
        expand: Expand {
            grow: crate::circuits::Grow { between: true, as_published: true, ..Default::default() },
            flows_of_copied: true,
            by_number: true,
            ..Expand::default()
        },
        ..Growing::default()
    };
    let grown = published.run(start(&rows, 2), (&rows, &features), None, run(5)).unwrap();
    assert_eq!(grown.circuit.graph().heads(), 6);
    assert_eq!(grown.clusters.labels.len(), rows.len());
}

#[test]
fn a_growth_that_was_stopped_goes_on_to_the_same_circuit() {
    let (rows, features) = kinds(300);
    let growing = Growing { clusters: 3, learn: QUICK, ..Growing::default() };
    let whole = growing.run(start(&rows, 1), (&rows, &features), None, run(6)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |resume| crate::train::Checkpoint {
        path: folder.path().join("point"),
        every: std::time::Duration::ZERO,
        resume,
    };
    // 8 epochs of 5 batches a round: in the first, in the second, and in the last.
    for (i, stop) in [3, 50, 40].into_iter().enumerate() {
        let mut left = stop;
        let mut watch = |_: &crate::train::Progress| {
            left -= 1;
            if left <= 0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
        };
        let run = Run { checkpoint: Some(file(i > 0)), ..Run::new(Seed(6), &mut watch) };
        let stopped = growing.run(start(&rows, 1), (&rows, &features), None, run).unwrap_err();
        assert!(matches!(stopped, crate::Error::Interrupted { .. }), "{stopped}");
    }
    let mut watch = quiet;
    let run = Run { checkpoint: Some(file(true)), ..Run::new(Seed(6), &mut watch) };
    let again = growing.run(start(&rows, 1), (&rows, &features), None, run).unwrap();
    assert_eq!((again.circuit, again.clusters, again.rounds), (whole.circuit, whole.clusters, whole.rounds));
}
