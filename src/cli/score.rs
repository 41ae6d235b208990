//! `limbeck score`

use super::{Context, ModelFile, files::keep_apart, input::ForModel};
use crate::{
    Error, Result,
    data::{Rows, load::write_npy},
    error::counted,
    random::{Seed, permutation},
    train::Bar,
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
    /// The rows to score; one with missing values is scored by its marginal, where the model has one.
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    input: ForModel,
    /// The exact likelihood of values filled in one after the other, of a model that can: "left-to-right", or "random" by the seed.
    #[arg(long, value_enum, value_name = "ORDER")]
    order: Option<OrderIs>,
    /// How many random orders: the likelihood is that of a model which draws one of them.
    #[arg(long, default_value_t = 1, value_parser = super::positive, requires = "order")]
    orders: usize,
    /// How many draws of each row a bound is made of, where it is drawn: more make it surer, or tighter. As the model was told if left out.
    #[arg(long, value_parser = super::positive, conflicts_with = "order")]
    draws: Option<usize>,
    /// Also write one log-likelihood a row (float64, nats) into this .npy file.
    #[arg(long, value_name = "FILE.npy")]
    per_sample: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
enum OrderIs {
    /// From the first column to the last.
    LeftToRight,
    /// Drawn by the seed.
    Random,
}

impl OrderIs {
    fn orders(self, columns: usize, orders: usize, seed: Seed) -> Vec<Vec<usize>> {
        match self {
            Self::LeftToRight => vec![(0..columns).collect()],
            Self::Random => (0..orders as u64).map(|i| permutation(columns, &mut seed.stream("orders", i))).collect(),
        }
    }
}

#[derive(serde::Serialize)]
struct Report {
    n: usize,
    /// Nats; null for −∞.
    mean_log_prob: f64,
    /// Where the likelihood is a code length, and some value is known; null where a row is impossible.
    bits_per_dim: Option<f64>,
    /// Bits a byte of UTF-8, of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_per_byte: Option<f64>,
    /// By about how much those of the pictures themselves are more, where colours were lost: as if they were spread evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits_lost_per_dim: Option<f64>,
    evidence: &'static str,
    space: String,
    /// Of `mean_log_prob`, nats; null for a single row.
    standard_error: Option<f64>,
    /// The least and the largest that an estimate may be, nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<(f64, f64)>,
    /// Rows whose log-likelihood is −∞: of probability zero, or of a density that overflows on its way.
    impossible: usize,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let read = [("MODEL", args.model.path.as_path()), ("--data", &args.data)];
    keep_apart(&read, &[("--per-sample", args.per_sample.as_deref())])?;
    let (model, origin) = args.model.load()?;
    let rows = args.input.open(&args.data, (&*model, &origin), context)?;
    let waiting = || Bar::waiting("scores");
    let scored = match args.order {
        None => {
            let _waiting = waiting();
            match args.draws {
                None => model.score(&*rows, context.seed),
                Some(draws) => model.score_from(&*rows, draws, context.seed),
            }
        }
        Some(_) if args.orders > 1 && args.order == Some(OrderIs::LeftToRight) => {
            return Err(Error::Usage("--orders is of random ones".into()));
        }
        Some(order) => {
            let whole = args.input.load(&args.data, (&*model, &origin), context)?;
            let orders = order.orders(model.schema().len(), args.orders, context.seed);
            let _waiting = waiting();
            args.model.queries(&*model)?.in_orders(&whole, &orders)
        }
    };
    let evidence = scored.and_then(|evidence| match origin.view.is_plain() {
        true => Ok(evidence),
        false => evidence.of_mapped(origin.view.space()),
    });
    let evidence = evidence.map_err(|e| if let Error::Usage(_) = e { e } else { Error::file(&args.data, e) })?;
    let lost = origin.view.bits_lost_per_dim();
    let each = evidence.log_probs();
    if let Some(path) = &args.per_sample {
        write_npy(path, &[each.len()], each)?;
    }
    let report = Report {
        n: each.len(),
        mean_log_prob: evidence.mean(),
        bits_per_dim: evidence.bits_per_dim(),
        bits_per_byte: bytes_of(&*rows)?.map(|bytes| -each.iter().sum::<f64>() / std::f64::consts::LN_2 / bytes as f64),
        bits_lost_per_dim: (lost > 0.0).then_some(lost),
        evidence: evidence.certainty(),
        space: evidence.space().to_string(),
        standard_error: (each.len() > 1).then(|| evidence.standard_error()),
        interval: evidence.interval(),
        impossible: each.iter().filter(|p| **p == f64::NEG_INFINITY).count(),
    };
    context.print(&report, |r| {
        let error = r.standard_error.map(|e| format!(" ± {e:.4}")).unwrap_or_default();
        let bits = match (r.bits_per_dim, r.bits_per_byte) {
            (Some(bits), None) => format!(", {bits:.4} bits/dim"),
            (Some(bits), Some(of_bytes)) => format!(", {bits:.4} bits a character, {of_bytes:.4} a byte of UTF-8"),
            (None, _) => String::new(),
        };
        let (rows, mean) = (counted(r.n, "row"), r.mean_log_prob);
        let interval = r.interval.map(|(low, high)| format!("; between {low:.4} and {high:.4}")).unwrap_or_default();
        let impossible = match r.impossible {
            0 => String::new(),
            1 => "\n1 row has a likelihood of 0, or one too small for the model's numbers".into(),
            k => format!("\n{k} rows have a likelihood of 0, or one too small for the model's numbers"),
        };
        let lost = match (r.bits_per_dim, r.bits_lost_per_dim) {
            (Some(bits), Some(lost)) => {
                let whole = bits + lost;
                format!("\ncolours were lost: pictures themselves cost about {lost:.3} more, {whole:.4} bits/dim, if spread evenly")
            }
            _ => String::new(),
        };
        let (evidence, space) = (r.evidence, &r.space);
        let line = format!("{rows}: mean log-likelihood {mean:.4}{error} nats{bits} ({evidence}, {space})");
        format!("{line}{interval}{lost}{impossible}")
    })
}

/// Bytes of UTF-8 of rows that are text.
fn bytes_of(rows: &dyn Rows) -> Result<Option<usize>> {
    let Some(alphabet) = rows.schema().alphabet() else { return Ok(None) };
    let (mut bytes, mut codes) = (0, Vec::new());
    for block in (0..rows.len()).collect::<Vec<_>>().chunks(4096) {
        rows.read(block, &mut codes)?;
        bytes += codes.iter().filter_map(|code| alphabet.get(*code as usize)).map(|c| c.len_utf8()).sum::<usize>();
    }
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}
