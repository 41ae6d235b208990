//! Circuits against enumeration, closed forms and themselves.

mod reals;
mod soft;

use super::{
    evaluate::{Notes, Workspace},
    flow::Flows,
    *,
};
use crate::{
    archive::Archive,
    data::{Discrete, MISSING, Rows, Schema},
    random::{Seed, permutation},
    train::{Clock, Learner, Plan, quiet, train},
};
use proptest::prelude::*;
use rand::RngExt;

/// A circuit over a random tree, with parameters far from uniform.
fn circuit<T: Real>(vars: usize, categories: usize, states: usize, seed: u64) -> Circuit<T> {
    let mut rng = Seed(seed).stream("tree", 0);
    let order = permutation(vars, &mut rng);
    let mut parents = vec![None; vars];
    for i in 1..vars {
        parents[order[i]] = Some(order[rng.random_range(0..i)]);
    }
    let graph = Graph::hclt(&Tree::new(parents).unwrap(), states).unwrap();
    sharpened(graph, categories, Leaf::Categorical, seed)
}

/// A circuit of that graph whose parameters are the cubes of random ones, so far from uniform.
fn sharpened<T: Real>(graph: Graph, categories: usize, leaf: Leaf, seed: u64) -> Circuit<T> {
    let schema = Schema::uniform(&[graph.variables()], categories);
    let kinds = vec![leaf; schema.len()];
    let mut circuit = Circuit::<T>::randomised("circuit", graph, schema, &kinds, Seed(seed)).unwrap();
    for parts in &mut circuit.weights {
        for row in 0..parts[0].rows() {
            let cube = |w: &T| w.f64().powi(3);
            let total: f64 = parts.iter().flat_map(|m| &m.values[m.row(row)]).map(cube).sum();
            for matrix in parts.iter_mut() {
                let range = matrix.row(row);
                matrix.values[range].iter_mut().for_each(|w| *w = T::of(cube(w) / total));
            }
        }
    }
    for leaves in circuit.leaves.iter_mut().filter(|l| l.kind == Leaf::Categorical) {
        for unit in 0..leaves.units {
            let total: f64 = leaves.distribution(unit).map(|p| p.powi(3)).sum();
            for a in 0..leaves.categories() {
                let p = &mut leaves.table[a * leaves.units + unit];
                *p = T::of(p.f64().powi(3) / total);
            }
        }
    }
    circuit
}

/// The likelihood of a row by the definition of a circuit, node by node.
pub(super) fn recursive<T: Real>(c: &Circuit<T>, b: usize, unit: usize, x: &[u16]) -> f64 {
    match &c.graph.blocks()[b].kind {
        Kind::Input { variable, leaf } => c.leaves[*leaf].prob(unit, x[*variable]),
        Kind::Product { children } => children.iter().map(|child| recursive(c, *child, unit, x)).product(),
        Kind::Kronecker { left, right } => {
            let units = c.units(*right);
            recursive(c, *left, unit / units, x) * recursive(c, *right, unit % units, x)
        }
        Kind::Sum { children, weights } => children
            .iter()
            .zip(&c.weights[*weights])
            .flat_map(|(child, matrix)| (0..c.units(*child)).map(move |node| (*child, node, matrix.weight(unit, node))))
            .map(
                |(child, node, weight)| {
                    if weight == T::ZERO { 0.0 } else { weight.f64() * recursive(c, child, node, x) }
                },
            )
            .sum(),
    }
}

pub(super) fn assignments_of(schema: &Schema) -> Discrete {
    let sizes: Vec<usize> = schema.variables.iter().map(|v| v.categories).collect();
    let digit = |i: usize, v: usize| (i / sizes[..v].iter().product::<usize>() % sizes[v]) as u16;
    let codes = (0..sizes.iter().product()).flat_map(|i| (0..sizes.len()).map(move |v| (i, v)));
    Discrete::new(schema.clone(), codes.map(|(i, v)| digit(i, v)).collect()).unwrap()
}

fn assignments(vars: usize, categories: usize) -> Discrete {
    assignments_of(&Schema::uniform(&[vars], categories))
}

