//! One segmentation, seven ways: dequantisation twice, argmax flows by three liftings, and diffusion by two kinds of noise; beside
//! them a circuit and a table of counts.

use super::neighbours::Neighbours;
use crate::{
    Result,
    circuits::{FitCircuit, Structure},
    data::{Discrete, Rows, Schema, Split, shipped},
    diffusion::{DensityKind, DiffusionKind, DiffusionModel, FitArgmax, FitDiffusion, LiftKind, NetworkKind},
    experiments::{Claim, Lab, mean_and_error},
    model::HowDrawn,
    plot::{Dots, Table, Tiles},
    random::Seed,
    train::{Fit, Run, quiet},
};

const SEEDS: u64 = 5;
const CLASSES: usize = 6;
/// Every `STRIDE`th cell of a tile of 32 × 64, both ways.
const STRIDE: usize = 4;
const HEIGHT: usize = 32 / STRIDE;
const WIDTH: usize = 64 / STRIDE;
const BATCH: usize = 32;
/// Maps of each way in the figure.
const SHOWN: usize = 6;

const SOFTPLUS: &str = "softplus thresholding";
const GUMBEL: &str = "Gumbel thresholding";
const VARIATIONAL: &str = "variational dequantisation";
const UNIFORM: &str = "uniform dequantisation";
const COUNTS: &str = "counts of two neighbours";

const FLOWS: [(&str, LiftKind); 5] = [
    (UNIFORM, LiftKind::Uniform),
    (VARIATIONAL, LiftKind::Variational),
    (SOFTPLUS, LiftKind::Softplus),
    ("Gumbel", LiftKind::Gumbel),
    (GUMBEL, LiftKind::GumbelThreshold),
];

/// How much each model is given.
#[derive(Clone, Copy)]
struct Effort {
    epochs: u64,
    /// Draws of the tighter bound of a test map.
    draws: usize,
}

/// Training and test maps.
pub(super) struct Maps {
    pub(super) train: Discrete,
    pub(super) test: Discrete,
}

impl Maps {
    pub(super) fn new(seed: Seed) -> Result<Self> {
        let tiles = shipped::relief_tiles()?.discrete();
        let mut codes = Vec::with_capacity(tiles.len() * HEIGHT * WIDTH);
        for tile in tiles.codes().chunks_exact(32 * 64) {
            let rows = tile.chunks_exact(64).step_by(STRIDE);
            codes.extend(rows.flat_map(|row| row.iter().copied().step_by(STRIDE)));
        }
        let maps = Discrete::new(Schema::uniform(&[HEIGHT, WIDTH], CLASSES), codes)?;
        let split = Split::random(maps.len(), 0.0, 0.2, seed);
        Ok(Self { train: maps.select(&split.train), test: maps.select(&split.test) })
    }
}

/// What one way came to with one seed, bits a cell.
#[derive(Clone)]
struct Line {
    way: &'static str,
    seed: u64,
    bound: f64,
    /// A bound from many draws.
    tighter: Option<f64>,
    /// A few maps that it drew.
    drawn: Discrete,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let effort = Effort { epochs: lab.budget.pick(12, 300), draws: lab.budget.pick(20, 1000) };
    let root = lab.seed;
    let found = lab.each_seed(SEEDS, |i, say| {
        let seed = root.child("maps", i);
        let maps = Maps::new(seed)?;
        let mut lines = vec![];
        let mut each = |line: Result<Line>| -> Result<()> {
            let line = Line { seed: i, ..line? };
            let tighter = line.tighter.map_or(String::new(), |bits| format!(", {bits:.3} of many draws"));
            say(format!("{}, {:.3} bits a cell{tighter}", line.way, line.bound));
            lines.push(line);
            Ok(())
        };
        for (way, lift) in FLOWS {
            each(by_flow(way, lift, &maps, effort, seed))?;
        }
        each(by_diffusion(DiffusionKind::Multinomial, &maps, effort, seed))?;
        each(by_diffusion(DiffusionKind::Absorbing, &maps, effort, seed))?;
        each(by_circuit(&maps, effort, seed))?;
        each(by_counting(&maps, seed))?;
        Ok((lines, maps.test.select(&(0..SHOWN).collect::<Vec<_>>())))
    })?;
    let (lines, real): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let lines = lines.concat();
    let table = Table::new()
        .text("way", lines.iter().map(|l| l.way))?
        .counts("seed", lines.iter().map(|l| l.seed as usize))?
        .numbers("bound, bits a cell", lines.iter().map(|l| l.bound))?
        .numbers("bound of many draws (IWBO), bits a cell", lines.iter().map(|l| l.tighter.unwrap_or(f64::NAN)))?
        .counts("draws", lines.iter().map(|l| if l.tighter.is_some() { effort.draws } else { 1 }))?;
    lab.table("maps-table", table);
    figures(lab, &lines, &real[0])?;
    claims(lab, &lines, effort);
    Ok(())
}

