//! Tables of real numbers.

use crate::{
    Error, Result,
    archive::write_atomically,
    data::{
        Discrete, MISSING, Rows, Schema,
        load::{load, write_npy},
    },
    random::Seed,
};
use rand::RngExt;
use std::path::Path;

/// Named columns of real numbers, NaN where a value is missing.
#[derive(Clone, PartialEq)]
pub struct Continuous {
    names: Vec<String>,
    schema: Schema,
    values: Vec<f64>,
}

/// How many rows there are, and what the columns are.
impl std::fmt::Debug for Continuous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows of {}", self.len(), self.schema.brief())
    }
}

impl Continuous {
    /// `values` row after row.
    ///
    /// # Errors
    /// When there is no column, no row, or no whole number of rows; also for an infinite value.
    pub fn new(names: Vec<String>, values: Vec<f64>) -> Result<Self> {
        if names.is_empty() || values.is_empty() || !values.len().is_multiple_of(names.len()) {
            return Err(Error::invalid(format!("{} values are not whole rows of {}", values.len(), names.len())));
        }
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            let place = format!("row {}, column {}", i / names.len(), names[i % names.len()]);
            return Err(Error::invalid(format!("{place}: an infinite value")));
        }
        let schema = Schema::reals(&names);
        Ok(Self { names, schema, values })
    }

    /// `values` row after row, of the columns of a schema.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(schema: &Schema, values: Vec<f64>) -> Result<Self> {
        Self::new(schema.variables.iter().map(|v| v.name.clone()).collect(), values)?.shaped(&schema.shape)
    }

    /// Reads real numbers from any file that [`load`] reads.
    ///
    /// # Errors
    /// As [`load`]; also for a column of words.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        load(path)?.continuous(None)
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.names.len()
    }

    /// Never true: a table without rows cannot be made.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f64] {
        let (width, rows) = (self.names.len(), self.len());
        self.values.get(row * width..(row + 1) * width).unwrap_or_else(|| panic!("row {row} (from 0) of {rows} rows"))
    }

    /// The rows with these indices, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let values = rows.iter().flat_map(|r| self.row(*r)).copied().collect();
        Self { names: self.names.clone(), schema: self.schema.clone(), values }
    }

    /// The columns with these numbers, in this order.
    pub fn columns(&self, columns: &[usize]) -> Self {
        let values =
            (0..self.values.len() / self.names.len()).flat_map(|r| columns.iter().map(move |c| self.row(r)[*c]));
        let names = columns.iter().map(|c| self.names[*c].clone()).collect();
        let variables = columns.iter().map(|c| self.schema.variables[*c].clone()).collect();
        Self { names, values: values.collect(), schema: Schema { variables, shape: vec![columns.len()] } }
    }

    /// The same rows, each of them of this shape; its product is the number of columns.
    ///
    /// # Errors
    /// When it is not.
    pub fn shaped(mut self, shape: &[usize]) -> Result<Self> {
        if shape.iter().product::<usize>() != self.names.len() {
            return Err(Error::invalid(format!("{} columns are not of shape {shape:?}", self.names.len())));
        }
        self.schema.shape = shape.to_vec();
        Ok(self)
    }

    /// A copy in which `hidden(row, column)` says which values are missing.
    pub fn mask(&self, mut hidden: impl FnMut(usize, usize) -> bool) -> Self {
        let (mut masked, width) = (self.clone(), self.names.len());
        for (i, value) in masked.values.iter_mut().enumerate() {
            if hidden(i / width, i % width) {
                *value = f64::NAN;
            }
        }
        masked
    }

    /// A copy with uniform noise from `[0, 1)` on every value: whole numbers as a density over real ones can have them. The
    /// density of the copy bounds the probability of the whole numbers from below, in the mean over the noise.
    pub fn dequantised(&self, seed: Seed) -> Self {
        let (mut noisy, mut rng) = (self.clone(), seed.stream("noise", 0));
        noisy.values.iter_mut().for_each(|x| *x += rng.random::<f64>());
        noisy
    }

    /// The same on the columns of these names alone.
    pub fn dequantised_in(&self, columns: &[String], seed: Seed) -> Self {
        let (mut noisy, mut rng) = (self.clone(), seed.stream("noise", 0));
        let noise: Vec<bool> = self.names.iter().map(|name| columns.contains(name)).collect();
        for (x, noise) in noisy.values.iter_mut().zip(noise.iter().cycle()) {
            *x += if *noise { rng.random::<f64>() } else { 0.0 };
        }
        noisy
    }

    /// A copy in which whole numbers in the columns of these names lie in the middle of their noise, for questions in which noise
    /// would be chance.
    pub fn centred_in(&self, columns: &[String]) -> Self {
        let mut centred = self.clone();
        let moved: Vec<f64> = self.names.iter().map(|name| if columns.contains(name) { 0.5 } else { 0.0 }).collect();
        centred.values.iter_mut().zip(moved.iter().cycle()).for_each(|(x, by)| *x += by);
        centred
    }

    /// # Errors
    /// When a value in the columns of these names is no whole number: the message says which.
    pub fn check_whole_in(&self, columns: &[String]) -> Result<()> {
        let (width, whole) = (self.names.len(), |x: &f64| x.is_nan() || x.fract() == 0.0);
        let found = self.values.iter().enumerate().find(|(i, x)| columns.contains(&self.names[i % width]) && !whole(x));
        found.map_or(Ok(()), |(i, x)| {
            let (row, name) = (i / width, &self.names[i % width]);
            let problem = format!("row {row} (from 0), column {name}: {x} is no whole number");
            Err(Error::invalid(format!("{problem}, as all were that the model was fitted to with --dequantise")))
        })
    }

    /// A copy in which the columns of these names are whole numbers again: what [`Self::dequantised_in`] made of them.
    pub fn floored_in(&self, columns: &[String]) -> Self {
        let mut whole = self.clone();
        let floors: Vec<bool> = self.names.iter().map(|name| columns.contains(name)).collect();
        for (x, floors) in whole.values.iter_mut().zip(floors.iter().cycle()) {
            *x = if *floors { x.floor() } else { *x };
        }
        whole
    }

    /// Writes the table as `.csv` with the names of its columns, or as `.npy`; a missing value is an empty cell, or NaN.
    ///
    /// # Errors
    /// When the name ends otherwise, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match path.extension().and_then(|e| e.to_str()) {
            Some("npy") => {
                let shape: Vec<usize> = std::iter::once(self.len()).chain(self.schema.shape.iter().copied()).collect();
                write_npy(path, &shape, &self.values)
            }
            Some("csv") => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let cell = |x: &f64| if x.is_nan() { String::new() } else { x.to_string() };
                writer.write_record(&self.names).expect("memory can be written to");
                for row in 0..self.len() {
                    writer.write_record(self.row(row).iter().map(cell)).expect("memory can be written to");
                }
                let bytes = writer.into_inner().expect("memory can be written to");
                write_atomically(path, |file| std::io::Write::write_all(file, &bytes))
            }
            _ => Err(Error::file(path, "rows are written as .npy or .csv: give one of these extensions")),
        }
    }
}

