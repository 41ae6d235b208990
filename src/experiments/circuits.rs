//! Circuits side by side: their flow, the rules of EM, the structures, pruning, and compression.

use super::{Lab, pictures, published};
use crate::{
    Error, Result,
    circuits::{Circuit, Em, FitCircuit, Graph, Layer, Leaf, PruneBy, Rule, Structure},
    data::{Discrete, Rows, Schema, Split, shipped},
    plot::{Axis, Lines, Series, Table},
    train::History,
};
use image::{ExtendedColorType, ImageEncoder, codecs::png};
use lzma_rust2::{XzOptions, XzWriter};
use std::{f64::consts::LN_2, io::Write};

/// Training, validation and test rows of the digits.
fn digits(lab: &Lab) -> Result<[Discrete; 3]> {
    let digits = shipped::digits()?.discrete();
    let split = Split::random(digits.len(), 0.1, 0.2, lab.seed);
    Ok([&split.train, &split.valid, &split.test].map(|rows| digits.select(rows)))
}

/// The flow of one row over a circuit that is small enough to be drawn whole.
pub(super) fn flow(lab: &mut Lab) -> Result<()> {
    let mut schema = Schema::uniform(&[3], 2);
    for (variable, name) in schema.variables.iter_mut().zip(["rain", "lawn", "road"]) {
        variable.name = name.into();
    }
    let mut graph = Graph::new(3);
    let wet = [graph.input(1, 2)?, graph.input(2, 2)?];
    let below = graph.product(&wet)?;
    let mixed = graph.sum(&[below], 2)?;
    let rain = graph.input(0, 2)?;
    let both = graph.product(&[rain, mixed])?;
    graph.sum(&[both], 1)?;
    let circuit = Circuit::random(graph, schema.clone(), Leaf::Categorical, lab.seed)?;
    let row = Discrete::new(schema, vec![1, 1, 0])?;
    lab.figure("circuits-flow", &circuit.flow_diagram("The flow of one row: rain, a wet lawn, a dry road", &row)?)
}

/// The rules of EM on the same circuit and the same rows.
pub(super) fn rules(lab: &mut Lab) -> Result<()> {
    let [train, valid, _] = digits(lab)?;
    let dims = train.schema().len() as f64;
    let rules = [
        ("full batch", Em::exact()),
        ("mini-batch", Em::default()),
        ("slow forgetting", Em { rule: Rule::SlowForgetting, memory: 3000.0, ..Em::default() }),
        ("Anemone", Em::anemone()),
    ];
    let mut lines = Lines::new("Four rules of EM, one circuit", "epoch", "validation bits per dimension");
    for (name, em) in rules {
        lab.say(name);
        let em = if em.rule == Rule::FullBatch { Em { pseudocount: 0.1, ..em } } else { em };
        let epochs = lab.scale.pick(40, 200);
        let settings = FitCircuit { epochs, patience: 0, em, ..FitCircuit::new(Structure::hclt(16)) };
        let (_, history): (_, History) = settings.fit(&train, Some(&valid), lab.seed)?;
        let points = history.epochs().into_iter().filter_map(|e| Some((e.0 as f64, e.2? / (dims * LN_2))));
        lines = lines.with(Series::new(name, points.skip(1)));
    }
    lab.figure("circuits-em", &lines)
}

/// Every structure at several sizes.
pub(super) fn structures(lab: &mut Lab) -> Result<()> {
    let [train, valid, test] = digits(lab)?;
    let dims = train.schema().len() as f64;
    let sizes: &[usize] = &[4, 8, 16, 32];
    let of = |make: &dyn Fn(usize) -> Structure| sizes.iter().map(|units| make(*units)).collect::<Vec<_>>();
    let tucker = |units: usize| units / 2;
    let families: Vec<(&str, Vec<Structure>)> = vec![
        ("mixture", of(&|u| Structure::Mixture { components: 4 * u })),
        ("hmm", of(&|u| Structure::Hmm { states: u, homogeneous: false })),
        ("hclt", of(&|u| Structure::hclt(u))),
        ("random-tree", of(&|u| Structure::RandomTree { units: u, layer: Layer::Cp })),
        ("rat-spn", of(&|u| Structure::RatSpn { depth: 4, replicas: 4, units: tucker(u), layer: Layer::Tucker })),
        ("quad-tree", of(&|u| Structure::QuadTree { units: u, layer: Layer::Cp, tied: false })),
        ("quad-graph", of(&|u| Structure::QuadGraph { units: u, layer: Layer::CpTransposed, tied: false })),
        ("poon-domingos", of(&|u| Structure::PoonDomingos { step: 2, units: tucker(u), layer: Layer::CpTransposed })),
        ("chow-liu", vec![Structure::ChowLiu]),
    ];
    let mut lines = Lines::new("Structures on digits", "parameters", "test bits per dimension")
        .axes(Axis::Log, Axis::Linear)
        .markers();
    let mut rows = Vec::new();
    for (name, structures) in families {
        lab.say(name);
        let mut points = Vec::new();
        for structure in structures {
            let mut settings = FitCircuit::new(structure);
            settings.epochs = lab.scale.pick(40, 200);
            let units = settings.structure.units_mut().map_or(0, |u| *u);
            let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
            let evidence = circuit.evidence(&test)?;
            let bits = evidence.bits_per_dim()?;
            points.push((circuit.parameters() as f64, bits));
            rows.push((name, units, circuit.parameters(), bits, evidence.standard_error() / (dims * LN_2)));
        }
        lines = lines.with(Series::new(name, points));
    }
    lab.figure("circuits-structures", &lines)?;
    let published = published()?;
    let ours = |r: &(&str, usize, usize, f64, f64)| {
        (r.0.to_string(), "digits, 8 × 8, 17 levels", r.1.to_string(), r.2.to_string(), r.3, r.4, "measured here")
    };
    let theirs = published.iter().filter(|p| p.unit == "bits/dim").map(|p| {
        (p.model.clone(), p.data.as_str(), String::new(), String::new(), p.value, f64::NAN, p.source.as_str())
    });
    let rows: Vec<_> = rows.iter().map(ours).chain(theirs).collect();
    let table = Table::new()
        .text("model", rows.iter().map(|r| &r.0))?
        .text("data", rows.iter().map(|r| r.1))?
        .text("units", rows.iter().map(|r| &r.2))?
        .text("parameters", rows.iter().map(|r| &r.3))?
        .numbers("test bits/dim", rows.iter().map(|r| r.4))?
        .numbers("standard error", rows.iter().map(|r| r.5))?
        .text("source", rows.iter().map(|r| r.6))?;
    lab.table("circuits-structures-table", table);
    Ok(())
}

