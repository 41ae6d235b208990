//! What columns of real numbers are like, before a density of them is learned.

use super::{MISSING, Rows};
use crate::{Error, Result};
use std::collections::HashSet;

/// One column of real numbers, missing values left out.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// How many values are known.
    pub known: usize,
    /// How many of the first 4,096 known values are different.
    pub distinct: usize,
    /// Whether all values are whole numbers.
    pub whole: bool,
    /// The first value.
    first: f64,
    /// The largest size of a value.
    largest: f64,
}

/// Values of a column that are compared with each other.
pub const LOOKED_AT: usize = 4096;

/// Rows that are read at once.
const BLOCK: usize = 4096;

/// The least deviation of a column, in parts of its largest value: what is below may be rounding.
const ROUNDING: f64 = 1e-10;

impl ColumnSummary {
    /// Every column, in two passes over the rows.
    ///
    /// # Errors
    /// When a column is of categories, or a row cannot be read.
    pub fn of(rows: &dyn Rows) -> Result<Vec<Self>> {
        let variables = &rows.schema().variables;
        if let Some(v) = variables.iter().find(|v| v.categories > 0) {
            return Err(Error::invalid(format!(
                "column {} is of categories, and a density is of real numbers",
                v.name
            )));
        }
        let mut columns: Vec<Self> = variables.iter().map(|v| Self::empty(v.name.clone())).collect();
        let mut seen: Vec<HashSet<u64>> = vec![HashSet::new(); columns.len()];
        each(rows, |c, x| {
            let column = &mut columns[c];
            if column.known == 0 {
                column.first = x;
            }
            column.mean += x;
            column.known += 1;
            column.whole &= x.fract() == 0.0;
            column.largest = column.largest.max(x.abs());
            if column.known <= LOOKED_AT {
                seen[c].insert(x.to_bits());
            }
        })?;
        for (column, seen) in columns.iter_mut().zip(seen) {
            column.mean /= column.known.max(1) as f64;
            column.distinct = seen.len();
        }
        let means: Vec<f64> = columns.iter().map(|column| column.mean).collect();
        each(rows, |c, x| columns[c].deviation += (x - means[c]).powi(2))?;
        columns.iter_mut().for_each(|column| column.deviation = (column.deviation / column.known.max(1) as f64).sqrt());
        Ok(columns)
    }

    fn empty(name: String) -> Self {
        Self { name, mean: 0.0, deviation: 0.0, known: 0, distinct: 0, whole: true, first: 0.0, largest: 0.0 }
    }

    /// # Errors
    /// Where the column has no spread, so that a density of it would grow without end; also where its numbers are so large that
    /// their squares are not.
    pub fn check(&self) -> Result<()> {
        let (name, remedy) = (&self.name, "leave the column out (`--drop`)");
        if self.known == 0 {
            return Err(Error::invalid(format!("column {name} has no value at all: {remedy}")));
        }
        if !self.deviation.is_finite() || self.largest > 1e150 {
            let largest = self.largest;
            return Err(Error::invalid(format!(
                "column {name} reaches to {largest:e}, too far: take its logarithm first"
            )));
        }
        if self.deviation <= ROUNDING * self.largest || self.deviation < f64::MIN_POSITIVE.sqrt() {
            let value = self.first;
            if self.distinct > 1 && self.deviation > f64::EPSILON * self.largest {
                let spread = self.deviation;
                return Err(Error::invalid(format!(
                    "column {name} has a spread of {spread:e} around {value}, too little beside its size: subtract a constant first"
                )));
            }
            return Err(Error::invalid(format!(
                "column {name} has no spread: all its values that are learned from are {value}, and a density of them would grow without end; {remedy}"
            )));
        }
        Ok(())
    }

    /// What the reader of a density should know of a column whose values come again and again.
    pub fn warning(&self) -> Option<String> {
        let (name, n) = (&self.name, self.known.min(LOOKED_AT));
        let few = self.distinct * 10 <= n;
        if n < 20 || !(few || self.whole && self.distinct * 2 <= n) {
            return None;
        }
        let what = match self.whole {
            true => format!("whole numbers, {} different ones among {n}", self.distinct),
            false => format!("only {} different values among {n}", self.distinct),
        };
        let remedy =
            if self.whole { "`--dequantise` adds noise to whole numbers" } else { "a model of categories may do" };
        Some(format!(
            "column {name} has {what}: a density can grow without end where values come again, and says little; {remedy}"
        ))
    }
}

/// The columns of categories that have no value in any row, where there is no soft evidence of them either. Reads no further than
/// to the first values.
pub fn blank_columns(rows: &dyn Rows) -> Result<Vec<String>> {
    let variables = &rows.schema().variables;
    let (mut blank, mut codes, mut soft) = (vec![true; variables.len()], Vec::new(), Vec::new());
    rows.read_evidence(&[0][..rows.len().min(1)], &mut soft)?;
    if !soft.is_empty() {
        return Ok(vec![]);
    }
    let all: Vec<usize> = (0..rows.len()).collect();
    for block in all.chunks(BLOCK) {
        rows.read(block, &mut codes)?;
        for row in codes.chunks_exact(variables.len().max(1)) {
            blank.iter_mut().zip(row).for_each(|(blank, code)| *blank &= *code == MISSING);
        }
        if !blank.contains(&true) {
            break;
        }
    }
    Ok(variables.iter().zip(blank).filter(|(_, blank)| *blank).map(|(variable, _)| variable.name.clone()).collect())
}

/// Every known value with its column.
fn each(rows: &dyn Rows, mut what: impl FnMut(usize, f64)) -> Result<()> {
    let (width, mut reals) = (rows.schema().len(), Vec::new());
    let all: Vec<usize> = (0..rows.len()).collect();
    for block in all.chunks(BLOCK) {
        rows.read_reals(block, &mut reals)?;
        reals.iter().enumerate().filter(|(_, x)| !x.is_nan()).for_each(|(i, x)| what(i % width, *x));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Continuous;

    fn column(values: Vec<f64>) -> ColumnSummary {
        ColumnSummary::of(&Continuous::new(vec!["a".into()], values).unwrap()).unwrap().remove(0)
    }

    #[test]
    fn a_column_without_spread_is_an_error_with_its_name() {
        // Sums of 0.1 are not whole multiples of it: its deviation is rounding.
        let error = column(vec![0.1; 1000]).check().unwrap_err().to_string();
        assert!(error.starts_with("column a has no spread: all its values that are learned from are 0.1"), "{error}");
        assert!(column(vec![0.0; 10]).check().is_err());
        assert!(column(vec![f64::NAN; 10]).check().unwrap_err().to_string().contains("no value at all"));
        assert!(column(vec![1e155, -1e155]).check().unwrap_err().to_string().contains("too far"));
        // Small beside its offset, and still a spread.
        assert!(column((0..100).map(|i| 1e6 + 1e-2 * f64::from(i)).collect()).check().is_ok());
        assert!(column((0..100).map(|i| 1e-30 * f64::from(i)).collect()).check().is_ok());
    }

    #[test]
    fn values_that_come_again_are_warned_of() {
        assert!(column((0..100).map(|i| f64::from(i % 7)).collect()).warning().unwrap().contains("whole numbers, 7"));
        assert!(column((0..100).map(|i| f64::from(i % 7) + 0.5).collect()).warning().unwrap().contains("only 7"));
        assert_eq!(column((0..100).map(f64::from).collect()).warning(), None);
        assert_eq!(column((0..100).map(|i| f64::from(i).sqrt()).collect()).warning(), None);
    }
}