/// Every column of real numbers cut into that many bins with about as many values each; a missing value stays missing.
///
/// # Errors
/// When `bins` is not in `1..=4096`, or a row cannot be read.
pub fn binned(rows: &dyn Rows, bins: usize) -> Result<Discrete> {
    if !(1..=4096).contains(&bins) {
        return Err(Error::out_of_range("bins", bins, "1 ≤ bins ≤ 4096"));
    }
    let (n, width, mut values) = (rows.len(), rows.schema().len(), Vec::new());
    rows.read_reals(&(0..n).collect::<Vec<_>>(), &mut values)?;
    let mut codes = vec![MISSING; values.len()];
    for column in 0..width {
        let of = |row: usize| values[row * width + column];
        let mut known: Vec<f64> = (0..n).map(of).filter(|x| !x.is_nan()).collect();
        known.sort_by(f64::total_cmp);
        let edges: Vec<f64> = (1..bins).filter_map(|i| known.get(i * known.len() / bins).copied()).collect();
        for row in (0..n).filter(|row| !of(*row).is_nan()) {
            codes[row * width + column] = edges.partition_point(|edge| *edge <= of(row)) as u16;
        }
    }
    let mut schema = rows.schema().clone();
    schema.variables.iter_mut().for_each(|v| v.categories = bins);
    Discrete::new(schema, codes)
}

impl Rows for Continuous {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.values.len() / self.names.len()
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        into.resize(rows.len() * self.names.len(), MISSING);
        Ok(())
    }

    fn read_reals(&self, rows: &[usize], into: &mut Vec<f64>) -> Result<()> {
        into.clear();
        rows.iter().for_each(|r| into.extend_from_slice(self.row(*r)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_value_is_named() {
        let names = vec!["a".to_string(), "b".to_string()];
        let error = Continuous::new(names.clone(), vec![0.0, 1.0, 2.0, f64::INFINITY]).unwrap_err();
        assert_eq!(error.to_string(), "row 1, column b: an infinite value");
        let table = Continuous::new(names, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((table.len(), table.row(1)), (2, &[2.0, 3.0][..]));
    }

    #[test]
    fn bins_hold_as_many_values_each() {
        let values = (0..40).map(|i| if i % 10 == 9 { f64::NAN } else { f64::from(i * i % 37) }).collect();
        let table = Continuous::new(vec!["a".into()], values).unwrap();
        let binned = binned(&table, 4).unwrap();
        let mut counts = [0; 4];
        for row in 0..40 {
            match binned.row(row)[0] {
                MISSING => assert!(table.row(row)[0].is_nan()),
                code => counts[code as usize] += 1,
            }
        }
        assert!(counts.iter().all(|n| (8..=10).contains(n)), "{counts:?}");
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let table = Continuous::new(vec!["a".into(), "b".into()], vec![0.1, f64::NAN, -1e-30, 3.0]).unwrap();
        for name in ["t.csv", "t.npy"] {
            table.save(folder.path().join(name)).unwrap();
            let again = Continuous::load(folder.path().join(name)).unwrap();
            let bits = |t: &Continuous| t.values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&again), bits(&table), "{name}");
        }
        assert!(table.save(folder.path().join("t.txt")).is_err());
    }
}
