//! Five pictures: what energies and a DCGAN make of them.

use super::{Net, adam};
use crate::{
    Result,
    data::shipped,
    experiments::{Claim, Lab, mean_and_error},
    frame::{
        Bank, Contrast, Dcgan, Energy, Estimator, Head, Matching, Particles, Passage, Pictures, Transport,
        deep::DeepFilters,
        quality::{Classifier, histogram_distance, response_distance, squared_mmd},
        samplers::{Chains, Ula},
    },
    nn::Grid,
    plot::{Axis, Lines, Series, Table, Tiles},
    random::Seed,
    train::{Clock, GradientLearner, Learner, Objective},
};
use dfdx::tensor::Cpu;

const SEEDS: u64 = 5;
const SIDE: usize = 32;
const GRID: Grid = Grid { channels: 1, height: SIDE, width: SIDE };
const SEEN: usize = 5;
const DRAWN: usize = 20;
/// White for an energy on normal numbers, and the amount of black: noise of a deviation of 1 is a twentieth of their distance.
const WHITE: f32 = 10.0;
/// The same for Energy Matching, whose samples come from noise of that deviation and have nearly none in the end.
const MATCHED: f32 = 4.0;
/// Looks along a run.
const LOOKS: u64 = 6;
/// Adam's rate for energies.
const RATE: f64 = 0.001;
const EPSILON: f64 = 0.2;
const WALK: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Frame,
    WFrame,
    Matching,
    Dcgan,
}

const METHODS: [Method; 4] = [Method::WFrame, Method::Frame, Method::Matching, Method::Dcgan];

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Frame => "FRAME",
            Self::WFrame => "wFRAME (derived here), λ = 0.01",
            Self::Matching => "Energy Matching",
            Self::Dcgan => "DCGAN",
        }
    }

    /// Steps of learning; energies look at about as many pictures each: 128,000, 132,000 and 132,000.
    fn steps(self) -> u64 {
        match self {
            Self::Frame => 300,
            // Five looks more at every chain than the 425 of FRAME's step: one for its slope, two beside it before its walk and after.
            Self::WFrame => 252,
            // 800 steps of 60 looks each, and 120 of 700.
            Self::Matching => 920,
            // Batches of 32.
            Self::Dcgan => 300,
        }
    }
}

/// What pictures are like beside those that were kept back.
#[derive(Clone, Copy)]
struct Likeness {
    histograms: f64,
    responses: f64,
    kernel: f64,
    words: f64,
}

/// What drawn pictures are measured by.
struct Judge {
    kept: Pictures,
    bank: Bank,
    classifier: Classifier,
    filters: DeepFilters,
}

impl Judge {
    fn new(kept: Pictures, seed: Seed) -> Result<Self> {
        let classifier = Classifier::shipped(SIDE, seed)?;
        let filters = classifier.filters(&Cpu::default(), GRID)?;
        Ok(Self { kept, bank: Bank::small(), classifier, filters })
    }

    fn of(&self, drawn: &Pictures) -> Result<Likeness> {
        let bricks = self.classifier.classes().iter().position(|class| class == "brick").unwrap_or(0);
        let words = self.classifier.words(drawn)?;
        Ok(Likeness {
            histograms: histogram_distance(&self.bank, &self.kept, drawn)?,
            responses: response_distance(&Cpu::default(), &self.filters, &self.kept, drawn)?,
            kernel: squared_mmd(self.kept.values(), drawn.values(), GRID.dims())?,
            words: words.iter().map(|words| words[bricks]).sum::<f64>() / words.len() as f64,
        })
    }
}

/// What a run has drawn at each look, and how like it was.
type Run = Vec<(u64, Pictures, Likeness)>;

/// Chains as pictures.
fn pictures(chains: &Chains<f32>, white: f32) -> Result<Pictures> {
    Pictures::new(GRID, chains.points().iter().map(|x| x / white).collect())
}

fn energy(deviation: f64, seed: Seed) -> Result<Energy<Net>> {
    let device = Cpu::seed_from_u64(seed.child("network", 0).0);
    Energy::new(&device, Net::new(&device, GRID, &[16, 32], Head::Places)?, deviation)
}

