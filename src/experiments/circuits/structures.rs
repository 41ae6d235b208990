//! Every structure at several sizes, beside published numbers.

use super::digits;
use crate::{
    Result,
    circuits::{FitCircuit, Structure, SumProduct},
    experiments::{Lab, published},
    plot::{Axis, Lines, Series, Table},
    train::Fit,
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let [train, valid, test] = digits(lab)?;
    let sizes: &[usize] = &[4, 8, 16, 32];
    let of = |make: &dyn Fn(usize) -> Structure| sizes.iter().map(|units| make(*units)).collect::<Vec<_>>();
    let tucker = |units: usize| units / 2;
    let families: Vec<(&str, Vec<Structure>)> = vec![
        ("mixture", of(&|u| Structure::Mixture { components: 4 * u })),
        ("hmm", of(&|u| Structure::Hmm { states: u, homogeneous: false })),
        ("hclt", of(&|u| Structure::hclt(u))),
        ("random-tree", of(&|u| Structure::RandomTree { units: u, layer: SumProduct::Cp })),
        ("rat-spn", of(&|u| Structure::RatSpn { depth: 4, replicas: 4, units: tucker(u), layer: SumProduct::Tucker })),
        ("quad-tree", of(&|u| Structure::QuadTree { units: u, layer: SumProduct::Cp, tied: false })),
        ("quad-graph", of(&|u| Structure::QuadGraph { units: u, layer: SumProduct::CpTransposed, tied: false })),
        (
            "poon-domingos",
            of(&|u| Structure::PoonDomingos { step: 2, units: tucker(u), layer: SumProduct::CpTransposed }),
        ),
        ("chow-liu", vec![Structure::ChowLiu]),
    ];
    let mut lines = Lines::new("Structures on digits", "parameters", "test bits per dimension")
        .axes(Axis::Log, Axis::Linear)
        .markers();
    let mut rows = Vec::new();
    for (name, structures) in families {
        lab.say(name);
        let mut points = Vec::new();
        for structure in structures {
            let mut settings = FitCircuit::new(structure);
            settings.epochs = lab.budget.pick(40, 200);
            let units = settings.structure.units_mut().map_or(0, |u| *u);
            let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
            let evidence = circuit.evidence(&test)?;
            let bits = evidence.bits_per_dim()?;
            points.push((circuit.parameters() as f64, bits));
            rows.push((name, units, circuit.parameters(), bits, evidence.bits_per_dim_error()?));
        }
        lines = lines.with(Series::new(name, points));
    }
    lab.figure("circuits-structures", &lines)?;
    let published = published(&["bits/dim"], |data| data.contains("MNIST"))?;
    let ours = |r: &(&str, usize, usize, f64, f64)| {
        (r.0.to_string(), "digits, 8 × 8, 17 levels", r.1.to_string(), r.2.to_string(), r.3, r.4, "measured here")
    };
    let theirs = published.iter().map(|p| {
        (p.model.clone(), p.data.as_str(), String::new(), String::new(), p.value, f64::NAN, p.source.as_str())
    });
    let rows: Vec<_> = rows.iter().map(ours).chain(theirs).collect();
    let table = Table::new()
        .text("model", rows.iter().map(|r| &r.0))?
        .text("data", rows.iter().map(|r| r.1))?
        .text("units", rows.iter().map(|r| &r.2))?
        .text("parameters", rows.iter().map(|r| &r.3))?
        .numbers("test bits/dim", rows.iter().map(|r| r.4))?
        .numbers("standard error", rows.iter().map(|r| r.5))?
        .text("source", rows.iter().map(|r| r.6))?;
    lab.table("circuits-structures-table", table);
    Ok(())
}
