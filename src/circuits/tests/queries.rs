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