/// Steps of an objective on all rows, and looks.
fn follow<O: Objective<Cpu>>(
    mut learner: GradientLearner<O>,
    (steps, rows): (u64, usize),
    judge: &Judge,
    seed: Seed,
    drawn: impl Fn(&GradientLearner<O>) -> Result<Pictures>,
) -> Result<Run> {
    let rows: Vec<usize> = (0..rows).collect();
    let mut run = Vec::new();
    for step in 1..=steps {
        learner.step(&rows, &Clock { step, steps, epoch: 1, seed })?;
        if step.is_multiple_of(steps / LOOKS) {
            let drawn = drawn(&learner)?;
            let like = judge.of(&drawn)?;
            run.push((step, drawn, like));
        }
    }
    Ok(run)
}

fn learn(method: Method, five: &Pictures, judge: &Judge, seed: Seed) -> Result<Run> {
    let steps = method.steps();
    match method {
        Method::Frame | Method::WFrame => {
            let particles = Particles { walk: Ula::new(0.5 * EPSILON * EPSILON)?, steps: WALK, restarts: 0.0 };
            let chains = Chains::normal(DRAWN, GRID.dims(), 1.0, seed.child("chains", 0))?;
            let transport = (method == Method::WFrame).then(|| Transport {
                estimator: Estimator::GradNorm,
                weight: 0.01,
                ..Transport::default()
            });
            let data: Vec<f32> = five.values().iter().map(|x| WHITE * x).collect();
            let contrast = Contrast::new(&data, chains, particles, transport)?;
            let learner = GradientLearner::of(contrast, energy(1.0, seed)?, adam(RATE))?;
            follow(learner, (steps, SEEN), judge, seed, |learner| pictures(&learner.objective().chains(), WHITE))
        }
        Method::Matching => {
            // A batch is four times the five.
            let data: Vec<f32> = (0..4).flat_map(|_| five.values()).map(|x| MATCHED * x).collect();
            let passage = Passage { step: 0.05, onset: 0.8, temperature: 0.02, end: 1.5 };
            let matching = Matching::new(&data, GRID.dims(), passage, 800, 1e-4)?;
            let learner = GradientLearner::of(matching, energy(f64::INFINITY, seed)?, adam(2.0 * RATE))?;
            follow(learner, (steps, 4 * SEEN), judge, seed, |learner| {
                let mut chains = Chains::normal(DRAWN, GRID.dims(), 1.0, seed.child("draw", 0))?;
                passage.carry(learner.model(), &mut chains, 0.0, seed.child("passage", 0))?;
                pictures(&chains, MATCHED)
            })
        }
        Method::Dcgan => {
            let mut rival = Dcgan::new(seed)?;
            let every = steps / LOOKS;
            (0..LOOKS)
                .map(|look| {
                    rival.learn(five, every, 32, seed.child("dcgan", look))?;
                    let drawn = rival.sample(DRAWN, seed.child("draw", 0))?;
                    let like = judge.of(&drawn)?;
                    Ok(((look + 1) * every, drawn, like))
                })
                .collect()
        }
    }
}

