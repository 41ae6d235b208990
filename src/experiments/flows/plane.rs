//! Every flow on densities of the plane whose entropy is known, and a claim about couplings.

use super::{gap, reach, rows};
use crate::{
    Result,
    data::{Continuous, Oracle},
    experiments::{Claim, Lab},
    flows::{FitFlow, FlowKind},
    plot::{Planes, Table},
    train::Fit,
};

/// Epochs of a kind on a density of the plane.
pub(super) fn settings(lab: &Lab, kind: FlowKind) -> FitFlow {
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
    couplings(lab)
}

/// RealNVP against NICE on five seeds, after few epochs and after more.
fn couplings(lab: &mut Lab) -> Result<()> {
    const SEEDS: u64 = 5;
    let mut found = Vec::new();
    for epochs in [lab.budget.pick(15, 100), lab.budget.pick(40, 300)] {
        let mut differences = vec![[0.0; Oracle::ALL.len()]; SEEDS as usize];
        for (i, differences) in differences.iter_mut().enumerate() {
            lab.say(format!("RealNVP and NICE, {epochs} epochs, seed {i}"));
            let seed = lab.seed.child("couplings", i as u64);
            for (oracle, difference) in Oracle::ALL.into_iter().zip(differences) {
                let [train, valid, test] = rows(lab, oracle, seed)?;
                let loss = |kind| -> Result<f64> {
                    let settings = FitFlow { epochs, ..FitFlow::new(kind) };
                    Ok(-settings.fit(&train, Some(&valid), seed)?.0.evidence(&test)?.mean())
                };
                // Either is too small for two threads.
                let (nice, real_nvp) = rayon::join(|| loss(FlowKind::Nice), || loss(FlowKind::RealNvp));
                *difference = nice? - real_nvp?;
            }
        }
        let values: Vec<f64> = differences.iter().map(|d| d.iter().sum::<f64>() / d.len() as f64).collect();
        let measure = "loss of NICE − loss of RealNVP, mean of five densities of the plane, nats a row";
        let claim = Claim::new("RealNVP beats NICE", "Dinh, Sohl-Dickstein and Bengio 2017", measure, &values);
        lab.claim(claim.budget(format!("{epochs} epochs of {} rows at most", lab.budget.pick(3000, 20_000))));
        for (i, oracle) in Oracle::ALL.into_iter().enumerate() {
            let each = || differences.iter().map(|d| d[i]);
            let wins = each().filter(|d| *d > 0.0).count();
            found.push((epochs, oracle.name(), each().sum::<f64>() / SEEDS as f64, wins));
        }
    }
    let table = Table::new()
        .counts("epochs", found.iter().map(|r| r.0 as usize))?
        .text("density", found.iter().map(|r| r.1))?
        .numbers("loss of NICE − loss of RealNVP, mean of 5 seeds (nats)", found.iter().map(|r| r.2))?
        .counts("seeds of 5 that RealNVP wins", found.iter().map(|r| r.3))?;
    lab.table("flows-couplings", table);
    Ok(())
}
