//! The command line: `limbeck figures`, `fit`, `show`, `score`, `sample`, `query`, `infill`, `spellcheck`, `compress`, `data`,
//! `devices`.

mod codec;
mod data;
mod figures;
mod files;
mod fit;
mod input;
mod known;
mod query;
mod score;
mod show;
mod text;

use crate::{
    Error, Result,
    model::{Model, Origin, Queries},
    models,
    random::Seed,
};
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Generative models that have a likelihood: fit them to your data, score, sample, ask.
///
/// Data is read from .npy, .npz (FILE.npz:NAME), .csv, IDX, an image, or a folder of images.
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
    /// Fill in what is hidden of a text.
    Infill(text::InfillArgs),
    /// Find characters of a text that are likely wrong, and put likelier ones in their place.
    Spellcheck(text::SpellcheckArgs),
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
    /// Prints `report` as JSON, or as the text made of it. What cannot be printed is an error, but for a closed pipe, which is the
    /// reader's wish.
    fn print<T: Serialize>(&self, report: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        let line = match self.json {
            true => serde_json::to_string(report).map_err(Error::invalid)?,
            false => plain(&text(report)),
        };
        let mut out = std::io::stdout().lock();
        let written = out.write_all(format!("{}\n", line.trim_end()).as_bytes()).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
            _ => Ok(()),
        }
    }

    /// Says something beside the report: as a line of JSON where the report is one.
    fn note(&self, text: &str) {
        match self.json {
            true => note(&serde_json::json!({ "note": text }).to_string()),
            false => note(text),
        }
    }
}

/// Says something where standard error takes it.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

/// Text without what a terminal would obey: names come from files.
fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c.is_control() && c != '\n' {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect()
}

/// Runs the command line: 0 on success, 2 on wrong usage, 130 when interrupted, 1 on any other error.
pub fn main() -> ExitCode {
    // This thread is one of the pool: a parallel loop then begins without waking another first.
    let _ = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => return ended(not_run(&answer), std::env::args_os().any(|arg| arg == "--json")),
    };
    let context = Context { json: cli.json, seed: Seed(cli.seed) };
    let done = match cli.command {
        Command::Figures(args) => figures::run(&args, &context),
        Command::Fit(args) => fit::run(&args, &context),
        Command::Score(args) => score::run(&args, &context),
        Command::Sample(args) => query::sample(&args, &context),
        Command::Show(args) => show::run(&args, &context),
        Command::Query(args) => query::run(&args, &context),
        Command::Infill(args) => text::infill(&args, &context),
        Command::Spellcheck(args) => text::spellcheck(&args, &context),
        Command::Compress(args) => codec::compress(&args, &context),
        Command::Decompress(args) => codec::decompress(&args, &context),
        Command::Data(args) => data::run(&args, &context),
        Command::Devices => data::devices(&context),
    };
    ended(done, context.json)
}

/// Help, if that is what was asked for; else what is wrong with the words on the command line.
fn not_run(answer: &clap::Error) -> Result<()> {
    let text = answer.to_string();
    if answer.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(Error::Usage(format!("a command is missing\n\n{}", text.trim_end())));
    }
    if answer.use_stderr() {
        return Err(Error::Usage(text.trim_start_matches("error: ").trim_end().to_owned()));
    }
    match answer.print() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("standard output")(error)),
        _ => Ok(()),
    }
}

/// Says what went wrong, and how it ended for whoever called.
fn ended(done: Result<()>, json: bool) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    let text = error.to_string();
    note(&match json {
        // One line, whatever the words: usage comes after an empty one.
        true => {
            serde_json::json!({ "error": text.split("\n\n").next().unwrap_or(&text).replace('\n', " ") }).to_string()
        }
        false => format!("error: {text}"),
    });
    ExitCode::from(match error {
        Error::OutOfRange { .. } | Error::Usage(_) => 2,
        Error::Interrupted { .. } => 130,
        _ => 1,
    })
}

/// A whole number above zero on the command line.
fn positive(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number above zero is expected".into())
}

/// A model file on the command line.
#[derive(Debug, clap::Args)]
struct ModelFile {
    /// The model, as `limbeck fit` wrote it.
    #[arg(value_name = "MODEL")]
    path: PathBuf,
}

impl ModelFile {
    /// The model, whatever its family, and where it comes from.
    fn load(&self) -> Result<(Box<dyn Model>, Origin)> {
        models::load(&self.path)
    }

    /// What the model can be asked.
    fn queries<'m>(&self, model: &'m dyn Model) -> Result<&'m dyn Queries> {
        model.queries().ok_or_else(|| {
            let kind = model.kind();
            Error::Usage(format!("{kind} is there for `score` and `sample` alone, without options that ask for more"))
        })
    }
}
