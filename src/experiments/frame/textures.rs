//! Textures by the number of filters that were pursued, and how good a guide the distance of histograms is.

use crate::{
    Result,
    data::{Discrete, Schema, fingerprint, shipped},
    experiments::{Claim, Lab},
    frame::{Bank, Bins, Borders, Choice, Feature, Filter, Frame, FrameLearner, Gain, Proof, Pursuit, Rule},
    plot::{Axis, Lines, Series, Table, Tiles},
    random::Seed,
    train::{Clock, Learner},
};
use rand::RngExt;

const SEEDS: u64 = 5;
const LEVELS: usize = 8;
/// Height and width of what is drawn.
const SIDE: usize = 64;
/// Numbers of filters after which it is shown.
const SHOWN: [usize; 4] = [1, 2, 4, 8];
const UPDATES: usize = 80;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut tiles = Tiles::new("Noise, and after 1, 2, 4 and 8 filters; what was seen", SHOWN.len() + 2, 128);
    let mut lines = Lines::new("How far from what was seen, over the bank", "filters", "mean distance of histograms")
        .axes(Axis::Linear, Axis::Log)
        .markers();
    let mut chosen = vec![];
    for name in ["grass", "gravel"] {
        let texture = shipped::texture(name)?.discrete();
        let pixels: Vec<u8> = texture.row(0).iter().map(|code| (code / 32) as u8).collect();
        let how = Pursuit {
            bank: Bank::small(),
            filters: SHOWN[SHOWN.len() - 1],
            choice: Choice::Distance,
            bins: 0,
            levels: LEVELS,
            borders: Borders::Torus,
            size: [SIDE, SIDE],
            chains: 2,
            updates: UPDATES,
            sweeps: 1,
            rule: Rule::Ratio,
            rate: 0.3,
        };
        let seed = lab.seed.child(name, 0);
        let seen = ([256, 256], pixels);
        let mut learner = FrameLearner::new(std::slice::from_ref(&seen), fingerprint(&texture)?, how, seed)?;
        let mean = |learner: &FrameLearner| {
            let all = learner.distances();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let mut shown: Vec<u8> = learner.chains()[0].pixels().to_vec();
        let mut points = vec![(0.0, mean(&learner))];
        let steps = learner.steps();
        for step in 1..=steps {
            learner.step(&[], &Clock { step, steps, epoch: step, seed })?;
            let filters = learner.chosen().len();
            if !step.is_multiple_of(UPDATES as u64) {
                continue;
            }
            points.push((filters as f64, mean(&learner)));
            if SHOWN.contains(&filters) {
                shown.extend(learner.chains()[0].pixels());
                lab.say(format!("{name}: {filters} filters, mean distance {:.3}", mean(&learner)));
            }
        }
        // The upper left of the picture, in the levels of the law.
        shown.extend((0..SIDE * SIDE).map(|v| seen.1[v / SIDE * 256 + v % SIDE]));
        let codes = shown.into_iter().map(u16::from).collect();
        tiles = tiles.with(name, &Discrete::new(Schema::uniform(&[SIDE, SIDE], LEVELS), codes)?)?;
        lines = lines.with(Series::new(name, points));
        let names = learner.law().features().iter().map(|feature| feature.filter().name().to_owned());
        chosen.extend(names.enumerate().map(|(place, filter)| (name, place + 1, filter)));
    }
    lab.figure("frame-textures", &tiles)?;
    lab.figure("frame-pursuit", &lines)?;
    let table = Table::new()
        .text("texture", chosen.iter().map(|(name, _, _)| *name))?
        .counts("place", chosen.iter().map(|(_, place, _)| *place))?
        .text("filter", chosen.iter().map(|(_, _, filter)| filter.as_str()))?;
    lab.table("frame-filters", table);
    let root = lab.seed;
    let found = (0..SEEDS).map(|i| disagreement(root.child("pursuit", i))).collect::<Result<Vec<_>>>()?;
    let claim = Claim::new(
        "The filter whose histogram differs most and the one that would add most to the likelihood can be two",
        "this project",
        "share of laws on which both disagree at the first or the second step of pursuit, by enumeration − 0.05",
        &found,
    );
    let budget = "200 laws of 3 × 3 pixels of 2 levels a seed, of three filters with potentials within [0, 0.8]";
    lab.claim(claim.budget(budget).threshold("this project: one law in twenty"));
    Ok(())
}

/// The share of random laws on which pursuit by distance and by gain disagree at their first or second step, less one in twenty.
fn disagreement(seed: Seed) -> Result<f64> {
    const LAWS: u64 = 200;
    let of = |filter, least| Feature::new(filter, Bins::whole(least, 1)?, 2);
    let features = [of(Filter::intensity(), 0)?, of(Filter::gradient_x(), -1)?, of(Filter::gradient_y(), -1)?];
    let uniform =
        features.into_iter().try_fold(Frame::uniform(2, Borders::Torus)?, |law, feature| law.with(feature))?;
    let proof = Proof::new(&uniform, [3, 3])?;
    let mut apart = 0.0;
    for i in 0..LAWS {
        let mut rng = seed.stream("law", i);
        let mut draw = |bins: usize| (0..bins).map(|_| 0.8 * rng.random::<f64>()).collect::<Vec<f64>>();
        let mut truth = uniform.clone();
        truth.set_potentials(vec![draw(2), draw(3), draw(3)])?;
        let target = proof.moments(&truth).mean;
        let mut own = vec![];
        for _ in 0..2 {
            let law = proof.maximum(&uniform, &target, &own)?;
            let gains = proof.gains(&law, &target, &own)?;
            let best = |by: fn(&Gain) -> f64| {
                gains.iter().max_by(|a, b| by(a).total_cmp(&by(b))).map_or(0, |gain| gain.feature)
            };
            let (taken, better) = (best(|gain| gain.distance), best(|gain| gain.exact));
            if taken != better {
                apart += 1.0;
                break;
            }
            own.push(taken);
        }
    }
    Ok(apart / LAWS as f64 - 0.05)
}
