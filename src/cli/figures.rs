//! `limbeck figures`

use super::Context;
use crate::{
    Result,
    experiments::{self, Experiment, Lab},
    notebook::{Budget, budget},
};
use std::{path::PathBuf, time::Instant};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of figures; where none is given all, but for those that measure times or take a quarter of an hour.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(experiments::all().map(|e| e.name)))]
    names: Vec<String>,
    /// List the names with what they show, and draw nothing.
    #[arg(long)]
    list: bool,
    /// The folder to write into.
    #[arg(long, default_value = "figures")]
    out: PathBuf,
    /// `small` (minutes) or `full` (as in the papers); LIMBECK_SCALE where not given.
    #[arg(long = "scale")]
    budget: Option<Budget>,
}

#[derive(serde::Serialize)]
struct Figures {
    figures: Vec<Row>,
}

#[derive(serde::Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
}

/// What all figures together may take at the small scale.
const SECONDS: &str = " of 900 on two quiet cores";

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let chosen: Vec<&Experiment> = match args.names.as_slice() {
        [] => experiments::all().filter(|e| args.list || !e.only_named).collect(),
        names => names.iter().map(|name| experiments::find(name)).collect::<Result<_>>()?,
    };
    if args.list {
        let rows: Vec<Row> = chosen.iter().map(|e| Row { name: e.name, title: e.title, files: vec![] }).collect();
        let figures = Figures { figures: rows };
        return context
            .print(&figures, |all| all.figures.iter().map(|r| format!("{:<12} {}\n", r.name, r.title)).collect());
    }
    let budget = args.budget.map_or_else(budget, Ok)?;
    let (mut rows, all, start) = (Vec::new(), chosen.len(), Instant::now());
    for (i, experiment) in chosen.into_iter().enumerate() {
        let (began, so_far) = (Instant::now(), start.elapsed().as_secs_f64());
        let (name, title, left) = (experiment.name, experiment.title, all - i);
        context.note(&format!("{i} drawn, {left} left, after {so_far:.0} s; now {name}: {title}"));
        let mut say = |what: &str| context.note(&format!("  {what} ({:.0} s)", began.elapsed().as_secs_f64()));
        let mut lab = Lab::new(budget, context.seed, &mut say);
        experiment.run(&mut lab)?;
        rows.push(Row { name: experiment.name, title: experiment.title, files: lab.save(&args.out)? });
    }
    let of = if args.names.is_empty() { budget.pick(SECONDS, "") } else { "" };
    context.note(&format!("{all} drawn, in {:.0} s{of}", start.elapsed().as_secs_f64()));
    let folder = args.out.display();
    context.print(&Figures { figures: rows }, |all| {
        all.figures.iter().map(|r| format!("{}: {folder}/{{{}}}\n", r.name, r.files.join(","))).collect()
    })
}
