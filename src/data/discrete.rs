//! Rows of categories: what a circuit with categorical leaves reads.

use crate::{Error, Result, evidence::Fingerprint, random::Seed};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The code of a missing value.
pub const MISSING: u16 = u16::MAX;

/// One column: its name, and the categories it can take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// As in the header of a CSV file; `x17` where there is none.
    pub name: String,
    /// Categories are `0..categories`; none where the values are real numbers.
    pub categories: usize,
    /// The words the categories stand for, where the file had words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<String>>,
}

/// What the columns of a data set are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// One entry a column, in order.
    pub variables: Vec<Variable>,
    /// The shape of one row: `[8, 8]` for an 8 × 8 image, `[36]` for a table. Its product is the number of variables.
    pub shape: Vec<usize>,
}

impl Schema {
    /// Columns `x0, x1, …` of one row of the given shape, each with the same number of categories.
    pub fn uniform(shape: &[usize], categories: usize) -> Self {
        let variables =
            (0..shape.iter().product()).map(|i| Variable { name: format!("x{i}"), categories, words: None }).collect();
        Self { variables, shape: shape.to_vec() }
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether there is no variable.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }

    /// Refuses what could not have come from data, as a damaged file may say it.
    pub(crate) fn check(&self) -> Result<()> {
        let width = self.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
        if self.is_empty() || width != Some(self.len()) {
            return Err(Error::invalid(format!("{} columns for rows of shape {:?}", self.len(), self.shape)));
        }
        let odd = self.variables.iter().find(|v| {
            v.categories >= MISSING as usize || v.words.as_ref().is_some_and(|words| words.len() != v.categories)
        });
        match odd {
            None => Ok(()),
            Some(v) => {
                let words = v.words.as_ref().map(|words| format!(" and {} words", words.len())).unwrap_or_default();
                let (name, k) = (&v.name, v.categories);
                Err(Error::invalid(format!("column {name} with {k} categories{words}, which cannot be")))
            }
        }
    }

    /// Columns of real numbers with these names.
    pub fn reals(names: &[String]) -> Self {
        let column = |name: &String| Variable { name: name.clone(), categories: 0, words: None };
        Self { variables: names.iter().map(column).collect(), shape: vec![names.len()] }
    }

    /// Whether the columns are real numbers.
    pub fn is_continuous(&self) -> bool {
        self.variables.iter().any(|v| v.categories == 0)
    }

    /// Whether the columns have no names of their own.
    pub(crate) fn is_nameless(&self) -> bool {
        self.variables.iter().enumerate().all(|(i, v)| v.name == format!("x{i}"))
    }

    /// Refuses rows of as many values whose shape is another: the pictures of 12 × 48 pixels are none of 24 × 24. Rows without a shape
    /// are of any.
    pub(crate) fn check_shape(&self, shape: &[usize]) -> Result<()> {
        let axes = |shape: &[usize]| shape.iter().copied().skip_while(|axis| *axis == 1).collect::<Vec<_>>();
        let (own, theirs) = (axes(&self.shape), axes(shape));
        match own.len() > 1 && theirs.len() > 1 && own != theirs {
            false => Ok(()),
            true => {
                Err(Error::invalid(format!("rows of shape {shape:?}; the model's have the shape {:?}", self.shape)))
            }
        }
    }

    /// The characters that categories stand for, where rows are text: one axis, columns without names, and the same characters in all.
    pub fn alphabet(&self) -> Option<Vec<char>> {
        let first = self.variables.first()?.words.as_ref().filter(|_| self.shape.len() == 1)?;
        let one = |word: &String| {
            let mut characters = word.chars();
            characters.next().filter(|_| characters.next().is_none())
        };
        let alphabet = first.iter().map(one).collect::<Option<Vec<char>>>()?;
        let is_text = self.variables.iter().all(|v| v.words.as_ref() == Some(first)) && self.is_nameless();
        is_text.then_some(alphabet)
    }

    /// The columns in a line, the first ones by name.
    pub(crate) fn brief(&self) -> String {
        let of = |v: &Variable| match v.categories {
            0 => v.name.clone(),
            k => format!("{} ({k} categories)", v.name),
        };
        let first: Vec<String> = self.variables.iter().take(4).map(of).collect();
        let more = if self.len() > 4 { ", …" } else { "" };
        let plural = if self.len() == 1 { "" } else { "s" };
        format!("{} column{plural}: {}{more}", self.len(), first.join(", "))
    }

    /// The index of the variable called `name`, or of the column with that number.
    ///
    /// # Errors
    /// When there is neither; the message lists the first names there are.
    pub fn index(&self, name: &str) -> Result<usize> {
        let by_name = self.variables.iter().position(|v| v.name == name);
        let by_number = || name.parse().ok().filter(|i| *i < self.len());
        by_name.or_else(by_number).ok_or_else(|| {
            let known: Vec<_> = self.variables.iter().take(6).map(|v| v.name.as_str()).collect();
            let more = if self.len() > 6 { ", …" } else { "" };
            Error::invalid(format!("no variable called {name}; the model has {}{more}", known.join(", ")))
        })
    }
}