pub(super) fn flows_of<T: Real>(circuit: &Circuit<T>, rows: &dyn Rows) -> Flows<T> {
    let mut flows = Flows::new(circuit);
    let all: Vec<usize> = (0..rows.len()).collect();
    Workspace::new(true)
        .for_each_block(circuit, rows, &all, Notes::default(), |_, tiles| {
            flows.add(circuit, tiles);
            Ok(())
        })
        .unwrap();
    flows
}

pub(super) fn log_prob<T: Real>(circuit: &Circuit<T>, rows: &dyn Rows) -> Vec<f64> {
    circuit.score(rows, Notes::default()).unwrap().0
}

/// Draws from a circuit of any number type.
pub(super) fn draw<T: Real>(circuit: &Circuit<T>, n: usize, seed: u64) -> Discrete {
    let drawn = circuit.complete_rows(&Discrete::all_missing(circuit.schema.clone(), n), 0, Seed(seed)).unwrap();
    Discrete::new(circuit.schema.clone(), drawn.into_iter().flat_map(|row| row.codes).collect()).unwrap()
}

#[test]
fn probabilities_are_those_of_enumeration_and_sum_to_one() {
    let c = circuit::<f64>(6, 4, 3, 1);
    let rows = assignments(6, 4);
    let log_probs = log_prob(&c, &rows);
    let total: f64 = log_probs.iter().map(|p| p.exp()).sum();
    assert!((total - 1.0).abs() < 1e-12, "{total}");
    for row in (0..rows.len()).step_by(97) {
        let exact = recursive(&c, c.graph.root(), 0, rows.row(row)).ln();
        assert!((log_probs[row] - exact).abs() < 1e-12, "row {row}: {} against {exact}", log_probs[row]);
    }
}

#[test]
fn a_marginal_is_the_sum_over_what_is_missing() {
    let c = circuit::<f64>(6, 3, 3, 2);
    let rows = assignments(6, 3);
    let joint = log_prob(&c, &rows);
    for hidden in [[0, 3], [1, 2], [4, 5]] {
        let seen = rows.row(421).to_vec();
        let masked = rows.select(&[421]).mask(|_, v| hidden.contains(&v));
        let agrees = |row: usize| (0..6).all(|v| hidden.contains(&v) || rows.row(row)[v] == seen[v]);
        let sum: f64 = (0..rows.len()).filter(|r| agrees(*r)).map(|r| joint[r].exp()).sum();
        assert!((log_prob(&c, &masked)[0] - sum.ln()).abs() < 1e-12);
    }
    let nothing = Discrete::all_missing(c.schema.clone(), 1);
    assert!(log_prob(&c, &nothing)[0].abs() < 1e-12);
}

#[test]
fn a_flow_is_the_derivative_of_the_log_likelihood() {
    let c = circuit::<f64>(5, 3, 3, 3);
    let row = assignments(5, 3).select(&[77]).mask(|_, v| v == 2);
    let flows = flows_of(&c, &row);
    let step = 1e-5;
    let derivative = |nudge: &dyn Fn(&mut Circuit<f64>, f64)| {
        let at = |by: f64| {
            let mut moved = c.clone();
            nudge(&mut moved, by.exp());
            log_prob(&moved, &row)[0]
        };
        (at(step) - at(-step)) / (2.0 * step)
    };
    for (set, parts) in c.weights.iter().enumerate() {
        for (i, weight) in parts[0].values.iter().enumerate() {
            let numeric = derivative(&|c, by| c.weights[set][0].values[i] *= by);
            let flow = flows.sums.edges[set][0][i] * weight;
            assert!((numeric - flow).abs() < 1e-8, "edge {set} {i}: {numeric} against {flow}");
        }
    }
    for (set, leaves) in c.leaves.iter().enumerate() {
        let code = row.row(0)[c.uses.leaves[set][0].0];
        if code != MISSING {
            for at in code as usize * leaves.units..(code as usize + 1) * leaves.units {
                let numeric = derivative(&|c, by| c.leaves[set].table[at] *= by);
                let flow = flows.sums.leaves[set][at];
                assert!((numeric - flow).abs() < 1e-8, "leaf {set} {at}: {numeric} against {flow}");
            }
        }
    }
}

