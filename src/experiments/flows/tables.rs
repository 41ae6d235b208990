//! Flows on the real tables that ship, beside what others have published of other tables.

use crate::{
    Error, Result,
    data::{Continuous, Split, shipped},
    evidence::{Evidence, Exact, Space},
    experiments::{Lab, published},
    flows::{FitFlow, FlowKind},
    notebook::Budget,
    plot::{Dots, Table},
    train::Fit,
};
use rand::RngExt;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut found: Vec<(String, &str, f64, f64, String)> = Vec::new();
    for (name, rows, test) in [satellite(lab)?, patches(lab)?] {
        let split = Split::random(rows.len(), 0.1, 0.0, lab.seed);
        let (train, valid) = (rows.select(&split.train), rows.select(&split.valid));
        let normal = gaussian(&train, &test)?;
        found.push(("a normal distribution".into(), name, normal.mean(), normal.standard_error(), String::new()));
        let mut dots = Dots::new(&format!("Flows on {name}"), "nats a test row");
        dots = dots.with("normal", normal.mean(), normal.standard_error());
        let kinds = FlowKind::ALL.into_iter().filter(|k| lab.budget == Budget::Full || is_quick(*k));
        for kind in kinds.collect::<Vec<_>>() {
            lab.say(format!("{}, {name}", kind.name()));
            let settings = FitFlow { epochs: lab.budget.pick(30, 300), ..FitFlow::new(kind) };
            let (flow, _) = settings.fit(&train, Some(&valid), lab.seed)?;
            let evidence = flow.evidence(&test)?;
            let (mean, error) = (evidence.mean(), evidence.standard_error());
            dots = dots.with(kind.name(), mean, error);
            found.push((kind.name().into(), name, mean, error, flow.parameters().to_string()));
        }
        lab.figure(&format!("flows-{}", name.split(' ').next().unwrap_or(name)), &dots)?;
    }
    let theirs = published(&["nats"], |_| true)?;
    let (ours, none) = (found.len(), theirs.len());
    let table = Table::new()
        .text("model", found.iter().map(|r| r.0.as_str()).chain(theirs.iter().map(|p| p.model.as_str())))?
        .text("table", found.iter().map(|r| r.1).chain(theirs.iter().map(|p| p.data.as_str())))?
        .numbers("nats a test row", found.iter().map(|r| r.2).chain(theirs.iter().map(|p| p.value)))?
        .numbers("standard error", found.iter().map(|r| r.3).chain(std::iter::repeat_n(f64::NAN, none)))?
        .text("parameters", found.iter().map(|r| r.4.as_str()).chain(std::iter::repeat_n("", none)))?
        .text("source", std::iter::repeat_n("measured here", ours).chain(theirs.iter().map(|p| p.source.as_str())))?;
    lab.table("flows-tables", table);
    Ok(())
}

/// Whether it learns a table of dozens of columns within seconds.
fn is_quick(kind: FlowKind) -> bool {
    !matches!(kind, FlowKind::Gaussianization | FlowKind::Rbig)
}

/// Spectral values of the satellite table with uniform noise, as they are whole numbers; its training and test rows.
fn satellite(lab: &Lab) -> Result<(&'static str, Continuous, Continuous)> {
    let all = shipped::satellite()?;
    let spectral = all.columns(&(0..36).collect::<Vec<_>>()).dequantised(lab.seed);
    let rows = |range: std::ops::Range<usize>| spectral.select(&range.collect::<Vec<_>>());
    Ok(("satellite (36 columns)", rows(0..4435), rows(4435..all.len())))
}

/// Grey patches of 8 × 8 pixels in the manner of BSDS300: uniform noise, values in 0 to 1, the mean of a patch subtracted, the
/// last pixel left out. Patches of one photograph are for training, of the other for testing.
fn patches(lab: &Lab) -> Result<(&'static str, Continuous, Continuous)> {
    let of = |photo: &str| -> Result<Continuous> {
        let images = shipped::photo_patches::<8>(photo)?;
        let mut rng = lab.seed.stream(photo, 0);
        let mut values = Vec::new();
        for i in 0..images.len() {
            let pixels = images.image(i);
            let grey = |p: usize| (0..3).map(|c| f64::from(pixels[c * 64 + p])).sum::<f64>() / 3.0;
            let patch: Vec<f64> = (0..64).map(|p| (grey(p) + rng.random::<f64>()) / 256.0).collect();
            let mean = patch.iter().sum::<f64>() / 64.0;
            values.extend(patch[..63].iter().map(|x| x - mean));
        }
        Continuous::new((0..63).map(|i| format!("pixel {i}")).collect(), values)
    };
    Ok(("patches (63 columns)", of("chelsea")?, of("coffee")?))
}

/// Densities of `test` under the normal distribution with the mean and the covariance of `train`.
fn gaussian(train: &Continuous, test: &Continuous) -> Result<Evidence<Exact>> {
    use nalgebra::{DMatrix, DVector};
    let (n, d) = (train.len(), train.names().len());
    let x = DMatrix::from_fn(n, d, |i, j| train.row(i)[j]);
    let mean: DVector<f64> = x.row_mean().transpose();
    let centred = DMatrix::from_fn(n, d, |i, j| x[(i, j)] - mean[j]);
    let covariance = centred.tr_mul(&centred) / n as f64;
    let factor = covariance.cholesky().ok_or_else(|| Error::invalid("columns that depend on each other linearly"))?;
    let log_det: f64 = factor.l().diagonal().iter().map(|s| s.ln()).sum();
    let log_probs = (0..test.len()).map(|i| {
        let away = DVector::from_fn(d, |j, _| test.row(i)[j] - mean[j]);
        let square = away.dot(&factor.solve(&away));
        -0.5 * (square + d as f64 * std::f64::consts::TAU.ln()) - log_det
    });
    Evidence::new(log_probs.collect(), Space::Continuous, d)
}
