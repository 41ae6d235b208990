//! Circuits put together, against the sum over all latents.

use super::*;

/// Two parts with two and three heads over three variables, and a circuit over two latents with five values.
fn pieces<T: Scalar>() -> (Vec<Circuit<T>>, Circuit<T>) {
    let part = |structure: Structure, heads, seed| {
        let rows = assignments(3, 2);
        let graph = structure.graph(&rows, Seed(seed)).unwrap().with_heads(heads).unwrap();
        sharpened(graph, 2, Leaf::Categorical, seed)
    };
    let random = Structure::RatSpn { depth: 1, replicas: 2, units: 2, layer: SumProduct::Tucker };
    (vec![part(Structure::hclt(2), 2, 1), part(random, 3, 2)], circuit(2, 5, 2, 3))
}

const PLACES: [[usize; 3]; 2] = [[4, 0, 2], [1, 3, 5]];

fn whole<T: Scalar>(parts: &[Circuit<T>], top: &Circuit<T>) -> Circuit<T> {
    let places: Vec<Vec<usize>> = PLACES.iter().map(|p| p.to_vec()).collect();
    top.compose(&parts.iter().collect::<Vec<_>>(), &places, &Schema::uniform(&[6], 2)).unwrap()
}

#[test]
fn the_whole_is_the_sum_over_all_latents() {
    let (parts, top) = pieces::<f64>();
    let whole = whole(&parts, &top);
    let rows = assignments(6, 2);
    let latents = assignments(2, 5);
    let prior = log_prob(&top, &latents);
    let mut total = 0.0;
    for (row, found) in log_prob(&whole, &rows).into_iter().enumerate() {
        let under = |latent: usize, head: usize| {
            let x: Vec<u16> = PLACES[latent].iter().map(|v| rows.row(row)[*v]).collect();
            let (part, head) = if head < 2 { (&parts[0], head) } else { (&parts[1], head - 2) };
            recursive(part, part.graph.root(), head, &x)
        };
        let exact: f64 = (0..latents.len())
            .map(|z| {
                prior[z].exp() * latents.row(z).iter().enumerate().map(|(i, k)| under(i, *k as usize)).product::<f64>()
            })
            .sum();
        assert!((found - exact.ln()).abs() < 1e-12, "row {row}: {found} for {}", exact.ln());
        total += exact;
    }
    assert!((total - 1.0).abs() < 1e-12);
}

#[test]
fn all_places_share_the_parameters_of_the_parts() {
    let (parts, top) = pieces::<f64>();
    let whole = whole(&parts, &top);
    let sets = |c: &Circuit<f64>| (c.weights.len(), c.leaves.len());
    let of_parts = parts.iter().map(sets).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    assert_eq!(sets(&whole), (of_parts.0 + top.weights.len() + top.leaves.len(), of_parts.1));
    // One step of EM with missing values is that of enumeration: the likelihood does not fall, and the parameters stay shared.
    let mut rows = assignments(6, 2).mask(|row, v| (row + v) % 5 == 0);
    rows = rows.select(&(0..64).filter(|i| i % 3 != 0).collect::<Vec<_>>());
    let mut learner = EmLearner::of(whole, &rows, None, RowWeights::default(), Em::exact()).unwrap();
    let mut before = f64::NEG_INFINITY;
    for _ in 0..10 {
        let after: f64 = log_prob(learner.model(), &rows).iter().sum();
        assert!(after >= before - 1e-10, "{before} → {after}");
        before = after;
        train(&mut learner, &Plan::new(1, 64, Seed(0)), &mut quiet).unwrap();
    }
}

/// What a file keeps of it is the same, and it can be asked as any other.
#[test]
fn it_is_a_circuit_like_any_other() {
    let (parts, top) = pieces::<f32>();
    let whole = whole(&parts, &top);
    let text = serde_json::to_string(whole.graph()).unwrap();
    assert_eq!(&serde_json::from_str::<Graph>(&text).unwrap(), whole.graph());
    let drawn = whole.sample(200, Seed(1)).unwrap();
    let code = whole.compress(&drawn).unwrap();
    assert_eq!(whole.decompress(&code).unwrap(), drawn);
    let halves = drawn.mask(|_, v| v % 2 == 0);
    let filled = whole.complete(&halves, Seed(2)).unwrap();
    assert!((0..200).all(|row| (1..6).step_by(2).all(|v| filled.row(row)[v] == drawn.row(row)[v])));
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let (parts, top) = pieces::<f32>();
    let parts: Vec<&Circuit> = parts.iter().collect();
    let schema = Schema::uniform(&[6], 2);
    let places: Vec<Vec<usize>> = PLACES.iter().map(|p| p.to_vec()).collect();
    let says = |parts: &[&Circuit], places: &[Vec<usize>], schema: &Schema, what: &str| {
        let error = top.composed(parts, places, schema).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    says(&parts[..1], &places, &schema, "has 5 values for 2 heads");
    says(&parts, &places[..1], &schema, "places of 1 latents");
    says(&parts, &[vec![0, 1], vec![2, 3, 4]], &schema, "latent 0 has 2 variables");
    says(&parts, &[vec![0, 1, 2], vec![3, 4, 6]], &schema, "variable 6");
    says(&parts, &[vec![0, 1, 2], vec![2, 4, 5]], &schema, "share variable 2");
    says(&parts, &places, &Schema::uniform(&[6], 3), "other categories");
    says(&parts, &places, &Schema::uniform(&[7], 2), "variable 6 is not below the root");
}