#[test]
fn the_flows_into_each_variable_sum_to_the_rows() {
    let c = circuit::<f64>(7, 4, 5, 4);
    let rows = draw(&c, 300, 1).mask(|row, v| (row * 7 + v) % 5 == 0);
    let flows = flows_of(&c, &rows);
    for leaf in &flows.sums.leaves {
        let total: f64 = leaf.iter().sum();
        assert!((total - 300.0).abs() < 1e-10, "{total}");
    }
}

/// Parameters that drive values to zero: tiny numbers, and leaves with disjoint supports.
fn adversarial<T: Real>() -> (Circuit<T>, Discrete) {
    let mut c = circuit::<T>(40, 3, 4, 5);
    for (leaves, uses) in c.leaves.iter_mut().zip(&c.uses.leaves) {
        let v = uses[0].0;
        for h in 0..leaves.units {
            let tiny = 1e-25 * (1.0 + v as f64 + h as f64);
            let values = match v % 3 {
                0 => [1.0 - 2.0 * tiny, tiny, tiny],
                1 if h < 2 => [1.0, 0.0, 0.0],
                1 => [0.0, 1.0, 0.0],
                _ => [0.5, 0.25, 0.25],
            };
            (0..3).for_each(|a| leaves.table[a * 4 + h] = T::of(values[a]));
        }
    }
    let mut rng = Seed(3).stream("test", 0);
    let codes = (0..60 * 40)
        .map(|i| if rng.random::<f64>() < 0.2 { MISSING } else { rng.random_range(0..2 + u16::from(i % 40 % 3 != 1)) });
    let rows = Discrete::new(c.schema.clone(), codes.collect()).unwrap();
    (c, rows)
}

#[test]
fn columns_that_would_vanish_are_computed_exactly() {
    let (c, rows) = adversarial::<f32>();
    let fast = log_prob(&c, &rows);
    for (row, fast) in fast.iter().enumerate() {
        let exact = c.log_values(&rows.row(row).into()).log_prob(&c, &[1.0]);
        assert!((fast - exact).abs() <= 1e-5 * exact.abs(), "row {row}: {fast} against {exact}");
    }
    assert!(fast.iter().any(|p| *p < -200.0) && fast.iter().all(|p| p.is_finite()));
    let flows = flows_of(&c, &rows);
    for leaf in &flows.sums.leaves {
        assert!((leaf.iter().map(|f| f.f64()).sum::<f64>() - 60.0).abs() < 1e-3);
    }
}

#[test]
fn the_impossible_is_minus_infinity_and_has_no_flow() {
    let mut c = circuit::<f32>(3, 2, 2, 6);
    let set = c.uses.leaves.iter().position(|uses| uses[0].0 == 1).unwrap();
    c.leaves[set].table[..4].copy_from_slice(&[1.0, 1.0, 0.0, 0.0]);
    let rows = Discrete::new(c.schema.clone(), vec![0, 1, 0, 0, 0, 0]).unwrap();
    let log_probs = log_prob(&c, &rows);
    assert_eq!(log_probs[0], f64::NEG_INFINITY);
    assert!(log_probs[1].is_finite());
    let flows = flows_of(&c, &rows);
    assert_eq!((flows.rows, flows.impossible), (2.0, 1.0));
    assert!((flows.sums.leaves[0].iter().sum::<f32>() - 1.0).abs() < 1e-6);
    let error = c.complete(&rows.mask(|_, v| v == 0), Seed(0)).unwrap_err().to_string();
    assert!(error.starts_with("row 0: the circuit gives"), "{error}");
    assert!(c.conditionals(&rows.mask(|_, v| v == 0)).is_err());
}

