//! Passes of the network, and milliseconds for 100 rows, of MAF and IAF both ways.

use super::best;
use crate::{
    Error, Result,
    experiments::{Claim, Lab},
    flows::{Bijection, Flow, Maf, Permute, Stack},
    plot::{Axis, Lines, Series, Table},
    random::Seed,
};
use dfdx::tensor::{Cpu, Trace};

/// Dimensions, and milliseconds of a MAF: its density, sampling a unit at a time, sampling in passes; and of the IAF of the same
/// layers: its density in passes, and sampling.
type Times = (usize, [f64; 5]);

/// Passes of the network, and milliseconds for 100 rows, of MAF and IAF both ways.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut rounds = Vec::new();
    for i in 0..5 {
        lab.say(format!("both ways, round {i}"));
        rounds.push(times(lab.seed.child("cost", i))?);
    }
    let first = &rounds[0];
    let line = |name: &str, i: usize| Series::new(name, first.iter().map(|r| (r.0 as f64, r.1[i])).collect::<Vec<_>>());
    let lines = Lines::new("Autoregressive flows both ways", "dimensions", "milliseconds for 100 rows")
        .axes(Axis::Log, Axis::Log)
        .markers()
        .with(line("MAF, density: one pass", 0))
        .with(line("MAF, sampling: a pass a dimension", 2))
        .with(line("MAF, sampling: each unit once", 1))
        .with(line("IAF, density: a pass a dimension", 3))
        .with(line("IAF, sampling: one pass", 4));
    lab.figure("flows-cost", &lines)?;
    let exponents: Vec<Vec<f64>> = (0..5).map(|i| rounds.iter().map(|round| exponent(round, i)).collect()).collect();
    let mean = |i: usize| exponents[i].iter().sum::<f64>() / exponents[i].len() as f64;
    let directions = [
        ("MAF, density", "1", 0),
        ("MAF, sampling, a pass a dimension", "D", 2),
        ("MAF, sampling, each unit once", "the work of about 1", 1),
        ("IAF, density, a pass a dimension", "D", 3),
        ("IAF, sampling", "1", 4),
    ];
    let table = Table::new()
        .text("direction", directions.map(|d| d.0))?
        .text("passes", directions.map(|d| d.1))?
        .numbers("exponent of the time in D, mean of 5 rounds", directions.map(|d| mean(d.2)))?;
    lab.table("flows-exponents", table);
    for (sentence, source, slow, fast) in [
        ("A MAF takes one pass for a density and D for a sample", "Papamakarios et al. 2017", 2, 0),
        ("An IAF takes one pass for a sample and D for a density", "Kingma et al. 2016", 3, 4),
    ] {
        let values: Vec<f64> = exponents[slow].iter().zip(&exponents[fast]).map(|(s, f)| s - f - 0.5).collect();
        let measure = "exponent of the time in D of the slow way − that of the fast way − ½";
        let claim = Claim::new(sentence, source, measure, &values);
        lab.claim(claim.budget("3 layers, 4 to 64 dimensions, 100 rows").threshold("this project's (½)"));
    }
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
        let passes = best(|| drop(flow.bijection.inverse(x.leaky_trace())));
        let iaf = flow.inverted();
        let iaf_density = best(|| drop(iaf.sequential().log_prob(x.leaky_trace())));
        let iaf_sample = best(|| drop(iaf.bijection.inverse(x.clone())));
        Ok((d, [density, sample, passes, iaf_density, iaf_sample]))
    });
    each.collect()
}

/// The slope of a line through the logarithms of dimensions and times.
fn exponent(times: &[Times], of: usize) -> f64 {
    let points: Vec<(f64, f64)> = times.iter().map(|r| ((r.0 as f64).ln(), r.1[of].ln())).collect();
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}
