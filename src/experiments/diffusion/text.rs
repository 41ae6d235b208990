//! One text, by every way that there is: bits a character of windows that nobody has learned from.

use super::grams::Grams;
use crate::{
    Error, Result,
    circuits::{FitCircuit, Structure},
    data::{Discrete, Rows, Split, Text, shipped},
    diffusion::{DensityKind, DiffusionKind, DiffusionModel, FitArgmax, FitDiffusion, LiftKind, Order},
    experiments::{Claim, Lab, mean_and_error, published, xz},
    plot::{Dots, Table},
    random::Seed,
    train::{Fit, Run, quiet},
};

const SEEDS: u64 = 5;
const LENGTH: usize = 64;
const WIDTH: usize = 64;
const BATCH: usize = 32;

const FLOWS: [(&str, LiftKind, DensityKind); 4] = [
    ("uniform dequantisation, coupling", LiftKind::Uniform, DensityKind::Coupling),
    ("variational dequantisation, coupling", LiftKind::Variational, DensityKind::Coupling),
    ("argmax flow, coupling", LiftKind::Bits, DensityKind::Coupling),
    ("argmax flow, autoregressive", LiftKind::Bits, DensityKind::Autoregressive),
];

/// Windows of the addresses.
pub(super) struct Windows {
    pub(super) train: Discrete,
    /// What `limbeck fit --valid 0.05` keeps back.
    pub(super) test: Discrete,
}

impl Windows {
    pub(super) fn new(lab: &Lab) -> Result<Self> {
        let windows = shipped::addresses_text8()?.windows(LENGTH)?;
        let split = Split::random(windows.len(), 0.05, 0.0, lab.seed);
        Ok(Self { train: windows.select(&split.train), test: windows.select(&split.valid) })
    }
}

const ADDRESSES: &str = "addresses";
const MOBY: &str = "Moby-Dick";

/// What one way came to with one seed, bits a character.
struct Line {
    way: &'static str,
    /// What was read; learned from are the addresses alone.
    text: &'static str,
    seed: Option<u64>,
    bits: f64,
    /// What kind of number it is.
    kind: &'static str,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let steps = lab.budget.pick(400, 20_000);
    let all = Windows::new(lab)?;
    let test = all.test.select(&(0..lab.budget.pick(128, 1300)).collect::<Vec<_>>());
    let mut lines = by_counting(&all)?;
    let moby = Text::<27>::text8(&shipped::moby_dick()?).windows(LENGTH)?;
    let moby = moby.select(&(0..test.len()).map(|i| i * moby.len() / test.len()).collect::<Vec<_>>());
    lines.extend(by_shipped(ADDRESSES, &test, lab.seed)?);
    lines.extend(by_shipped(MOBY, &moby, lab.seed)?);
    lines.push(Line { text: MOBY, ..by_grams(&all.train, &moby) });
    let root = lab.seed;
    let found = lab.each_seed(SEEDS, |i, say| {
        let seed = root.child("text", i);
        let some = Split::random(all.train.len(), 0.0, 0.0, seed).train;
        let train = all.train.select(&some.iter().copied().cycle().take(steps * BATCH).collect::<Vec<_>>());
        let mut lines = vec![];
        let mut each = |found: Vec<(&'static str, &'static str, f64)>| {
            for (way, kind, bits) in found {
                say(format!("{way}, {bits:.3} bits a character ({kind})"));
                lines.push(Line { way, text: ADDRESSES, seed: Some(i), bits, kind });
            }
        };
        let rows = (&train, &test);
        for (way, lift, density) in FLOWS {
            each(flowed(way, lift, density, rows, seed)?);
        }
        each(diffused(DiffusionKind::Multinomial, rows, seed)?);
        each(diffused(DiffusionKind::Absorbing, rows, seed)?);
        let hmm = Structure::Hmm { states: 64, homogeneous: true };
        let settings = FitCircuit { epochs: 3, batch: 128, ..FitCircuit::new(hmm) };
        let circuit = settings.fit(&train, None, seed)?.0;
        each(vec![("circuit (hmm, 64 states)", "exact", circuit.evidence(&test)?.bits_per_dim()?)]);
        Ok(lines)
    })?;
    lines.extend(found.into_iter().flatten());
    table(lab, &lines)?;
    figure(lab, &lines)?;
    claims(lab, &lines, steps);
    Ok(())
}

