//! `limbeck score`

use super::{Context, ModelFile};
use crate::{
    Result,
    data::{Coding, load::write_npy, open_rows},
    evidence::{Exact, Kind},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
    /// The rows to score; one with missing values is scored by its marginal.
    #[arg(long)]
    data: PathBuf,
    /// Also write one log-likelihood a row (float64, nats) into this .npy file.
    #[arg(long, value_name = "FILE.npy")]
    per_sample: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Report {
    n: usize,
    /// Nats; null for −∞.
    mean_log_prob: f64,
    /// Null where a row is impossible.
    bits_per_dim: f64,
    evidence: &'static str,
    space: String,
    /// Of `mean_log_prob`, nats.
    standard_error: f64,
    /// Rows of probability zero.
    impossible: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let circuit = args.model.load()?;
    let rows = open_rows(&args.data, Coding::Use(circuit.schema()))?;
    let evidence = circuit.evidence(&*rows)?;
    if let Some(path) = &args.per_sample {
        write_npy(path, &[evidence.len()], evidence.log_probs())?;
    }
    let report = Report {
        n: evidence.len(),
        mean_log_prob: evidence.mean(),
        bits_per_dim: evidence.bits_per_dim()?,
        evidence: Exact::NAME,
        space: evidence.space().to_string(),
        standard_error: evidence.standard_error(),
        impossible: evidence.log_probs().iter().filter(|p| **p == f64::NEG_INFINITY).count(),
    };
    context.print(&report, |r| {
        let (n, mean, error, bits) = (r.n, r.mean_log_prob, r.standard_error, r.bits_per_dim);
        let impossible = match r.impossible {
            0 => String::new(),
            k => format!("\n{k} rows have a value that the model gives probability zero"),
        };
        format!(
            "{n} rows: mean log-likelihood {mean:.4} ± {error:.4} nats, {bits:.4} bits/dim ({}, {}){impossible}",
            r.evidence, r.space
        )
    });
    Ok(())
}
