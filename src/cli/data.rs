//! `limbeck data` and `limbeck devices`

use super::Context;
use crate::{
    Result,
    data::{Coding, Rows, fetch_fashion_mnist, load},
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
    rows: usize,
    shape: Vec<usize>,
    variables: usize,
    categories: usize,
    missing: usize,
}

#[derive(serde::Serialize)]
struct Installed {
    folder: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.command {
        Command::Show { file } => {
            let rows = load(file)?.discrete(Coding::Learn(None))?;
            let schema = rows.schema();
            let report = Shown {
                file: file.display().to_string(),
                rows: rows.len(),
                shape: schema.shape.clone(),
                variables: schema.len(),
                categories: schema.variables.iter().map(|v| v.categories).max().unwrap_or(0),
                missing: rows.codes().iter().filter(|c| **c == crate::data::MISSING).count(),
            };
            context.print(&report, |r| {
                let (rows, shape, most, missing) = (r.rows, &r.shape, r.categories, r.missing);
                format!("{}: {rows} rows of shape {shape:?}, up to {most} categories, {missing} values missing", r.file)
            })
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
