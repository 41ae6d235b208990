//! Products of circuits, against enumeration.

use super::*;

fn factor(states: usize, seed: u64) -> Circuit<f64> {
    let rows = assignments(4, 3);
    let graph = Structure::hclt(states).graph(&rows, Seed(0)).unwrap();
    sharpened(graph, 3, Leaf::Categorical, seed)
}

#[test]
fn the_product_is_the_product() {
    let (p, q) = (factor(2, 1), factor(3, 2));
    let (product, log_total) = p.multiply(&q).unwrap();
    let rows = assignments(4, 3);
    let [a, b, r] = [&p, &q, &product].map(|c| log_prob(c, &rows));
    let total: f64 = a.iter().zip(&b).map(|(a, b)| (a + b).exp()).sum();
    assert!((total.ln() - log_total).abs() < 1e-12, "{log_total} for {}", total.ln());
    assert!(r.iter().zip(a.iter().zip(&b)).all(|(r, (a, b))| (r - (a + b - log_total)).abs() < 1e-12));
    assert_eq!(product.graph.blocks()[0].units, 6);
    // From there it learns like any other.
    let mut learner = EmLearner::of(product, &rows, None, RowWeights::default(), Em::exact()).unwrap();
    let before: f64 = r.iter().sum();
    train(&mut learner, &Plan::new(3, 81, Seed(0)), &mut quiet).unwrap();
    assert!(log_prob(learner.model(), &rows).iter().sum::<f64>() > before);
}

#[test]
fn nodes_that_share_no_row_do_not_matter_and_circuits_that_share_none_have_no_product() {
    let mut graph = Graph::new(1);
    let input = graph.input(0, 2).unwrap();
    graph.sum(&[input], 1).unwrap();
    let with = |first: [f64; 2], second: [f64; 2]| {
        let kinds = [Leaf::Categorical];
        let mut c =
            Circuit::<f64>::randomised("circuit", graph.clone(), Schema::uniform(&[1], 2), &kinds, Seed(1)).unwrap();
        c.set_block_parameters(input, &[first, second].concat()).unwrap();
        c
    };
    let (p, q) = (with([1.0, 0.0], [0.5, 0.5]), with([0.0, 1.0], [0.25, 0.75]));
    let (product, log_total) = p.multiply(&q).unwrap();
    let rows = assignments(1, 2);
    let [a, b, r] = [&p, &q, &product].map(|c| log_prob(c, &rows));
    assert!((0..2).all(|x| (r[x] - (a[x] + b[x] - log_total)).abs() < 1e-12));
    let (zeros, ones) = (with([1.0, 0.0], [1.0, 0.0]), with([0.0, 1.0], [0.0, 1.0]));
    assert!(zeros.multiply(&ones).unwrap_err().to_string().contains("no row is possible"));
}

#[test]
fn other_structures_have_no_product() {
    let rows = assignments(4, 3);
    let make = |structure: Structure, seed| {
        Circuit::random(structure.graph(&rows, Seed(0)).unwrap(), rows.schema().clone(), Leaf::Categorical, Seed(seed))
            .unwrap()
    };
    let hclt = make(Structure::hclt(2), 1);
    let says = |other: &Circuit, what: &str| {
        let error = hclt.multiplied(other).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(&make(Structure::Mixture { components: 2 }, 1), "two structures");
    let heads = Structure::hclt(2).graph(&rows, Seed(0)).unwrap().with_heads(2).unwrap();
    says(&Circuit::random(heads, rows.schema().clone(), Leaf::Categorical, Seed(1)).unwrap(), "several heads");
    let binomial = Structure::hclt(2).graph(&rows, Seed(0)).unwrap();
    says(&Circuit::random(binomial, rows.schema().clone(), Leaf::Binomial, Seed(1)).unwrap(), "such leaves");
}
