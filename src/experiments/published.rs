//! Numbers that others have published, to stand beside ours: `published.csv`.

use crate::{Error, Result};
use serde::Deserialize;

/// A number, and where it was read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Published {
    /// The model, as its authors call it.
    pub model: String,
    /// What it was tested on.
    pub data: String,
    /// The number.
    pub value: f64,
    /// What it counts.
    pub unit: String,
    /// Authors and year.
    pub source: String,
}

/// Everything in the list.
///
/// # Errors
/// Never, as long as its test passes.
pub fn published() -> Result<Vec<Published>> {
    let mut reader = csv::Reader::from_reader(include_str!("published.csv").as_bytes());
    reader.deserialize().collect::<std::result::Result<_, _>>().map_err(Error::invalid)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_can_be_read() {
        let rows = super::published().unwrap();
        assert!(rows.iter().any(|r| (r.model.as_str(), r.data.as_str(), r.value) == ("HCLT", "Fashion-MNIST", 3.34)));
    }
}
