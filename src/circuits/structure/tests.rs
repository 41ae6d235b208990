use super::*;
use crate::{
    circuits::{
        Circuit, Deterministic, Edge, Em, EmLearner, PruneBy, Scalar,
        pass::heads::RowWeights,
        tests::{assignments_of, chi_square, draw, flows_of, log_prob, recursive},
    },
    data::{Discrete, Variable},
    train::{Plan, quiet, train},
};

/// Six variables as a 2 × 3 picture, with three categories.
fn schema() -> Schema {
    Schema::uniform(&[2, 3], 3)
}

fn all() -> Vec<Structure> {
    let mut all = vec![
        Structure::Mixture { components: 4 },
        Structure::NaiveBayes { class: "x2".into() },
        Structure::Hmm { states: 3, homogeneous: false },
        Structure::Hmm { states: 3, homogeneous: true },
        Structure::hclt(3),
        Structure::Hclt { states: 3, joined: true, shared: 0 },
        Structure::Hclt { states: 3, joined: false, shared: 2 },
        Structure::ChowLiu,
    ];
    for layer in [SumProduct::Cp, SumProduct::CpTransposed, SumProduct::Tucker] {
        all.push(Structure::RatSpn { depth: 2, replicas: 3, units: 3, layer });
        all.push(Structure::PoonDomingos { step: 1, units: 2, layer });
        all.push(Structure::RandomTree { units: 3, layer });
        for tied in [false, true] {
            all.push(Structure::QuadTree { units: 3, layer, tied });
            all.push(Structure::QuadGraph { units: 2, layer, tied });
        }
    }
    all
}

fn build<T: Scalar>(structure: &Structure) -> Circuit<T> {
    let rows = Discrete::new(schema(), (0..600).map(|i| (i * i / 7 % 3) as u16).collect()).unwrap();
    let graph = structure.graph(&rows, Seed(1)).unwrap();
    let leaves = structure.leaves(&schema(), Leaf::Categorical).unwrap();
    Circuit::randomised(structure.name(), graph, schema(), &leaves, Seed(2)).unwrap()
}

#[test]
fn every_structure_is_normalised_and_computes_what_its_graph_says() {
    let rows = assignments_of(&schema());
    for structure in all() {
        let wide = build::<f64>(&structure);
        let found = log_prob(&wide, &rows);
        let total: f64 = found.iter().map(|p| p.exp()).sum();
        assert!((total - 1.0).abs() < 1e-12, "{structure:?}: {total}");
        let narrow = log_prob(&build::<f32>(&structure), &rows);
        for row in (0..rows.len()).step_by(61) {
            let want = recursive(&wide, wide.graph.root(), 0, rows.row(row)).ln();
            assert!((found[row] - want).abs() < 1e-12, "{structure:?}, row {row}: {} for {want}", found[row]);
            assert!((narrow[row] - want).abs() < 1e-5 * want.abs(), "{structure:?}, row {row}: {}", narrow[row]);
        }
    }
}

#[test]
fn the_flows_of_every_structure_are_those_of_log_space() {
    let rows = assignments_of(&schema()).select(&[0, 5, 77, 300, 500, 728]).mask(|row, v| (row + v) % 4 == 0);
    for structure in all() {
        let c = build::<f64>(&structure);
        let fast = flows_of(&c, &rows);
        let mut sums = vec![0.0; c.weights.len()];
        let mut want = vec![0.0; c.weights.len()];
        for (set, parts) in c.weights.iter().enumerate() {
            for (matrix, flows) in parts.iter().zip(&fast.sums.edges[set]) {
                let squares = matrix.values.iter().zip(flows).enumerate();
                sums[set] += squares.map(|(i, (w, f))| w * f * (i as f64 + 1.0)).sum::<f64>();
            }
        }
        for row in 0..rows.len() {
            let values = c.log_values(&rows.row(row).into());
            c.row_flows(&values, &[1.0], |edge, flow| {
                want[edge.set] += flow * (edge.place as f64 + 1.0);
            });
        }
        for (set, (a, b)) in sums.iter().zip(&want).enumerate() {
            assert!((a - b).abs() < 1e-9 * b.max(1.0), "{structure:?}, weights {set}: {a} for {b}");
        }
        // Every variable's leaves carry the whole flow of every row.
        let total: f64 = fast.sums.leaves.iter().flatten().sum();
        assert!((total - 36.0).abs() < 1e-9, "{structure:?}: {total}");
    }
}

