//! `limbeck show`

use super::{Context, ModelFile};
use crate::{Result, circuits::Summary, evidence::Fingerprint, flows::FlowModel};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
}

#[derive(serde::Serialize)]
struct Flow {
    model: &'static str,
    parameters: usize,
    columns: Vec<String>,
    data: Fingerprint,
    #[serde(skip)]
    text: String,
}

impl Flow {
    fn new(flow: &FlowModel) -> Self {
        let (parameters, columns, data) = (flow.parameters(), flow.names().to_vec(), flow.data());
        let text = format!("{flow}: {}\nfitted to rows with the hash {data}", columns.join(", "));
        Self { model: flow.kind().name(), parameters, columns, data, text }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    match args.model.load_flow()? {
        Some(flow) => context.print(&Flow::new(&flow), |flow| flow.text.clone()),
        None => context.print(&Summary::of_file(&args.model.path)?, ToString::to_string),
    }
    Ok(())
}
