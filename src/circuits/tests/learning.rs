//! EM: monotone, by every rule, from weighted rows and for many heads.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn em_never_lowers_the_likelihood(vars in 2..7_usize, categories in 2..5_usize, states in 1..5_usize, seed: u64, holes in 0..3_usize) {
        let truth = circuit::<f64>(vars, categories, 3, seed);
        let rows = draw(&truth, 60, seed).mask(|row, v| holes > 0 && (row + v) % (5 - holes) == 0);
        let learner = circuit::<f64>(vars, categories, states, seed ^ 1);
        let mut learner = EmLearner::of(learner, &rows, None, RowWeights::default(), Em::exact()).unwrap();
        let history = train(&mut learner, &Plan::new(8, 25, Seed(0)), &mut quiet).unwrap();
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
    let history = train(&mut whole, &Plan::new(6, 200, Seed(1)), &mut quiet).unwrap();
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
fn a_row_of_weight_two_counts_as_two_rows() {
    let truth = circuit::<f64>(5, 3, 3, 15);
    let rows = draw(&truth, 30, 7);
    let weights: Vec<f32> = (0..30).map(|i| (i % 3) as f32).collect();
    let repeated: Vec<usize> = (0..30).flat_map(|i| std::iter::repeat_n(i, i % 3)).collect();
    let repeated = rows.select(&repeated);
    let learn = |rows: &Discrete, row_weights: RowWeights| {
        let mut learner = EmLearner::of(circuit::<f64>(5, 3, 2, 16), rows, None, row_weights, Em::exact()).unwrap();
        let history = train(&mut learner, &Plan::new(3, 100, Seed(0)), &mut quiet).unwrap();
        (history.records().iter().map(|r| r.loss).collect::<Vec<_>>(), log_prob(learner.model(), &assignments(5, 3)))
    };
    let (a, b) = (
        learn(&rows, RowWeights { weights: Some(&weights), heads: Heads::Only }),
        learn(&repeated, RowWeights::default()),
    );
    assert!(a.0.iter().zip(&b.0).all(|(a, b)| (a - b).abs() < 1e-12), "{:?} {:?}", a.0, b.0);
    assert!(a.1.iter().zip(&b.1).all(|(a, b)| a == b || (a - b).abs() < 1e-10));
    let negative = vec![-1.0; 30];
    let row_weights = RowWeights { weights: Some(&negative), heads: Heads::Only };
    assert!(EmLearner::of(circuit::<f64>(5, 3, 2, 16), &rows, None, row_weights, Em::exact()).is_err());
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
    let under = |weights: [f32; 2]| {
        c.score(&rows, RowWeights { heads: Heads::Weights(&heads(weights)), weights: None }).unwrap().0
    };
    let (first, second, mixed) = (under([1.0, 0.0]), under([0.0, 1.0]), under([0.25, 0.75]));
    for row in 0..rows.len() {
        assert!((first[row] - recursive(&c, c.graph.root(), 0, rows.row(row)).ln()).abs() < 1e-12);
        let sum = 0.25 * first[row].exp() + 0.75 * second[row].exp();
        assert!((mixed[row] - sum.ln()).abs() < 1e-12);
    }
    assert!(c.score(&rows, RowWeights::default()).is_err(), "which head is to be said");

    // All rows belong to the first head: the second keeps its weights.
    let hard = heads([1.0, 0.0]);
    let row_weights = RowWeights { heads: Heads::Weights(&hard), weights: None };
    let mut learner = EmLearner::of(c.clone(), &rows, None, row_weights, Em::exact()).unwrap();
    train(&mut learner, &Plan::new(1, 100, Seed(0)), &mut quiet).unwrap();
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
    Workspace::new(Purpose::Sums)
        .for_each_block(&c, &rows, &all, RowWeights { heads: Heads::Weights(&soft), weights: None }, |_, tiles| {
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
        train(&mut whole, &Plan::new(3, 100, Seed(1)), &mut quiet).unwrap();
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

#[test]
fn memory_does_not_grow_with_the_rows() {
    let c = circuit::<f32>(200, 3, 64, 30);
    let bytes = |n: usize| {
        let rows = Discrete::all_missing(c.schema.clone(), n);
        let all: Vec<usize> = (0..n).collect();
        let mut workspace = Workspace::new(Purpose::Sums);
        workspace.for_each_block(&c, &rows, &all, RowWeights::default(), |_, _| Ok(())).unwrap();
        workspace.bytes()
    };
    let (few, many) = (bytes(4_000), bytes(40_000));
    assert_eq!(few, many);
    assert!(few <= 200 << 20, "{few}");
}

/// Two binary columns of frequencies (.120, .132, .367, .382), as every rule learns them with its usual settings.
#[test]
fn every_rule_finds_the_frequencies_of_two_columns() {
    let wanted = [0.120, 0.132, 0.367, 0.381];
    let codes = (0..20_000).flat_map(|i| {
        let at = f64::from(i * 7919 % 20_000) / 20_000.0;
        let cell = if at < 0.120 {
            0
        } else if at < 0.252 {
            1
        } else if at < 0.619 {
            2
        } else {
            3
        };
        [cell / 2, cell % 2]
    });
    let rows = Discrete::new(Schema::uniform(&[2], 2), codes.collect()).unwrap();
    let all = assignments(2, 2);
    for rule in [Rule::FullBatch, Rule::MiniBatch, Rule::SlowForgetting, Rule::Anemone] {
        let settings = FitCircuit { em: Em::usual(rule), epochs: 60, ..FitCircuit::new(Structure::hclt(2)) };
        let (c, _) = crate::train::Fit::fit(&settings, &rows, None, Seed(1)).unwrap();
        let found = c.log_prob(&all).unwrap();
        let kl: f64 = all
            .codes()
            .chunks(2)
            .zip(found)
            .map(|(x, log)| {
                let p: f64 = wanted[usize::from(2 * x[0] + x[1])];
                p * (p.ln() - log)
            })
            .sum();
        // The default ends in a step from all rows: as near as full batches come.
        let near = if rule == Rule::MiniBatch || rule == Rule::FullBatch { 1e-4 } else { 3e-3 };
        assert!(kl < near, "{rule:?}: {kl}");
    }
}
