//! The rules of EM on the same circuit and the same rows.

use super::digits;
use crate::{
    Result,
    circuits::{Em, FitCircuit, Rule, Structure},
    data::Rows,
    evidence::bits_per_dim,
    experiments::Lab,
    plot::{Lines, Series},
    train::{Fit, History},
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let [train, valid, _] = digits(lab)?;
    let dims = train.schema().len();
    let rules = [
        ("full batch", Em::exact()),
        ("mini-batch", Em::default()),
        ("slow forgetting", Em { rule: Rule::SlowForgetting, memory: 3000.0, ..Em::default() }),
        ("Anemone", Em::anemone()),
    ];
    let mut lines = Lines::new("Four rules of EM, one circuit", "epoch", "validation bits per dimension");
    for (name, em) in rules {
        lab.say(name);
        let em = if em.rule == Rule::FullBatch { Em { pseudocount: 0.1, ..em } } else { em };
        let epochs = lab.budget.pick(40, 200);
        let settings = FitCircuit { epochs, patience: 0, em, ..FitCircuit::new(Structure::hclt(16)) };
        let (_, history): (_, History) = settings.fit(&train, Some(&valid), lab.seed)?;
        let points = history.epochs().into_iter().filter_map(|e| Some((e.0 as f64, bits_per_dim(e.2?, dims))));
        lines = lines.with(Series::new(name, points.skip(1)));
    }
    lab.figure("circuits-em", &lines)
}
