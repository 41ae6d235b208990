//! Soft evidence: rows that say how likely each value is, rather than which it is.

use super::{Discrete, MISSING, Rows, Schema};
use crate::{Error, Result};

/// For each row and variable a log-likelihood of every category, `log p(what was seen | x_v = a)`, up to a constant.
///
/// All zero says nothing: the value is missing. Zero for one category and −∞ for the others says that it is that one.
#[derive(Clone, Debug, PartialEq)]
pub struct Soft {
    schema: Schema,
    log_likelihoods: Vec<f32>,
}

impl Soft {
    /// `log_likelihoods` row after row, in a row the categories of each variable side by side.
    ///
    /// # Errors
    /// When they are not whole rows, or one is NaN or +∞.
    pub fn new(schema: Schema, log_likelihoods: Vec<f32>) -> Result<Self> {
        let width: usize = schema.variables.iter().map(|v| v.categories).sum();
        if width == 0 || !log_likelihoods.len().is_multiple_of(width) {
            let given = log_likelihoods.len();
            return Err(Error::invalid(format!("{given} log-likelihoods are not whole rows of {width} categories")));
        }
        if let Some(i) = log_likelihoods.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
            return Err(Error::invalid(format!("row {}: a log-likelihood of {}", i / width, log_likelihoods[i])));
        }
        Ok(Self { schema, log_likelihoods })
    }

    /// The same as rows of which the values are known, or missing.
    pub fn certain(rows: &Discrete) -> Self {
        let mut log_likelihoods = Vec::new();
        for row in 0..rows.len() {
            for (code, variable) in rows.row(row).iter().zip(&rows.schema().variables) {
                let of = |a: usize| if *code == MISSING || *code as usize == a { 0.0 } else { f32::NEG_INFINITY };
                log_likelihoods.extend((0..variable.categories).map(of));
            }
        }
        Self { schema: rows.schema().clone(), log_likelihoods }
    }

    fn width(&self) -> usize {
        self.schema.variables.iter().map(|v| v.categories).sum()
    }
}

impl Rows for Soft {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.log_likelihoods.len() / self.width()
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        into.resize(rows.len() * self.schema.len(), MISSING);
        Ok(())
    }

    fn read_evidence(&self, rows: &[usize], into: &mut Vec<f32>) -> Result<()> {
        let width = self.width();
        into.clear();
        rows.iter().for_each(|r| into.extend_from_slice(&self.log_likelihoods[r * width..(r + 1) * width]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_likelihoods_are_taken() {
        let schema = Schema::uniform(&[2], 2);
        assert!(Soft::new(schema.clone(), vec![0.0; 7]).is_err());
        let error = Soft::new(schema.clone(), vec![0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN, 0.0, 0.0]).unwrap_err();
        assert_eq!(error.to_string(), "row 1: a log-likelihood of NaN");
        let rows = Discrete::new(schema, vec![0, MISSING]).unwrap();
        let mut read = Vec::new();
        Soft::certain(&rows).read_evidence(&[0], &mut read).unwrap();
        assert_eq!(read, [0.0, f32::NEG_INFINITY, 0.0, 0.0]);
    }
}
