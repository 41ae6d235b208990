//! Conditionals and samples, against enumeration.

use super::*;

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

#[test]
fn a_row_that_was_impossible_costs_nothing_when_edges_go() {
    let mut c = circuit::<f32>(4, 2, 3, 6);
    let set = c.uses.leaves.iter().position(|uses| uses[0].0 == 1).unwrap();
    c.leaves[set].table[..6].copy_from_slice(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let possible = draw(&c, 50, 3);
    let mut codes = possible.codes().to_vec();
    codes.extend([0, 1, 0, 0]);
    let rows = Discrete::new(c.schema.clone(), codes).unwrap();
    let pruned = c.prune(0.3, PruneBy::Flow, &rows, Seed(0)).unwrap();
    assert_eq!(pruned.before.mean(), f64::NEG_INFINITY);
    assert!(pruned.loss.is_finite() && pruned.loss <= pruned.bound.unwrap() + 1e-6, "{pruned:?}");
}

#[test]
fn a_circuit_with_two_heads_does_not_say_of_which_its_conditionals_are() {
    let mut graph = Graph::new(1);
    let input = graph.input(0, 2).unwrap();
    graph.sum(&[input], 2).unwrap();
    let schema = Schema::uniform(&[1], 2);
    let c = Circuit::random(graph, schema.clone(), Leaf::Categorical, Seed(0)).unwrap();
    let rows = Discrete::all_missing(schema, 1);
    assert!(c.conditionals(&rows).unwrap_err().to_string().contains("2 heads"));
    assert!(c.complete(&rows, Seed(0)).unwrap_err().to_string().contains("2 heads"));
}
