//! A circuit as the output of a denoiser, beside independent letters: bounds by the number of steps.

use crate::{
    Result,
    circuits::{FitCircuit, Structure},
    data::{Discrete, Rows, Split, shipped},
    diffusion::{
        Absorbing, Coupled, CoupledLearner, Decoder, Diffusion, DiffusionLearner, Fall, Objectives, Schedule, Steps,
        Times, Transformer, TransformerConfig,
    },
    experiments::{Claim, Lab, mean_and_error},
    nn::optim::AdamConfig,
    plot::{Axis, Lines, Series, Table},
    random::Seed,
    train::{Fit, Plan, quiet, train},
};
use dfdx::{prelude::Const, tensor::Cpu};

const SEEDS: u64 = 5;
const K: usize = 27;
const LENGTH: usize = 16;
const STATES: usize = 16;
/// Numbers of a row's evidence, and of the circuit's parameters.
const EVIDENCE: usize = LENGTH * K;
const LOGITS: usize = STATES + (LENGTH - 1) * STATES * STATES + LENGTH * STATES * K;
const BATCH: usize = 64;
/// Steps that the bound is of.
const STEPS: [usize; 5] = [1, 2, 4, 8, 16];

type Noise = Absorbing<Const<K>, Const<28>>;
type Network = Transformer<Const<K>, Const<28>>;

/// Bounds of one output with one seed, bits a letter, by [`STEPS`].
struct Curve {
    output: &'static str,
    seed: u64,
    bits: Vec<f64>,
}

const APART: &str = "independent letters";
const LONGER: &str = "independent letters, twice the training";
const JOINT: &str = "a circuit of letters";

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let steps = lab.budget.pick(1200, 20_000);
    let root = lab.seed;
    let curves = lab.each_seed(SEEDS, |seed, say| {
        let task = Task::new(root.child("joint", seed), steps)?;
        let mut curves = vec![];
        let mut each = |output, bits: Vec<f64>| {
            say(format!("{output}: {bits:.3?} bits a letter in {STEPS:?} steps"));
            curves.push(Curve { output, seed, bits });
        };
        each(APART, task.apart(1)?);
        each(LONGER, task.apart(2)?);
        each(JOINT, task.together()?);
        Ok(curves)
    })?;
    let curves: Vec<Curve> = curves.into_iter().flatten().collect();
    let mut lines = Lines::new("Letters one by one, or together", "steps", "bound, bits a letter")
        .axes(Axis::Log, Axis::Linear)
        .markers();
    for output in [APART, LONGER, JOINT] {
        let points = (0..STEPS.len()).map(|i| {
            let of: Vec<f64> = curves.iter().filter(|c| c.output == output).map(|c| c.bits[i]).collect();
            (STEPS[i] as f64, mean_and_error(&of).0)
        });
        lines = lines.with(Series::new(output, points));
    }
    lab.figure("joint", &lines)?;
    let rows: Vec<_> = curves.iter().flat_map(|c| (0..STEPS.len()).map(move |i| (c, i))).collect();
    let table = Table::new()
        .text("output", rows.iter().map(|(c, _)| c.output))?
        .counts("seed", rows.iter().map(|(c, _)| c.seed as usize))?
        .counts("steps", rows.iter().map(|(_, i)| STEPS[*i]))?
        .numbers("bound, bits a letter", rows.iter().map(|(c, i)| c.bits[*i]))?;
    lab.table("joint-table", table);
    let gains = |(less, at): (&str, usize), (more, by): (&str, usize)| -> Vec<f64> {
        let of = |output: &str, i: usize| -> Vec<f64> {
            curves.iter().filter(|c| c.output == output).map(|c| c.bits[i]).collect()
        };
        of(more, by).into_iter().zip(of(less, at)).map(|(more, less)| more - less).collect()
    };
    let budget = format!(
        "{steps} steps of {BATCH} rows of {LENGTH} letters, a transformer 64 wide, a hidden Markov model of {STATES} states"
    );
    let mut claim = |sentence: &str, measure: &str, gains: &[f64]| {
        lab.claim(Claim::new(sentence, "this project", measure, gains).budget(&budget));
    };
    claim(
        "A circuit as output needs a quarter of the steps for the same bound",
        "bits a letter: independent letters, twice the training, in 16 steps − a circuit in 4",
        &gains((JOINT, 2), (LONGER, 4)),
    );
    claim(
        "After as much training, a circuit as output is better in one step than independent letters in four",
        "bits a letter: independent letters in 4 steps − a circuit in 1",
        &gains((JOINT, 0), (APART, 2)),
    );
    claim(
        "In as many steps a circuit as output has the better bound",
        "bits a letter in 4 steps: independent letters, twice the training − a circuit",
        &gains((JOINT, 2), (LONGER, 2)),
    );
    Ok(())
}

