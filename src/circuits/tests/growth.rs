//! Growing: what a copy is, and what stays as it was.

use super::*;
use crate::circuits::{Grow, graph::Kind};

/// Rows of a schema of three values a variable, some of which are missing.
fn rows(vars: usize, seed: u64) -> Discrete {
    let mut rng = Seed(seed).stream("rows", 0);
    let codes = (0..60 * vars).map(|_| if rng.random_bool(0.1) { MISSING } else { rng.random_range(0..3) });
    Discrete::new(Schema::uniform(&[vars], 3), codes.collect()).unwrap()
}

fn labels(rows: usize, heads: u32) -> Vec<u32> {
    (0..rows as u32).map(|i| i % heads).collect()
}

/// `log p(x | head)` of each row.
fn under<T: Scalar>(circuit: &Circuit<T>, rows: &Discrete, head: usize) -> Vec<f64> {
    let heads = vec![head as u32; rows.len()];
    circuit.score(rows, RowWeights { heads: Heads::Labels(&heads), weights: None }).unwrap().0
}

fn near(a: &[f64], b: &[f64], by: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < by)
}

fn structures() -> Vec<Structure> {
    let layers = [SumProduct::Cp, SumProduct::Tucker, SumProduct::CpTransposed];
    let mut all = vec![Structure::hclt(3), Structure::Hclt { states: 3, joined: true, shared: 0 }];
    all.push(Structure::Hmm { states: 3, homogeneous: true });
    for layer in layers {
        all.push(Structure::RatSpn { depth: 2, replicas: 2, units: 2, layer });
        all.push(Structure::RandomTree { units: 3, layer });
    }
    all
}

/// Three heads over six variables.
fn start<T: Scalar>(structure: &Structure, seed: u64) -> Circuit<T> {
    let graph = structure.graph(&rows(6, seed), Seed(seed)).unwrap().with_heads(3).unwrap();
    sharpened(graph, 3, Leaf::Categorical, seed)
}

const STILL: Grow = Grow { share: 0.3, across: 0.2, noise: 0.0, between: false, as_published: false };

#[test]
fn without_noise_old_heads_say_what_they_said_and_new_ones_what_their_originals_say() {
    for (i, structure) in structures().iter().enumerate() {
        for (share, across, between) in
            [(0.0, 0.2, false), (0.3, 0.2, false), (0.3, 0.0, true), (0.1, 0.5, true), (1.0, 0.2, false)]
        {
            let circuit: Circuit<f64> = start(structure, i as u64);
            let (rows, how) = (rows(6, 9), Grow { share, across, between, ..STILL });
            let grown = circuit.grown(&[2, 0], &rows, Heads::Labels(&labels(60, 3)), &how, Seed(1)).unwrap();
            assert_eq!(grown.graph.heads(), 5);
            for (new, old) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 0)] {
                let same = near(&under(&grown, &rows, new), &under(&circuit, &rows, old), 1e-12);
                assert!(same, "{structure:?}, {how:?}: head {new} is not head {old}");
            }
        }
    }
}

#[test]
fn the_states_with_the_most_flow_are_copied() {
    let circuit: Circuit<f64> = start(&Structure::hclt(4), 3);
    let rows = rows(6, 4);
    let units = |c: &Circuit<f64>| c.graph.blocks()[..c.graph.root()].iter().map(|b| b.units).sum::<usize>();
    let of = |share| {
        units(&circuit.grown(&[0], &rows, Heads::Labels(&labels(60, 3)), &Grow { share, ..STILL }, Seed(1)).unwrap())
    };
    assert_eq!(of(0.0), units(&circuit));
    assert_eq!(of(1.0), 2 * units(&circuit), "every state has flow");
    assert!((1..9).all(|i| of(f64::from(i) / 9.0) < of(f64::from(i + 1) / 9.0)));
    // The rows of head 1 alone: what they do not use is not copied, however large the share.
    let mut circuit = circuit;
    let (root, below) = (circuit.graph.root(), circuit.graph.children(circuit.graph.root())[0]);
    circuit.set_block_parameters(root, &[0.5, 0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5]).unwrap();
    let grown = circuit.grown(&[1], &rows, Heads::Labels(&[1; 60]), &Grow { share: 1.0, ..STILL }, Seed(1)).unwrap();
    assert_eq!(grown.graph.blocks()[below].units, 5, "one of four states below the root has flow");
}

