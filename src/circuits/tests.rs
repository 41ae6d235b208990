//! The circuit against enumeration, closed forms and itself.

use super::{conditional::Conditionals, evaluate::Workspace, flow::Flows, hclt::Hclt, *};
use crate::{
    archive::Archive,
    data::{Discrete, MISSING, Rows, Schema},
    random::{Seed, permutation},
    train::{Learner, Plan, quiet, train},
};
use proptest::prelude::*;
use rand::RngExt;

/// A circuit over a random tree, with parameters far from uniform.
fn circuit<T: Real>(vars: usize, categories: usize, states: usize, seed: u64) -> Hclt<T> {
    let mut rng = Seed(seed).stream("tree", 0);
    let order = permutation(vars, &mut rng);
    let mut parents = vec![None; vars];
    for i in 1..vars {
        parents[order[i]] = Some(order[rng.random_range(0..i)]);
    }
    let schema = Schema::uniform(&[vars], categories);
    let mut circuit = Hclt::<T>::random(schema, Tree::new(parents).unwrap(), states, Seed(seed)).unwrap();
    let weights = &mut circuit.weights;
    let rows = weights.edges.iter_mut().flat_map(|e| e.chunks_exact_mut(states));
    for row in rows.chain(weights.leaves.iter_mut().flat_map(|l| l.chunks_exact_mut(categories))) {
        let cubes: Vec<f64> = row.iter().map(|w| w.f64().powi(3)).collect();
        let total: f64 = cubes.iter().sum();
        row.iter_mut().zip(cubes).for_each(|(w, c)| *w = T::of(c / total));
    }
    circuit
}

/// `Σ_z p(z_r) p(x_r | z_r) Π p(z_j | z_i) p(x_j | z_j)`, term by term.
fn enumerated<T: Real>(c: &Hclt<T>, x: &[u16]) -> f64 {
    let (n, h) = (x.len(), c.states);
    (0..h.pow(n as u32))
        .map(|code| {
            let z: Vec<usize> = (0..n).map(|v| code / h.pow(v as u32) % h).collect();
            (0..n)
                .map(|v| {
                    let latent = match c.tree.parents()[v] {
                        None => c.weights.root[z[v]].f64(),
                        Some(p) => c.weights.edges[v][z[p] * h + z[v]].f64(),
                    };
                    let leaf = if x[v] == MISSING {
                        1.0
                    } else {
                        c.weights.leaves[v][z[v] * c.categories(v) + x[v] as usize].f64()
                    };
                    latent * leaf
                })
                .product::<f64>()
        })
        .sum()
}

fn assignments(vars: usize, categories: usize) -> Discrete {
    let digit = |i: usize, v: usize| (i / categories.pow(v as u32) % categories) as u16;
    let codes = (0..categories.pow(vars as u32)).flat_map(|i| (0..vars).map(move |v| digit(i, v))).collect();
    Discrete::new(Schema::uniform(&[vars], categories), codes).unwrap()
}

fn flows_of<T: Real>(circuit: &Hclt<T>, rows: &Discrete) -> Flows<T> {
    let mut flows = Flows::new(circuit);
    let all: Vec<usize> = (0..rows.len()).collect();
    Workspace::new(true)
        .for_each_block(circuit, rows, &all, |tiles| {
            flows.add(circuit, tiles);
            Ok(())
        })
        .unwrap();
    flows
}

#[test]
fn probabilities_are_those_of_enumeration_and_sum_to_one() {
    let c = circuit::<f64>(6, 4, 3, 1);
    let rows = assignments(6, 4);
    let log_probs = c.log_prob(&rows).unwrap();
    let total: f64 = log_probs.iter().map(|p| p.exp()).sum();
    assert!((total - 1.0).abs() < 1e-12, "{total}");
    for row in (0..rows.len()).step_by(97) {
        let exact = enumerated(&c, rows.row(row)).ln();
        assert!((log_probs[row] - exact).abs() < 1e-12, "row {row}: {} against {exact}", log_probs[row]);
    }
}

