//! The model that ships, by few steps and by many, and its doubts; what is exact about noise, and about where to look.

use super::text::Windows;
use crate::{
    Error, Result,
    data::{Dataset, Discrete, Rows, Schema},
    diffusion::{
        Decoder, DiffusionKind, DiffusionModel, Fall, FitDiffusion, NetworkKind, Process, Schedule, Steps, Uniform,
    },
    experiments::{Claim, Lab, mean_and_error},
    math::log_sum_exp_of,
    model::Queries,
    plot::{Axis, Lines, Series, Table},
    random::{Seed, categorical},
    train::{Fit, Run, quiet},
};
use rand::RngExt;

const SEEDS: u64 = 5;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let test = Windows::new(lab)?.test;
    let model = DiffusionModel::shipped()?;
    by_steps(lab, &model, &test.select(&(0..64).collect::<Vec<_>>()))?;
    typos(lab, &model, &test.select(&(0..64).collect::<Vec<_>>()))?;
    let root = lab.seed;
    let found = (0..SEEDS).map(|i| bayes(root.child("bayes", i))).collect::<Result<Vec<_>>>()?;
    let measure =
        "digits beyond the twelfth of the largest difference from Bayes by products of single steps' matrices";
    let claim =
        Claim::new("Multinomial diffusion's posterior equals Bayes", "Hoogeboom et al. 2021, eq. 13", measure, &found);
    lab.claim(claim.budget("200 posteriors of 2 to 40 categories and 2 to 60 steps a seed").threshold("this project"));
    lab.say("how far one draw of a moment is off, where moments are drawn as often and by their costs");
    let found = (0..SEEDS).map(|i| spread(root.child("moments", i))).collect::<Result<Vec<_>>>()?;
    let measure =
        "nats: deviation of one row's bound from one moment, all drawn as often − by their costs; by enumeration";
    let sentence = "Drawing moments by what they cost lowers the variance of the bound's estimate";
    let claim = Claim::new(sentence, "Nichol and Dhariwal 2021, §3.3", measure, &found);
    lab.claim(claim.budget("pairs of letters of three, 4000 to learn from, a perceptron, 20 steps of uniform noise"));
    Ok(())
}

/// The bound by the number of steps.
fn by_steps(lab: &mut Lab, model: &DiffusionModel, test: &Discrete) -> Result<()> {
    let absorbing = model.absorbing().ok_or_else(|| Error::invalid("the model that ships is not absorbing"))?;
    let root = lab.seed;
    let mut points = vec![];
    for n in [1, 2, 4, 8, 16, 32, 64] {
        let steps = Steps::strided(absorbing.process(), n, Decoder::Posterior)?;
        let bits = (0..SEEDS)
            .map(|i| absorbing.evidence(test, &steps, 16, root.child("steps", i))?.bits_per_dim())
            .collect::<Result<Vec<_>>>()?;
        let (mean, error) = mean_and_error(&bits);
        lab.say(format!("in {n} steps {mean:.3} bits a letter"));
        points.push((n as f64, mean, error));
    }
    let series = Series::new("the model that ships", points.iter().map(|(n, mean, _)| (*n, *mean)));
    let lines = Lines::new("What letters that are shown together cost", "steps", "bound, bits a letter")
        .axes(Axis::Log, Axis::Linear)
        .markers()
        .with(series.errors(points.iter().map(|(_, _, error)| *error)));
    lab.figure("denoising", &lines)
}

/// Letters put in the place of others, doubted and mended.
fn typos(lab: &mut Lab, model: &DiffusionModel, clean: &Discrete) -> Result<()> {
    const RATE: f64 = 0.02;
    let mut rows: Vec<[f64; 6]> = vec![];
    for i in 0..SEEDS {
        let mut rng = lab.seed.child("typos", i).stream("letters", 0);
        let typed = clean.codes().iter().map(|c| match rng.random::<f64>() < RATE {
            true => (*c + rng.random_range(1..27)) % 27,
            false => *c,
        });
        let dirty = Discrete::new(clean.schema().clone(), typed.collect())?;
        let asked: Dataset = dirty.clone().into();
        let [mut wrong, mut doubted, mut rightly, mut mended] = [0.0; 4];
        model.corrections(&asked, RATE, &mut |row, at, p| {
            let i = row * clean.schema().len() + at;
            let (was, is) = (clean.codes()[i] as usize, dirty.codes()[i] as usize);
            wrong += f64::from(was != is);
            if p[is] < 0.5 {
                let best = (0..p.len()).max_by(|a, b| p[*a].total_cmp(&p[*b]));
                doubted += 1.0;
                rightly += f64::from(was != is);
                mended += f64::from(best == Some(was));
            }
            Ok(())
        })?;
        rows.push([wrong, doubted, rightly, mended, rightly / doubted, rightly / wrong]);
    }
    let column = |at: usize| rows.iter().map(move |row| row[at]);
    let counts = |at: usize| rows.iter().map(move |row| row[at] as usize);
    let table = Table::new()
        .counts("seed", 0..SEEDS as usize)?
        .counts("wrong letters of 4096", counts(0))?
        .counts("doubted", counts(1))?
        .counts("rightly", counts(2))?
        .counts("mended", counts(3))?
        .numbers("precision", column(4))?
        .numbers("recall", column(5))?;
    lab.table("denoising-typos", table);
    Ok(())
}

