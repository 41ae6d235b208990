//! A hidden Chow-Liu tree on Fashion-MNIST: 784 variables with 256 categories.

use super::{Lab, digits::inpainting};
use crate::{
    Result,
    circuits::{Em, FitHclt},
    data::{Images, Rows, Subset, data_home, shipped},
    notebook::Scale,
    plot::{Lines, Series, Table, Tiles},
    random::{Seed, permutation},
};
use std::f64::consts::LN_2;

type Fashion = Images<1, 28, 28>;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (train, test) = match lab.scale {
        Scale::Small => shipped::fashion_mnist()?,
        Scale::Full => full()?,
    };
    let (rows, test) = (train.discrete(), test.discrete());
    let mut order = permutation(rows.len(), &mut Seed(0).stream("fashion", 0));
    let valid = Subset::new(&rows, order.split_off(rows.len() * 9 / 10));
    let train = Subset::new(&rows, order);
    let states = lab.scale.pick(16, 256);
    let em = Em { pseudocount: 0.01, ..Em::default() };
    let settings = FitHclt { states, epochs: lab.scale.pick(20, 100), batch: 256, patience: 5, em };
    lab.say(format!("{states} states, {} training images", train.len()));
    let (circuit, history) = settings.fit(&train, Some(&valid), lab.seed)?;

    let dims = rows.schema().len() as f64;
    let bits = |nats: f64| nats / (dims * LN_2);
    let epochs = history.epochs();
    let title = format!("Learning: a hidden Chow-Liu tree with {states} states on Fashion-MNIST");
    let curve = Lines::new(&title, "epoch", "bits per dimension")
        .with(Series::new("train", epochs.iter().map(|e| (e.0 as f64, bits(e.1)))))
        .with(Series::new("validation", epochs.iter().filter_map(|e| Some((e.0 as f64, bits(e.2?))))));
    lab.figure("fashion-learning", &curve)?;
    let drawn = circuit.sample(24, lab.seed)?;
    let part = |rows: std::ops::Range<usize>| drawn.select(&rows.collect::<Vec<_>>());
    let tiles = Tiles::new("Fashion-MNIST, and samples of the circuit", 12, 56)
        .with("data", &test)?
        .with("samples", &part(0..12))?
        .with("", &part(12..24))?;
    lab.figure("fashion-samples", &tiles)?;
    lab.figure("fashion-inpainting", &inpainting(&circuit, &test, 28, lab.seed)?)?;
    let evidence = circuit.evidence(&test)?;
    let table = Table::new()
        .counts("training images", [train.len()])?
        .counts("states", [states])?
        .counts("parameters", [circuit.parameters()])?
        .numbers("test bits/dim", [evidence.bits_per_dim()?])?
        .numbers("standard error", [bits(evidence.standard_error())])?;
    lab.table("fashion", table);
    Ok(())
}

/// All 60,000 + 10,000 images, as `limbeck data get fashion-mnist` installed them.
fn full() -> Result<(Fashion, Fashion)> {
    let folder = data_home()?.join("fashion-mnist");
    let images = |part: &str| {
        let plain = folder.join(format!("{part}-images-idx3-ubyte"));
        let path = if plain.exists() { plain } else { folder.join(format!("{part}-images-idx3-ubyte.gz")) };
        Fashion::load(path)
    };
    Ok((images("train")?, images("t10k")?))
}