#[test]
fn a_marginal_is_the_sum_over_what_is_missing() {
    let c = circuit::<f64>(6, 3, 3, 2);
    let rows = assignments(6, 3);
    let joint = c.log_prob(&rows).unwrap();
    for hidden in [[0, 3], [1, 2], [4, 5]] {
        let seen = rows.row(421).to_vec();
        let masked = rows.select(&[421]).mask(|_, v| hidden.contains(&v));
        let agrees = |row: usize| (0..6).all(|v| hidden.contains(&v) || rows.row(row)[v] == seen[v]);
        let sum: f64 = (0..rows.len()).filter(|r| agrees(*r)).map(|r| joint[r].exp()).sum();
        assert!((c.log_prob(&masked).unwrap()[0] - sum.ln()).abs() < 1e-12);
    }
    let nothing = Discrete::all_missing(c.schema.clone(), 1);
    assert!(c.log_prob(&nothing).unwrap()[0].abs() < 1e-12);
}

#[test]
fn a_flow_is_the_derivative_of_the_log_likelihood() {
    let c = circuit::<f64>(5, 3, 3, 3);
    let row = assignments(5, 3).select(&[77]).mask(|_, v| v == 2);
    let flows = flows_of(&c, &row);
    let step = 1e-5;
    let derivative = |nudge: &dyn Fn(&mut Hclt<f64>, f64)| {
        let at = |by: f64| {
            let mut moved = c.clone();
            nudge(&mut moved, by.exp());
            moved.log_prob(&row).unwrap()[0]
        };
        (at(step) - at(-step)) / (2.0 * step)
    };
    for v in 0..5 {
        for i in 0..c.weights.edges[v].len() {
            let numeric = derivative(&|c, by| c.weights.edges[v][i] *= by);
            let flow = flows.edges[v][i] * c.weights.edges[v][i];
            assert!((numeric - flow).abs() < 1e-8, "edge {v} {i}: {numeric} against {flow}");
        }
        let code = row.row(0)[v];
        if code != MISSING {
            for h in 0..3 {
                let numeric = derivative(&|c, by| c.weights.leaves[v][h * 3 + code as usize] *= by);
                let flow = flows.leaves[v][code as usize * 3 + h];
                assert!((numeric - flow).abs() < 1e-8, "leaf {v} {h}: {numeric} against {flow}");
            }
        }
    }
}

#[test]
fn the_flows_into_each_variable_sum_to_the_rows() {
    let c = circuit::<f64>(7, 4, 5, 4);
    let rows = c.sample(300, Seed(1)).unwrap().mask(|row, v| (row * 7 + v) % 5 == 0);
    let flows = flows_of(&c, &rows);
    for leaf in &flows.leaves {
        let total: f64 = leaf.iter().sum();
        assert!((total - 300.0).abs() < 1e-10, "{total}");
    }
    assert!((flows.root.iter().sum::<f64>() - 300.0).abs() < 1e-10);
}

