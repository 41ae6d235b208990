//! Every flow on densities of the plane whose entropy is known, and two claims about them.

use super::{gap, reach, rows};
use crate::{
    Result,
    data::{Continuous, Oracle},
    experiments::{Claim, Lab},
    flows::{FitFlow, FlowKind},
    plot::{Axis, Lines, Planes, Series, Table},
    random::Seed,
    train::Fit,
};

fn settings(lab: &Lab, kind: FlowKind) -> FitFlow {
    let epochs = if kind == FlowKind::Gaussianization { lab.budget.pick(15, 100) } else { lab.budget.pick(40, 300) };
    FitFlow { epochs, ..FitFlow::new(kind) }
}

/// Every flow on every density of the plane.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut pictures = Planes::new("Densities, and what flows have learned of them", Oracle::ALL.len());
    for oracle in Oracle::ALL {
        pictures = pictures
            .density(oracle.name(), reach(oracle), |cells| cells.iter().map(|cell| oracle.log_prob(*cell)).collect());
    }
    let mut found = Vec::new();
    for kind in FlowKind::ALL {
        for oracle in Oracle::ALL {
            lab.say(format!("{}, {}", kind.name(), oracle.name()));
            let [train, valid, test] = rows(lab, oracle, lab.seed)?;
            let (flow, _) = settings(lab, kind).fit(&train, Some(&valid), lab.seed)?;
            let (gap, error) = gap(oracle, &flow, &test)?;
            found.push((kind.name(), oracle.name(), flow.parameters(), oracle.entropy(), gap, error));
            let cells = Continuous::new(test.names().to_vec(), Planes::cells(reach(oracle)).concat())?;
            let log_probs = flow.evidence(&cells)?.log_probs().to_vec();
            pictures = pictures.density(kind.name(), reach(oracle), |_| log_probs);
        }
    }
    lab.figure("flows-plane", &pictures)?;
    let table = Table::new()
        .text("flow", found.iter().map(|r| r.0))?
        .text("density", found.iter().map(|r| r.1))?
        .counts("parameters", found.iter().map(|r| r.2))?
        .numbers("entropy (nats)", found.iter().map(|r| r.3))?
        .numbers("gap to it (nats)", found.iter().map(|r| r.4))?
        .numbers("standard error", found.iter().map(|r| r.5))?;
    lab.table("flows-gaps", table);
    couplings(lab)?;
    gaussianization(lab)
}

/// RealNVP against NICE on five seeds.
fn couplings(lab: &mut Lab) -> Result<()> {
    let mut values = Vec::new();
    for i in 0..5 {
        lab.say(format!("RealNVP and NICE, seed {i}"));
        let seed = lab.seed.child("couplings", i);
        let mut difference = 0.0;
        for oracle in Oracle::ALL {
            let [train, valid, test] = rows(lab, oracle, seed)?;
            let loss = |kind| -> Result<f64> {
                let settings = FitFlow { epochs: lab.budget.pick(15, 300), ..FitFlow::new(kind) };
                Ok(-settings.fit(&train, Some(&valid), seed)?.0.evidence(&test)?.mean())
            };
            difference += (loss(FlowKind::Nice)? - loss(FlowKind::RealNvp)?) / Oracle::ALL.len() as f64;
        }
        values.push(difference);
    }
    let measure = "loss of NICE − loss of RealNVP, mean of five densities of the plane, nats a row";
    lab.claim(Claim::new("RealNVP beats NICE", "Dinh, Sohl-Dickstein and Bengio 2017", measure, &values));
    Ok(())
}

/// The gap after every number of layers, learned and by iteration alone.
fn gaussianization(lab: &mut Lab) -> Result<()> {
    let oracle = Oracle::Moons;
    let fit = |kind, layers, seed: Seed| -> Result<f64> {
        let [train, valid, test] = rows(lab, oracle, seed)?;
        let settings = FitFlow { layers, ..settings(lab, kind) };
        Ok(gap(oracle, &settings.fit(&train, Some(&valid), seed)?.0, &test)?.0)
    };
    let curve = |kind, layers: &[usize]| -> Result<Vec<(f64, f64)>> {
        layers.iter().map(|l| Ok((*l as f64, fit(kind, *l, lab.seed)?))).collect()
    };
    let learned = curve(FlowKind::Gaussianization, &[1, 2, 3, 4, 5])?;
    let iterated = curve(FlowKind::Rbig, &[1, 2, 3, 4, 5, 10, 20, 40])?;
    let values = (0..5).map(|i| {
        let seed = lab.seed.child("gaussianization", i);
        Ok(fit(FlowKind::Rbig, 10, seed)? - fit(FlowKind::Gaussianization, 3, seed)?)
    });
    let values = values.collect::<Result<Vec<f64>>>()?;
    let lines = Lines::new("Gaussianization by learning and by iteration", "layers", "nats above the entropy of moons")
        .axes(Axis::Log, Axis::Linear)
        .markers()
        .with(Series::new("gaussianization", learned))
        .with(Series::new("rbig", iterated));
    lab.figure("flows-gaussianization", &lines)?;
    let sentence = "Gaussianization flows converge in fewer layers than iterative Gaussianization";
    let measure = "gap of 10 iterated layers − gap of 3 learned ones on moons, nats a row";
    lab.claim(Claim::new(sentence, "Meng et al. 2020", measure, &values));
    Ok(())
}
