//! Teachers of different families, and none: what each sees in a digit becomes a label by K-means, and the labels a circuit.
//!
//! `grown` is a circuit that grows to as many heads as there are clusters, by the features; `one-shot` one as large or larger with a
//! head for each, learned from its digits. Both are then mixed, and learn as a whole.

use super::pipeline::{Pictures, Pipeline, unwatched};
use crate::{
    Result,
    circuits::{Circuit, Em, FitCircuit, Structure},
    data::{Continuous, Discrete, Rows},
    experiments::{Claim, Lab, mean_and_error},
    flows::{FitFlow, FlowKind},
    growth::{Growing, Learn, More},
    linalg::KMeans,
    nn::optim::{AdamConfig, Schedule},
    plot::{Dots, Table},
    random::Seed,
    teachers::{Decoder, DiscretisedLogistic, Teacher, Vae, VaeLearner},
    train::{Fit, Plan, quiet, train},
};
use dfdx::tensor::Cpu;
use rand::RngExt;

const SEEDS: u64 = 5;
const HEADS: usize = 8;
const STATES: usize = 4;
/// In the order of the figure; the first two are no models.
const NAMES: [&str; 6] = ["nobody (random)", "the pixels", "vae", "flow (realnvp)", "vq-vae", "masked autoencoder"];

/// What one teacher came to with one seed: parameters, and nats a test picture as learned and once tuned.
struct Line {
    teacher: usize,
    grown: bool,
    seed: u64,
    parameters: usize,
    learned: f64,
    tuned: f64,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let pipeline = Pipeline { heads: HEADS, states: STATES, ..Pipeline::usual(lab.budget) };
    let mut lines = Vec::new();
    for i in 0..SEEDS {
        lab.say(format!("teachers of different families, seed {i}"));
        let seed = lab.seed.child("students", i);
        let rows = Pictures::digits(seed)?;
        for (teacher, features) in features(&pipeline, &rows, seed)?.into_iter().enumerate() {
            let mut size = 0;
            for grown in [true, false] {
                let circuit = student(&pipeline, &rows.train, &features, (!grown).then_some(size), seed)?;
                size = circuit.parameters();
                let (parameters, learned) = (circuit.parameters(), circuit.evidence(&rows.test)?.mean());
                let tuned = pipeline.tune(circuit, &rows, seed)?.evidence(&rows.test)?.mean();
                lines.push(Line { teacher, grown, seed: i, parameters, learned, tuned });
            }
        }
    }
    let table = Table::new()
        .text("teacher", lines.iter().map(|l| NAMES[l.teacher]))?
        .text("labels", lines.iter().map(|l| way(l.grown)))?
        .counts("seed", lines.iter().map(|l| l.seed as usize))?
        .counts("parameters", lines.iter().map(|l| l.parameters))?
        .numbers("test, as learned, nats", lines.iter().map(|l| l.learned))?
        .numbers("test, tuned as a whole, nats", lines.iter().map(|l| l.tuned))?;
    lab.table("students-teachers-table", table);
    figure(lab, &lines)?;
    claims(lab, &lines, &pipeline);
    Ok(())
}

fn way(grown: bool) -> &'static str {
    if grown { "grown" } else { "one-shot" }
}

/// Of each teacher what it sees in every training picture.
fn features(pipeline: &Pipeline, rows: &Pictures, seed: Seed) -> Result<Vec<Continuous>> {
    let pictures = &rows.train;
    let names = |width: usize| (0..width).map(|i| format!("h{i}")).collect::<Vec<_>>();
    let mut rng = seed.stream("nobody", 0);
    let random = Continuous::new(names(2), (0..2 * pictures.len()).map(|_| rng.random()).collect())?;
    let pixels = reals(pictures)?;

    let vae = Vae::<DiscretisedLogistic<17>>::new(&Cpu::seed_from_u64(seed.child("vae", 0).0), 64, 64, 8)?;
    let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(100.0), ..AdamConfig::default() };
    let mut learner = VaeLearner::new(vae, pictures, None, adam, seed)?;
    train(&mut learner, &Plan::new(pipeline.taught, 64, seed), &mut quiet)?;
    let vae = learner.into_model().features(pictures)?;

    let noisy = |rows: &Discrete| Ok::<_, crate::Error>(reals(rows)?.dequantised(seed));
    let settings = FitFlow { layers: 4, epochs: pipeline.taught, ..FitFlow::new(FlowKind::RealNvp) };
    let flow = settings.fit_with(&noisy(pictures)?, Some(&noisy(&rows.valid)?), unwatched(seed, &mut quiet))?.0;
    // Each value in the middle of its noise.
    let middle =
        reals(pictures)?.centred_in(&pixels.schema().variables.iter().map(|v| v.name.clone()).collect::<Vec<_>>());
    let flow = flow.features(&middle)?;

    // Of a picture what is seen in its squares, side by side.
    let whole = |teacher: &dyn Teacher| {
        let all: Vec<usize> = (0..pictures.len()).collect();
        let seen = teacher.features_of(pictures, &all)?.into_iter().map(f64::from).collect();
        Continuous::new(names(teacher.parts() * teacher.width()), seen)
    };
    let vq_vae = whole(&*pipeline.vq_vae(rows, Decoder::Independent, seed)?)?;
    let masked = whole(&*pipeline.masked_autoencoder(rows, seed)?)?;
    Ok(vec![random, pixels, vae, flow, vq_vae, masked])
}