struct Task {
    train: Discrete,
    test: Discrete,
    steps: usize,
    seed: Seed,
}

impl Task {
    fn new(seed: Seed, steps: usize) -> Result<Self> {
        let windows = shipped::addresses_text8()?.windows(LENGTH)?;
        let Split { train, valid, .. } = Split::random(windows.len(), 0.05, 0.0, seed);
        let train: Vec<usize> = train.into_iter().cycle().take(2 * steps * BATCH).collect();
        Ok(Self { train: windows.select(&train), test: windows.select(&valid[..1000]), steps, seed })
    }

    fn process(&self) -> Result<Noise> {
        Absorbing::new(Const, Const, Schedule::new(Fall::Linear, 16)?)
    }

    fn network(&self) -> Result<Network> {
        let config = TransformerConfig { length: LENGTH, width: 64, heads: 4, blocks: 2 };
        Network::new(&Cpu::seed_from_u64(self.seed.0), (Const, Const), &config)
    }

    fn adam(steps: usize) -> AdamConfig {
        AdamConfig::over(steps as u64, 2e-3, 1.0)
    }

    /// The first rows, as many as so many steps read.
    fn rows(&self, steps: usize) -> Discrete {
        self.train.select(&(0..steps * BATCH).collect::<Vec<_>>())
    }

    fn apart(&self, times: usize) -> Result<Vec<f64>> {
        let process = self.process()?;
        let bound = Steps::all(&process, Decoder::Posterior);
        let what = Objectives { bound, times: Times::Stratified, hybrid: 0.0 };
        let (steps, model) = (times * self.steps, Diffusion::new(process, self.network()?)?);
        let rows = self.rows(steps);
        let mut learner = DiffusionLearner::new(model, &rows, None, what, Self::adam(steps), self.seed)?;
        train(&mut learner, &Plan::new(1, BATCH, self.seed), &mut quiet)?;
        let model = learner.into_model();
        let bits = |n: usize| {
            let steps = Steps::strided(model.process(), n, Decoder::Posterior)?;
            model.evidence(&self.test, &steps, 4 * n, self.seed)?.bits_per_dim()
        };
        STEPS.into_iter().map(bits).collect()
    }

    fn together(&self) -> Result<Vec<f64>> {
        let (process, rows) = (self.process()?, self.rows(self.steps));
        let hmm = Structure::Hmm { states: STATES, homogeneous: false };
        let circuit = FitCircuit { epochs: 1, batch: 256, ..FitCircuit::new(hmm) }.fit(&rows, None, self.seed)?.0;
        let four = Steps::strided(&process, 4, Decoder::Posterior)?;
        let model = Coupled::<_, _, EVIDENCE, LOGITS>::new(process.clone(), self.network()?, &circuit)?;
        let mut learner = CoupledLearner::new(model, &rows, four, Self::adam(self.steps))?;
        train(&mut learner, &Plan::new(1, BATCH, self.seed), &mut quiet)?;
        let model = learner.into_model();
        let bits = |n: usize| {
            let steps = Steps::strided(&process, n, Decoder::Posterior)?;
            model.evidence(&self.test, &steps, 4, self.seed)?.bits_per_dim()
        };
        STEPS.into_iter().map(bits).collect()
    }
}
