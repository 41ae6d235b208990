//! A teacher of digits with 64 numbers each and its student: samples a second.

use super::{
    best,
    distillation::{mafs, student, teacher},
};
use crate::{
    Result,
    data::{Continuous, shipped},
    distill::Divergence,
    experiments::{Claim, Lab},
    flows::Bijection,
    plot::Table,
};
use dfdx::tensor::{Cpu, Trace};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    const D: usize = 64;
    const ROWS: usize = 100;
    let images = shipped::digits()?;
    let pixels = images.pixels().iter().map(|p| f64::from(*p)).collect();
    let rows = Continuous::new((0..D).map(|i| format!("pixel {i}")).collect(), pixels)?.dequantised(lab.seed);
    let steps = lab.budget.pick(600, 4000);
    let mut found = Vec::new();
    for i in 0..5 {
        lab.say(format!("a teacher of digits and its student, seed {i}"));
        let seed = lab.seed.child("digits", i);
        let teacher = teacher(&rows, mafs(D, 3, 128, seed.child("teacher", 0))?, steps, seed)?;
        let flow = teacher.flow();
        let (student, curve) = student(flow, (D, 3, 128), Divergence::Reverse, (steps, steps), seed)?;
        let z = flow.sequential().sample((ROWS, D), &Cpu::default(), seed);
        let passes = best(|| drop(flow.bijection.inverse(z.leaky_trace())));
        let units = best(|| drop(flow.bijection.inverse(z.clone())));
        let own = best(|| drop(student.bijection.inverse(z.clone())));
        found.push([passes, units, own, curve[0].1, curve[curve.len() - 1].1]);
    }
    let column = |i: usize| found.iter().map(move |r| r[i]);
    let table = Table::new()
        .counts("seed", 0..5)?
        .numbers("teacher, a pass a dimension: samples a second", column(0).map(|ms| ROWS as f64 * 1e3 / ms))?
        .numbers("teacher, each unit once: samples a second", column(1).map(|ms| ROWS as f64 * 1e3 / ms))?
        .numbers("student: samples a second", column(2).map(|ms| ROWS as f64 * 1e3 / ms))?
        .numbers("KL to the teacher before (nats)", column(3))?
        .numbers("KL to the teacher after (nats)", column(4))?;
    lab.table("flows-distillation-speed", table);
    let source = "van den Oord et al. 2018";
    let ratios = |i: usize| found.iter().map(move |r| r[i] / r[2] - 10.0).collect::<Vec<_>>();
    let measure = "samples a second, student ÷ teacher that draws a pass a dimension, − 10";
    let sentence = "A distilled student draws 10 times faster at 64 dimensions";
    let given =
        |claim: Claim| claim.budget(format!("{steps} steps, {ROWS} rows")).threshold("this project's (10 times)");
    lab.claim(given(Claim::new(sentence, source, measure, &ratios(0))));
    let measure = "samples a second, student ÷ teacher that computes each unit once, − 10";
    let sentence = "A distilled student draws 10 times faster at 64 dimensions than a teacher that wastes nothing";
    lab.claim(given(Claim::new(sentence, source, measure, &ratios(1))));
    Ok(())
}
