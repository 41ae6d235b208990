//! What a teacher tells a student.

use crate::{
    Result,
    data::{Continuous, Rows, Schema, Spilled},
    flows::FlowModel,
};

/// A model with latent variables that has something to say of each part of a row.
///
/// A row has as many parts as it has latents: the squares of a picture, or one, the whole row.
pub trait Teacher {
    /// Parts of a row.
    fn parts(&self) -> usize;

    /// Numbers that are seen in a part.
    fn width(&self) -> usize;

    /// What it sees in each part of the rows with these indices: `(rows · parts, width)`, those of the first row first.
    ///
    /// # Errors
    /// When the rows are of other variables, a value is missing, or they cannot be read.
    fn features_of(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>>;

    /// What it sees in each part of all rows, as rows of numbers.
    ///
    /// # Errors
    /// As [`Self::features_of`].
    fn features(&self, rows: &dyn Rows) -> Result<Continuous> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let features = self.features_of(rows, &all)?.into_iter().map(f64::from).collect();
        Continuous::new(names(self.width()), features)
    }

    /// The same on disk, in a file without a name that goes when it is no longer needed: memory does not grow with the rows.
    ///
    /// # Errors
    /// As [`Self::features_of`]; also when the disk is full.
    fn features_on_disk(&self, rows: &dyn Rows) -> Result<Spilled> {
        let mut spilled = Spilled::new(Schema::reals(&names(self.width())))?;
        let all: Vec<usize> = (0..rows.len()).collect();
        for block in all.chunks(AT_ONCE) {
            spilled.push(&self.features_of(rows, block)?)?;
        }
        Ok(spilled)
    }
}

/// A flow sees in a row what it becomes under the base.
impl Teacher for FlowModel {
    fn parts(&self) -> usize {
        1
    }

    fn width(&self) -> usize {
        self.schema().len()
    }

    fn features_of(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        self.latents(rows, which)
    }
}

/// Rows of which features are in memory.
const AT_ONCE: usize = 1024;

fn names(width: usize) -> Vec<String> {
    (0..width).map(|i| format!("h{i}")).collect()
}
