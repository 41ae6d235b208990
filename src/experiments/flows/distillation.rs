//! Flows distilled into flows.

use crate::{
    Error, Result,
    data::{Continuous, Oracle},
    distill::{Divergence, FlowDistiller, divergence},
    experiments::{Claim, Lab},
    flows::{Autoregressive, Bounded, Flow, FlowLearner, Inverse, Permute, Stack, TableFlow},
    nn::optim::{AdamConfig, Schedule},
    notebook::Budget,
    plot::{Axis, Lines, Series, Table},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::tensor::Cpu;
use std::f64::consts::TAU;

/// Seeds of the three ways.
const SEEDS: u64 = 5;

/// Masked autoregressive layers, which is the teacher; turned round, the student.
pub(super) type Mafs = Stack<(Autoregressive<usize, Bounded>, Permute<usize>)>;

pub(super) fn mafs(d: usize, layers: usize, hidden: usize, seed: Seed) -> Result<Mafs> {
    let device = Cpu::seed_from_u64(seed.0);
    let layer = || Ok::<_, Error>((Autoregressive::new(&device, d, hidden)?, Permute::reversed(&device, d)?));
    (0..layers).map(|_| layer()).collect::<Result<_>>().map(Stack::new)
}

fn adam(steps: u64) -> AdamConfig {
    AdamConfig { rate: Schedule::constant(2e-3).cosine(steps, 0.01), clip: Some(5.0), ..AdamConfig::default() }
}

/// A teacher that has learned these rows.
pub(super) fn teacher(rows: &Continuous, flow: Mafs, steps: u64, seed: Seed) -> Result<TableFlow<usize, Mafs>> {
    let mut learner =
        FlowLearner::new(&Cpu::default(), Flow::normal(flow), rows.names().len(), rows, None, adam(steps))?;
    let epochs = steps.div_ceil(rows.len().div_ceil(256) as u64);
    train(&mut learner, &Plan::new(epochs, 256, seed), &mut quiet)?;
    Ok(learner.into_model())
}

/// A student, and its divergence from the teacher by step.
pub(super) type Distilled = (Flow<Inverse<Mafs>>, Vec<(f64, f64)>);

/// A student after `steps`, and its divergence from the teacher at the start and after every `every`.
pub(super) fn student(
    teacher: &Flow<Mafs>,
    (d, layers, hidden): (usize, usize, usize),
    by: Divergence,
    (steps, every): (u64, u64),
    seed: Seed,
) -> Result<Distilled> {
    const BATCH: usize = 256;
    let start = Flow::normal(Inverse(mafs(d, layers, hidden, seed.child("student", 0))?));
    let mut distiller = FlowDistiller::new(&Cpu::default(), teacher, start, d, by, adam(steps))?;
    let kl =
        |student: &Flow<_>| divergence(&Cpu::default(), student, teacher, (2000, d), seed.child("divergence", 0)).0;
    let mut curve = vec![(1.0, kl(distiller.model()))];
    for round in 0..steps / every {
        train(&mut distiller, &Plan::steps(every, BATCH, seed.child("round", round)), &mut quiet)?;
        curve.push((((round + 1) * every) as f64, kl(distiller.model())));
    }
    Ok((distiller.into_model(), curve))
}

/// What a student has come to.
struct Reached {
    /// The divergence from its teacher by step.
    curve: Vec<(f64, f64)>,
    /// Nats above the entropy of the data.
    gap: f64,
    modes: usize,
}

impl Reached {
    fn kl(&self) -> f64 {
        self.curve[self.curve.len() - 1].1
    }
}

/// Of the eight modes, those that have a quarter of their share at least.
fn covered(points: &Continuous) -> usize {
    let mut counts = [0_usize; 8];
    for i in 0..points.len() {
        let row = points.row(i);
        let angle = row[1].atan2(row[0]).rem_euclid(TAU);
        counts[(angle / TAU * 8.0).round() as usize % 8] += 1;
    }
    counts.iter().filter(|count| **count * 32 >= points.len()).count()
}

/// By forward, reverse and mixed divergence: how near the student comes to its teacher, to the data, and to all modes.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let ways = [("reverse", Divergence::Reverse), ("forward", Divergence::Forward), ("mixed", Divergence::Mixed(0.5))];
    let (steps, every) = (lab.budget.pick(300, 2000), lab.budget.pick(25, 100));
    let mut lines = Lines::new(
        "A flow distilled on moons, three ways",
        "steps",
        "KL(student ‖ teacher), nats, median of five seeds",
    )
    .axes(Axis::Log, Axis::Log)
    .markers();
    let mut found = Vec::new();
    for oracle in [Oracle::Moons, Oracle::Gaussians] {
        let (rows, test) = (oracle.sample(4000, lab.seed)?, oracle.sample(4000, lab.seed.child("test", 0))?);
        // What each way reaches on every seed; and gap and modes of the teachers.
        let mut reached = [const { Vec::new() }; 3];
        let mut teachers = Vec::new();
        for i in 0..SEEDS {
            let seed = lab.seed.child("distillation", i);
            lab.say(format!("a teacher of {} and its students, seed {i}", oracle.name()));
            let teacher = teacher(&rows, mafs(2, 5, 64, seed.child("teacher", 0))?, steps, seed)?;
            teachers.push((oracle.gap(&teacher.evidence(&test)?), covered(&teacher.sample(4000, seed)?)));
            for ((_, by), reached) in ways.iter().zip(&mut reached) {
                let (student, curve) = student(teacher.flow(), (2, 5, 64), *by, (steps, every), seed)?;
                let student =
                    TableFlow::framed(&Cpu::default(), student, 2, rows.schema().clone(), teacher.frame().to_vec())?;
                let gap = oracle.gap(&student.evidence(&test)?);
                reached.push(Reached { curve, gap, modes: covered(&student.sample(4000, seed)?) });
            }
        }
        let gap = sorted(teachers.iter().map(|t| t.0));
        let modes = sorted(teachers.iter().map(|t| t.1 as f64));
        found.push((oracle, "the teacher", [0.0; 3], middle(&gap), middle(&modes)));
        for ((name, _), reached) in ways.iter().zip(&reached) {
            let kl = sorted(reached.iter().map(Reached::kl));
            let gap = middle(&sorted(reached.iter().map(|r| r.gap)));
            let modes = middle(&sorted(reached.iter().map(|r| r.modes as f64)));
            if oracle == Oracle::Moons {
                let at = |i: usize| (reached[0].curve[i].0, middle(&sorted(reached.iter().map(|r| r.curve[i].1))));
                // Before, some samples lie where the teacher has nothing: a number without a meaning.
                let points = (0..reached[0].curve.len()).map(at).filter(|(step, _)| *step >= 100.0);
                lines = lines.with(Series::new(name, points));
            }
            found.push((oracle, name, [kl[0], middle(&kl), kl[kl.len() - 1]], gap, modes));
        }
        if lab.budget == Budget::Full && oracle == Oracle::Moons {
            for way in [0, 2] {
                let below: Vec<f64> = reached[way].iter().map(|r| 0.143 - r.kl()).collect();
                let goal = "A student comes within 0.143 nats of its teacher on moons in 2000 steps";
                let sentence = format!("{goal} by the {} divergence", ways[way].0);
                let measure = "0.143 − KL(student ‖ teacher), nats";
                let claim = Claim::new(&sentence, "van den Oord et al. 2018", measure, &below);
                lab.claim(claim.budget(format!("{steps} steps")).threshold("this project's (0.143 nats)"));
            }
        }
    }
    lab.figure("flows-distillation", &lines)?;
    let modes = |(oracle, .., modes): &(Oracle, &str, [f64; 3], f64, f64)| match oracle {
        Oracle::Gaussians => *modes,
        _ => f64::NAN,
    };
    let nats = "KL to the teacher (nats)";
    let table = Table::new()
        .text("density", found.iter().map(|r| r.0.name()))?
        .text("flow", found.iter().map(|r| r.1))?
        .numbers(&format!("{nats}, least of {SEEDS} seeds"), found.iter().map(|r| r.2[0]))?
        .numbers(&format!("{nats}, median"), found.iter().map(|r| r.2[1]))?
        .numbers(&format!("{nats}, most"), found.iter().map(|r| r.2[2]))?
        .numbers("nats above the entropy of the data, median", found.iter().map(|r| r.3))?
        .numbers("modes covered of 8, median", found.iter().map(modes))?;
    lab.table("flows-distillation-table", table);
    Ok(())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The median of an odd number of sorted values: a student that puts one sample where its teacher has nothing has no mean to speak
/// of.
fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
