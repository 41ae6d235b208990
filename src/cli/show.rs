//! `limbeck show`

use super::{Context, ModelFile};
use crate::{Result, data::Variable};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
}

#[derive(serde::Serialize)]
struct Report {
    family: &'static str,
    model: String,
    parameters: usize,
    variables: Vec<Variable>,
    rows: usize,
    data: String,
    settings: Option<toml::Table>,
    seed: Option<u64>,
    epochs: usize,
    steps: u64,
    /// Of each epoch: mean loss on the training rows, and the loss on the validation rows, nats a row.
    losses: Vec<(f64, Option<f64>)>,
    details: serde_json::Value,
    #[serde(skip)]
    text: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    let (model, origin) = args.model.load()?;
    let (text, details) = model.details();
    let (epochs, last) = (origin.history.epochs(), origin.history.last());
    let report = Report {
        family: model.family(),
        model: model.kind().into(),
        parameters: model.parameters(),
        variables: model.schema().variables.clone(),
        rows: origin.rows,
        data: origin.data.to_string(),
        seed: origin.seed.map(|seed| seed.0),
        epochs: epochs.len(),
        steps: last.map_or(0, |r| r.step),
        losses: epochs.into_iter().map(|(_, train, valid)| (train, valid)).collect(),
        details,
        text: format!("{text}\n{origin}"),
        settings: origin.settings,
    };
    context.print(&report, |report| report.text.clone())
}
