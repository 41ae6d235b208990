//! Gaussian leaves: against closed forms of normal distributions.

use super::*;
use crate::{circuits::leaf::Leaves, data::Continuous, train::Fit};
use rand_distr::{Distribution, Normal, StandardNormal};

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("x{i}")).collect()
}

fn schema(vars: usize) -> Schema {
    Schema::uniform(&[vars], 0)
}

/// Two clusters in three dimensions, far from zero and on different scales.
fn clusters(n: usize, seed: u64) -> Continuous {
    let mut rng = Seed(seed).stream("clusters", 0);
    let mut values = Vec::new();
    for _ in 0..n {
        let high = rng.random::<f64>() < 0.3;
        let mean = if high { [1000.0, 0.003, -5.0] } else { [1010.0, 0.001, 5.0] };
        for (mean, spread) in mean.into_iter().zip([1.0, 0.0002, 2.0]) {
            values.push(Normal::new(mean, spread).unwrap().sample(&mut rng));
        }
    }
    Continuous::new(names(3), values).unwrap()
}

fn mixture<T: Scalar>(vars: usize, units: usize, seed: u64) -> Circuit<T> {
    let mut graph = Graph::new(vars);
    let inputs: Vec<usize> = (0..vars).map(|v| graph.input(v, units).unwrap()).collect();
    let product = graph.product(&inputs).unwrap();
    graph.sum(&[product], 1).unwrap();
    Circuit::randomised("mixture", graph, schema(vars), &vec![Leaf::Gaussian; vars], Seed(seed)).unwrap()
}

/// The density of a mixture by its definition.
fn density<T: Scalar>(c: &Circuit<T>, x: &[f64]) -> f64 {
    let weights = &c.weights[0][0].values;
    let of = |unit: usize| -> f64 {
        let known = x.iter().zip(&c.leaves).filter(|(x, _)| !x.is_nan());
        known.map(|(x, leaves)| leaves.density().unwrap().log_density(leaves, unit, *x)).sum::<f64>().exp()
    };
    weights.iter().enumerate().map(|(unit, w)| w.f64() * of(unit)).sum()
}

/// Of a unit, in the units of the data.
fn mean_and_deviation(leaves: &Leaves<f64>, unit: usize) -> (f64, f64) {
    let [mean, square] = leaves.density().unwrap().moments(leaves, unit);
    (mean, (square - mean * mean).sqrt())
}

#[test]
fn densities_are_those_of_the_mixture() {
    let (wide, narrow) = (mixture::<f64>(3, 4, 1), mixture::<f32>(3, 4, 1));
    let values = vec![0.3, -1.0, 2.0, f64::NAN, 0.0, 9.0, 0.1, f64::NAN, f64::NAN];
    let rows = Continuous::new(names(3), values).unwrap();
    for (row, (wide_found, narrow_found)) in log_prob(&wide, &rows).iter().zip(log_prob(&narrow, &rows)).enumerate() {
        let want = density(&wide, rows.row(row)).ln();
        assert!((wide_found - want).abs() < 1e-12, "{wide_found} for {want}");
        assert!((narrow_found - want).abs() < 1e-4, "{narrow_found} for {want}");
    }
    // A density integrates to one.
    let step = 0.02;
    let grid: Vec<f64> = (-1000..1000).map(|i| f64::from(i) * step).flat_map(|x| [x, f64::NAN, f64::NAN]).collect();
    let grid = Continuous::new(names(3), grid).unwrap();
    let total: f64 = log_prob(&wide, &grid).iter().map(|p| p.exp() * step).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
}

#[test]
fn rows_far_out_have_the_likelihood_of_log_space() {
    let c = mixture::<f32>(3, 4, 2);
    let rows = Continuous::new(names(3), vec![1e3, -2e4, 5.0, 3e9, 0.0, 0.0]).unwrap();
    let mut read = pass::inputs::Read::default();
    read.read(&rows, &[0, 1]).unwrap();
    for (row, found) in log_prob(&c, &rows).iter().enumerate() {
        let want = c.log_values(&read.row(row, 2, &c.schema)).log_prob(&c, &[1.0]);
        assert!(want.is_finite() && (found - want).abs() <= 1e-5 * want.abs(), "{found} for {want}");
    }
}

#[test]
fn em_is_monotone_and_finds_the_clusters() {
    let rows = clusters(2000, 3).mask(|row, column| (row + column) % 9 == 0);
    for em in [Em::exact(), Em { pseudocount: 1e-3, ..Em::default() }, Em::anemone()] {
        let mut c = mixture::<f64>(3, 2, 4);
        c.init_from_counts(&rows, false, Seed(5)).unwrap();
        let mut learner = EmLearner::of(c, &rows, None, RowWeights::default(), em).unwrap();
        let batch = if em.rule == Rule::FullBatch { 2000 } else { 250 };
        let history = train(&mut learner, &Plan::new(60, batch, Seed(0)), &mut quiet).unwrap();
        let losses: Vec<f64> = history.epochs().iter().map(|e| e.1).collect();
        if em.rule == Rule::FullBatch {
            assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] + 1e-10), "{losses:?}");
        }
        let learned = learner.model();
        let mut found: Vec<(f64, f64)> = (0..2).map(|unit| mean_and_deviation(&learned.leaves[0], unit)).collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        for ((mean, deviation), want) in found.into_iter().zip([1000.0, 1010.0]) {
            assert!((mean - want).abs() < 0.2 && (deviation - 1.0).abs() < 0.1, "{:?}: {mean} ± {deviation}", em.rule);
        }
    }
}