/// What needs no network: frequencies of letters, of sequences, and a compressor.
fn by_counting(rows: &Windows) -> Result<Vec<Line>> {
    let line = |way, kind, bits| Line { way, text: ADDRESSES, seed: None, bits, kind };
    let grams = Grams::new(&rows.train, 3);
    let [train, test] = [&rows.train, &rows.test].map(|rows| rows.codes().iter().map(|c| *c as u8).collect::<Vec<_>>());
    let both = [train.clone(), test.clone()].concat();
    let packed = 8.0 * (xz(&both)?.len() - xz(&train)?.len()) as f64 / test.len() as f64;
    Ok(vec![
        line("single letters", "exact", grams.up_to(1).bits(&rows.test)),
        line("3-grams", "exact", grams.up_to(3).bits(&rows.test)),
        by_grams(&rows.train, &rows.test),
        line("xz, after the training windows", "file", packed),
    ])
}

fn by_grams(train: &Discrete, test: &Discrete) -> Line {
    let bits = Grams::new(train, 6).up_to(6).bits(test);
    Line { way: "6-grams", text: ADDRESSES, seed: None, bits, kind: "exact" }
}

/// The model that ships, which has read the training windows thirty times.
fn by_shipped(text: &'static str, test: &Discrete, seed: Seed) -> Result<Vec<Line>> {
    let line = |kind, bits| Line { way: "the model that ships (absorbing)", text, seed: None, bits, kind };
    let model = DiffusionModel::shipped()?;
    let absorbing = model.absorbing().ok_or_else(|| Error::invalid("the model that ships is not absorbing"))?;
    let exact = absorbing.in_order(test, &Order::left_to_right(LENGTH))?.bits_per_dim()?;
    let bound = model.bound(test, 64, seed.child("score", 0))?.bits_per_dim()?;
    Ok(vec![line("bound", bound), line("exact, left to right", exact)])
}

/// An encoder that sees the whole window, and a flow: bounds of one draw and of many.
fn flowed(
    way: &'static str,
    lift: LiftKind,
    density: DensityKind,
    (train, test): (&Discrete, &Discrete),
    seed: Seed,
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    let blocks = if density == DensityKind::Autoregressive { 2 } else { 1 };
    let settings = FitArgmax {
        density,
        width: WIDTH,
        encoder_width: WIDTH,
        blocks,
        epochs: 1,
        batch: BATCH,
        ..FitArgmax::new(lift)
    };
    let (model, _) = settings.fit_with(train, None, Run::new(seed.child(way, 0), &mut quiet))?;
    let bits = |draws: usize| model.bound(test, draws, seed.child("score", 0))?.bits_per_dim();
    Ok(vec![(way, "bound", bits(1)?), (way, "bound of 20 draws", bits(20)?)])
}

fn diffused(
    kind: DiffusionKind,
    (train, test): (&Discrete, &Discrete),
    seed: Seed,
) -> Result<Vec<(&'static str, &'static str, f64)>> {
    let settings = FitDiffusion { width: WIDTH, blocks: 2, epochs: 1, batch: BATCH, ..FitDiffusion::new(kind) };
    let (model, _): (DiffusionModel, _) = settings.fit_with(train, None, Run::new(seed, &mut quiet))?;
    let mut found = vec![(kind.name(), "bound", model.bound(test, 64, seed.child("score", 0))?.bits_per_dim()?)];
    if let Some(absorbing) = model.absorbing() {
        let exact = absorbing.in_order(test, &Order::left_to_right(LENGTH))?.bits_per_dim()?;
        found.push((kind.name(), "exact, left to right", exact));
    }
    Ok(found)
}