#[test]
fn f32_agrees_with_f64_and_any_number_of_threads_with_itself() {
    let wide = circuit::<f64>(30, 17, 16, 7);
    let narrow = circuit::<f32>(30, 17, 16, 7);
    let rows = draw(&wide, 500, 2);
    let (a, b) = (log_prob(&wide, &rows), log_prob(&narrow, &rows));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 * a.abs()));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (log_prob(&narrow, &rows), flows_of(&narrow, &rows)))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn conditionals_are_joints_over_marginals() {
    let c = circuit::<f64>(6, 3, 4, 8);
    let known = assignments(6, 3).select(&[5, 300]).mask(|_, v| v == 1 || v == 4);
    let conditionals: Conditionals = c.all_conditionals(&known).unwrap();
    for row in 0..2 {
        let marginal = log_prob(&c, &known.select(&[row]))[0];
        for v in [1, 4] {
            for a in 0..3 {
                let mut codes = known.row(row).to_vec();
                codes[v] = a;
                let joint = log_prob(&c, &Discrete::new(c.schema.clone(), codes).unwrap())[0];
                let found = conditionals.get(row, v)[a as usize];
                assert!((found - (joint - marginal).exp()).abs() < 1e-12);
            }
        }
        assert_eq!(conditionals.get(row, 0)[known.row(row)[0] as usize], 1.0);
    }
}

/// Pearson's statistic of draws against their exact law, as a standard score (normal approximation). Cells in which fewer
/// than eight draws are expected count as one.
pub(super) fn chi_square(draws: &Discrete, law: &[f64], index: impl Fn(&[u16]) -> usize) -> f64 {
    let mut counts = vec![0.0; law.len()];
    (0..draws.len()).for_each(|row| counts[index(draws.row(row))] += 1.0);
    let n = draws.len() as f64;
    let (rare, often): (Vec<_>, Vec<_>) =
        counts.into_iter().zip(law.iter().map(|p| n * p)).partition(|cell| cell.1 < 8.0);
    let pooled = rare.iter().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
    let cells: Vec<(f64, f64)> = often.into_iter().chain((pooled.1 >= 8.0).then_some(pooled)).collect();
    let statistic: f64 = cells.iter().map(|(o, e)| (o - e).powi(2) / e).sum();
    let degrees = cells.len() as f64 - 1.0;
    (statistic - degrees) / (2.0 * degrees).sqrt()
}

#[test]
fn samples_follow_the_exact_law() {
    let c = circuit::<f32>(4, 3, 3, 9);
    let all = assignments(4, 3);
    let law: Vec<f64> = c.log_prob(&all).unwrap().iter().map(|p| p.exp()).collect();
    let index = |x: &[u16]| x.iter().rev().fold(0, |i, code| i * 3 + *code as usize);
    let score = chi_square(&c.sample(40_000, Seed(4)).unwrap(), &law, index);
    assert!(score.abs() < 4.0, "{score}");
}

#[test]
fn completions_follow_the_exact_conditional_law() {
    let c = circuit::<f32>(4, 3, 3, 10);
    let all = assignments(4, 3);
    let known = all.select(&[50; 40_000]).mask(|_, v| v == 0 || v == 3);
    let marginal = c.log_prob(&known.select(&[0])).unwrap()[0];
    let law: Vec<f64> = (0..9)
        .map(|i| {
            let mut codes = known.row(0).to_vec();
            (codes[0], codes[3]) = (i % 3, i / 3);
            let joint = log_prob(&c, &Discrete::new(c.schema.clone(), codes).unwrap())[0];
            (joint - marginal).exp()
        })
        .collect();
    let draws = c.complete(&known, Seed(5)).unwrap();
    assert!((0..100).all(|row| draws.row(row)[1..3] == known.row(row)[1..3]), "what is known is kept");
    let score = chi_square(&draws, &law, |x| x[0] as usize + 3 * x[3] as usize);
    assert!(score.abs() < 4.0, "{score}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn em_never_lowers_the_likelihood(vars in 2..7_usize, categories in 2..5_usize, states in 1..5_usize, seed: u64, holes in 0..3_usize) {
        let truth = circuit::<f64>(vars, categories, 3, seed);
        let rows = draw(&truth, 60, seed).mask(|row, v| holes > 0 && (row + v) % (5 - holes) == 0);
        let learner = circuit::<f64>(vars, categories, states, seed ^ 1);
        let mut learner = EmLearner::of(learner, &rows, None, Notes::default(), Em::exact()).unwrap();
        let history = train(&mut learner, rows.len(), &Plan::new(8, 25, Seed(0)), &mut quiet).unwrap();
        let losses: Vec<f64> = history.epochs().iter().map(|e| {
            history.records().iter().filter(|r| r.epoch == e.0).zip([25.0, 25.0, 10.0]).map(|(r, n)| r.loss * n).sum::<f64>()
        }).collect();
        prop_assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-10), "{losses:?}");
    }
}

