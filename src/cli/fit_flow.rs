//! `limbeck fit` of a flow

use super::{Context, fit::Args};
use crate::{
    Error, Result,
    data::{Split, Table},
    flows::{FitFlow, FlowKind, FlowModel},
    train::{Bar, Checkpoint, History},
};
use std::ops::ControlFlow;

/// What can stand in a file of settings, with the values that are taken where nothing is said.
pub(super) const DEFAULTS: &str = r#"  kind = "maf"             # as named on the command line where left out
  layers = 5               # of couplings, pairs of them; 20 for rbig
  hidden = 64              # units in each of the two hidden layers of a network
  epochs = 200             # passes over the training rows
  batch = 128              # rows in a batch
  patience = 30            # epochs without improvement on the validation rows; 0: to the last epoch
  rate = 0.001             # Adam's; 0.01 for gaussianization
  clip = 5.0               # the largest norm of a gradient"#;

#[derive(serde::Serialize)]
struct Report {
    model: &'static str,
    out: String,
    rows: usize,
    variables: usize,
    parameters: usize,
    epochs: usize,
    seconds: f64,
    /// Nats a row, in the units of the table.
    train_log_prob: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_log_prob: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_standard_error: Option<f64>,
    #[serde(skip)]
    summary: String,
}

fn settings(args: &Args, kind: FlowKind) -> Result<FitFlow> {
    let mut settings = match &args.config {
        None => FitFlow::new(kind),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            let wrong = |e: toml::de::Error| Error::file(path, e.to_string().trim_end());
            // First by itself, for a message that names the line; then over what is usual for this kind.
            let given: FitFlow = toml::from_str(&text).map_err(wrong)?;
            let table: toml::Table = toml::from_str(&text).map_err(wrong)?;
            if table.contains_key("kind") && given.kind != kind {
                let (found, wanted) = (given.kind.name(), kind.name());
                return Err(Error::file(path, format!("its kind is {found}, and {wanted} is to be fitted")));
            }
            let mut usual = toml::Table::try_from(FitFlow::new(kind)).map_err(Error::invalid)?;
            usual.extend(table);
            usual.try_into().map_err(wrong)?
        }
    };
    settings.layers = args.layers.unwrap_or(settings.layers);
    settings.hidden = args.hidden.unwrap_or(settings.hidden);
    settings.rate = args.rate.unwrap_or(settings.rate);
    settings.epochs = args.epochs.unwrap_or(settings.epochs);
    settings.batch = args.batch.unwrap_or(settings.batch);
    Ok(settings)
}

pub(super) fn run(args: &Args, kind: FlowKind, checkpoint: Option<Checkpoint>, context: &Context) -> Result<()> {
    let settings = settings(args, kind)?;
    let here = |e: Error| Error::file(&args.data, e);
    let rows = Table::load(&args.data)?;
    let split = Split::random(rows.len(), args.valid, 0.0, context.seed);
    let train = rows.select(&split.train);
    let valid = (!split.valid.is_empty()).then(|| rows.select(&split.valid));
    let bar = Bar::new(kind.name());
    let (flow, history) = settings
        .fit_with(&train, valid.as_ref(), context.seed, checkpoint, &mut |progress| {
            bar.show(progress);
            ControlFlow::Continue(())
        })
        .map_err(here)?;
    drop(bar);
    flow.save(&args.out)?;
    let report = report(args, &flow, &history, (&train, valid.as_ref()))?;
    context.print(&report, |r| {
        let error = r.valid_standard_error.map(|e| format!(" ± {e:.4}")).unwrap_or_default();
        let valid = r.valid_log_prob.map(|v| format!(", validation {v:.4}{error}")).unwrap_or_default();
        let epochs = super::counted(r.epochs, "epoch");
        let (train, seconds) = (r.train_log_prob, r.seconds);
        format!("{}\n{epochs}, {seconds:.1} s; nats a row: train {train:.4}{valid}\nwritten to {}", r.summary, r.out)
    });
    Ok(())
}

fn report(
    args: &Args,
    flow: &FlowModel,
    history: &History,
    (train, valid): (&Table, Option<&Table>),
) -> Result<Report> {
    let valid_evidence = valid.map(|valid| flow.evidence(valid)).transpose()?;
    Ok(Report {
        model: flow.kind().name(),
        out: args.out.display().to_string(),
        rows: train.len() + valid.map_or(0, Table::len),
        variables: flow.names().len(),
        parameters: flow.parameters(),
        epochs: history.epochs().len(),
        seconds: history.last().map_or(0.0, |r| r.seconds),
        train_log_prob: flow.evidence(train)?.mean(),
        valid_log_prob: valid_evidence.as_ref().map(crate::evidence::Evidence::mean),
        valid_standard_error: valid_evidence.filter(|e| e.len() > 1).map(|e| e.standard_error()),
        summary: flow.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_says_the_defaults() {
        assert_eq!(toml::from_str::<FitFlow>(DEFAULTS).unwrap(), FitFlow::default());
        assert_eq!((FitFlow::new(FlowKind::Rbig).layers, FitFlow::new(FlowKind::Gaussianization).rate), (20, 0.01));
    }
}