fn table(lab: &mut Lab, lines: &[Line]) -> Result<()> {
    let seed = |line: &Line| line.seed.map_or("—".to_string(), |seed| seed.to_string());
    let others = published(&["bits/character", "bits/byte"], |data| data == "text8" || data == "enwik8")?;
    let ours = lines.iter().map(|l| (l.way.to_string(), l.text, seed(l), l.kind.to_string(), l.bits));
    let theirs = others.iter().map(|p| (p.model.clone(), p.data.as_str(), "—".into(), p.source.clone(), p.value));
    let rows: Vec<(String, &str, String, String, f64)> = ours.chain(theirs).collect();
    let table = Table::new()
        .text("way", rows.iter().map(|r| &r.0))?
        .text("text", rows.iter().map(|r| r.1))?
        .text("seed", rows.iter().map(|r| &r.2))?
        .text("kind, or source", rows.iter().map(|r| &r.3))?
        .numbers("bits a character", rows.iter().map(|r| r.4))?;
    lab.table("text-table", table);
    Ok(())
}

fn values(lines: &[Line], way: &str, kind: &str) -> Vec<f64> {
    lines.iter().filter(|l| l.way == way && l.text == ADDRESSES && l.kind == kind).map(|l| l.bits).collect()
}

fn figure(lab: &mut Lab, lines: &[Line]) -> Result<()> {
    let mut dots =
        Dots::new("The addresses, by letters", "bits a character of windows kept back, mean of five seeds ± s.e.");
    let mut ways: Vec<&str> = Vec::new();
    lines.iter().for_each(|l| {
        if !ways.contains(&l.way) {
            ways.push(l.way)
        }
    });
    for way in ways {
        let of_way =
            lines.iter().filter(|l| l.way == way && l.text == ADDRESSES && l.seed.is_none_or(|seed| seed == 0));
        let parts = of_way.map(|line| {
            let (mean, error) = mean_and_error(&values(lines, way, line.kind));
            (line.kind, mean, error)
        });
        dots = dots.with_each(way, parts);
    }
    lab.figure("text", &dots)
}

fn claims(lab: &mut Lab, lines: &[Line], steps: usize) {
    let budget = format!(
        "{steps} steps of {BATCH} windows of {LENGTH} of the addresses in 27 letters, networks {WIDTH} wide; flows of 4 couplings or one autoregressive step"
    );
    let source = "Hoogeboom et al. 2021, §6.1";
    let mut claim = |sentence: &str, source: &str, [a, b]: [(&str, &str); 2]| {
        let gains: Vec<f64> =
            values(lines, a.0, a.1).into_iter().zip(values(lines, b.0, b.1)).map(|(a, b)| a - b).collect();
        let measure = format!("bits a character: {} ({}) − {} ({})", a.0, a.1, b.0, b.1);
        lab.claim(Claim::new(sentence, source, &measure, &gains).budget(&budget));
    };
    let bound = |way| (way, "bound");
    let argmax = "argmax flow, coupling";
    claim(
        "An argmax flow beats uniform dequantisation on text",
        source,
        [bound("uniform dequantisation, coupling"), bound(argmax)],
    );
    claim(
        "An argmax flow beats variational dequantisation on text",
        source,
        [bound("variational dequantisation, coupling"), bound(argmax)],
    );
    claim("Multinomial diffusion beats an argmax coupling flow on text", source, [bound(argmax), bound("multinomial")]);
    claim(
        "An autoregressive argmax flow beats multinomial diffusion on text",
        source,
        [bound("multinomial"), bound("argmax flow, autoregressive")],
    );
    claim(
        "On text, absorbing noise beats uniform noise",
        "Austin et al. 2021, table 1",
        [bound("multinomial"), bound("absorbing")],
    );
    claim(
        "After little training the bound over all orders is lower than the likelihood from left to right",
        "this project: in public one of the two is reported",
        [("absorbing", "exact, left to right"), bound("absorbing")],
    );
}
