//! The inverse of a MintNet layer under the microscope.

use crate::{
    Result,
    data::{Images, shipped},
    experiments::{Claim, Lab},
    flows::{Batch, Bijection, Grid, ImageFlow, ImageLearner, Mint, Solver, mint_net},
    nn::{load_params, optim::AdamConfig, params},
    plot::{Axis, Lines, Series, Table},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::{
    shapes::HasShape,
    tensor::{Cpu, TensorFromVec},
};
use nalgebra::DMatrix;
use rand::RngExt;
use rand_distr::StandardNormal;

const DIGITS: Grid = Grid { channels: 1, height: 8, width: 8 };
/// Units for each pixel in each hidden map.
const HIDDEN: usize = 16;
/// Seeds of the claims.
const SEEDS: u64 = 5;
/// Step sizes at which the inverse must converge.
const STEPS: [f64; 5] = [0.1, 0.5, 1.0, 1.5, 1.9];
/// How far from the solution is near it.
const NEAR: f64 = 1e-6;

/// A layer, and rows for it.
type Learned = (Mint<usize, f64>, Batch<usize, f64, Cpu>);

/// The first layer of a MintNet that has learned digits, in double precision, and logits of digits that it has not seen.
fn learned(lab: &Lab, seed: Seed) -> Result<Learned> {
    let images = shipped::digits()?;
    let part = |range: std::ops::Range<usize>| -> Images<1, 8, 8> { images.select(&range.collect::<Vec<_>>()) };
    let (rows, test) = (part(0..lab.budget.pick(600, 1500)), part(1500..1532));
    let device = Cpu::seed_from_u64(seed.0);
    let model = ImageFlow::new(&device, mint_net(&device, DIGITS, 2, HIDDEN)?, 0.05, images.levels())?;
    let adam = AdamConfig { clip: Some(5.0), ..AdamConfig::default() };
    let mut learner = ImageLearner::new(model, &rows, None, adam, seed)?;
    train(&mut learner, &Plan::new(lab.budget.pick(5, 30), 50, seed), &mut quiet)?;
    let model = learner.into_model();
    let mut layer = Mint::new(&device, DIGITS.dims(), DIGITS, 3, HIDDEN, false)?;
    load_params(&mut layer, &params(&model.flow().bijection.0.layers()[0].0))?;
    let logits = model.logits(&test, seed)?.0.as_vec().into_iter().map(f64::from).collect();
    Ok((layer, device.tensor_from_vec(logits, (test.len(), DIGITS.dims()))))
}

/// The residual after every iteration, a geometric mean over the rows.
fn residuals(layer: &Mint<usize, f64>, z: &Batch<usize, f64, Cpu>, step: f64, iterations: usize) -> Vec<f64> {
    let solved = layer.solve(z.clone(), &Solver { step, iterations, tolerance: 0.0 });
    let mean = |errors: &Vec<f64>| {
        let logs = errors.iter().map(|e| if e.is_nan() { f64::INFINITY } else { e.max(1e-16).ln() });
        (logs.sum::<f64>() / errors.len() as f64).exp()
    };
    solved.errors.iter().map(mean).collect()
}

/// By how much an iteration shrinks the residual, measured over the last iterations before rounding hides it.
fn rate(residuals: &[f64]) -> f64 {
    let seen: Vec<f64> = residuals.iter().copied().take_while(|r| r.is_finite() && (1e-12..1e12).contains(r)).collect();
    let last = seen.len().saturating_sub(1);
    let first = last.saturating_sub(20);
    if last == first { 0.0 } else { (seen[last] / seen[first]).powf(1.0 / (last - first) as f64) }
}

/// Error against iteration for several step sizes, and the claims.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    lab.say("a MintNet of digits");
    let (layer, x) = learned(lab, lab.seed)?;
    let z = layer.forward(x).0;
    let mut lines =
        Lines::new("A MintNet layer turned round, step by step", "iteration", "largest |z − f(x)| of a digit")
            .axes(Axis::Linear, Axis::Log);
    let mut found = Vec::new();
    for step in [0.1, 0.3, 0.7, 1.0, 1.3, 1.7, 1.9, 2.1] {
        let residuals = residuals(&layer, &z, step, 400);
        if [0.3, 0.7, 1.0, 1.3, 1.7].contains(&step) {
            let points = residuals.iter().take(61).enumerate().map(|(i, r)| (i as f64, *r));
            lines = lines.with(Series::new(&format!("α = {step}"), points));
        }
        found.push((step, rate(&residuals), residuals.last().copied().unwrap_or(f64::NAN)));
    }
    for rate in [0.3_f64, 0.7] {
        let theory = (0..61).map(|i| (f64::from(i), rate.powi(i))).filter(|(_, r)| *r > 1e-16);
        lines = lines.with(Series::new(&format!("{rate} to the n-th"), theory));
    }
    lab.figure("flows-mint", &lines)?;
    let table = Table::new()
        .numbers("α", found.iter().map(|r| r.0))?
        .numbers("theory: |1 − α|", found.iter().map(|r| (1.0 - r.0).abs()))?
        .numbers("measured: residual after an iteration ÷ before", found.iter().map(|r| r.1))?
        .numbers("residual after 400 iterations", found.iter().map(|r| r.2))?;
    lab.table("flows-mint-rates", table);
    let (mut exact, mut near, mut far) = (Vec::new(), Vec::new(), Vec::new());
    let mut converged = [[0.0; 2]; STEPS.len()];
    for i in 0..SEEDS {
        lab.say(format!("MintNet's claims, seed {i}"));
        let seed = lab.seed.child("mint", i);
        let (layer, x) = learned(lab, seed)?;
        exact.push(-6.0 - log_det_error(&layer, &x).max(1e-16).log10());
        let (z, mut rng) = (layer.forward(x.clone()).0, seed.stream("nearby", 0));
        let nearby = x.as_vec().into_iter().map(|x| x + NEAR * rng.sample::<f64, _>(StandardNormal)).collect();
        let nearby: Batch<usize, f64, Cpu> = Cpu::default().tensor_from_vec(nearby, (z.shape().0, DIGITS.dims()));
        let mut worst = [f64::INFINITY; 2];
        for (step, converged) in STEPS.into_iter().zip(&mut converged) {
            let solver = Solver { step, iterations: 2000, tolerance: 1e-9 };
            let both = [layer.solve_from(z.clone(), nearby.clone(), &solver), layer.solve(z.clone(), &solver)];
            for ((solved, worst), converged) in both.into_iter().zip(&mut worst).zip(converged) {
                let done = solved.converged.iter().filter(|c| **c).count();
                let share = done as f64 / solved.converged.len() as f64;
                *converged += share / SEEDS as f64;
                *worst = worst.min(share - 0.99);
            }
        }
        near.push(worst[0]);
        far.push(worst[1]);
    }
    let table = Table::new()
        .numbers("α", STEPS)?
        .numbers("share of digits solved, from near the solution", converged.iter().map(|c| c[0]))?
        .numbers("share of digits solved, from z / t", converged.iter().map(|c| c[1]))?;
    lab.table("flows-mint-convergence", table);
    let source = "Song, Meng and Ermon 2019";
    let measure = "decimal digits of the log-determinant beyond the sixth that agree with that of a numerical Jacobian";
    let claim = Claim::new("MintNet's log-determinant is exact", source, measure, &exact);
    lab.claim(claim.budget("a layer of digits").threshold("this project's (six digits)"));
    let measure = "share of digits solved to 1e-9 in 2000 iterations, the worst of α = 0.1, 0.5, 1, 1.5, 1.9, − 0.99";
    let sentence = "MintNet's inverse converges for 0 < α < 2 from near the solution";
    let given = |claim: Claim| claim.budget("2000 iterations").threshold("this project's (0.99 of the digits, 1e-9)");
    lab.claim(given(Claim::new(sentence, source, measure, &near)));
    let sentence = "MintNet's inverse converges for 0 < α < 2 from z / t";
    lab.claim(given(Claim::new(sentence, source, measure, &far)));
    Ok(())
}

/// The largest difference of the log-determinant from that of a numerical Jacobian, nats, of a few rows.
fn log_det_error(layer: &Mint<usize, f64>, x: &Batch<usize, f64, Cpu>) -> f64 {
    let d = DIGITS.dims();
    let values = x.as_vec();
    let each = values.chunks_exact(d).take(4).map(|row| {
        const STEP: f64 = 1e-5;
        let moved = |by: f64| -> Vec<f64> {
            let rows = (0..d).flat_map(|j| {
                let mut row = row.to_vec();
                row[j] += by;
                row
            });
            layer.forward(Cpu::default().tensor_from_vec(rows.collect(), (d, d))).0.as_vec()
        };
        let (up, down) = (moved(STEP), moved(-STEP));
        let jacobian = DMatrix::from_fn(d, d, |i, j| (up[j * d + i] - down[j * d + i]) / (2.0 * STEP));
        let numeric: f64 = jacobian.lu().u().diagonal().iter().map(|u| u.abs().ln()).sum();
        let exact = layer.forward(Cpu::default().tensor_from_vec(row.to_vec(), (1, d))).1.as_vec()[0];
        (numeric - exact).abs()
    });
    each.fold(0.0, f64::max)
}