/// A number of each seed of a way.
fn values(lines: &[Line], way: &str, what: fn(&Line) -> f64) -> Vec<f64> {
    lines.iter().filter(|l| l.way == way).map(what).collect()
}

fn figures(lab: &mut Lab, lines: &[Line], real: &Discrete) -> Result<()> {
    let mut dots =
        Dots::new("One segmentation, seven ways, a circuit, and counts", "bits a test cell, mean of five seeds ± s.e.");
    let mut tiles = Tiles::new("Relief of the Earth, 8 × 16: test tiles, and what each way draws", SHOWN, 112);
    tiles = tiles.with("test tiles", real)?;
    for line in lines.iter().filter(|l| l.seed == 0) {
        let part = |label, what: fn(&Line) -> f64| {
            let (mean, error) = mean_and_error(&values(lines, line.way, what));
            (label, mean, error)
        };
        let mut parts = vec![part("bound, or exact", |l| l.bound)];
        parts.extend(line.tighter.map(|_| part("bound of many draws", |l| l.tighter.unwrap_or(f64::NAN))));
        dots = dots.with_each(line.way, parts);
        tiles = tiles.with(line.way, &line.drawn)?;
    }
    lab.figure("maps", &dots)?;
    lab.figure("maps-samples", &tiles)
}

fn claims(lab: &mut Lab, lines: &[Line], effort: Effort) {
    let budget = format!(
        "relief tiles of 8 × 16, 948 to learn from, {} epochs in batches of {BATCH}; flows of 8 couplings 32 wide, IWBO of {} draws; diffusion with a U-Net 16 wide",
        effort.epochs, effort.draws
    );
    let source = "Hoogeboom et al. 2021, §6.2";
    let differences = |a: &str, b: &str, what: fn(&Line) -> f64| -> Vec<f64> {
        values(lines, a, what).into_iter().zip(values(lines, b, what)).map(|(a, b)| a - b).collect()
    };
    let bound: fn(&Line) -> f64 = |l| l.bound;
    let tighter: fn(&Line) -> f64 = |l| l.tighter.unwrap_or(f64::NAN);
    let mut claim = |sentence: &str, measure: &str, values: &[f64]| {
        lab.claim(Claim::new(sentence, source, measure, values).budget(&budget));
    };
    claim(
        "An argmax flow beats variational dequantisation on maps",
        "ELBO in bits a cell, variational dequantisation − softplus thresholding",
        &differences(VARIATIONAL, SOFTPLUS, bound),
    );
    claim(
        "An argmax flow beats uniform dequantisation on maps",
        "ELBO in bits a cell, uniform dequantisation − softplus thresholding",
        &differences(UNIFORM, SOFTPLUS, bound),
    );
    let elbo = differences(GUMBEL, SOFTPLUS, bound);
    let iwbo = differences(SOFTPLUS, GUMBEL, tighter);
    let both: Vec<f64> = elbo.into_iter().zip(iwbo).map(|(a, b)| a.min(b)).collect();
    claim(
        "Softplus thresholding has the better ELBO and Gumbel thresholding the better IWBO",
        "the smaller of: ELBO in bits a cell, Gumbel − softplus; IWBO, softplus − Gumbel",
        &both,
    );
    claim(
        "Diffusion beats argmax flows on maps",
        "bound in bits a cell, softplus thresholding − multinomial",
        &differences(SOFTPLUS, "multinomial", bound),
    );
    claim(
        "On maps, absorbing noise beats uniform noise",
        "bound in bits a cell, multinomial − absorbing",
        &differences("multinomial", "absorbing", bound),
    );
    let measure = "bits a cell, counts of the cells to the left and above − bound of multinomial diffusion";
    let gains = differences(COUNTS, "multinomial", bound);
    let sentence = "Diffusion beats counting what follows two neighbours on maps";
    lab.claim(Claim::new(sentence, "this project", measure, &gains).budget(&budget));
}

