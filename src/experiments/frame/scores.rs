//! What others have published of the family. An Inception score takes a network that can't be had here, so ours have none.

use crate::{
    Result,
    experiments::{Lab, published},
    plot::Table,
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let rows = published(&["Inception score"], |_| true)?;
    let table = Table::new()
        .text("model", rows.iter().map(|row| row.model.as_str()))?
        .text("data", rows.iter().map(|row| row.data.as_str()))?
        .numbers("Inception score", rows.iter().map(|row| row.value))?
        .text("published by", rows.iter().map(|row| row.source.as_str()))?;
    lab.table("frame-published", table);
    Ok(())
}