/// The values of pixels as real numbers.
fn reals(rows: &Discrete) -> Result<Continuous> {
    let names = rows.schema().variables.iter().map(|v| v.name.clone()).collect();
    Continuous::new(names, rows.codes().iter().map(|code| f64::from(*code)).collect())
}

/// A circuit over whole pictures with a head for each cluster of features, mixed: one that grows, or one of that size with heads from
/// the start.
fn student(
    pipeline: &Pipeline,
    rows: &Discrete,
    features: &Continuous,
    one_shot: Option<usize>,
    seed: Seed,
) -> Result<Circuit> {
    let em = Em { pseudocount: 0.1, ..Em::default() };
    let unused = if one_shot.is_none() { 1e-4 } else { 0.0 };
    let learn = Learn { epochs: pipeline.learned, batch: 128, em, unused };
    let start = |states, heads| FitCircuit::new(Structure::hclt(states)).start_heads(rows, heads, seed);
    let Some(size) = one_shot else {
        let growing = Growing { clusters: HEADS, learn, more: More::Double, ..Growing::default() };
        let grown = growing.run(start(STATES, 1)?, (rows, features), None, unwatched(seed, &mut quiet))?;
        return grown.mixed();
    };
    let mut circuit = start(STATES, HEADS)?;
    for states in STATES + 1.. {
        if circuit.parameters() >= size {
            break;
        }
        circuit = start(states, HEADS)?;
    }
    let clusters = KMeans::new(HEADS).fit(features, seed)?;
    let circuit = learn.run(circuit, rows, &clusters.labels, unwatched(seed, &mut quiet))?.0;
    let mut counts = vec![0.0; HEADS];
    clusters.labels.iter().for_each(|label| counts[*label as usize] += 1.0);
    circuit.mixed(&counts)
}

fn values(lines: &[Line], teacher: usize, grown: bool, what: fn(&Line) -> f64) -> Vec<f64> {
    lines.iter().filter(|l| l.teacher == teacher && l.grown == grown).map(what).collect()
}

/// By how much each seed is better with a teacher than with random labels.
fn gains(lines: &[Line], teacher: usize, grown: bool, what: fn(&Line) -> f64) -> Vec<f64> {
    let [with, without] = [teacher, 0].map(|teacher| values(lines, teacher, grown, what));
    with.iter().zip(without).map(|(a, b)| a - b).collect()
}

fn figure(lab: &mut Lab, lines: &[Line]) -> Result<()> {
    let axis = "more than with random labels, nats a test digit, mean of five seeds ± s.e.";
    let mut dots = Dots::new("What teachers of different families are worth", axis);
    for (teacher, name) in NAMES.iter().enumerate().skip(1) {
        let part = |label, grown, what: fn(&Line) -> f64| {
            let (mean, error) = mean_and_error(&gains(lines, teacher, grown, what));
            (label, mean, error)
        };
        dots = dots
            .with_each(name, [part("one-shot, tuned", false, |l| l.tuned), part("grown, tuned", true, |l| l.tuned)]);
    }
    lab.figure("students-teachers", &dots)
}

fn claims(lab: &mut Lab, lines: &[Line], pipeline: &Pipeline) {
    let budget = format!(
        "digits 8 × 8, {HEADS} clusters of whole pictures, circuits of some 25 to 31 thousand parameters, as they grew; teachers {} epochs, heads {} epochs a round, tuned {} with early stopping",
        pipeline.taught, pipeline.learned, pipeline.tuned
    );
    let source = "this project: teachers of different families have not been compared";
    for (teacher, sentence) in [
        (2, "The latents of a VAE teach a circuit better than random labels do"),
        (3, "The latents of a flow teach a circuit better than random labels do"),
        (4, "The codes of a VQ-VAE teach a circuit better than random labels do"),
        (5, "What a masked autoencoder sees teaches a circuit better than random labels do"),
    ] {
        let gains = gains(lines, teacher, true, |l| l.tuned);
        let measure = format!("grown, tuned: {} − {}, nats a test digit", NAMES[teacher], NAMES[0]);
        lab.claim(Claim::new(sentence, source, &measure, &gains).budget(&budget));
    }
}
