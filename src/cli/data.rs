//! `limbeck data` and `limbeck devices`

use super::{Context, input::Text};
use crate::{
    Result,
    data::{Coding, ColumnSummary, Continuous, Discrete, MISSING, Rows, fetch_fashion_mnist, load_with},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What a data file holds, as a model would read it.
    Show {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        text: Text,
        /// Read it as columns of real numbers, as flows and gaussian leaves do; where not given, when it is not one of categories.
        #[arg(long)]
        reals: bool,
    },
    /// Install a full data set from files on this machine.
    Get {
        /// Which.
        name: Set,
        /// The folder with its files; Debian's package folder where not given.
        #[arg(long)]
        from: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Set {
    /// 60,000 + 10,000 images, from Debian's package dataset-fashion-mnist or your own IDX files.
    FashionMnist,
}

#[derive(serde::Serialize)]
struct Shown {
    file: String,
    kind: &'static str,
    rows: usize,
    shape: Vec<usize>,
    variables: usize,
    /// Of the variable with most.
    categories: usize,
    missing: usize,
    /// Of columns of real numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    columns: Vec<Shape>,
}

/// A column of real numbers.
#[derive(serde::Serialize)]
struct Shape {
    name: String,
    mean: f64,
    deviation: f64,
    warning: Option<String>,
}

impl Shown {
    fn categories(file: String, rows: &Discrete) -> Self {
        let schema = rows.schema();
        Self {
            file,
            kind: "categories",
            rows: rows.len(),
            shape: schema.shape.clone(),
            variables: schema.len(),
            categories: schema.variables.iter().map(|v| v.categories).max().unwrap_or(0),
            missing: rows.codes().iter().filter(|c| **c == MISSING).count(),
            columns: vec![],
        }
    }

    fn reals(file: String, rows: &Continuous) -> Result<Self> {
        let columns = ColumnSummary::of(rows)?;
        let known: usize = columns.iter().map(|c| c.known).sum();
        let shape = |c: ColumnSummary| {
            let warning = c.check().err().map(|e| e.to_string()).or_else(|| c.warning());
            Shape { name: c.name, mean: c.mean, deviation: c.deviation, warning }
        };
        Ok(Self {
            file,
            kind: "reals",
            rows: rows.len(),
            shape: rows.schema().shape.clone(),
            variables: columns.len(),
            categories: 0,
            missing: rows.len() * columns.len() - known,
            columns: columns.into_iter().map(shape).collect(),
        })
    }

    fn text(&self) -> String {
        let (file, rows, shape, missing) = (&self.file, self.rows, &self.shape, self.missing);
        let what = match self.kind {
            "reals" => "real numbers".to_string(),
            _ => format!("up to {} categories", self.categories),
        };
        let head = format!("{file}: {rows} rows of shape {shape:?}, {what}, {missing} values missing");
        let line = |c: &Shape| {
            let warning = c.warning.as_ref().map(|w| format!("; {w}")).unwrap_or_default();
            format!("\n  {}: mean {:.6}, deviation {:.6}{warning}", c.name, c.mean, c.deviation)
        };
        let more = if self.columns.len() > LISTED { "\n  …" } else { "" };
        head + &self.columns.iter().take(LISTED).map(line).collect::<String>() + more
    }
}

/// How many columns are listed one by one.
const LISTED: usize = 40;

#[derive(serde::Serialize)]
struct Installed {
    folder: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Show { file, text, reals } => {
            let (loaded, name) = (load_with(file, &text.reading())?, file.display().to_string());
            let report = match loaded.discrete(Coding::Learn(None)) {
                Ok(rows) if !reals => Shown::categories(name, &rows),
                found => match (loaded.continuous(None), found) {
                    (Ok(rows), _) => Shown::reals(name, &rows)?,
                    // It is neither: what it is not as categories says more, unless it was to be the other.
                    (Err(error), _) if *reals => return Err(error),
                    (Err(_), Err(error)) | (Err(error), Ok(_)) => return Err(error),
                },
            };
            context.print(&report, Shown::text)
        }
        Command::Get { name: Set::FashionMnist, from } => {
            let folder = fetch_fashion_mnist(from.as_deref())?.display().to_string();
            context.print(&Installed { folder }, |r| format!("Fashion-MNIST installed into {}", r.folder))
        }
    }
}

#[derive(serde::Serialize)]
struct Devices {
    devices: Vec<String>,
}

pub(super) fn devices(context: &Context) -> Result<()> {
    let report = Devices { devices: crate::nn::device::devices() };
    context.print(&report, |r| r.devices.join("\n"))
}
