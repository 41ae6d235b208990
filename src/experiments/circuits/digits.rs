//! A hidden Chow-Liu tree learned from digits: its tree, its learning, its samples, what it paints, and how large to make it.

use super::pictures;
use crate::{
    Result,
    circuits::{FitCircuit, Structure, Tree, mutual_information},
    data::{Rows, Split, shipped},
    experiments::Lab,
    plot::{Axis, Lines, Series, Table, TreeMap},
    train::Fit,
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let digits = shipped::digits()?.discrete();
    let split = Split::random(digits.len(), 0.1, 0.2, lab.seed);
    let [train, valid, test] = [&split.train, &split.valid, &split.test].map(|rows| digits.select(rows));
    let dims = train.schema().len();

    let sizes = [1, 2, 4, 8, 16, 32, 64];
    let mut results = Vec::new();
    for states in sizes {
        lab.say(format!("{states} states"));
        let epochs = lab.budget.pick(60, 200);
        let settings = FitCircuit { epochs, ..FitCircuit::new(Structure::hclt(states)) };
        let (circuit, history) = settings.fit(&train, Some(&valid), lab.seed)?;
        let evidence = circuit.evidence(&test)?;
        let error = evidence.bits_per_dim_error()?;
        results.push((states, circuit.parameters(), evidence.bits_per_dim()?, error));
        if states == 16 {
            let information = mutual_information(&train, lab.seed)?;
            let tree = Tree::chow_liu(&train, lab.seed)?;
            let parents = tree.parents();
            let weights: Vec<f64> =
                (0..parents.len()).map(|v| parents[v].map_or(0.0, |p| information[v * parents.len() + p])).collect();
            let title = "Which pixel looks at which";
            lab.figure("digits-tree", &TreeMap::new(title, parents, 8, &weights, "nats of mutual information")?)?;

            let title = "Learning: a hidden Chow-Liu tree with 16 states on digits";
            lab.figure("digits-learning", &pictures::learning(title, &history, dims))?;
            let title = "Digits, and samples of the circuit";
            lab.figure("digits-samples", &pictures::samples(title, 44, &circuit, &test, lab.seed)?)?;
            lab.figure("digits-inpainting", &pictures::inpainting(&circuit, &test, 8, lab.seed)?)?;
        }
    }
    let points = results.iter().map(|r| (r.0 as f64, r.2));
    let size = Lines::new("How many states?", "latent states a variable", "test bits per dimension (band: ± 1 s.e.)")
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
