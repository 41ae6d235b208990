//! From what a file held to categories, learning them or using a model's.

use super::{Array, Frame, Loaded, Values};
use crate::{
    Error, Result,
    data::{Coding, Discrete, MISSING, Schema, Unseen, Variable},
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The most categories that are learned without being asked for.
const MOST_CATEGORIES: usize = 4096;

impl Loaded {
    /// The rows as categories, for circuits with categorical leaves.
    ///
    /// An array gets one number of categories for all variables (its largest value plus one), a CSV file one a column;
    /// words become categories in alphabetical order.
    ///
    /// # Errors
    /// When a value is not a whole number, is negative, or lies outside the categories: the message names its row and column.
    pub fn discrete(&self, coding: Coding) -> Result<Discrete> {
        if let Coding::Learn(Some(categories)) = coding
            && !(1..MISSING as usize).contains(&categories)
        {
            return Err(Error::out_of_range("categories", categories, "1 ≤ categories ≤ 65534"));
        }
        match self {
            Self::Array(array) => array.discrete(coding),
            Self::Columns(frame) => frame.discrete(coding),
            Self::Text(passage) => passage.discrete(coding),
        }
    }

    /// Columns that a model with that schema has no use for.
    pub fn unused(&self, schema: &Schema) -> Vec<&str> {
        let Self::Columns(frame) = self else { return vec![] };
        let used: HashSet<&str> = schema.variables.iter().map(|v| v.name.as_str()).collect();
        let by_name = frame.names.iter().any(|name| used.contains(name.as_str()));
        frame.names.iter().map(String::as_str).filter(|name| by_name && !used.contains(name)).collect()
    }

    /// The file it came from.
    pub fn origin(&self) -> &str {
        match self {
            Self::Array(array) => &array.origin,
            Self::Columns(frame) => &frame.origin,
            Self::Text(passage) => &passage.origin,
        }
    }
}

/// A whole number as a category; `None` when it is not one. NaN is missing.
fn category(value: f64) -> Option<Option<usize>> {
    match value {
        v if v.is_nan() => Some(None),
        v if v >= 0.0 && v.fract() == 0.0 && v < MISSING as f64 => Some(Some(v as usize)),
        _ => None,
    }
}

/// `place` is the row and the column.
fn not_a_category(origin: &str, place: String, value: f64) -> Error {
    let remedy = match value {
        v if v < 0.0 => "a missing value is an empty cell in CSV, NaN in a float array, −1 in an integer array",
        v if v.fract() != 0.0 => "bin real numbers first, or fit `--leaf gaussian` or a flow",
        _ => "it is too large: bin such numbers first",
    };
    Error::at(origin, place, format!("{value} is not a category, which are whole numbers 0, 1, 2, …: {remedy}"))
}

fn outside(origin: &str, place: String, variable: &Variable, found: usize) -> Error {
    let (last, enough) = (variable.categories - 1, found + 1);
    let remedy = format!("fit with --categories {enough} if it may occur");
    let there = "a model that is there takes it for missing with `--unseen missing`";
    Error::at(origin, place, format!("category {found} is outside 0..={last}: {remedy}; {there}"))
}

/// The place of a cell of a CSV file, whose first line is the header.
pub(super) fn line(row: usize, variable: &str) -> String {
    format!("line {}, column {variable}", row + 2)
}

impl Array {
    /// The number at `i`; NaN where it is missing.
    pub(super) fn value(&self, i: usize) -> f64 {
        match &self.values {
            Values::Bytes(v) => v[i].into(),
            Values::Integers(v) if v[i] == -1 => f64::NAN,
            Values::Integers(v) => v[i] as f64,
            Values::Reals(v) => v[i],
        }
    }

    fn discrete(&self, coding: Coding) -> Result<Discrete> {
        let (rows, shape) = match self.shape.as_slice() {
            [rows] => (*rows, vec![1]),
            [rows, shape @ ..] => (*rows, shape.to_vec()),
            [] => (0, vec![]),
        };
        let vars: usize = shape.iter().product();
        if rows == 0 || vars == 0 {
            return Err(Error::file(&self.origin, format!("shape {:?} holds no value", self.shape)));
        }
        let schema = match coding {
            Coding::Use(schema, _) if schema.len() == vars => {
                schema.check_shape(&shape).map_err(|e| Error::file(&self.origin, e))?;
                schema.clone()
            }
            Coding::Use(schema, _) => {
                let (expected, found) = (schema.len(), &self.shape);
                return Err(Error::file(
                    &self.origin,
                    format!("rows of {vars} values (shape {found:?}); the model has {expected}"),
                ));
            }
            Coding::Learn(Some(categories)) => Schema::uniform(&shape, categories),
            Coding::Learn(None) => {
                let code = |i| self.category(i, i / vars, &(i % vars).to_string());
                let largest = (0..rows * vars).try_fold(None, |most, i| code(i).map(|code| code.max(most)))?;
                let most = largest.map_or(1, |c| c + 1);
                if most > MOST_CATEGORIES {
                    let remedy =
                        format!("values up to {}; more than {MOST_CATEGORIES} categories: bin them first", most - 1);
                    return Err(Error::file(&self.origin, remedy));
                }
                Schema::uniform(&shape, most)
            }
        };
        let unseen = if let Coding::Use(_, unseen) = coding { unseen } else { Unseen::Error };
        let mut codes = vec![MISSING; rows * vars];
        self.codes(&schema, unseen, |row| row, &mut codes)?;
        Discrete::new(schema, codes)
    }

    /// The category at `i`, if it is not missing; `row` and `column` are its place in a message.
    fn category(&self, i: usize, row: usize, column: &str) -> Result<Option<usize>> {
        let value = self.value(i);
        category(value).ok_or_else(|| not_a_category(&self.origin, place(row, column), value))
    }

    /// Fills in the codes of all values; `number` says where the file has a row of this array.
    pub(in crate::data) fn codes(
        &self,
        schema: &Schema,
        unseen: Unseen,
        number: impl Fn(usize) -> usize,
        into: &mut [u16],
    ) -> Result<()> {
        // Mostly, every number is a category of every column.
        let all = schema.variables.iter().map(|v| v.categories).min().unwrap_or(0).min(usize::from(MISSING));
        match &self.values {
            Values::Bytes(v) if v.iter().all(|b| usize::from(*b) < all) => {
                into.iter_mut().zip(v).for_each(|(code, b)| *code = u16::from(*b));
                return Ok(());
            }
            Values::Integers(v) if v.iter().all(|i| (-1..all as i64).contains(i)) => {
                into.iter_mut().zip(v).for_each(|(code, i)| *code = if *i < 0 { MISSING } else { *i as u16 });
                return Ok(());
            }
            _ => {}
        }
        let vars = schema.len();
        for (i, code) in into.iter_mut().enumerate() {
            let (row, variable) = (number(i / vars), &schema.variables[i % vars]);
            *code = match self.category(i, row, &variable.name)? {
                Some(found) if found < variable.categories => found as u16,
                Some(found) if unseen == Unseen::Error => {
                    return Err(outside(&self.origin, place(row, &variable.name), variable, found));
                }
                _ => MISSING,
            };
        }
        Ok(())
    }
}

fn place(row: usize, column: &str) -> String {
    format!("row {row} (from 0), column {column}")
}

impl Frame {
    fn discrete(&self, coding: Coding) -> Result<Discrete> {
        let schema = match coding {
            Coding::Use(schema, _) => schema.clone(),
            Coding::Learn(categories) => {
                let variables = (0..self.names.len()).map(|c| self.learn(c, categories)).collect::<Result<Vec<_>>>()?;
                Schema { shape: vec![variables.len()], variables }
            }
        };
        if matches!(coding, Coding::Learn(Some(_))) && schema.variables.iter().all(|v| v.words.is_some()) {
            return Err(Error::file(
                &self.origin,
                "every column is of words, whose number is known: leave out --categories",
            ));
        }
        let lenient = matches!(coding, Coding::Use(_, Unseen::Missing));
        let columns = self.order(&schema)?;
        let mut codes = vec![MISSING; self.rows * schema.len()];
        for (v, (variable, column)) in schema.variables.iter().zip(columns).enumerate() {
            for row in 0..self.rows {
                if let Some(code) = self.code(column, row, variable, lenient)? {
                    codes[row * schema.len() + v] = code;
                }
            }
        }
        Discrete::new(schema, codes)
    }

    /// The column of each variable: by name where the names agree, else by position.
    pub(super) fn order(&self, schema: &Schema) -> Result<Vec<usize>> {
        let places: HashMap<&str, usize> = self.names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
        let by_name = |v: &Variable| places.get(v.name.as_str()).copied();
        if let Some(columns) = schema.variables.iter().map(by_name).collect() {
            return Ok(columns);
        }
        let are_others = schema.variables.iter().all(|v| by_name(v).is_none());
        if self.names.len() == schema.len() && schema.is_nameless() && are_others {
            return Ok((0..schema.len()).collect());
        }
        let mut missing: Vec<_> =
            schema.variables.iter().filter(|v| by_name(v).is_none()).map(|v| v.name.as_str()).collect();
        let more = missing.split_off(missing.len().min(8)).len();
        let more = if more > 0 { format!(" or {more} others") } else { String::new() };
        let missing = missing.join(", ");
        Err(Error::at(&self.origin, "line 1", format!("no column called {missing}{more}, which the model has")))
    }

    fn learn(&self, column: usize, categories: Option<usize>) -> Result<Variable> {
        let (name, cells) = (self.names[column].clone(), &self.columns[column]);
        let texts = || (0..self.rows).filter_map(|row| Some((row, cells.text(row)?)));
        // A number with a zero before it is a name: 007, 02134.
        let named = |text: &str| {
            let digits = text.trim_start_matches(['+', '-']);
            digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        };
        if !cells.is_numeric() || texts().any(|(_, text)| named(text)) {
            let is_number = |text: &str| text.parse::<f64>().is_ok() && !named(text);
            let (mut words, mut numbers, mut odd, mut all) = (BTreeSet::new(), 0, None, 0);
            for (row, text) in texts() {
                all += 1;
                numbers += usize::from(is_number(text));
                odd = odd.or((text.parse::<f64>().is_err()).then_some((row, text)));
                words.insert(text);
                if words.len() > MOST_CATEGORIES {
                    let problem =
                        format!("more than {MOST_CATEGORIES} different words; is it a name rather than a category?");
                    return Err(Error::at(&self.origin, format!("column {name}"), problem));
                }
            }
            // A number that is mistyped would make the whole column words.
            if let Some((row, word)) = odd.filter(|_| 2 * numbers > all) {
                let problem = format!(
                    "{word} is not a number, and most of the column are; a missing value is an empty cell, and where \
                     all are names of categories, give each a letter"
                );
                return Err(Error::at(&self.origin, line(row, &name), problem));
            }
            let words: Vec<String> = words.into_iter().map(str::to_string).collect();
            return Ok(Variable { name, categories: words.len(), words: Some(words) });
        }
        let mut most = 1;
        for row in 0..self.rows {
            match category(cells.number(row)) {
                Some(Some(c)) => most = most.max(c + 1),
                Some(None) => {}
                None => return Err(not_a_category(&self.origin, line(row, &name), cells.number(row))),
            }
        }
        if most > MOST_CATEGORIES && categories.is_none() {
            let problem = format!("values up to {}; more than {MOST_CATEGORIES} categories: bin them first", most - 1);
            return Err(Error::at(&self.origin, format!("column {name}"), problem));
        }
        Ok(Variable { name, categories: categories.unwrap_or(most), words: None })
    }

    /// The category in a cell; `lenient` takes what the variable does not know for missing.
    fn code(&self, column: usize, row: usize, variable: &Variable, lenient: bool) -> Result<Option<u16>> {
        let (origin, place) = (&self.origin, || line(row, &variable.name));
        let cell = &self.columns[column];
        let blank = || cell.blank(row).filter(|blank| variable.words.iter().flatten().any(|word| word == blank));
        let Some(text) = cell.text(row).or_else(blank) else { return Ok(None) };
        let found = match &variable.words {
            Some(words) => match words.binary_search_by(|word| word.as_str().cmp(text)) {
                Ok(code) => Some(code),
                Err(_) if lenient => None,
                Err(_) => {
                    let known = words.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
                    let more = if words.len() > 8 { ", …" } else { "" };
                    let remedy = "`--unseen missing` takes such values for missing ones";
                    let problem = format!("{text} is not one of the categories {known}{more}; {remedy}");
                    return Err(Error::at(origin, place(), problem));
                }
            },
            None => match text.parse() {
                Ok(number) => category(number).ok_or_else(|| not_a_category(origin, place(), number))?,
                Err(_) if lenient => None,
                Err(_) => {
                    let problem = format!("{text} is not a number, and the model's column is one of numbers");
                    return Err(Error::at(origin, place(), problem));
                }
            },
        };
        match found {
            Some(c) if c >= variable.categories && lenient => Ok(None),
            Some(c) if c >= variable.categories => Err(outside(origin, place(), variable, c)),
            other => Ok(other.map(|c| c as u16)),
        }
    }
}
