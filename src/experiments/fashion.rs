//! A hidden Chow-Liu tree on Fashion-MNIST: 784 variables with 256 categories.

use super::{Lab, pictures};
use crate::{
    Result,
    circuits::{Em, FitCircuit, Structure},
    data::{Images, Rows, Split, Subset, data_home, shipped},
    notebook::Scale,
    plot::Table,
};
use std::f64::consts::LN_2;

type Fashion = Images<1, 28, 28>;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (train, test) = match lab.scale {
        Scale::Small => shipped::fashion_mnist()?,
        Scale::Full => full()?,
    };
    let (rows, test) = (train.discrete(), test.discrete());
    let split = Split::random(rows.len(), 0.1, 0.0, lab.seed);
    let (train, valid) = (Subset::new(&rows, split.train), Subset::new(&rows, split.valid));
    let states = lab.scale.pick(16, 256);
    let em = Em { pseudocount: 0.01, first_step: 1.0, ..Em::default() };
    let epochs = lab.scale.pick(20, 100);
    let settings = FitCircuit { epochs, batch: 256, patience: 5, em, ..FitCircuit::new(Structure::hclt(states)) };
    lab.say(format!("{states} states, {} training images", train.len()));
    let (circuit, history) = settings.fit(&train, Some(&valid), lab.seed)?;

    let dims = rows.schema().len() as f64;
    let title = format!("Learning: a hidden Chow-Liu tree with {states} states on Fashion-MNIST");
    lab.figure("fashion-learning", &pictures::learning(&title, &history, dims))?;
    let title = "Fashion-MNIST, and samples of the circuit";
    lab.figure("fashion-samples", &pictures::samples(title, 56, &circuit, &test, lab.seed)?)?;
    lab.figure("fashion-inpainting", &pictures::inpainting(&circuit, &test, 28, lab.seed)?)?;
    let evidence = circuit.evidence(&test)?;
    let table = Table::new()
        .counts("training images", [train.len()])?
        .counts("states", [states])?
        .counts("parameters", [circuit.parameters()])?
        .numbers("test bits/dim", [evidence.bits_per_dim()?])?
        .numbers("standard error", [evidence.standard_error() / (dims * LN_2)])?;
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
