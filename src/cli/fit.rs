//! `limbeck fit`

use super::{Context, Model};
use crate::{
    Error, Result,
    circuits::{FitCircuit, Structure},
    data::{Coding, Rows, Split, Subset, open_rows},
    train::{Bar, Checkpoint},
};
use std::{ops::ControlFlow, path::PathBuf, time::Duration};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to fit.
    model: Model,
    /// The rows to learn from.
    #[arg(long)]
    data: PathBuf,
    /// The model file to write.
    #[arg(long)]
    out: PathBuf,
    /// Settings in TOML; those on the command line go before it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Latent states a variable.
    #[arg(long)]
    states: Option<usize>,
    /// Passes over the training rows.
    #[arg(long)]
    epochs: Option<u64>,
    /// Rows in a batch.
    #[arg(long)]
    batch: Option<usize>,
    /// Categories of every variable; found in the data where not given.
    #[arg(long)]
    categories: Option<usize>,
    /// The part of the rows that decides when to stop, 0 for none.
    #[arg(long, default_value_t = 0.1)]
    valid: f64,
    /// A file to continue from after an interruption, written every half minute.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Seconds between two writes of the checkpoint.
    #[arg(long, default_value_t = 30.0, requires = "checkpoint")]
    checkpoint_every: f64,
    /// Go on from the checkpoint, if there is one.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

#[derive(serde::Serialize)]
struct Report {
    model: &'static str,
    out: String,
    rows: usize,
    variables: usize,
    parameters: usize,
    epochs: usize,
    seconds: f64,
    train_bits_per_dim: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_bits_per_dim: Option<f64>,
}

fn settings(args: &Args) -> Result<FitCircuit> {
    let mut settings = match &args.config {
        None => FitCircuit::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            toml::from_str(&text).map_err(|e| Error::file(path, e.to_string().trim_end()))?
        }
    };
    if let (Some(given), Structure::Hclt { states, .. }) = (args.states, &mut settings.structure) {
        *states = given;
    }
    settings.epochs = args.epochs.unwrap_or(settings.epochs);
    settings.batch = args.batch.unwrap_or(settings.batch);
    Ok(settings)
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let Model::Hclt = args.model;
    let settings = settings(args)?;
    if !(0.0..1.0).contains(&args.valid) {
        return Err(Error::out_of_range("--valid", args.valid, "0 ≤ valid < 1"));
    }
    let every = Duration::try_from_secs_f64(args.checkpoint_every)
        .map_err(|_| Error::out_of_range("--checkpoint-every", args.checkpoint_every, "0 ≤ seconds"))?;
    // Before an hour of work rather than after it.
    if let Some(folder) = args.out.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(Error::file(folder, "no such folder to write the model into"));
    }
    let rows = open_rows(&args.data, Coding::Learn(args.categories))?;
    let split = Split::random(rows.len(), args.valid, 0.0, context.seed);
    let train = Subset::new(&*rows, split.train);
    let valid = Subset::new(&*rows, split.valid);
    let bar = Bar::new("hclt");
    let checkpoint = args.checkpoint.clone().map(|path| Checkpoint { path, every, resume: args.resume });
    let (circuit, history) = settings.fit_with(&train, Some(&valid), context.seed, checkpoint, &mut |progress| {
        bar.show(progress);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    circuit.save(&args.out, &*rows)?;
    let report = Report {
        model: "hclt",
        out: args.out.display().to_string(),
        rows: rows.len(),
        variables: rows.schema().len(),
        parameters: circuit.parameters(),
        epochs: history.epochs().len(),
        seconds: history.last().map_or(0.0, |r| r.seconds),
        train_bits_per_dim: circuit.evidence(&train)?.bits_per_dim()?,
        valid_bits_per_dim: if valid.is_empty() { None } else { Some(circuit.evidence(&valid)?.bits_per_dim()?) },
    };
    context.print(&report, |r| {
        let valid = r.valid_bits_per_dim.map(|v| format!(", validation {v:.4}")).unwrap_or_default();
        let (train, epochs, seconds) = (r.train_bits_per_dim, r.epochs, r.seconds);
        format!("{circuit}\n{epochs} epochs, {seconds:.1} s; bits/dim: train {train:.4}{valid}\nwritten to {}", r.out)
    });
    Ok(())
}
