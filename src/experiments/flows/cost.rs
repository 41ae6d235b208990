//! Passes of the network, and milliseconds for 100 rows, of MAF both ways.

use super::best;
use crate::{
    Error, Result,
    experiments::{Claim, Lab},
    flows::{Bijection, Flow, Maf, Permute, Stack},
    plot::{Axis, Lines, Series, Table},
    random::Seed,
};
use dfdx::tensor::Cpu;

/// Dimensions, and milliseconds of a density, of sampling a unit at a time, and of sampling in passes.
type Times = (usize, f64, f64, f64);

/// Passes of the network, and milliseconds for 100 rows, of MAF both ways.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut rounds = Vec::new();
    for i in 0..5 {
        lab.say(format!("both ways, round {i}"));
        rounds.push(times(lab.seed.child("cost", i))?);
    }
    let first = &rounds[0];
    let line = |name: &str, of: fn(&Times) -> f64| {
        Series::new(name, first.iter().map(|r| (r.0 as f64, of(r))).collect::<Vec<_>>())
    };
    let lines = Lines::new("A masked autoregressive flow both ways", "dimensions", "milliseconds for 100 rows")
        .axes(Axis::Log, Axis::Log)
        .markers()
        .with(line("density: one pass", |r| r.1))
        .with(line("sampling: a pass a dimension", |r| r.3))
        .with(line("sampling: each unit once", |r| r.2));
    lab.figure("flows-cost", &lines)?;
    let [density, passes, units] = [|r: &Times| r.1, |r: &Times| r.3, |r: &Times| r.2]
        .map(|of| rounds.iter().map(|round| exponent(round, of)).collect::<Vec<f64>>());
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let table = Table::new()
        .text("direction", ["density", "sampling, a pass a dimension", "sampling, each unit once"])?
        .text("passes of a MAF", ["1", "D", "the work of about 1"])?
        .text("passes of an IAF", ["D", "1", "1"])?
        .numbers("exponent of the time in D, mean of 5 rounds", [mean(&density), mean(&passes), mean(&units)])?;
    lab.table("flows-exponents", table);
    let differences: Vec<f64> = passes.iter().zip(&density).map(|(p, d)| p - d - 0.5).collect();
    let sentence = "A MAF takes one pass for a density and D for a sample, an IAF the reverse";
    let measure = "exponent of the time in D of sampling by passes − that of the density − ½";
    lab.claim(Claim::new(sentence, "Papamakarios et al. 2017; Kingma et al. 2016", measure, &differences));
    Ok(())
}

/// The times of a flow of each number of dimensions.
fn times(seed: Seed) -> Result<Vec<Times>> {
    const ROWS: usize = 100;
    let each = [4, 8, 16, 32, 64].into_iter().map(|d| {
        let device = Cpu::seed_from_u64(seed.0);
        let layer = || Ok::<_, Error>((Maf::<usize>::new(&device, d, 128)?, Permute::reversed(&device, d)?));
        let flow = Flow::normal(Stack::new((0..3).map(|_| layer()).collect::<Result<_>>()?));
        let x = flow.sequential().sample((ROWS, d), &device, seed);
        let density = best(|| drop(flow.log_prob(x.clone())));
        let sample = best(|| drop(flow.bijection.inverse(x.clone())));
        let passes = best(|| drop(flow.bijection.inverse(dfdx::tensor::Trace::leaky_trace(&x))));
        Ok((d, density, sample, passes))
    });
    each.collect()
}

/// The slope of a line through the logarithms of dimensions and times.
fn exponent(times: &[Times], of: fn(&Times) -> f64) -> f64 {
    let points: Vec<(f64, f64)> = times.iter().map(|r| ((r.0 as f64).ln(), of(r).ln())).collect();
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}
