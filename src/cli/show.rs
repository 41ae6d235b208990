//! `limbeck show`

use super::{Context, ModelFile};
use crate::{Result, circuits::Summary};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    model: ModelFile,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    context.print(&Summary::of_file(&args.model.path)?, ToString::to_string);
    Ok(())
}
