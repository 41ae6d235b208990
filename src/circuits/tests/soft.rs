//! Soft evidence: against hard evidence, enumeration, and log space.

use super::*;
use crate::data::Soft;

fn random_soft(schema: &Schema, rows: usize, seed: u64) -> Soft {
    let width: usize = schema.variables.iter().map(|v| v.categories).sum();
    let mut rng = Seed(seed).stream("soft", 0);
    let likelihoods = (0..rows * width).map(|_| 4.0 * rng.random::<f32>() - 3.0).collect();
    Soft::new(schema.clone(), likelihoods).unwrap()
}

/// `λ` of row `row`, by variable and category.
fn of(soft: &Soft, row: usize, categories: usize) -> Vec<Vec<f64>> {
    let mut logs = Vec::new();
    soft.read_evidence(&[row], &mut logs).unwrap();
    logs.chunks_exact(categories).map(|c| c.iter().map(|l| f64::from(*l)).collect()).collect()
}

#[test]
fn certain_evidence_is_hard_evidence_to_the_bit() {
    let c = circuit::<f32>(6, 4, 8, 1);
    let rows = draw(&c, 300, 2).mask(|row, v| (row + v) % 5 == 0);
    let soft = Soft::certain(&rows);
    let known = rows.mask(|_, _| false);
    assert_eq!(rows, known);
    let (hard, soft_too) = (log_prob(&c, &rows), log_prob(&c, &soft));
    for row in 0..300 {
        // A missing value is Σ p(a) there and 1 here.
        let whole = rows.row(row).iter().all(|code| *code != MISSING);
        let near = (hard[row] - soft_too[row]).abs() < 1e-5;
        assert!(if whole { hard[row] == soft_too[row] } else { near }, "row {row}: {} {}", hard[row], soft_too[row]);
    }
    let whole = draw(&c, 200, 3);
    let (hard, soft) = (flows_of(&c, &whole), flows_of(&c, &Soft::certain(&whole)));
    assert_eq!(hard.sums.edges, soft.sums.edges);
    for (a, b) in hard.sums.leaves.iter().flatten().zip(soft.sums.leaves.iter().flatten()) {
        assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{a} {b}");
    }
}

#[test]
fn soft_evidence_is_what_enumeration_says() {
    let c = circuit::<f64>(4, 3, 3, 5);
    let rows = assignments(4, 3);
    let joint = log_prob(&c, &rows);
    let soft = random_soft(&c.schema, 3, 7);
    let found = log_prob(&c, &soft);
    let given = c.all_conditionals(&soft).unwrap();
    for (row, found) in found.iter().enumerate() {
        let logs = of(&soft, row, 3);
        let weight = |r: usize| {
            let seen: f64 = rows.row(r).iter().zip(&logs).map(|(a, l)| l[*a as usize]).sum();
            (joint[r] + seen).exp()
        };
        let total: f64 = (0..rows.len()).map(weight).sum();
        assert!((found - total.ln()).abs() < 1e-12, "{found} for {}", total.ln());
        for v in 0..4 {
            for a in 0..3 {
                let of_value = |r: &usize| rows.row(*r)[v] == a as u16;
                let want = (0..rows.len()).filter(of_value).map(weight).sum::<f64>() / total;
                assert!((given.get(row, v)[a] - want).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn flows_of_soft_evidence_are_those_of_log_space() {
    let (wide, narrow) = (circuit::<f64>(9, 5, 4, 3), circuit::<f32>(9, 5, 4, 3));
    let soft = random_soft(&wide.schema, 150, 4);
    let fast = flows_of(&wide, &soft);
    let mut exact = vec![vec![0.0; 6 * 4]; wide.leaves.len()];
    let mut read = pass::inputs::Read::default();
    read.read(&soft, &(0..150).collect::<Vec<_>>()).unwrap();
    for row in 0..150 {
        let row = read.row(row, 150, &wide.schema);
        let flows = wide.row_flows(&wide.log_values(&row), &[1.0], |_, _| {});
        for (b, block) in wide.graph.blocks().iter().enumerate() {
            if let Kind::Input { variable, leaf } = block.kind {
                wide.count_row((variable, leaf), &row, &flows[b], &mut exact[leaf]);
            }
        }
    }
    for ((fast, exact), narrow) in fast.sums.leaves.iter().zip(&exact).zip(&flows_of(&narrow, &soft).sums.leaves) {
        for ((fast, exact), narrow) in fast.iter().zip(exact).zip(narrow) {
            assert!(
                (fast - exact).abs() < 1e-10 && (f64::from(*narrow) - exact).abs() < 1e-4,
                "{fast} {exact} {narrow}"
            );
        }
        assert!((exact.iter().sum::<f64>() - 150.0).abs() < 1e-9);
    }
}

#[test]
fn evidence_too_faint_for_linear_numbers_is_computed_exactly() {
    let c = circuit::<f32>(5, 3, 4, 9);
    let likelihoods = (0..15).map(|i| if i % 3 == 0 { -900.0 } else { f32::NEG_INFINITY }).collect();
    let soft = Soft::new(c.schema.clone(), likelihoods).unwrap();
    let hard = Discrete::new(c.schema.clone(), vec![0; 5]).unwrap();
    let (found, want) = (log_prob(&c, &soft)[0], log_prob(&c, &hard)[0] - 4500.0);
    assert!((found - want).abs() < 1e-3, "{found} for {want}");
}

#[test]
fn em_learns_from_soft_evidence_without_losing_likelihood() {
    let c = circuit::<f64>(6, 3, 3, 10);
    let soft = random_soft(&c.schema, 60, 11);
    let mut learner = EmLearner::of(c, &soft, None, RowWeights::default(), Em::exact()).unwrap();
    let history = train(&mut learner, &Plan::new(8, 60, Seed(0)), &mut quiet).unwrap();
    let losses: Vec<f64> = history.records().iter().map(|r| r.loss).collect();
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-10), "{losses:?}");
}

#[test]
fn what_is_drawn_given_soft_evidence_follows_its_posterior() {
    let c = circuit::<f32>(3, 3, 3, 12);
    let one = random_soft(&c.schema, 1, 13);
    let mut logs = Vec::new();
    one.read_evidence(&[0], &mut logs).unwrap();
    let n = 20_000;
    let many = Soft::new(c.schema.clone(), logs.repeat(n)).unwrap();
    let drawn = c.complete(&many, Seed(1)).unwrap();
    let given = c.conditionals(&one).unwrap();
    for v in 0..3 {
        for a in 0..3 {
            let p = given.get(0, v)[a];
            let seen = (0..n).filter(|r| drawn.row(*r)[v] == a as u16).count() as f64 / n as f64;
            assert!((seen - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt() + 1e-9, "{v} {a}: {seen} for {p}");
        }
    }
}