#[test]
fn em_never_lowers_the_likelihood_of_any_structure() {
    let truth = build::<f64>(&Structure::hclt(3));
    let rows = draw(&truth, 80, 3).mask(|row, v| (row * 5 + v) % 7 == 0);
    for structure in all() {
        let mut learner =
            EmLearner::of(build::<f64>(&structure), &rows, None, RowWeights::default(), Em::exact()).unwrap();
        let history = train(&mut learner, &Plan::new(6, 80, Seed(0)), &mut quiet).unwrap();
        let losses: Vec<f64> = history.records().iter().map(|r| r.loss).collect();
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-10), "{structure:?}: {losses:?}");
    }
}

#[test]
fn samples_of_every_structure_follow_its_law() {
    let index = |x: &[u16]| x.iter().rev().fold(0, |i, code| i * 3 + *code as usize);
    let rows = assignments_of(&schema());
    for structure in all() {
        let c = build::<f32>(&structure);
        let law: Vec<f64> = log_prob(&c, &rows).iter().map(|p| p.exp()).collect();
        let draws = draw(&c, 20_000, 4);
        let score = chi_square(&draws, &law, index);
        assert!(score.abs() < 4.0, "{structure:?}: {score}");
    }
}

#[test]
fn settings_are_named_like_their_structures() {
    for structure in all() {
        let text = serde_json::to_value(&structure).unwrap();
        assert_eq!(text["kind"], structure.name());
        assert!(Structure::NAMES.contains(&structure.name()));
        assert_eq!(serde_json::from_value::<Structure>(text).unwrap(), structure);
    }
}

