//! The command line: `limbeck figures`, `fit`, `show`, `score`, `sample`, `query`, `compress`, `data`, `devices`.

mod codec;
mod data;
mod figures;
mod fit;
mod fit_flow;
mod query;
mod score;
mod show;

use crate::{
    Error, Result,
    circuits::{Circuit, RealCircuit, Summary},
    flows::FlowModel,
    random::Seed,
};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Generative models that have a likelihood: fit them to your data, score, sample, ask.
///
/// Data is read from .npy, .npz (FILE.npz:NAME), .csv, IDX, or a folder of images.
/// A missing value is NaN in a float array, -1 in an integer array, an empty cell in CSV.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Root of all randomness.
    #[arg(long, global = true, default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw the figures and tables, all or those named.
    Figures(figures::Args),
    /// Fit a model to data.
    Fit(fit::Args),
    /// Log-likelihood of data under a model.
    Score(score::Args),
    /// Draw rows from a model.
    Sample(query::SampleArgs),
    /// What a model file holds.
    Show(show::Args),
    /// Ask a model about rows of which only a part is known.
    Query(query::QueryArgs),
    /// Compress rows without loss, in as many bits as a model finds them unlikely.
    Compress(codec::CompressArgs),
    /// Get back what was compressed, byte for byte.
    Decompress(codec::DecompressArgs),
    /// The data that ships, and data to install.
    Data(data::Args),
    /// The devices that networks can run on.
    Devices,
}

/// What every command is told.
struct Context {
    json: bool,
    seed: Seed,
}

impl Context {
    /// Prints `report` as JSON, or as the text made of it.
    fn print<T: Serialize>(&self, report: &T, text: impl FnOnce(&T) -> String) {
        let line = match self.json {
            true => serde_json::to_string(report).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}")),
            false => text(report),
        };
        // A closed pipe is the reader's wish.
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), format!("{}\n", line.trim_end()).as_bytes());
    }
}

/// Runs the command line: 0 on success, 2 on wrong usage, 1 on any other error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context { json: cli.json, seed: Seed(cli.seed) };
    let done = match cli.command {
        Command::Figures(args) => figures::run(&args, &context),
        Command::Fit(args) => fit::run(&args, &context),
        Command::Score(args) => score::run(&args, &context),
        Command::Sample(args) => query::sample(&args, &context),
        Command::Show(args) => show::run(&args, &context),
        Command::Query(args) => query::run(&args, &context),
        Command::Compress(args) => codec::compress(&args, &context),
        Command::Decompress(args) => codec::decompress(&args, &context),
        Command::Data(args) => data::run(&args, &context),
        Command::Devices => data::devices(&context),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    match context.json {
        true => eprintln!("{}", serde_json::json!({ "error": error.to_string() })),
        false => eprintln!("error: {error}"),
    }
    ExitCode::from(if matches!(error, Error::OutOfRange { .. } | Error::Usage(_)) { 2 } else { 1 })
}

/// A whole number above zero on the command line.
fn positive(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number above zero is expected".into())
}

/// `3 rows`, `1 row`.
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Refuses to write over what is read, or two files into one. Each path comes with the option that names it.
fn keep_apart(read: &[(&str, &Path)], written: &[(&str, Option<&Path>)]) -> Result<()> {
    let place = |path: &Path| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folder.canonicalize().ok().zip(path.file_name()).map(|(folder, name)| folder.join(name))
    };
    let written: Vec<(&str, &Path)> = written.iter().filter_map(|(name, path)| Some((*name, (*path)?))).collect();
    for (i, (name, path)) in written.iter().enumerate() {
        let mut others = read.iter().chain(&written[..i]);
        if let Some((other, _)) = others.find(|(_, other)| place(other).is_some() && place(other) == place(path)) {
            return Err(Error::file(path, format!("{name} would overwrite {other}: give it another name")));
        }
    }
    Ok(())
}

/// A model file on the command line.
#[derive(Debug, clap::Args)]
struct ModelFile {
    /// The model, as `limbeck fit` wrote it.
    #[arg(value_name = "MODEL")]
    path: PathBuf,
}

impl ModelFile {
    fn load(&self) -> Result<Circuit> {
        Circuit::load(&self.path)
    }

    /// A flow, where it is one.
    fn load_flow(&self) -> Result<Option<FlowModel>> {
        FlowModel::load_if_flow(&self.path)
    }

    /// Over real numbers, where it is so.
    fn load_reals(&self) -> Result<Option<RealCircuit>> {
        let reals = Summary::of_file(&self.path)?.variables.iter().any(|v| v.categories == 0);
        if reals { RealCircuit::load(&self.path).map(Some) } else { Ok(None) }
    }
}
