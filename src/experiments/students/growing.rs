//! Figures 4 and 5 of the source, measured: what flows over a circuit before and after it grows, and clusters of squares of
//! pictures of clothes, round after round.

use super::pipeline::unwatched;
use crate::{
    Result,
    circuits::{Circuit, Em, FitCircuit, Grow, Heads, Structure},
    data::{Discrete, Patches, Rows, Schema, shipped},
    experiments::Lab,
    growth::{Expand, Learn, Select, relabel},
    plot::{Table, Tiles},
    teachers::{Teaching, VqVaeConfig},
    train::{Fit, quiet},
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    flows(lab)?;
    rounds(lab)
}

/// A mixture of three days that is small enough to be drawn whole: its head, and the head that it grows.
fn flows(lab: &mut Lab) -> Result<()> {
    let mut schema = Schema::uniform(&[3], 2);
    for (variable, name) in schema.variables.iter_mut().zip(["rain", "lawn", "road"]) {
        variable.name = name.into();
    }
    // Wet days, dry days, and mornings with dew.
    let days = [[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]];
    let days = Discrete::new(schema, days.concat())?;
    let settings = FitCircuit { epochs: 200, em: Em::exact(), ..FitCircuit::new(Structure::Mixture { components: 3 }) };
    let (circuit, _) = settings.fit(&days, None, lab.seed)?;
    let dew = days.select(&[4]);
    lab.figure("students-growing-before", &circuit.flow_diagram("The flow of a dewy morning, before growing", &dew)?)?;
    let grow = Grow { noise: 0.0, ..Grow::default() };
    let grown = circuit.grow(&[0], &dew, Heads::Labels(&[0]), &grow, lab.seed)?;
    let new = grown.mixed(&[0.0, 1.0])?;
    lab.figure(
        "students-growing-after",
        &new.flow_diagram("The same under the new head, which shares what it can", &dew)?,
    )
}

/// Squares of pictures of clothes: one head becomes four, by the four steps.
fn rounds(lab: &mut Lab) -> Result<()> {
    const HEADS: usize = 4;
    const SHOWN: usize = 16;
    let (all, _) = shipped::fashion_mnist()?;
    let pictures = all.discrete().select(&(0..lab.budget.pick(500, 2700)).collect::<Vec<_>>());
    let patches = Patches::new(pictures.schema(), 7)?;
    let squares = patches.of(&pictures)?;
    lab.say(format!("{} squares of pictures of clothes in {HEADS} clusters", squares.len()));
    let teaching = Teaching { epochs: lab.budget.pick(10, 40), batch: 16, rate: 2e-3 };
    let config = VqVaeConfig { side: 7, width: 8, hidden: 32, blocks: 1, ..VqVaeConfig::default() };
    let teacher = teaching.vq_vae(&config, &pictures, unwatched(lab.seed, &mut quiet))?.0;
    let features = teacher.features(&pictures)?;
    let em = Em { pseudocount: 0.1, ..Em::default() };
    let learn = Learn { epochs: lab.budget.pick(10, 50), batch: 128, em, ..Learn::default() };
    let structure = Structure::Hclt { states: 4, joined: false, shared: 16 };
    let mut circuit: Circuit = FitCircuit::new(structure).start_circuit(&squares, lab.seed)?;
    let mut labels = vec![0; squares.len()];

    let some = |of: &[usize]| -> Result<Discrete> {
        let shown: Vec<usize> = (0..SHOWN.min(of.len())).map(|i| of[i * of.len() / SHOWN.min(of.len())]).collect();
        let mut codes = Vec::new();
        squares.read(&shown, &mut codes)?;
        Discrete::new(patches.schema(), codes)
    };
    let mut tiles = Tiles::new("Squares of clothes, cluster by cluster, as a circuit grows", SHOWN, 40);
    let mut lines: Vec<(usize, usize, usize, f64, f64, usize)> = Vec::new();
    for round in 0.. {
        let seed = lab.seed.child("round", round);
        circuit = learn.run(circuit, &squares, &labels, unwatched(seed, &mut quiet))?.0;
        let [before, after] = relabel(&circuit, &squares, &labels, 0.0)?;
        let heads = circuit.graph().heads();
        for (head, cluster) in after.each.iter().enumerate().filter(|(_, cluster)| cluster.rows > 0) {
            let title =
                format!("round {round}, head {head}: {} squares, {:.0} nats a square", cluster.rows, cluster.log_prob);
            tiles = tiles.with(&title, &some(&after.rows_of(&[head]))?)?;
        }
        let parameters = circuit.parameters();
        lines.push((round as usize, heads, parameters, before.objective, after.objective, after.moved));
        if heads == HEADS {
            break;
        }
        let chosen = Select::Lowest(1).of(&after.each);
        (circuit, labels) =
            Expand::default().run(&circuit, (&squares, &features), &after.labels, (&chosen, 2), seed)?;
    }
    lab.figure("students-growing", &tiles)?;
    let table = Table::new()
        .counts("round", lines.iter().map(|l| l.0))?
        .counts("heads", lines.iter().map(|l| l.1))?
        .counts("parameters", lines.iter().map(|l| l.2))?
        .numbers("nats a square, by the labels it learned from", lines.iter().map(|l| l.3))?
        .numbers("nats a square, relabelled", lines.iter().map(|l| l.4))?
        .counts("squares that moved", lines.iter().map(|l| l.5))?;
    lab.table("students-growing-rounds", table);
    Ok(())
}