/// The left half of a texture, which five pictures are cut out of, and the right one.
fn halves(name: &str) -> Result<[Pictures; 2]> {
    let whole = Pictures::of(&shipped::texture(name)?.discrete())?;
    let Grid { height, width, .. } = whole.grid();
    Ok([whole.piece([0, 0], [height, width / 2])?, whole.piece([0, width / 2], [height, width / 2])?])
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let root = lab.seed;
    let [left, right] = halves("brick")?;
    let judge = Judge::new(right.crops(SIDE, 100, root.child("kept", 0))?, root.child("classifier", 0))?;
    let runs = lab.each_seed(SEEDS, |i, say| {
        let seed = root.child("few", i);
        let five = left.crops(SIDE, SEEN, seed.child("five", 0))?;
        let others = judge.of(&left.crops(SIDE, DRAWN, seed.child("others", 0))?)?;
        let mut of_methods = Vec::new();
        for method in METHODS {
            let run = learn(method, &five, &judge, seed)?;
            if let Some((_, _, like)) = run.last() {
                let (name, Likeness { histograms, responses, .. }) = (method.name(), like);
                say(format!("{name}: histograms {histograms:.3}, responses {responses:.3}"));
            }
            of_methods.push(run);
        }
        Ok((five, others, of_methods))
    })?;
    let mut tiles = Tiles::new("Five pictures, and ten that each method draws", 10, 64);
    tiles = tiles.with("five to learn from", &runs[0].0.discrete()?)?;
    for (m, method) in METHODS.iter().enumerate() {
        let (_, drawn, _) = &runs[0].2[m][LOOKS as usize - 1];
        tiles = tiles.with(method.name(), &drawn.first(10)?.discrete()?)?;
    }
    lab.figure("few-shot", &tiles)?;
    let mut lines = Lines::new(
        "How far responses are from those of pictures kept back",
        "share of the steps",
        "response distance, geometric mean of five seeds",
    )
    .axes(Axis::Linear, Axis::Log)
    .markers();
    for (m, method) in METHODS.iter().enumerate() {
        let points = (0..LOOKS as usize).map(|look| {
            let found: Vec<f64> = runs.iter().map(|run| run.2[m][look].2.responses.ln()).collect();
            ((look + 1) as f64 / LOOKS as f64, mean_and_error(&found).0.exp())
        });
        lines = lines.with(Series::new(method.name(), points));
    }
    lab.figure("few-shot-learning", &lines)?;
    let last = |m: usize| runs.iter().map(move |run| run.2[m][LOOKS as usize - 1].2);
    let others: Vec<Likeness> = runs.iter().map(|run| run.1).collect();
    let rows: Vec<(&str, Vec<Likeness>)> = std::iter::once(("other pictures of the same half", others))
        .chain(METHODS.iter().enumerate().map(|(m, method)| (method.name(), last(m).collect())))
        .collect();
    let column = |of: fn(&Likeness) -> f64| -> Vec<f64> {
        rows.iter().map(|(_, likes)| mean_and_error(&likes.iter().map(of).collect::<Vec<_>>()).0).collect()
    };
    let table = Table::new()
        .text("pictures", rows.iter().map(|(name, _)| *name))?
        .numbers("histogram distance", column(|like| like.histograms))?
        .numbers("response distance", column(|like| like.responses))?
        .numbers("squared MMD", column(|like| like.kernel))?
        .numbers("said to be brick", column(|like| like.words))?;
    lab.table("few-shot-table", table);
    let apart = |a: usize, b: usize, of: fn(&Likeness) -> f64| -> Vec<f64> {
        last(a).zip(last(b)).map(|(a, b)| (of(&a) / of(&b)).log2()).collect()
    };
    let budget = "five crops of 32 × 32 of one half of a brick wall, 100 of the other kept back; energies look at 130,000 pictures each, DCGAN learns from 300 batches of 32";
    let place = |method| METHODS.iter().position(|m| *m == method).unwrap_or(0);
    let (dcgan, wframe, frame) = (place(Method::Dcgan), place(Method::WFrame), place(Method::Frame));
    for (sentence, source, measure, found) in [
        (
            "Five pictures tell wFRAME more of how strongly filters respond than they tell DCGAN",
            "Cai et al. 2019",
            "log2 of DCGAN's response distance − that of wFRAME's (derived here, GradNorm, λ = 0.01)",
            apart(dcgan, wframe, |like| like.responses),
        ),
        (
            "Five pictures tell wFRAME more of how often filters respond than they tell DCGAN",
            "this project",
            "log2 of DCGAN's histogram distance − that of wFRAME's (derived here, GradNorm, λ = 0.01)",
            apart(dcgan, wframe, |like| like.histograms),
        ),
        (
            "wFRAME's responses come nearer to those of the data than FRAME's",
            "Cai et al. 2019",
            "log2 of FRAME's response distance − that of wFRAME's (derived here, GradNorm, λ = 0.01)",
            apart(frame, wframe, |like| like.responses),
        ),
    ] {
        lab.claim(
            Claim::new(sentence, source, measure, &found).budget(budget).threshold("this project: nearer at all"),
        );
    }
    Ok(())
}
