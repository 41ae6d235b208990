//! Learning an energy too fast: FRAME beside wFRAME, and where each can be used.

use super::{Net, adam};
use crate::{
    Result,
    data::{Batches, Discrete, Schema},
    experiments::{Claim, Lab, mean_and_error},
    frame::{
        Contrast, Energy, Estimator, Head, Particles, Transport,
        diagnostics::{Pulse, Watch},
        samplers::{Chains, Ula},
    },
    nn::Grid,
    plot::{Axis, Lines, Series, Table, Tiles},
    random::Seed,
    train::{Clock, GradientLearner, Learner},
};
use dfdx::tensor::Cpu;
use rand::RngExt;

const SEEDS: u64 = 5;
/// Height and width of the pictures.
const SIDE: usize = 12;
const DIMS: usize = SIDE * SIDE;
const PICTURES: usize = 64;
const CHAINS: usize = 16;
/// Steps of learning, and of the chains for each.
const STEPS: u64 = 300;
const WALK: usize = 10;
/// From the darkest pixel of the data to the brightest.
const RANGE: f64 = 2.0;

/// Waves of one direction and length, their crests anywhere.
fn waves(seed: Seed) -> Vec<f32> {
    let mut rng = seed.stream("waves", 0);
    let mut pixels = Vec::with_capacity(PICTURES * DIMS);
    for _ in 0..PICTURES {
        let phase = rng.random::<f64>() * std::f64::consts::TAU;
        let at = |v: usize| 1.1 * (v % SIDE) as f64 + 0.7 * (v / SIDE) as f64;
        pixels.extend((0..DIMS).map(|v| (at(v) + phase).sin() as f32));
    }
    pixels
}

/// What a run is told.
#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Adam's rate.
    rate: f64,
    /// `ε`: a chain's step is `h = ε²/2`.
    epsilon: f64,
    transport: Option<Transport>,
}

/// What a run has come to.
struct Run {
    pulses: Vec<Pulse>,
    /// The first chains after some steps of learning.
    shown: Vec<(u64, Vec<f32>)>,
    /// Whether it collapsed on the way.
    collapsed: bool,
}

impl Run {
    /// The mean amount of the gap over the last hundred steps; none where learning broke off.
    fn gap(&self) -> Option<f64> {
        let last = self.pulses.len() == STEPS as usize;
        last.then(|| self.pulses[STEPS as usize - 100..].iter().map(|p| p.gap().abs()).sum::<f64>() / 100.0)
    }
}

fn learn(setting: Setting, show: &[u64], seed: Seed) -> Result<Run> {
    let data = waves(seed);
    let grid = Grid { channels: 1, height: SIDE, width: SIDE };
    let device = Cpu::seed_from_u64(seed.child("network", 0).0);
    let law = Energy::new(&device, Net::new(&device, grid, &[16, 16], Head::Places)?, 1.0)?;
    let h = 0.5 * setting.epsilon * setting.epsilon;
    let particles = Particles { walk: Ula::new(h)?, steps: WALK, restarts: 0.0 };
    let chains = Chains::normal(CHAINS, DIMS, 1.0, seed.child("chains", 0))?;
    let contrast = Contrast::new(&data, chains, particles, setting.transport)?;
    let mut learner = GradientLearner::of(contrast, law, adam(setting.rate))?;
    let mut watch = Watch::new(RANGE, h, DIMS);
    let (mut shown, mut collapsed) = (vec![], false);
    let mut batches = (1..).flat_map(|epoch| Batches::new(PICTURES, (CHAINS, 1), seed, epoch));
    for step in 1..=STEPS {
        let batch = batches.next().unwrap_or_default();
        let made = learner.step(&batch, &Clock { step, steps: STEPS, epoch: 1, seed });
        // A chain that has come to where nothing can be evaluated ends a run: that is what is looked for.
        if made.is_err() {
            collapsed = true;
            break;
        }
        if learner.objective().pulse().and_then(|pulse| watch.see(pulse)).is_some() {
            collapsed = true;
        }
        if show.contains(&step) {
            shown.push((step, learner.objective().chains().points()[..8 * DIMS].to_vec()));
        }
    }
    Ok(Run { pulses: learner.objective().pulses(), shown, collapsed })
}

/// Plain FRAME runs away at this rate.
const FAST: f64 = 0.003;
const EPSILON: f64 = 0.1;

fn wframe(weight: f64) -> Option<Transport> {
    Some(Transport { estimator: Estimator::GradNorm, weight, ..Transport::default() })
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    beside(lab)?;
    map(lab)
}