/// A flow of numbers that cells are lifted to by a U-Net.
fn by_flow(way: &'static str, lift: LiftKind, maps: &Maps, effort: Effort, seed: Seed) -> Result<Line> {
    let settings = FitArgmax {
        density: DensityKind::Map,
        width: 32,
        encoder_width: 8,
        heads: 2,
        epochs: effort.epochs,
        batch: BATCH,
        ..FitArgmax::new(lift)
    };
    let (model, _) = settings.fit_with(&maps.train, None, Run::new(seed.child(way, 0), &mut quiet))?;
    let bits = |draws: usize| model.bound(&maps.test, draws, seed.child("score", 0))?.bits_per_dim();
    let (bound, tighter) = (bits(1)?, bits(effort.draws)?);
    Ok(Line { way, seed: 0, bound, tighter: Some(tighter), drawn: model.rows(SHOWN, seed)? })
}

/// Diffusion with a U-Net.
pub(super) fn denoiser(kind: DiffusionKind, maps: &Maps, epochs: u64, seed: Seed) -> Result<DiffusionModel> {
    let settings = FitDiffusion {
        network: NetworkKind::UNet,
        width: 16,
        blocks: 2,
        epochs,
        batch: BATCH,
        ..FitDiffusion::new(kind)
    };
    Ok(settings.fit_with(&maps.train, None, Run::new(seed, &mut quiet))?.0)
}

fn by_diffusion(kind: DiffusionKind, maps: &Maps, effort: Effort, seed: Seed) -> Result<Line> {
    let model = denoiser(kind, maps, effort.epochs, seed)?;
    let bound = model.bound(&maps.test, 16, seed.child("score", 0))?.bits_per_dim()?;
    let drawn = model.draw(&Discrete::all_missing(maps.test.schema().clone(), SHOWN), &HowDrawn::default(), seed)?;
    Ok(Line { way: kind.name(), seed: 0, bound, tighter: None, drawn })
}

/// A circuit, whose likelihood is exact.
fn by_circuit(maps: &Maps, effort: Effort, seed: Seed) -> Result<Line> {
    let settings = FitCircuit { epochs: effort.epochs, batch: BATCH, ..FitCircuit::new(Structure::hclt(16)) };
    let (circuit, _) = settings.fit(&maps.train, None, seed)?;
    let bound = circuit.evidence(&maps.test)?.bits_per_dim()?;
    Ok(Line { way: "circuit (hclt)", seed: 0, bound, tighter: None, drawn: circuit.sample(SHOWN, seed)? })
}

/// What needs no training.
fn by_counting(maps: &Maps, seed: Seed) -> Result<Line> {
    let counts = Neighbours::new(&maps.train, WIDTH);
    let drawn = counts.sample(&maps.test, SHOWN, seed)?;
    Ok(Line { way: COUNTS, seed: 0, bound: counts.bits(&maps.test), tighter: None, drawn })
}
