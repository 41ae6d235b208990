//! `limbeck score`

use super::{Context, ModelFile};
use crate::{
    Error, Result,
    data::{Coding, Table, load::write_npy, open_rows},
    evidence::{Certainty, Exact},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
    /// The rows to score; one with missing values is scored by its marginal, which a flow does not have.
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
    /// A value that is known; null where a row is impossible, or no value is known.
    bits_per_dim: Option<f64>,
    evidence: &'static str,
    space: String,
    /// Of `mean_log_prob`, nats; null for a single row.
    standard_error: Option<f64>,
    /// Rows of probability zero.
    impossible: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    super::keep_apart(
        &[("MODEL", &args.model.path), ("--data", &args.data)],
        &[("--per-sample", args.per_sample.as_deref())],
    )?;
    let evidence = if let Some(flow) = args.model.load_flow()? {
        flow.evidence(&Table::load(&args.data)?).map_err(|e| Error::file(&args.data, e))?
    } else if let Some(circuit) = args.model.load_reals()? {
        circuit.evidence(&Table::load(&args.data)?).map_err(|e| Error::file(&args.data, e))?
    } else {
        let circuit = args.model.load()?;
        circuit.evidence(&*open_rows(&args.data, Coding::Use(circuit.schema()))?)?
    };
    if let Some(path) = &args.per_sample {
        write_npy(path, &[evidence.len()], evidence.log_probs())?;
    }
    let report = Report {
        n: evidence.len(),
        mean_log_prob: evidence.mean(),
        bits_per_dim: evidence.bits_per_dim().ok(),
        evidence: Exact::NAME,
        space: evidence.space().to_string(),
        standard_error: (evidence.len() > 1).then(|| evidence.standard_error()),
        impossible: evidence.log_probs().iter().filter(|p| **p == f64::NEG_INFINITY).count(),
    };
    context.print(&report, |r| {
        let error = r.standard_error.map(|e| format!(" ± {e:.4}")).unwrap_or_default();
        let bits = r.bits_per_dim.map_or("no value is known".into(), |bits| format!("{bits:.4} bits/dim"));
        let (rows, mean) = (super::counted(r.n, "row"), r.mean_log_prob);
        let impossible = match r.impossible {
            0 => String::new(),
            1 => "\n1 row is impossible under the model".into(),
            k => format!("\n{k} rows are impossible under the model"),
        };
        format!("{rows}: mean log-likelihood {mean:.4}{error} nats, {bits} ({}, {}){impossible}", r.evidence, r.space)
    });
    Ok(())
}