#[test]
fn a_unit_on_a_single_value_keeps_its_floor() {
    let rows = Continuous::new(names(1), (0..50).map(|i| if i < 40 { 7.0 } else { f64::from(i) }).collect()).unwrap();
    let mut c = mixture::<f64>(1, 3, 6);
    c.init_from_counts(&rows, false, Seed(1)).unwrap();
    let mut learner = EmLearner::of(c, &rows, None, RowWeights::default(), Em::exact()).unwrap();
    train(&mut learner, &Plan::new(200, 50, Seed(0)), &mut quiet).unwrap();
    let leaves = &learner.model().leaves[0];
    let least = (0..3).map(|unit| mean_and_deviation(leaves, unit).1).fold(f64::INFINITY, f64::min);
    // One over the rows, in deviations of the column.
    assert!((least / leaves.frame.scale - 0.02).abs() < 1e-9, "{least}");
    assert!(leaves.at_floor() >= 1);
    assert!(log_prob(learner.model(), &rows).iter().all(|p| p.is_finite()));
}

#[test]
fn every_structure_over_reals_is_fitted_asked_drawn_from_and_saved() {
    let (rows, test) = (clusters(600, 7), clusters(400, 8));
    let folder = tempfile::tempdir().unwrap();
    for structure in [
        Structure::Mixture { components: 3 },
        Structure::hclt(3),
        Structure::Hmm { states: 3, homogeneous: false },
        Structure::RandomTree { units: 3, layer: SumProduct::Cp },
        Structure::RatSpn { depth: 1, replicas: 2, units: 3, layer: SumProduct::Tucker },
    ] {
        let settings = FitCircuit { epochs: 30, ..FitCircuit::new(structure.clone()) };
        let (c, _) = settings.reals().fit(&rows, None, Seed(1)).unwrap();
        let evidence = c.evidence(&test).unwrap();
        // The clusters' own density: the entropy of which, and of three normal distributions.
        let own = -(0.3_f64 * 0.3_f64.ln() + 0.7 * 0.7_f64.ln());
        let normal = |s: f64| 0.5 * (std::f64::consts::TAU * std::f64::consts::E * s * s).ln();
        let best = -(own + normal(1.0) + normal(0.0002) + normal(2.0));
        assert!(
            evidence.mean() > best - 0.5 && evidence.mean() < best + 0.2,
            "{structure:?}: {} of {best}",
            evidence.mean()
        );

        let half = test.select(&[0, 1]).mask(|_, column| column == 2);
        let moments = c.moments(&half).unwrap();
        assert_eq!((moments[0].mean, moments[0].variance), (half.row(0)[0], 0.0));
        let n = 4000;
        let many = half.select(&vec![0; n]);
        let drawn = c.complete(&many, Seed(2)).unwrap();
        let mean = (0..n).map(|row| drawn.row(row)[2]).sum::<f64>() / n as f64;
        let error = (moments[2].variance / n as f64).sqrt();
        assert!((mean - moments[2].mean).abs() < 5.0 * error, "{structure:?}: {mean} for {}", moments[2].mean);
        assert_eq!(drawn.row(5)[..2], half.row(0)[..2]);
        assert_eq!(c.sample(10, Seed(3)).unwrap().len(), 10);

        let path = folder.path().join("model");
        c.save(&path, &rows).unwrap();
        assert_eq!(RealCircuit::load(&path).unwrap(), c);
        assert!(Circuit::load(&path).unwrap_err().to_string().contains("RealCircuit"));
    }
    assert!(FitCircuit::new(Structure::ChowLiu).reals().fit(&rows, None, Seed(0)).is_err());
    let mut rng = Seed(1).stream("x", 0);
    let noise = Continuous::new(names(2), (0..20).map(|_| StandardNormal.sample(&mut rng)).collect()).unwrap();
    let (c, _) = FitCircuit::new(Structure::Mixture { components: 2 }).reals().fit(&noise, None, Seed(0)).unwrap();
    assert!(c.log_prob(&rows).is_err());
}

/// `exp(1.5 N)`: narrow where most of the rows are, in deviations of a column that its tail has made wide.
#[test]
fn a_heavy_tail_does_not_widen_the_bulk() {
    let mut rng = Seed(4).stream("tail", 0);
    let mut lognormal = |_| -> f64 { (1.5 * rng.sample::<f64, _>(StandardNormal)).exp() };
    let rows = Continuous::new(names(1), (0..2000).map(&mut lognormal).collect()).unwrap();
    let test = Continuous::new(names(1), (0..2000).map(&mut lognormal).collect()).unwrap();
    let settings = FitCircuit { epochs: 60, ..FitCircuit::new(Structure::Mixture { components: 8 }) };
    let loss = |settings: &FitCircuit| -> f64 {
        let (c, _) = settings.clone().reals().fit(&rows, None, Seed(1)).unwrap();
        -c.evidence(&test).unwrap().mean()
    };
    // The entropy of a lognormal distribution: μ + ½ log(2πe σ²).
    let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E * 2.25).ln();
    let (usual, wide) = (loss(&settings), loss(&FitCircuit { least_scale: 0.3, ..settings.clone() }));
    assert!(usual < entropy + 0.25, "{usual} for an entropy of {entropy}");
    assert!(wide > usual + 0.05, "{wide} with a floor that binds, {usual} without");
    let floored = FitCircuit { least_scale: 0.3, ..settings }.reals().fit(&rows, None, Seed(1)).unwrap().1;
    assert!(floored.warnings()[0].contains("lie at the least scale"), "{:?}", floored.warnings());
}
