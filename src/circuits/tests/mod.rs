//! Circuits against enumeration, closed forms and themselves.

mod composed;
mod growth;
mod learning;
mod multiplied;
mod queries;
mod reals;
mod soft;

use super::{
    graph::Kind,
    pass::downward::Flows,
    pass::heads::RowWeights,
    pass::inputs::Row,
    pass::upward::{Purpose, Tile, Workspace},
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
fn circuit<T: Scalar>(vars: usize, categories: usize, states: usize, seed: u64) -> Circuit<T> {
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
fn sharpened<T: Scalar>(graph: Graph, categories: usize, leaf: Leaf, seed: u64) -> Circuit<T> {
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
pub(super) fn recursive<T: Scalar>(c: &Circuit<T>, b: usize, unit: usize, x: &[u16]) -> f64 {
    match &c.graph.blocks()[b].kind {
        Kind::Input { variable, leaf } => c.leaves[*leaf].log_prob(unit, x[*variable]).exp(),
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

pub(super) fn flows_of<T: Scalar>(circuit: &Circuit<T>, rows: &dyn Rows) -> Flows<T> {
    let mut flows = Flows::new(circuit);
    let all: Vec<usize> = (0..rows.len()).collect();
    Workspace::new(Purpose::Sums)
        .for_each_block(circuit, rows, &all, RowWeights::default(), |_, tiles| {
            flows.add(circuit, tiles);
            Ok(())
        })
        .unwrap();
    flows
}

pub(super) fn log_prob<T: Scalar>(circuit: &Circuit<T>, rows: &dyn Rows) -> Vec<f64> {
    circuit.score(rows, RowWeights::default()).unwrap().0
}

/// Draws from a circuit of any number type.
pub(super) fn draw<T: Scalar>(circuit: &Circuit<T>, n: usize, seed: u64) -> Discrete {
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
fn adversarial<T: Scalar>() -> (Circuit<T>, Discrete) {
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
fn rows_beyond_single_precision_have_the_flows_and_heads_of_log_space() {
    let (c, rows) = adversarial::<f32>();
    let flows = flows_of(&c, &rows);
    let mut want: Vec<Vec<f64>> = flows.sums.leaves.iter().map(|sums| vec![0.0; sums.len()]).collect();
    let mut beyond = 0;
    for row in 0..rows.len() {
        let says: Row = rows.row(row).into();
        let of_blocks = c.row_flows(&c.log_values(&says), &[1.0], |_, _| {});
        for (b, block) in c.graph.blocks().iter().enumerate() {
            if let Kind::Input { variable, leaf } = block.kind {
                let code = usize::from(says.codes[variable]).min(3);
                of_blocks[b].iter().enumerate().for_each(|(unit, f)| want[leaf][code * block.units + unit] += f);
            }
        }
    }
    for (found, want) in flows.sums.leaves.iter().zip(&want) {
        assert!(found.iter().zip(want).all(|(found, want)| (found.f64() - want).abs() < 1e-3), "{found:?}\n{want:?}");
    }
    let all: Vec<usize> = (0..rows.len()).collect();
    let mut workspace = Workspace::new(Purpose::Sums);
    let mut count = |tiles: &mut [Tile<f32>]| {
        tiles.iter().for_each(|tile| beyond += (0..tile.n).filter(|b| tile.underflowed[*b]).count());
        Ok(())
    };
    workspace.for_each_block(&c, &rows, &all, RowWeights::default(), |_, tiles| count(tiles)).unwrap();
    assert!(beyond > 5, "{beyond} rows are beyond single precision");

    // Two heads, one of which is far less likely: both have their digits.
    let graph = c.graph.clone().with_heads(2).unwrap();
    let mut two =
        Circuit::<f32>::randomised("two", graph, c.schema.clone(), &[Leaf::Categorical; 40], Seed(1)).unwrap();
    two.leaves.clone_from(&c.leaves);
    let mut found = 0;
    two.for_each_by_head(&rows, |row, logs| {
        let values = two.log_values(&rows.row(row).into());
        let exact = &values.blocks[two.graph.root()];
        found += 1;
        for (log, exact) in logs.iter().zip(exact) {
            assert!((log - exact).abs() <= 1e-5 * exact.abs(), "row {row}: {log} for {exact}");
        }
    })
    .unwrap();
    assert_eq!(found, 60);
    let packed = c.compressed(&rows).unwrap();
    assert_eq!(c.decompressed(&packed).unwrap(), rows);
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