#[test]
fn every_name_is_that_of_a_structure() {
    for name in Structure::NAMES.into_iter().filter(|name| *name != "naive-bayes") {
        assert_eq!(Structure::named(name).unwrap().name(), name);
    }
    assert!(Structure::named("spn").unwrap_err().to_string().contains("there are mixture, naive-bayes"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows = Discrete::all_missing(Schema::uniform(&[6], 3), 1);
    let error = Structure::QuadTree { units: 2, layer: SumProduct::Cp, tied: false }.graph(&rows, Seed(0)).unwrap_err();
    assert!(error.to_string().contains("not pictures"), "{error}");
    let mut mixed = Schema::uniform(&[2], 3);
    mixed.variables[1] = Variable { name: "b".into(), categories: 4, words: None };
    let rows = Discrete::all_missing(mixed, 1);
    assert!(Structure::Hmm { states: 2, homogeneous: true }.graph(&rows, Seed(0)).is_err());
    assert!(Structure::NaiveBayes { class: "c".into() }.graph(&rows, Seed(0)).is_err());
    assert!(Structure::Mixture { components: 0 }.graph(&rows, Seed(0)).is_err());
}

#[test]
fn the_most_probable_row_is_found_where_the_circuit_is_deterministic_and_bounded_elsewhere() {
    let rows = assignments_of(&schema());
    for structure in all() {
        let c = build::<f64>(&structure);
        let joint = log_prob(&c, &rows);
        for known in [vec![], vec![0, 4], vec![1, 2, 5]] {
            let question = rows.select(&[100]).mask(|_, v| !known.contains(&v));
            let agrees = |row: &usize| known.iter().all(|v| rows.row(*row)[*v] == rows.row(100)[*v]);
            let most = (0..rows.len()).filter(agrees).map(|row| joint[row]).fold(f64::NEG_INFINITY, f64::max);
            let best = c.best_rows(&question).unwrap();
            let found = log_prob(&c, &best)[0];
            assert!(known.iter().all(|v| best.row(0)[*v] == rows.row(100)[*v]));
            assert!(found <= most + 1e-12, "{structure:?}");
            assert!(!structure.is_deterministic() || (found - most).abs() < 1e-12, "{structure:?}: {found} of {most}");
        }
        assert_eq!(Deterministic::new(build::<f32>(&structure)).is_ok(), structure.is_deterministic(), "{structure:?}");
    }
}

#[test]
fn entropies_and_divergences_of_deterministic_circuits_are_those_of_enumeration() {
    let rows = assignments_of(&schema());
    for structure in all().into_iter().filter(Structure::is_deterministic) {
        let p = build::<f64>(&structure);
        let mut q = p.clone();
        let mut learner =
            EmLearner::of(p.clone(), &rows, None, RowWeights::default(), Em { pseudocount: 9.0, ..Em::exact() })
                .unwrap();
        train(&mut learner, &Plan::new(1, 9, Seed(0)), &mut quiet).unwrap();
        q.weights.clone_from(&learner.model().weights);
        q.leaves.clone_from(&learner.model().leaves);
        let (a, b) = (log_prob(&p, &rows), log_prob(&q, &rows));
        let entropy: f64 = a.iter().map(|a| -a.exp() * a).sum();
        let cross: f64 = a.iter().zip(&b).map(|(a, b)| -a.exp() * b).sum();
        assert!((p.entropy_of_deterministic() - entropy).abs() < 1e-10, "{structure:?}");
        assert!((p.cross_entropy(&q).unwrap() - cross).abs() < 1e-10, "{structure:?}");
        assert!((a[3] - b[3]).abs() > 1e-3, "the two differ");
    }
}

#[test]
fn the_loss_of_one_edge_is_known_and_that_of_a_set_is_bounded() {
    let rows = draw(&build::<f64>(&Structure::hclt(3)), 150, 8);
    for structure in all() {
        let c = build::<f64>(&structure);
        // A weight that several sums share has no single flow.
        let tied = c.uses.weights.iter().any(|uses| uses.len() > 1);
        let before: f64 = log_prob(&c, &rows).iter().sum::<f64>() / 150.0;
        let loss = |edges: &[Edge]| before - log_prob(&c.without(edges), &rows).iter().sum::<f64>() / 150.0;
        let edges = c.all_edges();
        for edge in edges.iter().step_by((edges.len() / 5).max(1)) {
            let several = edges.iter().filter(|e| e.shares_node(edge)).count() > 1;
            if several && !tied {
                let exact = c.loss_without(&rows, *edge).unwrap();
                let found = loss(&[*edge]);
                assert!(exact == found || (exact - found).abs() < 1e-12, "{structure:?}: {exact}, {found}");
            }
        }
        let some: Vec<Edge> = edges.iter().copied().step_by(7).collect();
        let flows = c.flow_over(&rows, &some).unwrap();
        assert!(flows.iter().all(|f| *f >= 0.0));
        if flows.iter().all(|f| *f < 1.0) {
            let bound = -flows.iter().map(|f| (1.0 - f).ln()).sum::<f64>() / 150.0;
            assert!(loss(&some) <= bound + 1e-12, "{structure:?}: {} over {bound}", loss(&some));
        }
    }
}

#[test]
fn pruning_by_flow_costs_less_than_at_random() {
    let c = build::<f32>(&Structure::hclt(8));
    let rows = draw(&c, 500, 9);
    let learned = {
        let mut learner = EmLearner::of(c, &rows, None, RowWeights::default(), Em::exact()).unwrap();
        train(&mut learner, &Plan::new(20, 500, Seed(0)), &mut quiet).unwrap();
        learner.into_circuit()
    };
    let [flow, random] = [PruneBy::Flow, PruneBy::Random].map(|by| learned.prune(0.6, by, &rows, Seed(1)).unwrap());
    assert_eq!((flow.removed, flow.edges), ((0.6 * flow.edges as f64) as usize, 5 * 64 + 8));
    assert!(flow.loss < random.loss / 2.0, "{} against {}", flow.loss, random.loss);
    let little = learned.prune(0.05, PruneBy::Flow, &rows, Seed(1)).unwrap();
    assert!(little.bound.is_some_and(|bound| little.loss <= bound + 1e-4), "{} {:?}", little.loss, little.bound);
    assert!(flow.circuit.layouts().iter().any(|layout| *layout != crate::circuits::Layout::Full));
    let total: f64 = log_prob(&flow.circuit, &assignments_of(&schema())).iter().map(|p| p.exp()).sum();
    assert!((total - 1.0).abs() < 1e-5);
    assert!(learned.prune(1.0, PruneBy::Flow, &rows, Seed(0)).is_err());
}

#[test]
fn moments_and_gains_are_those_of_enumeration() {
    let c = build::<f64>(&Structure::RatSpn { depth: 2, replicas: 2, units: 3, layer: SumProduct::Tucker });
    let rows = assignments_of(&schema());
    let question = rows.select(&[211]).mask(|_, v| v != 2);
    let agrees = |row: &usize| rows.row(*row)[2] == rows.row(211)[2];
    let joint: Vec<(usize, f64)> =
        log_prob(&c, &rows).iter().map(|p| p.exp()).enumerate().filter(|(row, _)| agrees(row)).collect();
    let total: f64 = joint.iter().map(|(_, p)| p).sum();
    let expect = |f: &dyn Fn(&[u16]) -> f64| joint.iter().map(|(row, p)| p / total * f(rows.row(*row))).sum::<f64>();
    let covariance = c.covariances(&question).unwrap();
    for (v, w) in (0..6).flat_map(|v| (0..6).map(move |w| (v, w))) {
        let x = |i: usize| move |row: &[u16]| f64::from(row[i]);
        let want = expect(&|row| x(v)(row) * x(w)(row)) - expect(&x(v)) * expect(&x(w));
        assert!((covariance[v * 6 + w] - want).abs() < 1e-12, "{v}, {w}");
    }
    let mass = |seen: &[(usize, u16)]| expect(&|row| f64::from(u8::from(seen.iter().all(|(v, a)| row[*v] == *a))));
    let information = |v: usize, t: usize| -> f64 {
        let pairs = (0..3).flat_map(|a| (0..3).map(move |b| (a, b)));
        pairs
            .map(|(a, b)| (mass(&[(v, a), (t, b)]), mass(&[(v, a)]) * mass(&[(t, b)])))
            .map(|(p, q)| p * (p / q).ln())
            .sum()
    };
    let gains = c.gains(&question, 4).unwrap();
    assert_eq!(gains.len(), 4);
    for (v, gain) in &gains {
        assert!((gain - information(*v, 4)).abs() < 1e-12, "{v}: {gain}");
    }
    assert!(gains.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    assert!(c.gains(&question, 2).is_err());
}

#[test]
fn compressed_rows_come_back_and_are_as_long_as_they_are_unlikely() {
    for structure in all() {
        let c = build::<f32>(&structure);
        let rows = draw(&c, 1500, 5);
        let bytes = c.compress(&rows).unwrap();
        assert_eq!(c.decompress(&bytes).unwrap(), rows, "{structure:?}");
        let bits: f64 = log_prob(&c, &rows).iter().map(|p| -p / std::f64::consts::LN_2).sum();
        let spent = 8.0 * (bytes.len() - 40) as f64;
        assert!(spent <= 1.01 * bits + 128.0, "{structure:?}: {spent} bits for {bits}");
    }
}

#[test]
fn any_rows_can_be_compressed() {
    let mut c = build::<f32>(&Structure::hclt(3));
    c.leaves[2].table[..9].copy_from_slice(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let rows = assignments_of(&schema());
    for rows in [rows.select(&[]), rows.select(&[3]), rows.clone(), rows.mask(|row, v| (row + v) % 3 == 0)] {
        let bytes = c.compress(&rows).unwrap();
        assert_eq!(c.decompress(&bytes).unwrap(), rows);
    }
    let bytes = c.compress(&rows).unwrap();
    let error = build::<f32>(&Structure::hclt(2)).decompress(&bytes).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    for damage in [&bytes[..30], &bytes[..bytes.len() - 1], &bytes[..bytes.len() - 4]] {
        assert!(c.decompress(damage).is_err());
    }
    let mut other = bytes;
    other[60] ^= 1;
    assert!(c.decompress(&other).unwrap_err().to_string().contains("damaged"));
}
