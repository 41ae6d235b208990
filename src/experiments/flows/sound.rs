//! Parallel WaveNet on a sound.

use crate::{
    Result,
    data::{Sound, shipped},
    distill::ParallelDistiller,
    experiments::Lab,
    flows::{Base, Bijection, Bounded, Flow, FlowLearner, Inverse, Logistic, Normal, Stack, TableFlow, Wave},
    math::mean_and_deviation,
    nn::optim::{AdamConfig, Schedule},
    plot::{Axis, Lines, Series, Table},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::tensor::Cpu;

type Waves = Stack<Wave<usize, Bounded>>;

/// Moments of a piece: 16 ms.
const PIECE: usize = 128;
/// Deviation of the noise that gives whole numbers a density.
const NOISE: f64 = 0.005;

fn waves(layers: usize, hidden: usize, seed: Seed) -> Result<Waves> {
    let device = Cpu::seed_from_u64(seed.0);
    (0..layers).map(|_| Wave::new(&device, 6, hidden)).collect::<Result<_>>().map(Stack::new)
}

fn adam(steps: u64) -> AdamConfig {
    AdamConfig { rate: Schedule::constant(3e-3).cosine(steps, 0.02), clip: Some(5.0), ..AdamConfig::default() }
}

/// A teacher of a sound and its students, with draws of the inner expectation and without.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let sound = shipped::sound("complete")?.with_noise(NOISE, lab.seed);
    let part = |range: std::ops::Range<usize>| Sound::new(sound.samples()[range].to_vec(), sound.rate());
    // What comes before is silence and the stroke; what comes after dies away.
    let (rows, test) = (part(400..3400)?.pieces(PIECE, 4)?, part(3400..4400)?.pieces(PIECE, 8)?);
    lab.say("a teacher of a sound");
    let steps = lab.budget.pick(200, 4000);
    let flow = Flow::normal(waves(2, 16, lab.seed.child("teacher", 0))?);
    let mut learner = FlowLearner::new(&Cpu::default(), flow, PIECE, &rows, None, adam(steps))?;
    let epochs = steps.div_ceil(rows.len().div_ceil(32) as u64);
    train(&mut learner, &Plan::new(epochs, 32, lab.seed), &mut quiet)?;
    let teacher = learner.into_model();
    let mut lines =
        Lines::new("A student of a sound, by draws inside", "steps", "KL(student ‖ teacher), nats a moment")
            .axes(Axis::Linear, Axis::Log)
            .markers();
    let mut found = Vec::new();
    let mut students = Vec::new();
    for draws in [1, 8] {
        lab.say(format!("a student, draws inside: {draws}"));
        let start = Flow { bijection: Inverse(waves(4, 16, lab.seed.child("student", 0))?), base: Logistic };
        let mut distiller = ParallelDistiller::new(&Cpu::default(), teacher.flow(), start, PIECE, draws, adam(steps))?;
        let judge =
            |student: &ParallelDistiller<'_, usize, Waves, Waves>| mean_and_deviation(&student.estimates(200, Seed(1)));
        let before = judge(&distiller).0 / PIECE as f64;
        let mut curve = Vec::new();
        let every = steps / 5;
        for round in 0..5 {
            train(&mut distiller, &Plan::steps(every, 16, lab.seed.child("round", round)), &mut quiet)?;
            curve.push((((round + 1) * every) as f64, judge(&distiller).0 / PIECE as f64));
        }
        let (mean, deviation) = judge(&distiller);
        found.push((before, mean / PIECE as f64, deviation / PIECE as f64));
        lines = lines.with(Series::new(&format!("draws: {draws}"), curve));
        students.push(distiller.into_model());
    }
    lab.figure("flows-sound", &lines)?;
    let heard = |name: &str, values: Vec<f64>, at: f64| {
        let points = values.into_iter().enumerate().map(move |(t, x)| (t as f64 / 8.0, x + at));
        Series::new(name, points)
    };
    let framed = |z: Vec<f32>| -> Vec<f64> {
        z.into_iter().zip(teacher.frame()).map(|(z, (mean, deviation))| mean + deviation * f64::from(z)).collect()
    };
    let z = Logistic.sample((1, PIECE), &Cpu::default(), &mut lab.seed.stream("heard", 0));
    let drawn = framed(students[1].bijection.inverse(z).0.as_vec());
    let below = "sample (the teacher's less 1, the student's less 2)";
    let pictures = Lines::new("A sound, and what two flows draw", "milliseconds", below)
        .with(heard("the sound", rows.row(0).to_vec(), 0.0))
        .with(heard("the teacher", teacher.sample(1, lab.seed)?.row(0).to_vec(), -1.0))
        .with(heard("the student", drawn, -2.0));
    lab.figure("flows-sound-pieces", &pictures)?;
    let own = teacher.evidence(&test)?;
    let plain = TableFlow::started(
        &Cpu::default(),
        Flow { bijection: Stack::<Wave<usize, Bounded>>::new(vec![]), base: Normal },
        PIECE,
        &rows,
    )?;
    let nats = |mean: f64| mean / PIECE as f64;
    let table = Table::new()
        .text("flow", ["independent moments", "teacher", "student, 1 draw", "student, 8 draws"])?
        .numbers(
            "nats a moment of the next eighth of a second",
            [nats(plain.evidence(&test)?.mean()), nats(own.mean()), f64::NAN, f64::NAN],
        )?
        .numbers("KL to the teacher before learning, nats a moment", [f64::NAN, 0.0, found[0].0, found[1].0])?
        .numbers("KL to the teacher, nats a moment", [f64::NAN, 0.0, found[0].1, found[1].1])?
        .numbers("deviation of an estimate of it", [f64::NAN, f64::NAN, found[0].2, found[1].2])?;
    lab.table("flows-sound-table", table);
    Ok(())
}