#[test]
fn mini_batches_learn_and_resume_where_they_were() {
    let truth = circuit::<f32>(8, 4, 4, 11);
    let rows = truth.sample(2000, Seed(6)).unwrap();
    let start = || EmLearner::new(circuit::<f32>(8, 4, 4, 12), &rows, None, Em::default()).unwrap();
    let mut whole = start();
    let history = train(&mut whole, 2000, &Plan::new(6, 200, Seed(1)), &mut quiet).unwrap();
    let entropy = -truth.evidence(&rows).unwrap().mean();
    let found = -whole.circuit().evidence(&rows).unwrap().mean();
    assert!(history.records()[0].loss > found + 0.2, "{} to {found}", history.records()[0].loss);
    assert!(found - entropy < 0.1, "{found} where the data's own circuit has {entropy}");
    let mut archive = Archive::default();
    Learner::save(&whole, &mut archive);
    let mut again = start();
    Learner::load(&mut again, &archive).unwrap();
    assert_eq!(again.circuit(), whole.circuit());
}

#[test]
fn a_saved_circuit_is_the_same_circuit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let c = circuit::<f32>(5, 3, 4, 13);
    c.save(&path, &assignments(5, 3)).unwrap();
    assert_eq!(Circuit::load(&path).unwrap(), c);
    let whole = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&whole).replacen("\\\"circuit\\\"", "\\\"made\\\"", 1);
    std::fs::write(&path, text.as_bytes()).unwrap();
    assert!(Circuit::load(&path).is_err());
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    assert!(Circuit::load(&path).unwrap_err().to_string().contains("model"));
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let c = circuit::<f32>(5, 3, 2, 14);
    let error = c.log_prob(&assignments(4, 3)).unwrap_err().to_string();
    assert_eq!(error, "rows of 4 values; the circuit has 5 variables");
    let error = c.log_prob(&assignments(5, 4)).unwrap_err().to_string();
    assert_eq!(error, "variable x0 has 4 categories; the circuit knows 3");
}

#[test]
fn a_row_of_weight_two_counts_as_two_rows() {
    let truth = circuit::<f64>(5, 3, 3, 15);
    let rows = draw(&truth, 30, 7);
    let weights: Vec<f32> = (0..30).map(|i| (i % 3) as f32).collect();
    let repeated: Vec<usize> = (0..30).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
    let repeated = rows.select(&repeated);
    let learn = |rows: &Discrete, notes: Notes| {
        let mut learner = EmLearner::of(circuit::<f64>(5, 3, 2, 16), rows, None, notes, Em::exact()).unwrap();
        let history = train(&mut learner, rows.len(), &Plan::new(3, 100, Seed(0)), &mut quiet).unwrap();
        (history.records().iter().map(|r| r.loss).collect::<Vec<_>>(), log_prob(learner.model(), &assignments(5, 3)))
    };
    let (a, b) = (learn(&rows, Notes { weights: Some(&weights), heads: None }), learn(&repeated, Notes::default()));
    assert!(a.0.iter().zip(&b.0).all(|(a, b)| (a - b).abs() < 1e-12), "{:?} {:?}", a.0, b.0);
    assert!(a.1.iter().zip(&b.1).all(|(a, b)| a == b || (a - b).abs() < 1e-10));
    let negative = vec![-1.0; 30];
    let notes = Notes { weights: Some(&negative), heads: None };
    assert!(EmLearner::of(circuit::<f64>(5, 3, 2, 16), &rows, None, notes, Em::exact()).is_err());
}