#[test]
fn with_noise_all_are_distributions_and_copies_differ() {
    for leaf in Leaf::LEARNED {
        let k = if leaf == Leaf::Bernoulli { 2 } else { 3 };
        let graph = Structure::hclt(2).graph(&rows(3, 1), Seed(1)).unwrap().with_heads(2).unwrap();
        let circuit: Circuit<f64> = sharpened(graph, k, leaf, 5);
        let codes = (0..k.pow(3)).flat_map(|i| [i % k, i / k % k, i / k / k].map(|a| a as u16));
        let every = Discrete::new(Schema::uniform(&[3], k), codes.collect()).unwrap();
        for (between, as_published) in [(false, false), (true, true)] {
            let how = Grow { noise: 0.2, share: 0.5, between, as_published, ..STILL };
            let grown = circuit.grown(&[0, 1], &every, Heads::Labels(&labels(every.len(), 2)), &how, Seed(2)).unwrap();
            for head in 0..4 {
                let total: f64 = under(&grown, &every, head).iter().map(|l| l.exp()).sum();
                assert!((total - 1.0).abs() < 1e-9, "{leaf}, head {head}: {total}");
            }
            assert!(!near(&under(&grown, &every, 0), &under(&grown, &every, 2), 1e-3), "{leaf}");
            assert!(grown.leaves.iter().all(|leaves| leaves.is_valid()));
        }
    }
}

#[test]
fn weights_as_published_move_weight_to_what_is_copied() {
    let circuit: Circuit<f64> = start(&Structure::hclt(4), 7);
    let rows = rows(6, 8);
    let moved = |how: Grow| {
        let grown = circuit.grown(&[0], &rows, Heads::Labels(&labels(60, 3)), &how, Seed(1)).unwrap();
        !near(&under(&grown, &rows, 0), &under(&circuit, &rows, 0), 1e-3)
    };
    assert!(moved(Grow { as_published: true, ..STILL }));
    // Where all or none have a copy, or nothing leads across, it does not.
    assert!(!moved(Grow { as_published: true, share: 1.0, ..STILL }));
    assert!(!moved(Grow { as_published: true, across: 0.0, ..STILL }));
}

#[test]
fn a_pruned_circuit_grows_without_the_edges_that_are_gone() {
    let circuit: Circuit<f64> = start(&Structure::hclt(4), 11);
    let rows = rows(6, 12);
    let edges = circuit.all_edges();
    let gone: Vec<_> =
        edges.iter().step_by(3).copied().filter(|e| edges.iter().filter(|f| f.shares_node(e)).count() > 3).collect();
    let pruned = circuit.without(&gone);
    let grown =
        pruned.grown(&[1], &rows, Heads::Labels(&labels(60, 3)), &Grow { between: true, ..STILL }, Seed(1)).unwrap();
    for (new, old) in [(0, 0), (1, 1), (2, 2), (3, 1)] {
        // Rows of a pruned circuit are normalised where they are further from one than 1e-7; those of a grown one are.
        assert!(near(&under(&grown, &rows, new), &under(&pruned, &rows, old), 1e-9));
    }
    let sums = |c: &Circuit<f64>| c.graph.blocks().iter().filter(|b| matches!(b.kind, Kind::Sum { .. })).count();
    assert_eq!(sums(&grown), sums(&pruned));
}

#[test]
fn what_cannot_grow_is_refused_with_the_reason() {
    let circuit: Circuit = start(&Structure::hclt(2), 1);
    let (rows, heads) = (rows(6, 1), labels(60, 3));
    let says = |heads: &[usize], row_heads: &[u32], how: Grow, what: &str| {
        let error = circuit.grow(heads, &rows, Heads::Labels(row_heads), &how, Seed(0)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(&[3], &heads, STILL, "head 3 of 3");
    says(&[1, 1], &heads, STILL, "head 1 is to be copied twice");
    says(&[0], &heads[1..], STILL, "heads: 59 numbers for 60 rows");
    says(&[0], &[3; 60], STILL, "heads: row 0 belongs to head 3 of 3");
    says(&[0], &heads, Grow { share: 1.5, ..STILL }, "share");
    says(&[0], &heads, Grow { noise: f64::NAN, ..STILL }, "noise");
    let tree = FitCircuit { epochs: 1, ..FitCircuit::new(Structure::ChowLiu) };
    let known = Discrete::new(Schema::uniform(&[6], 3), (0..360).map(|i| (i * 7 % 5 % 3) as u16).collect()).unwrap();
    let tree = crate::train::Fit::fit(&tree, &known, None, Seed(0)).unwrap().0;
    let error = tree.grow(&[0], &known, Heads::Labels(&[0; 60]), &STILL, Seed(0)).unwrap_err().to_string();
    assert!(error.contains("indicator"), "{error}");
}