/// Parameters that drive values to zero: tiny numbers, and leaves with disjoint supports.
fn adversarial<T: Real>() -> (Hclt<T>, Discrete) {
    let mut c = circuit::<T>(40, 3, 4, 5);
    for (v, leaf) in c.weights.leaves.iter_mut().enumerate() {
        for (h, row) in leaf.chunks_exact_mut(3).enumerate() {
            let tiny = 1e-25 * (1.0 + v as f64 + h as f64);
            let values = match v % 3 {
                0 => [1.0 - 2.0 * tiny, tiny, tiny],
                1 if h < 2 => [1.0, 0.0, 0.0],
                1 => [0.0, 1.0, 0.0],
                _ => [0.5, 0.25, 0.25],
            };
            row.iter_mut().zip(values).for_each(|(w, p)| *w = T::of(p));
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
    let fast = c.log_prob(&rows).unwrap();
    for (row, fast) in fast.iter().enumerate() {
        let exact = c.log_values(rows.row(row)).log_prob;
        assert!((fast - exact).abs() <= 1e-5 * exact.abs(), "row {row}: {fast} against {exact}");
    }
    assert!(fast.iter().any(|p| *p < -200.0) && fast.iter().all(|p| p.is_finite()));
    let flows = flows_of(&c, &rows);
    for leaf in &flows.leaves {
        assert!((leaf.iter().map(|f| f.f64()).sum::<f64>() - 60.0).abs() < 1e-3);
    }
}

#[test]
fn the_impossible_is_minus_infinity_and_has_no_flow() {
    let mut c = circuit::<f32>(3, 2, 2, 6);
    c.weights.leaves[1] = vec![1.0, 0.0, 1.0, 0.0];
    let rows = Discrete::new(c.schema.clone(), vec![0, 1, 0, 0, 0, 0]).unwrap();
    let log_probs = c.log_prob(&rows).unwrap();
    assert_eq!(log_probs[0], f64::NEG_INFINITY);
    assert!(log_probs[1].is_finite());
    let flows = flows_of(&c, &rows);
    assert_eq!((flows.rows, flows.impossible), (2.0, 1.0));
    assert!((flows.root.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    let error = c.complete(&rows.mask(|_, v| v == 0), Seed(0)).unwrap_err().to_string();
    assert!(error.starts_with("row 0: the circuit gives"), "{error}");
    assert!(c.conditionals(&rows.mask(|_, v| v == 0)).is_err());
}

#[test]
fn f32_agrees_with_f64_and_any_number_of_threads_with_itself() {
    let wide = circuit::<f64>(30, 17, 16, 7);
    let mut narrow = circuit::<f32>(30, 17, 16, 7);
    let copy = |from: &[f64]| from.iter().map(|w| *w as f32).collect::<Vec<_>>();
    narrow.weights.edges = wide.weights.edges.iter().map(|e| copy(e)).collect();
    narrow.weights.leaves = wide.weights.leaves.iter().map(|e| copy(e)).collect();
    narrow.weights.root = copy(&wide.weights.root);
    let rows = wide.sample(500, Seed(2)).unwrap();
    let (a, b) = (wide.log_prob(&rows).unwrap(), narrow.log_prob(&rows).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 * a.abs()));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (narrow.log_prob(&rows).unwrap(), flows_of(&narrow, &rows)))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn conditionals_are_joints_over_marginals() {
    let c = circuit::<f64>(6, 3, 4, 8);
    let known = assignments(6, 3).select(&[5, 300]).mask(|_, v| v == 1 || v == 4);
    let conditionals: Conditionals = c.conditionals(&known).unwrap();
    for row in 0..2 {
        let marginal = c.log_prob(&known.select(&[row])).unwrap()[0];
        for v in [1, 4] {
            for a in 0..3 {
                let mut codes = known.row(row).to_vec();
                codes[v] = a;
                let joint = c.log_prob(&Discrete::new(c.schema.clone(), codes).unwrap()).unwrap()[0];
                let found = conditionals.get(row, v)[a as usize];
                assert!((found - (joint - marginal).exp()).abs() < 1e-12);
            }
        }
        assert_eq!(conditionals.get(row, 0)[known.row(row)[0] as usize], 1.0);
    }
}

/// Pearson's statistic of draws against their exact law, and its standard score (normal approximation).
fn chi_square(draws: &Discrete, law: &[f64], index: impl Fn(&[u16]) -> usize) -> f64 {
    let mut counts = vec![0.0; law.len()];
    (0..draws.len()).for_each(|row| counts[index(draws.row(row))] += 1.0);
    let n = draws.len() as f64;
    let statistic: f64 = counts.iter().zip(law).map(|(o, p)| (o - n * p).powi(2) / (n * p)).sum();
    let degrees = law.len() as f64 - 1.0;
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
            let joint = c.log_prob(&Discrete::new(c.schema.clone(), codes).unwrap()).unwrap()[0];
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
        let rows = truth.sample(60, Seed(seed)).unwrap().mask(|row, v| holes > 0 && (row + v) % (5 - holes) == 0);
        let learner = circuit::<f64>(vars, categories, states, seed ^ 1);
        let mut learner = EmLearner::new(learner, &rows, None, Em::exact()).unwrap();
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
    assert_eq!(Hclt::load(&path).unwrap(), c);
    let whole = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&whole).replacen("\\\"hclt\\\"", "\\\"made\\\"", 1);
    std::fs::write(&path, text.as_bytes()).unwrap();
    assert!(Hclt::load(&path).is_err());
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    assert!(Hclt::load(&path).unwrap_err().to_string().contains("model"));
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let c = circuit::<f32>(5, 3, 2, 14);
    let error = c.log_prob(&assignments(4, 3)).unwrap_err().to_string();
    assert_eq!(error, "rows of 4 values; the circuit has 5 variables");
    let error = c.log_prob(&assignments(5, 4)).unwrap_err().to_string();
    assert_eq!(error, "variable x0 has 4 categories; the circuit knows 3");
}
