//! Gaussianization by learning and by iteration, layer by layer, and a claim about them.

use super::{gap, plane::settings, rows};
use crate::{
    Result,
    data::{Continuous, Oracle},
    experiments::{Claim, Lab},
    flows::{Elementwise, FitFlow, Flow, FlowKind, Logistic, Mixture, Rotation, Stack, TableFlow},
    plot::{Axis, Lines, Series},
    random::Seed,
    train::Fit,
};
use dfdx::tensor::Cpu;

/// What is learned.
const ORACLE: Oracle = Oracle::Moons;
/// Training rows of the claim; an iteration has a centre at each of them.
const POINTS: usize = 1000;
/// Layers among which an iteration has its best number, by validation rows.
const DEPTHS: [usize; 7] = [1, 2, 3, 4, 6, 8, 12];
/// Layers that are learned instead.
const LEARNED: usize = 3;

/// The gap after every number of layers, learned and by iteration alone.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let curve = |kind, layers: &[usize]| -> Result<Vec<(f64, f64)>> {
        layers.iter().map(|l| Ok((*l as f64, fitted(lab, kind, *l, lab.seed)?))).collect()
    };
    let learned = curve(FlowKind::Gaussianization, &[1, 2, 3, 4, 5])?;
    let iterated = curve(FlowKind::Rbig, &[1, 2, 3, 4, 5, 10, 20, 40])?;
    let lines = Lines::new("Gaussianization by learning and by iteration", "layers", "nats above the entropy of moons")
        .axes(Axis::Log, Axis::Linear)
        .markers()
        .with(Series::new("gaussianization", learned))
        .with(Series::new("rbig", iterated));
    let (mut values, epochs) = (Vec::new(), lab.budget.pick(45, 300));
    for i in 0..20 {
        let seed = lab.seed.child("gaussianization", i);
        let iterated = at_its_best(lab, seed)?;
        let [train, valid, test] = rows_of_the_claim(lab, seed)?;
        let learned = FitFlow { layers: LEARNED, epochs, ..FitFlow::new(FlowKind::Gaussianization) };
        values.push(iterated - gap(ORACLE, &learned.fit(&train, Some(&valid), seed)?.0, &test)?.0);
        lab.say(format!("learned and iterated, seed {i}"));
    }
    lab.figure("flows-gaussianization", &lines)?;
    let sentence = "Gaussianization flows converge in fewer layers than iterative Gaussianization";
    let measure = "gap of iterated layers, as many as are best − gap of 3 learned ones, on moons, nats a row";
    let given = format!("{POINTS} rows: a centre at each and up to 12 layers; 16 centres and {epochs} epochs");
    lab.claim(Claim::new(sentence, "Meng et al. 2020", measure, &values).budget(given));
    Ok(())
}

/// The gap of a flow of that many layers.
fn fitted(lab: &Lab, kind: FlowKind, layers: usize, seed: Seed) -> Result<f64> {
    let [train, valid, test] = rows(lab, ORACLE, seed)?;
    let settings = FitFlow { layers, ..settings(lab, kind) };
    Ok(gap(ORACLE, &settings.fit(&train, Some(&valid), seed)?.0, &test)?.0)
}

/// The gap of an iteration with a centre at every training row, after as many layers as are best for the validation rows.
fn at_its_best(lab: &Lab, seed: Seed) -> Result<f64> {
    type Layer = (Elementwise<usize, Mixture<Logistic, POINTS>>, Rotation<usize>);
    let [train, valid, test] = rows_of_the_claim(lab, seed)?;
    let (device, last) = (Cpu::default(), DEPTHS[DEPTHS.len() - 1]);
    let layer = |_| -> Result<Layer> { Ok((Elementwise::new(&device, 2)?, Rotation::principal(&device, 2)?)) };
    let all = Flow::normal(Stack::new((0..last).map(layer).collect::<Result<_>>()?));
    let all = TableFlow::started(&device, all, 2, &train)?;
    let loss = |depth: usize, rows: &Continuous| -> Result<f64> {
        let first = Flow::normal(Stack::new(all.flow().bijection.layers()[..depth].to_vec()));
        let flow = TableFlow::framed(&device, first, 2, train.schema().clone(), all.frame().to_vec())?;
        Ok(ORACLE.gap(&flow.evidence(rows)?))
    };
    let losses = DEPTHS.into_iter().map(|depth| Ok((depth, loss(depth, &valid)?))).collect::<Result<Vec<_>>>()?;
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(last, |best| best.0);
    loss(best, &test)
}

/// Training, validation and test rows that are few enough for a centre at each.
fn rows_of_the_claim(lab: &Lab, seed: Seed) -> Result<[Continuous; 3]> {
    let [train, valid, test] = rows(lab, ORACLE, seed)?;
    let first = |rows: &Continuous, n: usize| rows.select(&(0..n.min(rows.len())).collect::<Vec<_>>());
    Ok([first(&train, POINTS), first(&valid, POINTS), first(&test, 4 * POINTS)])
}
