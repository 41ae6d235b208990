//! Figures 1 and 7 of the source at our scale: likelihood by size, and by who taught.

use super::pipeline::{Latents, Pictures, Pipeline};
use crate::{
    Result,
    circuits::{FitCircuit, Structure, SumProduct},
    evidence::{Evidence, Exact},
    experiments::{Claim, Lab, mean_and_error},
    plot::{Axis, Lines, Series, Table},
    random::Seed,
    teachers::Decoder,
    train::Fit,
};

const SEEDS: u64 = 5;
/// Heads of the circuits that grow; the others are made as large as these have become, or larger.
const HEADS: [usize; 3] = [4, 8, 16];
/// In the order of the legend: those with a teacher come last.
const NAMES: [&str; 7] = [
    "rat-spn",
    "quad-tree",
    "hclt",
    "hclt, distributions shared",
    "lvd (masked autoencoder)",
    "lvd (vq-vae)",
    "lvd-pg (vq-vae)",
];
/// The circuits without a teacher, by the number of nodes of a block.
const UNTAUGHT: [fn(usize) -> Structure; 4] = [
    |units| Structure::RatSpn { depth: 3, replicas: 4, units, layer: SumProduct::Cp },
    |units| Structure::QuadTree { units, layer: SumProduct::Cp, tied: false },
    Structure::hclt,
    |states| Structure::Hclt { states, joined: false, shared: 17 },
];

/// One circuit: its name, which of [`HEADS`] it is compared at, its parameters, test bits a dimension, test nats a picture.
struct Point {
    name: &'static str,
    size: usize,
    seed: u64,
    parameters: usize,
    bits: f64,
    nats: f64,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let pipeline = Pipeline::usual(lab.budget);
    let mut points: Vec<Point> = Vec::new();
    for i in 0..SEEDS {
        lab.say(format!("circuits with and without a teacher, seed {i}"));
        let seed = lab.seed.child("students", i);
        let rows = Pictures::digits(seed)?;
        let vq_vae = pipeline.vq_vae(&rows, Decoder::Independent, seed)?;
        let masked = pipeline.masked_autoencoder(&rows, seed)?;
        for (size, heads) in HEADS.into_iter().enumerate() {
            let pipeline = Pipeline { heads, ..pipeline };
            let mut add = |name, parameters, evidence: Evidence<Exact>| -> Result<()> {
                let (bits, nats) = (evidence.bits_per_dim()?, evidence.mean());
                points.push(Point { name, size, seed: i, parameters, bits, nats });
                Ok(())
            };
            let grown = pipeline.student(&rows, (vq_vae.as_ref(), Latents::Growing), seed)?.0.circuit()?;
            let parameters = grown.parameters();
            add(NAMES[6], parameters, pipeline.tune(grown, &rows, seed)?.evidence(&rows.test)?)?;
            let as_large = pipeline.as_large_as(parameters);
            for (name, student) in [
                (NAMES[5], as_large.student(&rows, (vq_vae.as_ref(), Latents::OneShot), seed)?),
                (NAMES[4], as_large.student(&rows, (masked.as_ref(), Latents::OneShot), seed)?),
            ] {
                let circuit = student.0.circuit()?;
                add(name, circuit.parameters(), pipeline.tune(circuit, &rows, seed)?.evidence(&rows.test)?)?;
            }
            for (name, structure) in NAMES.into_iter().zip(UNTAUGHT) {
                let (parameters, evidence) = untaught(structure, &pipeline, &rows, parameters, seed)?;
                add(name, parameters, evidence)?;
            }
        }
    }
    let mut lines = Lines::new(
        "Circuits of digits by who taught them",
        "parameters, mean of five seeds",
        "test bits per dimension (band: ± 1 s.e. over seeds)",
    )
    .axes(Axis::Log, Axis::Linear)
    .markers();
    for name in NAMES {
        let of = |size: usize, what: fn(&Point) -> f64| {
            let values = points.iter().filter(|p| p.name == name && p.size == size).map(what).collect::<Vec<_>>();
            mean_and_error(&values)
        };
        let at = |size| (of(size, |p| p.parameters as f64).0, of(size, |p| p.bits).0);
        let error = |size| of(size, |p| p.bits).1;
        let sizes = 0..HEADS.len();
        lines = lines.with(Series::new(name, sizes.clone().map(at).collect::<Vec<_>>()).errors(sizes.map(error)));
    }
    lab.figure("students-sizes", &lines)?;
    let table = Table::new()
        .text("model", points.iter().map(|p| p.name))?
        .counts("heads of the one that grows", points.iter().map(|p| HEADS[p.size]))?
        .counts("seed", points.iter().map(|p| p.seed as usize))?
        .counts("parameters", points.iter().map(|p| p.parameters))?
        .numbers("test bits/dim", points.iter().map(|p| p.bits))?;
    lab.table("students-sizes-table", table);
    claims(lab, &points, &pipeline);
    Ok(())
}

/// A circuit over whole pictures: the smallest of its structure with so many parameters or more.
fn untaught(
    structure: fn(usize) -> Structure,
    pipeline: &Pipeline,
    rows: &Pictures,
    parameters: usize,
    seed: Seed,
) -> Result<(usize, Evidence<Exact>)> {
    let epochs = pipeline.learned + pipeline.tuned;
    let settings = |units| FitCircuit { epochs, ..FitCircuit::new(structure(units)) };
    let mut units = 1;
    while settings(units).start_circuit(&rows.train, seed)?.parameters() < parameters {
        units += 1;
    }
    let settings = settings(units);
    let circuit = settings.fit(&rows.train, Some(&rows.valid), seed)?.0;
    Ok((circuit.parameters(), circuit.evidence(&rows.test)?))
}

fn claims(lab: &mut Lab, points: &[Point], pipeline: &Pipeline) {
    let largest = HEADS.len() - 1;
    let nats = |name: &str| -> Vec<f64> {
        points.iter().filter(|p| p.name == name && p.size == largest).map(|p| p.nats).collect()
    };
    let [_, _, hclt, _, masked, one_shot, growing] = NAMES.map(nats);
    let pairs = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
    let budget = format!(
        "digits 8 × 8, {} heads, each model as large as the one that grows or larger; heads {} epochs, those that grow as many in \
         each of some seven rounds; the whole {} more, HCLT {} in all, both with early stopping",
        HEADS[largest],
        pipeline.learned,
        pipeline.tuned,
        pipeline.learned + pipeline.tuned
    );
    let measure =
        |a: &str, b: &str| format!("log-likelihood, {a} − {b}, at the largest of three sizes, nats a test picture");
    for (sentence, section, measure, values) in [
        (
            "Progressive growing beats one-shot discretisation at equal size",
            "§6.2, ablation",
            measure("LVD-PG", "LVD of the same VQ-VAE"),
            pairs(&growing, &one_shot),
        ),
        (
            "LVD-PG beats LVD at equal size",
            "§6.2, Figure 7",
            measure("LVD-PG", "LVD of a masked autoencoder"),
            pairs(&growing, &masked),
        ),
        (
            "LVD beats HCLT at equal size",
            "§6.2, Figure 7",
            measure("LVD of a masked autoencoder", "HCLT"),
            pairs(&masked, &hclt),
        ),
    ] {
        let source = format!("Liu et al. 2023, {section}");
        lab.claim(Claim::new(sentence, &source, &measure, &values).budget(&budget));
    }
}
