//! What pruning costs by each heuristic, beside its bound.

use super::digits;
use crate::{
    Result,
    circuits::{FitCircuit, PruneBy, Structure},
    experiments::Lab,
    plot::{Axis, Lines, Series},
    train::Fit,
};

/// The least loss that is drawn.
const LEAST: f64 = 1e-3;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let [train, valid, _] = digits(lab)?;
    let settings = FitCircuit { epochs: lab.budget.pick(60, 200), ..FitCircuit::new(Structure::hclt(8)) };
    let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
    let mut lines = Lines::new(
        "What pruning costs",
        "share of the edges that is pruned",
        "loss on the training rows (nats a row, from 0.001 on)",
    )
    .axes(Axis::Linear, Axis::Log)
    .above(LEAST);
    let mut bounds = Vec::new();
    for (name, by) in [("flow", PruneBy::Flow), ("parameter", PruneBy::Parameter), ("random", PruneBy::Random)] {
        let mut points = Vec::new();
        for share in (1..=18).map(|i| f64::from(i) * 0.05) {
            let pruned = circuit.prune(share, by, &train, lab.seed)?;
            points.push((share, pruned.loss));
            if let (PruneBy::Flow, Some(bound)) = (by, pruned.bound) {
                bounds.push((share, bound));
            }
        }
        lines = lines.with(Series::new(name, points));
    }
    lab.figure("circuits-pruning", &lines.with(Series::new("bound for flow", bounds)))
}