/// How numbers and words become categories.
#[derive(Clone, Copy, Debug)]
pub enum Coding<'a> {
    /// Learn the categories from the data; `Some(k)` sets `k` categories for every variable.
    Learn(Option<usize>),
    /// Use the categories a model was fitted with.
    Use(&'a Schema, Unseen),
}

/// What becomes of a category that a model does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unseen {
    /// An error that names it.
    #[default]
    Error,
    /// A missing value.
    Missing,
}

/// Rows that can be read in any order, from memory or from disk.
pub trait Rows: Sync {
    /// What the columns are.
    fn schema(&self) -> &Schema;

    /// Number of rows.
    fn len(&self) -> usize;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number that row `row` has where the rows come from: of the user's file, in messages.
    fn number_of(&self, row: usize) -> usize {
        row
    }

    /// Overwrites `into` with the codes of `rows`, row after row.
    ///
    /// # Errors
    /// When the rows come from a file that cannot be read, or holds a value outside its schema.
    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()>;

    /// Overwrites `into` with the real values of `rows`, row after row, NaN where one is missing; with nothing where the columns
    /// are categories.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_reals(&self, _rows: &[usize], into: &mut Vec<f64>) -> Result<()> {
        into.clear();
        Ok(())
    }

    /// Overwrites `into` with log-likelihoods of every category of every column of `rows`, where evidence is soft; with nothing
    /// where it is not.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn read_evidence(&self, _rows: &[usize], into: &mut Vec<f32>) -> Result<()> {
        into.clear();
        Ok(())
    }

    /// What tells these rows from others, where their values themselves would be dear to hash.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn identity(&self) -> Result<Option<Fingerprint>> {
        Ok(None)
    }
}

/// A matrix of categories in memory, `(rows, variables)`, [`MISSING`] where a value is not known.
#[derive(Clone, PartialEq)]
pub struct Discrete {
    schema: Schema,
    codes: Vec<u16>,
}

impl Discrete {
    /// `codes` row after row.
    ///
    /// # Errors
    /// When `codes` is not a whole number of rows, a schema has no variable or one without categories,
    /// or a code is neither a category nor [`MISSING`].
    pub fn new(schema: Schema, codes: Vec<u16>) -> Result<Self> {
        let vars = schema.len();
        if vars == 0 || schema.shape.iter().product::<usize>() != vars {
            return Err(Error::invalid(format!("a row of shape {:?} cannot hold {vars} variables", schema.shape)));
        }
        if !codes.len().is_multiple_of(vars) {
            return Err(Error::invalid(format!("{} codes are not whole rows of {vars}", codes.len())));
        }
        if let Some(v) = schema.variables.iter().find(|v| v.categories == 0 || v.categories >= MISSING as usize) {
            return Err(Error::invalid(format!(
                "variable {} has {} categories; 1 to 65534 work",
                v.name, v.categories
            )));
        }
        for (row, values) in codes.chunks_exact(vars).enumerate() {
            for (code, variable) in values.iter().zip(&schema.variables) {
                if *code != MISSING && *code as usize >= variable.categories {
                    let last = variable.categories - 1;
                    return Err(Error::invalid(format!(
                        "row {row}, variable {}: category {code} is outside 0..={last}",
                        variable.name
                    )));
                }
            }
        }
        Ok(Self { schema, codes })
    }

    /// `n` rows in which every value is missing.
    pub fn all_missing(schema: Schema, n: usize) -> Self {
        let codes = vec![MISSING; n * schema.len()];
        Self { schema, codes }
    }

    /// The codes of one row.
    pub fn row(&self, row: usize) -> &[u16] {
        let (vars, rows) = (self.schema.len(), self.len());
        self.codes.get(row * vars..(row + 1) * vars).unwrap_or_else(|| panic!("row {row} (from 0) of {rows} rows"))
    }

    /// All codes, row after row.
    pub fn codes(&self) -> &[u16] {
        &self.codes
    }

    /// The text of a row, where rows are text; what is missing at its end is left out, elsewhere it is the replacement character.
    pub fn text(&self, row: usize) -> Option<String> {
        let alphabet = self.schema.alphabet()?;
        let row = self.row(row);
        let end = row.iter().rposition(|code| *code != MISSING).map_or(0, |last| last + 1);
        Some(row[..end].iter().map(|code| alphabet.get(*code as usize).copied().unwrap_or('\u{fffd}')).collect())
    }

