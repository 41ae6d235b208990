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

/// Everything published about a data set.
///
/// # Errors
/// When there is nothing.
pub fn published(data: &str) -> Result<Vec<Published>> {
    let mut reader = csv::Reader::from_reader(include_str!("published.csv").as_bytes());
    let rows: Vec<Published> = reader.deserialize().collect::<std::result::Result<_, _>>().map_err(Error::invalid)?;
    let found: Vec<Published> = rows.into_iter().filter(|row| row.data == data).collect();
    if found.is_empty() { Err(Error::invalid(format!("nothing is published about {data}"))) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_can_be_read() {
        let rows = super::published("Fashion-MNIST").unwrap();
        assert!(rows.iter().any(|r| (r.model.as_str(), r.value) == ("HCLT", 3.34)));
        assert!(super::published("CIFAR").is_err());
    }
}
