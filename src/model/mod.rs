//! A model of rows, whatever its family: what can be done with it, where it comes from, and its file.
//!
//! A family of models implements [`Model`] for what it learns and [`Fit`](crate::train::Fit) for its settings, and names itself by
//! a [`Family`]; the registry [`models`](crate::models) lists them, and the command line knows nothing else.
//!
#![doc = include_str!("adding.md")]

mod family;
mod file;
mod packed;
mod queries;

pub(crate) use family::wanted;
pub use family::{AnyFit, Entry, Family, Reads, Setting};
pub use file::{ModelFile, Origin};
pub(crate) use packed::{Packed, coded};
pub use queries::{Each, HowDrawn, Moments, Queries};

use crate::{
    Error, Result,
    archive::Archive,
    data::{Dataset, Rows, Schema},
    evidence::AnyEvidence,
    random::Seed,
};
use std::{any::Any, fmt, path::Path};

/// A distribution over rows, or a density, that was learned.
///
/// Prints itself as text: what it is made of.
pub trait Model: Any + fmt::Display + Send {
    /// The family whose files it is kept in: [`Family::name`].
    fn family(&self) -> &'static str;

    /// The name that `limbeck fit` knows it by: `hclt`, `maf`.
    fn kind(&self) -> &str;

    /// What the columns are.
    fn schema(&self) -> &Schema;

    /// Number of trained parameters.
    fn parameters(&self) -> usize;

    /// Log-likelihoods of rows, of the kind that the model has. `seed` is that of an estimate or of a bound that is drawn.
    ///
    /// # Errors
    /// When the rows have other columns, or cannot be read.
    fn score(&self, rows: &dyn Rows, seed: Seed) -> Result<AnyEvidence>;

    /// The same from so many draws a row, and not from as many as the model's settings say.
    ///
    /// # Errors
    /// As [`Self::score`]; also when nothing is drawn, or there are no draws or too many.
    fn score_from(&self, _rows: &dyn Rows, _draws: usize, _seed: Seed) -> Result<AnyEvidence> {
        Err(Error::Usage(format!(
            "the likelihood of {} is exact, and nothing is drawn: leave out --draws",
            self.kind()
        )))
    }

    /// `n` independent rows.
    ///
    /// # Errors
    /// When `n` is 0, or a sample is infinite.
    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset>;

    /// What else it can be asked, where it can.
    fn queries(&self) -> Option<&dyn Queries> {
        None
    }

    /// What it is made of, for a reader: text, and an object of the same in JSON.
    fn details(&self) -> (String, serde_json::Value) {
        (self.to_string(), serde_json::json!({}))
    }

    /// Puts its arrays into a file, and returns what its family needs beside them and the schema to build it again.
    ///
    /// # Errors
    /// When that has no form in JSON.
    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value>;
}

impl dyn Model {
    /// Writes the model with its columns and its origin.
    ///
    /// # Errors
    /// When the file cannot be written; one that was there before is untouched then.
    pub fn save(&self, path: impl AsRef<Path>, origin: &Origin) -> Result<()> {
        file::save(self, path.as_ref(), origin)
    }
}