/// Both at one setting: what chains look like, the gaps, and the slopes, whose squares are what a flow downhill dissipates.
fn beside(lab: &mut Lab) -> Result<()> {
    const SHOWN: [u64; 5] = [1, 20, 60, 150, 300];
    let methods = [("FRAME", None), ("wFRAME (derived here), λ = 0.01", wframe(0.01))];
    let root = lab.seed;
    let of = |transport| Setting { rate: FAST, epsilon: EPSILON, transport };
    let runs = lab.each_seed(SEEDS, |i, say| {
        let both = methods.map(|(name, transport)| {
            let run = learn(of(transport), &SHOWN, root.child("stability", i));
            if let Ok(run) = &run {
                say(format!("{name}: gap {:.3e}", run.gap().unwrap_or(f64::INFINITY)));
            }
            run
        });
        let [frame, wframe] = both;
        Ok([frame?, wframe?])
    })?;
    let mut tiles = Tiles::new("Eight chains after steps of learning, FRAME above, wFRAME below", 8, 56);
    for (m, (name, _)) in methods.iter().enumerate() {
        for (step, points) in &runs[0][m].shown {
            let level = |x: &f32| ((f64::from(*x).clamp(-2.0, 2.0) + 2.0) * 63.75).round() as u16;
            let codes = points.iter().map(level).collect();
            let pictures = Discrete::new(Schema::uniform(&[SIDE, SIDE], 256), codes)?;
            tiles = tiles.with(&format!("{name}, {step}"), &pictures)?;
        }
    }
    lab.figure("frame-stability", &tiles)?;
    let curves = |title: &str, what: &str, of_pulse: fn(&Pulse) -> f64| {
        let y = format!("{what}, geometric mean of five seeds");
        let lines = Lines::new(title, "step of learning", &y).axes(Axis::Linear, Axis::Log);
        methods.iter().enumerate().fold(lines, |lines, (m, (name, _))| {
            let points = (0..STEPS as usize).step_by(5).filter_map(|step| {
                // A geometric mean: a run that has gone wild does not hide the others.
                let amount = |pulse| of_pulse(pulse).abs().max(1e-3).ln();
                let logs: Option<Vec<f64>> = runs.iter().map(|run| run[m].pulses.get(step).map(amount)).collect();
                logs.map(|logs| ((step + 1) as f64, mean_and_error(&logs).0.exp()))
            });
            lines.with(Series::new(name, points))
        })
    };
    lab.figure("frame-gaps", &curves("How far the scores of data and of chains are apart", "gap of Φ", Pulse::gap))?;
    lab.figure(
        "frame-slopes",
        &curves("How steep the law is where its chains are", "slope of log p", |pulse| pulse.slope),
    )?;
    let ratios: Vec<f64> = runs
        .iter()
        .map(|[frame, wframe]| {
            let gap = |run: &Run| run.gap().unwrap_or(1e9).log10();
            gap(frame) - gap(wframe) - 2.0
        })
        .collect();
    let claim = Claim::new(
        "FRAME's energy runs away at a setting where wFRAME's stays bounded",
        "Cai et al. 2019",
        "log10 of FRAME's mean gap over the last 100 steps − that of wFRAME (derived here, GradNorm, λ = 0.01) − 2",
        &ratios,
    );
    let budget =
        format!("64 waves of 12 × 12, {STEPS} steps of Adam at {FAST}, 16 chains, 10 Langevin steps of ε = {EPSILON}");
    lab.claim(claim.budget(budget).threshold("this project: a hundred times"));
    Ok(())
}

/// Where a run is of use, by its rate, its step and its weight.
fn map(lab: &mut Lab) -> Result<()> {
    const RATES: [f64; 4] = [0.0003, 0.001, 0.003, 0.01];
    const EPSILONS: [f64; 3] = [0.03, 0.1, 0.2];
    const WEIGHTS: [f64; 3] = [0.0, 0.01, 0.1];
    let root = lab.seed;
    let found = lab.each_seed(SEEDS, |i, say| {
        let mut all = vec![];
        for weight in WEIGHTS {
            for rate in RATES {
                for epsilon in EPSILONS {
                    let transport = if weight > 0.0 { wframe(weight) } else { None };
                    let run = learn(Setting { rate, epsilon, transport }, &[], root.child("stability", i))?;
                    all.push((weight, rate, epsilon, !run.collapsed));
                }
            }
            let usable = all.iter().filter(|(w, _, _, usable)| *w == weight && *usable).count();
            say(format!("λ = {weight}: {usable} of {} settings do not collapse", RATES.len() * EPSILONS.len()));
        }
        Ok(all)
    })?;
    let cells = found[0].len();
    let column = |at: usize| found.iter().map(move |run| run[at]);
    let usable: Vec<usize> = (0..cells).map(|at| column(at).filter(|cell| cell.3).count()).collect();
    let table = Table::new()
        .numbers("λ", found[0].iter().map(|cell| cell.0))?
        .numbers("rate", found[0].iter().map(|cell| cell.1))?
        .numbers("ε", found[0].iter().map(|cell| cell.2))?
        .counts("runs of 5 that do not collapse", usable)?;
    lab.table("frame-stability-map", table);
    let count = |run: &[(f64, f64, f64, bool)], weight: f64| {
        run.iter().filter(|(w, _, _, usable)| *w == weight && *usable).count() as f64
    };
    let wider: Vec<f64> = found.iter().map(|run| count(run, 0.1) - count(run, 0.0)).collect();
    let claim = Claim::new(
        "The settings of rate and step that can be used are more with the Wasserstein term",
        "this project",
        "settings of 12 that do not collapse: with λ = 0.1 − with none",
        &wider,
    );
    let budget = format!("rates {RATES:?}, steps of ε {EPSILONS:?}; each {STEPS} steps of learning");
    lab.claim(
        claim.budget(budget).threshold(
            "this project: collapsed is a gap ten times its median, or a pixel three times the data's range",
        ),
    );
    Ok(())
}