/// What is drawn for a loss of nothing, or less.
const LEAST: f64 = 1e-3;

/// What pruning costs by each heuristic, beside its bound.
pub(super) fn pruning(lab: &mut Lab) -> Result<()> {
    let [train, valid, _] = digits(lab)?;
    let settings = FitCircuit { epochs: lab.scale.pick(60, 200), ..FitCircuit::new(Structure::hclt(8)) };
    let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
    let mut lines =
        Lines::new("What pruning costs", "share of the edges that is pruned", "loss on the training rows (nats a row)")
            .axes(Axis::Linear, Axis::Log);
    let mut bounds = Vec::new();
    for (name, by) in [("flow", PruneBy::Flow), ("parameter", PruneBy::Parameter), ("random", PruneBy::Random)] {
        let mut points = Vec::new();
        for share in (1..=18).map(|i| f64::from(i) * 0.05) {
            let pruned = circuit.prune(share, by, &train, lab.seed)?;
            points.push((share, pruned.loss.max(LEAST)));
            if let (PruneBy::Flow, Some(bound)) = (by, pruned.bound) {
                bounds.push((share, bound.max(LEAST)));
            }
        }
        lines = lines.with(Series::new(name, points));
    }
    lab.figure("circuits-pruning", &lines.with(Series::new("bound for flow", bounds)))
}

/// The test digits in a file: by the circuit, and by what everybody has.
pub(super) fn compression(lab: &mut Lab) -> Result<()> {
    let [train, valid, test] = digits(lab)?;
    let settings = FitCircuit { epochs: lab.scale.pick(60, 200), ..FitCircuit::new(Structure::hclt(16)) };
    let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
    let pixels: Vec<u8> = test.codes().iter().map(|code| *code as u8).collect();
    let packed = circuit.compress(&test)?;
    if circuit.decompress(&packed)? != test {
        return Err(Error::invalid("compressed digits did not come back"));
    }
    let bound = circuit.evidence(&test)?.bits_per_dim()? * pixels.len() as f64 / 8.0;
    let sizes = [
        ("bytes as they are", pixels.len() as f64),
        ("PNG", png(&pixels)?.len() as f64),
        ("gzip", gzip(&pixels)?.len() as f64),
        ("xz", xz(&pixels)?.len() as f64),
        ("the circuit, coded", packed.len() as f64),
        ("the circuit's likelihood", bound),
    ];
    let table = Table::new()
        .text("coder", sizes.iter().map(|s| s.0))?
        .counts("bytes", sizes.iter().map(|s| s.1.ceil() as usize))?
        .numbers("bits/dim", sizes.iter().map(|s| 8.0 * s.1 / pixels.len() as f64))?;
    lab.table("circuits-compression", table);
    lab.figure("circuits-inpainting", &pictures::inpainting(&circuit, &test, 8, lab.seed)?)
}

/// One picture, eight pixels wide, the digits below each other.
fn png(pixels: &[u8]) -> Result<Vec<u8>> {
    let mut picture = Vec::new();
    let encoder =
        png::PngEncoder::new_with_quality(&mut picture, png::CompressionType::Best, png::FilterType::Adaptive);
    let (width, height) = (8, (pixels.len() / 8) as u32);
    encoder.write_image(pixels, width, height, ExtendedColorType::L8).map_err(Error::invalid)?;
    Ok(picture)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).and_then(|()| writer.finish()).map_err(Error::invalid)
}

fn xz(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(9)).map_err(Error::invalid)?;
    writer.write_all(bytes).and_then(|()| writer.finish()).map_err(Error::invalid)
}
