//! What a teacher tells a student.

use crate::{
    Result,
    data::{Continuous, Rows},
};

/// A model with latent variables that has something to say of each part of a row.
///
/// A row has as many parts as it has latents: the squares of a picture, or one, the whole row.
pub trait Teacher {
    /// What it sees in each part, as numbers: a row for every part, those of the first row first.
    ///
    /// # Errors
    /// When the rows are of other variables, a value is missing, or they cannot be read.
    fn features(&self, rows: &dyn Rows) -> Result<Continuous>;
}
