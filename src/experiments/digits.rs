//! A hidden Chow-Liu tree learned from digits: its tree, its learning, its samples, what it paints, and how large to make it.

use super::Lab;
use crate::{
    Result,
    circuits::{FitHclt, mutual_information},
    data::{Discrete, Rows, Split, shipped},
    plot::{Axis, Lines, Series, Table, Tiles, TreeMap},
    random::Seed,
};
use std::f64::consts::LN_2;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let digits = shipped::digits()?.discrete();
    let split = Split::random(digits.len(), 0.1, 0.2, lab.seed);
    let [train, valid, test] = [&split.train, &split.valid, &split.test].map(|rows| digits.select(rows));
    let dims = train.schema().len() as f64;

    let sizes = [1, 2, 4, 8, 16, 32, 64];
    let mut results = Vec::new();
    for states in sizes {
        lab.say(format!("{states} states"));
        let settings = FitHclt { states, epochs: lab.scale.pick(60, 200), ..FitHclt::default() };
        let (circuit, history) = settings.fit(&train, Some(&valid), lab.seed)?;
        let evidence = circuit.evidence(&test)?;
        let error = evidence.standard_error() / (dims * LN_2);
        results.push((states, circuit.parameters(), evidence.bits_per_dim()?, error));
        if states == 16 {
            let information = mutual_information(&train, lab.seed)?;
            let parents = circuit.tree().parents();
            let weights: Vec<f64> =
                (0..parents.len()).map(|v| parents[v].map_or(0.0, |p| information[v * parents.len() + p])).collect();
            let title = "Which pixel looks at which";
            lab.figure("digits-tree", &TreeMap::new(title, parents, 8, &weights, "mutual information (nats)")?)?;

            let bits = |nats: f64| nats / (dims * LN_2);
            let epochs = history.epochs();
            let curve =
                Lines::new("Learning: a hidden Chow-Liu tree with 16 states on digits", "epoch", "bits per dimension")
                    .with(Series::new("train", epochs.iter().map(|e| (e.0 as f64, bits(e.1)))))
                    .with(Series::new("validation", epochs.iter().filter_map(|e| Some((e.0 as f64, bits(e.2?))))));
            lab.figure("digits-learning", &curve)?;

            let drawn = circuit.sample(24, lab.seed)?;
            let part = |rows: std::ops::Range<usize>| drawn.select(&rows.collect::<Vec<_>>());
            let tiles = Tiles::new("Digits, and samples of the circuit", 12, 44)
                .with("data", &test)?
                .with("samples", &part(0..12))?
                .with("", &part(12..24))?;
            lab.figure("digits-samples", &tiles)?;
            lab.figure("digits-inpainting", &inpainting(&circuit, &test, 8, lab.seed)?)?;
        }
    }
    let points = results.iter().map(|r| (r.0 as f64, r.2));
    let size = Lines::new("How many states?", "latent states a variable", "bits per dimension on the test rows")
        .axes(Axis::Log, Axis::Linear)
        .markers()
        .with(Series::new("hclt", points).errors(results.iter().map(|r| r.3)));
    lab.figure("digits-states", &size)?;
    let table = Table::new()
        .counts("states", results.iter().map(|r| r.0))?
        .counts("parameters", results.iter().map(|r| r.1))?
        .numbers("test bits/dim", results.iter().map(|r| r.2))?
        .numbers("standard error", results.iter().map(|r| r.3))?;
    lab.table("digits", table);
    Ok(())
}

/// Pictures whose right half is hidden, and three ways the circuit paints it.
pub(super) fn inpainting(circuit: &crate::circuits::Hclt, test: &Discrete, width: usize, seed: Seed) -> Result<Tiles> {
    let some = test.select(&(0..12).collect::<Vec<_>>());
    let hidden = some.mask(|_, v| v % width >= width / 2);
    let mut tiles = Tiles::new("The right half hidden, and painted three times", 12, 44)
        .with("data", &some)?
        .with("known", &hidden)?;
    for (i, name) in ["painted", "again", "again"].iter().enumerate() {
        tiles = tiles.with(name, &circuit.complete(&hidden, seed.child("inpainting", i as u64))?)?;
    }
    Ok(tiles)
}
