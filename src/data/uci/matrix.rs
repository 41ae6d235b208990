//! Rows of numbers, cut and put into units of deviations.

use super::{Continuous, Splits};
use crate::{Error, Result, math::mean_and_deviation};
use std::path::Path;

/// Rows of numbers, without names.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl Matrix {
    pub(super) fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    fn column(&self, c: usize) -> Vec<f64> {
        self.values.iter().skip(c).step_by(self.width).copied().collect()
    }

    pub(super) fn keep(&self, columns: &[usize]) -> Self {
        let rows = (0..self.len()).map(|i| self.row(i));
        Self { width: columns.len(), values: rows.flat_map(|row| columns.iter().map(|c| row[*c])).collect() }
    }

    pub(super) fn expect_width(self, path: &Path, width: usize, what: &str) -> Result<Self> {
        if self.width == width {
            return Ok(self);
        }
        Err(Error::file(path, format!("{} columns; {width} are expected: {what}", self.width)))
    }

    /// Columns whose least value comes at most five times. The paper means columns with too many equal values; this is what its
    /// code looks at, and decides which columns the published numbers are of.
    pub(super) fn without_repeats(&self) -> Vec<usize> {
        let repeats = |c: usize| {
            let column = self.column(c);
            let least = column.iter().copied().fold(f64::INFINITY, f64::min);
            column.iter().filter(|x| **x == least).count()
        };
        (0..self.width).filter(|c| repeats(*c) <= 5).collect()
    }

    /// The first column that is correlated above `limit` with another.
    pub(super) fn first_correlated(&self, limit: f64) -> Option<usize> {
        let columns: Vec<Vec<f64>> = (0..self.width).map(|c| self.column(c)).collect();
        let frame: Vec<(f64, f64)> = columns.iter().map(|c| mean_and_deviation(c)).collect();
        let correlation = |a: usize, b: usize| {
            let pairs = columns[a].iter().zip(&columns[b]);
            let sum: f64 = pairs.map(|(x, y)| (x - frame[a].0) * (y - frame[b].0)).sum();
            sum / (self.len() as f64 * frame[a].1 * frame[b].1)
        };
        (0..self.width).find(|a| (0..self.width).any(|b| b != *a && correlation(*a, b) > limit))
    }

    /// Mean and deviation of every column; of a sample, with one less than the number of rows, as pandas has it.
    pub(super) fn frame(&self, of_sample: bool) -> Vec<(f64, f64)> {
        let n = self.len() as f64;
        let stretch = if of_sample && n > 1.0 { (n / (n - 1.0)).sqrt() } else { 1.0 };
        let column = |c: usize| {
            let (mean, deviation) = mean_and_deviation(&self.column(c));
            (mean, deviation * stretch)
        };
        (0..self.width).map(column).collect()
    }

    pub(super) fn framed(&self, frame: &[(f64, f64)]) -> Self {
        let values = self.values.iter().zip(frame.iter().cycle());
        Self { width: self.width, values: values.map(|(x, (mean, deviation))| (x - mean) / deviation).collect() }
    }

    /// All but the last `share` of the rows, and these.
    pub(super) fn cut(self, path: &Path, share: f64) -> Result<(Self, Self)> {
        let last = (share * self.len() as f64) as usize;
        if last == 0 {
            return Err(Error::file(path, format!("{} rows; a tenth of them would be none", self.len())));
        }
        let mut first = self;
        let rest = first.values.split_off((first.len() - last) * first.width);
        let rest = Self { width: first.width, values: rest };
        Ok((first, rest))
    }

    /// The last `share` for testing, and the last `share` of the others for validation.
    pub(super) fn split(self, path: &Path, share: f64) -> Result<Parts> {
        let (rest, test) = self.cut(path, share)?;
        let (train, valid) = rest.cut(path, share)?;
        Ok(Parts { train, valid, test })
    }

    fn table(self, path: &Path) -> Result<Continuous> {
        let names = (0..self.width).map(|c| format!("x{c}")).collect();
        Continuous::new(names, self.values).map_err(|e| Error::file(path, e))
    }
}

/// What [`Splits`] is made of.
pub(super) struct Parts {
    pub(super) train: Matrix,
    pub(super) valid: Matrix,
    pub(super) test: Matrix,
}

impl Parts {
    /// In units of the deviations of training and validation rows together.
    pub(super) fn standardised(self, path: &Path) -> Result<Splits> {
        let Self { train, valid, test } = self;
        let both = Matrix { width: train.width, values: [&train.values[..], &valid.values].concat() };
        let frame = both.frame(false);
        let [train, valid, test] = [train, valid, test].map(|part| part.framed(&frame));
        Self { train, valid, test }.tables(path)
    }

    pub(super) fn tables(self, path: &Path) -> Result<Splits> {
        let Self { train, valid, test } = self;
        if valid.width != train.width || test.width != train.width {
            let widths = [train.width, valid.width, test.width];
            return Err(Error::file(path, format!("training, validation and test tables of {widths:?} columns")));
        }
        Ok(Splits { train: train.table(path)?, valid: valid.table(path)?, test: test.table(path)? })
    }
}