/// Digits beyond twelve to which posteriors are as Bayes has them.
fn bayes(seed: Seed) -> Result<f64> {
    let mut rng = seed.stream("posteriors", 0);
    let mut largest: f64 = 0.0;
    for _ in 0..200 {
        let (k, steps) = (rng.random_range(2..=40), rng.random_range(2..=60));
        let process = Uniform::new(k, Schedule::new(Fall::Cosine, steps)?)?;
        let (t, [x0, xt]) = (rng.random_range(2..=steps), [(); 2].map(|()| rng.random_range(0..k)));
        // How a state goes over into the next, column after column.
        let single = |t: usize| -> Vec<Vec<f64>> {
            let column = |state: usize| {
                let mut of = vec![0.0; k];
                process.since(t - 1, t, state, &mut of);
                of
            };
            (0..k).map(column).collect()
        };
        let mut at: Vec<f64> = (0..k).map(|i| f64::from(i == x0)).collect();
        for step in 1..t {
            at = single(step).iter().map(|from| from.iter().zip(&at).map(|(q, p)| q * p).sum()).collect();
        }
        let joint: Vec<f64> = single(t)[xt].iter().zip(&at).map(|(q, p)| q * p).collect();
        let total: f64 = joint.iter().sum();
        let known: Vec<f64> = (0..k).map(|i| if i == x0 { 0.0 } else { f64::NEG_INFINITY }).collect();
        let mut posterior = vec![0.0; k];
        process.reverse(t - 1, t, xt, &known, &mut posterior);
        for (p, joint) in posterior.iter().zip(joint) {
            let difference = (p - joint / total).abs();
            // What is no number stays.
            if difference.is_nan() || difference > largest {
                largest = difference;
            }
        }
    }
    Ok(-(largest + f64::MIN_POSITIVE).log10() - 12.0)
}

/// How much less an estimate from one moment is off where moments are drawn by their costs.
fn spread(seed: Seed) -> Result<f64> {
    const PAIRS: [f64; 9] = [0.30, 0.05, 0.05, 0.10, 0.20, 0.05, 0.05, 0.05, 0.15];
    const STEPS: usize = 20;
    let mut rng = seed.stream("pairs", 0);
    let drawn = (0..4000).filter_map(|_| categorical(&PAIRS, &mut rng)).flat_map(|i| [i as u16 / 3, i as u16 % 3]);
    let rows = Discrete::new(Schema::uniform(&[2], 3), drawn.collect())?;
    let settings = FitDiffusion {
        network: NetworkKind::Perceptron,
        width: 32,
        steps: STEPS,
        epochs: 30,
        batch: 64,
        ..FitDiffusion::new(DiffusionKind::Multinomial)
    };
    let (model, _): (DiffusionModel, _) = settings.fit_with(&rows, None, Run::new(seed, &mut quiet))?;
    let model = model.multinomial().ok_or_else(|| Error::invalid("a multinomial model that is none"))?;
    let (process, all) = (model.process(), Steps::all(model.process(), Decoder::Posterior));
    let pairs: Vec<u16> = (0..9).flat_map(|i| [i / 3, i % 3]).collect();
    // The mean of each step's nats, and of their squares, over rows and noise.
    let (mut means, mut squares) = (vec![0.0; STEPS], vec![0.0; STEPS]);
    for i in 1..=STEPS {
        let (_, t) = all.step(i);
        let mut logits = model.denoiser().logits(&pairs, 2, &[process.time(t); 9]);
        for logits in logits.chunks_exact_mut(3) {
            let total = log_sum_exp_of(logits);
            logits.iter_mut().for_each(|l| *l -= total);
        }
        let noisy: Vec<Vec<f64>> = (0..3).map(|x0| process.marginal(t, x0)).collect();
        for (x0, p) in pairs.chunks_exact(2).zip(PAIRS) {
            for (xt, said) in pairs.chunks_exact(2).zip(logits.chunks_exact(6)) {
                let each = |d: usize| (x0[d] as usize, xt[d] as usize);
                let chance: f64 = (0..2).map(|d| noisy[each(d).0][each(d).1]).product();
                let nats: f64 = (0..2).map(|d| all.nats(process, i, each(d), &said[3 * d..3 * d + 3])).sum();
                means[i - 1] += p * chance * nats;
                squares[i - 1] += p * chance * nats * nats;
            }
        }
    }
    let total: f64 = means.iter().sum();
    let even = STEPS as f64 * squares.iter().sum::<f64>() - total * total;
    let by_cost = squares.iter().map(|s| s.sqrt()).sum::<f64>().powi(2) - total * total;
    Ok(even.sqrt() - by_cost.sqrt())
}