    /// The rows with these indices, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let codes = rows.iter().flat_map(|r| self.row(*r)).copied().collect();
        Self { schema: self.schema.clone(), codes }
    }

    /// A copy in which a share of the values, drawn at random, is missing.
    pub fn hide(&self, share: f64, seed: Seed) -> Self {
        let mut rng = seed.stream("hide", 0);
        self.mask(|_, _| rand::RngExt::random::<f64>(&mut rng) < share)
    }

    /// A copy in which `hidden(row, variable)` says which values are missing.
    pub fn mask(&self, mut hidden: impl FnMut(usize, usize) -> bool) -> Self {
        let vars = self.schema.len();
        let mut masked = self.clone();
        for (i, code) in masked.codes.iter_mut().enumerate() {
            if hidden(i / vars, i % vars) {
                *code = MISSING;
            }
        }
        masked
    }
}

/// How many rows there are, and what the columns are: the values would be a page each.
impl fmt::Debug for Discrete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {}", self.len(), self.schema.brief())
    }
}

impl Rows for Discrete {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.codes.len() / self.schema.len()
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        into.clear();
        rows.iter().for_each(|r| into.extend_from_slice(self.row(*r)));
        Ok(())
    }
}

/// Some rows of a source, in an order of their own.
pub struct Subset<'a> {
    rows: &'a dyn Rows,
    chosen: Vec<usize>,
}

impl<'a> Subset<'a> {
    /// The rows with these indices.
    pub fn new(rows: &'a dyn Rows, chosen: Vec<usize>) -> Self {
        Self { rows, chosen }
    }

    /// Which rows of the source these are.
    fn of(&self, rows: &[usize]) -> Vec<usize> {
        rows.iter().map(|r| self.chosen[*r]).collect()
    }
}

impl Rows for Subset<'_> {
    fn schema(&self) -> &Schema {
        self.rows.schema()
    }

    fn len(&self) -> usize {
        self.chosen.len()
    }

    fn number_of(&self, row: usize) -> usize {
        self.rows.number_of(self.chosen[row])
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        self.rows.read(&self.of(rows), into)
    }

    fn read_reals(&self, rows: &[usize], into: &mut Vec<f64>) -> Result<()> {
        self.rows.read_reals(&self.of(rows), into)
    }

    fn read_evidence(&self, rows: &[usize], into: &mut Vec<f32>) -> Result<()> {
        self.rows.read_evidence(&self.of(rows), into)
    }
}

/// The codes of the rows with these indices as numbers, row after row, for a model of `dims` variables that has no missing values.
pub(crate) fn complete(rows: &dyn Rows, which: &[usize], dims: usize) -> Result<Vec<f32>> {
    let found = rows.schema().len();
    if found != dims {
        return Err(Error::invalid(format!("rows of {found} variables; the model is of {dims}")));
    }
    let mut codes = Vec::new();
    rows.read(which, &mut codes)?;
    if let Some(at) = codes.iter().position(|code| *code == MISSING) {
        let (row, variable) = (rows.number_of(which[at / dims]), at % dims);
        return Err(Error::invalid(format!("row {row}, variable {variable}: this model has no missing values")));
    }
    Ok(codes.into_iter().map(f32::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shown_in_a_line_and_named_where_there_are_none() {
        let rows = Discrete::new(Schema::uniform(&[5], 3), vec![0; 10]).unwrap();
        let columns = "x0 (3 categories), x1 (3 categories), x2 (3 categories), x3 (3 categories), …";
        assert_eq!(format!("{rows:?}"), format!("2 rows of 5 columns: {columns}"));
        let shown = std::panic::catch_unwind(|| rows.select(&[5000])).unwrap_err();
        assert_eq!(shown.downcast_ref::<String>().unwrap(), "row 5000 (from 0) of 2 rows");
        assert_eq!(rows.hide(0.0, Seed(1)), rows);
        let hidden = Discrete::new(Schema::uniform(&[1], 3), vec![0; 10_000]).unwrap().hide(0.3, Seed(1));
        let missing = hidden.codes().iter().filter(|code| **code == MISSING).count();
        assert!((2_800..3_200).contains(&missing), "{missing}");
    }

    #[test]
    fn a_category_outside_its_range_is_named() {
        let error = Discrete::new(Schema::uniform(&[2], 3), vec![0, 1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "row 1, variable x1: category 3 is outside 0..=2");
        assert!(Discrete::new(Schema::uniform(&[2], 3), vec![0, 1, 2]).is_err());
        assert!(Discrete::new(Schema::uniform(&[0], 3), vec![]).is_err());
    }

    #[test]
    fn rows_are_read_in_the_order_asked_for() {
        let data = Discrete::new(Schema::uniform(&[2], 5), vec![0, 1, 2, 3, 4, MISSING]).unwrap();
        let mut into = vec![9];
        data.read(&[2, 0], &mut into).unwrap();
        assert_eq!(into, [4, MISSING, 0, 1]);
        assert_eq!(data.select(&[1]).codes(), [2, 3]);
        assert_eq!(data.mask(|_, v| v == 0).row(1), [MISSING, 3]);
    }
}
