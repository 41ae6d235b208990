//! Three circuits on Fashion-MNIST, 784 variables with 256 categories, beside what others have published.

use super::pictures;
use crate::{
    Result,
    circuits::{Em, FitCircuit, Structure, SumProduct},
    data::{Images, Rows, Split, Subset, data_home, shipped},
    experiments::{Lab, published},
    notebook::Budget,
    plot::Table,
    train::Fit,
};

type Fashion = Images<1, 28, 28>;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (train, test) = match lab.budget {
        Budget::Small => shipped::fashion_mnist()?,
        Budget::Full => full()?,
    };
    let (rows, test) = (train.discrete(), test.discrete());
    let split = Split::random(rows.len(), 0.1, 0.0, lab.seed);
    let (train, valid) = (Subset::new(&rows, split.train), Subset::new(&rows, split.valid));
    let units = lab.budget.pick(16, 64);
    let dims = rows.schema().len();
    let em = Em { pseudocount: 0.01, first_step: 0.8, last_step: 0.02, ..Em::default() };
    let mut found = Vec::new();
    let shared = lab.budget.pick(32, 96);
    for (name, structure) in [
        ("hclt, distributions shared", Structure::Hclt { states: units, joined: false, shared }),
        ("hclt", Structure::hclt(units)),
        ("quad-tree", Structure::QuadTree { units, layer: SumProduct::Cp, tied: false }),
    ] {
        lab.say(format!("{name}, {units} units, {} training images", train.len()));
        let epochs = lab.budget.pick(20, 40);
        let settings = FitCircuit { epochs, batch: 256, patience: 5, em, ..FitCircuit::new(structure) };
        let (circuit, history) = settings.fit(&train, Some(&valid), lab.seed)?;
        let evidence = circuit.evidence(&test)?;
        let error = evidence.bits_per_dim_error()?;
        let images = train.len().to_string();
        found.push((name.to_string(), images, circuit.parameters().to_string(), evidence.bits_per_dim()?, error));
        if found.len() == 1 {
            let title = format!("Learning: a hidden Chow-Liu tree, {units} states that share {shared} distributions");
            lab.figure("fashion-learning", &pictures::learning(&title, &history, dims))?;
            let title = "Fashion-MNIST, and samples of the circuit";
            lab.figure("fashion-samples", &pictures::samples(title, 56, &circuit, &test, lab.seed)?)?;
            lab.figure("fashion-inpainting", &pictures::inpainting(&circuit, &test, 28, lab.seed)?)?;
        }
    }
    let theirs = published(&["bits/dim"], |data| data == "Fashion-MNIST")?
        .into_iter()
        .map(|p| (format!("{} ({})", p.model, p.source), String::new(), String::new(), p.value, f64::NAN));
    let rows: Vec<_> = found.into_iter().chain(theirs).collect();
    let table = Table::new()
        .text("model", rows.iter().map(|r| &r.0))?
        .text("training images", rows.iter().map(|r| &r.1))?
        .text("parameters", rows.iter().map(|r| &r.2))?
        .numbers("test bits/dim", rows.iter().map(|r| r.3))?
        .numbers("standard error", rows.iter().map(|r| r.4))?;
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
