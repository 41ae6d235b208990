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

/// What has been counted in one of these units, on this data: numbers of other units do not stand in one column.
///
/// # Errors
/// Never, as long as its test passes.
pub fn published(units: &[&str], on: impl Fn(&str) -> bool) -> Result<Vec<Published>> {
    let mut reader = csv::Reader::from_reader(include_str!("published.csv").as_bytes());
    let mut rows = reader.deserialize().collect::<std::result::Result<Vec<Published>, _>>().map_err(Error::invalid)?;
    rows.retain(|row| units.contains(&row.unit.as_str()) && on(&row.data));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::published;

    #[test]
    fn every_row_can_be_read_and_a_unit_has_its_own() {
        let rows = published(&["bits/dim"], |_| true).unwrap();
        assert!(rows.iter().any(|r| (r.model.as_str(), r.data.as_str(), r.value) == ("HCLT", "Fashion-MNIST", 3.34)));
        let scores = published(&["Inception score"], |data| data == "CIFAR-10").unwrap();
        assert!(scores.len() > 1 && scores.iter().all(|score| !rows.contains(score)));
    }
}