#[test]
fn heads_share_a_circuit_and_learn_from_their_own_rows() {
    let mut graph = Graph::new(2);
    let inputs = [graph.input(0, 3).unwrap(), graph.input(1, 3).unwrap()];
    let product = graph.product(&inputs).unwrap();
    graph.sum(&[product], 2).unwrap();
    let c: Circuit<f64> = sharpened(graph, 3, Leaf::Categorical, 17);
    let rows = assignments(2, 3);
    let heads = |weights: [f32; 2]| -> Vec<f32> { (0..rows.len()).flat_map(|_| weights).collect() };
    let under = |weights: [f32; 2]| c.score(&rows, Notes { heads: Some(&heads(weights)), weights: None }).unwrap().0;
    let (first, second, mixed) = (under([1.0, 0.0]), under([0.0, 1.0]), under([0.25, 0.75]));
    for row in 0..rows.len() {
        assert!((first[row] - recursive(&c, c.graph.root(), 0, rows.row(row)).ln()).abs() < 1e-12);
        let sum = 0.25 * first[row].exp() + 0.75 * second[row].exp();
        assert!((mixed[row] - sum.ln()).abs() < 1e-12);
    }
    assert!(c.score(&rows, Notes::default()).is_err(), "which head is to be said");

    // All rows belong to the first head: the second keeps its weights.
    let hard = heads([1.0, 0.0]);
    let notes = Notes { heads: Some(&hard), weights: None };
    let mut learner = EmLearner::of(c.clone(), &rows, None, notes, Em::exact()).unwrap();
    train(&mut learner, rows.len(), &Plan::new(1, 100, Seed(0)), &mut quiet).unwrap();
    let row = |circuit: &Circuit<f64>, head: usize| {
        let matrix = &circuit.weights[0][0];
        matrix.values[matrix.row(head)].to_vec()
    };
    assert_eq!(row(learner.model(), 1), row(&c, 1));
    assert_ne!(row(learner.model(), 0), row(&c, 0));
    // Soft heads: the flows into the roots sum to the rows.
    let soft = heads([0.4, 0.6]);
    let mut flows = Flows::new(&c);
    let all: Vec<usize> = (0..rows.len()).collect();
    Workspace::new(true)
        .for_each_block(&c, &rows, &all, Notes { heads: Some(&soft), weights: None }, |_, tiles| {
            flows.add(&c, tiles);
            Ok(())
        })
        .unwrap();
    let over: f64 = c.weights[0][0].values.iter().zip(&flows.sums.edges[0][0]).map(|(w, f)| w * f).sum();
    assert!((over - rows.len() as f64).abs() < 1e-10, "{over}");
}

#[test]
fn every_rule_learns_and_resumes_where_it_was() {
    let truth = circuit::<f32>(8, 4, 4, 18);
    let rows = draw(&truth, 1000, 8);
    let slow = Em { rule: Rule::SlowForgetting, memory: 2000.0, ..Em::default() };
    for em in [Em::exact(), Em::default(), slow, Em::anemone()] {
        let start = || EmLearner::new(circuit::<f32>(8, 4, 4, 19), &rows, None, em).unwrap();
        let mut whole = start();
        train(&mut whole, 1000, &Plan::new(3, 100, Seed(1)), &mut quiet).unwrap();
        let before = start().circuit().evidence(&rows).unwrap().mean();
        let after = whole.circuit().evidence(&rows).unwrap().mean();
        assert!(after > before + 0.2, "{em:?}: {before} to {after}");
        let mut archive = Archive::default();
        Learner::save(&whole, &mut archive);
        let mut again = start();
        Learner::load(&mut again, &archive).unwrap();
        let clock = Clock { step: 31, steps: 40, epoch: 4, seed: Seed(1) };
        let batch: Vec<usize> = (0..100).collect();
        for learner in [&mut whole, &mut again] {
            Learner::step(learner, &batch, &clock).unwrap();
            Learner::end_epoch(learner, &clock).unwrap();
        }
        assert_eq!(again.circuit(), whole.circuit(), "{em:?}");
    }
}

#[test]
fn a_sample_goes_through_a_node_as_often_as_its_mass_says() {
    let c = circuit::<f64>(6, 3, 4, 20);
    let mass = c.top_down();
    // The flows of rows of which nothing is known are the masses.
    let nothing = Discrete::all_missing(c.schema.clone(), 1);
    let flows = c.row_flows(&c.log_values(&nothing.row(0).into()), &[1.0], |_, _| {});
    for (mass, flow) in mass.iter().flatten().zip(flows.iter().flatten()) {
        assert!((mass - flow).abs() < 1e-12);
    }
}
