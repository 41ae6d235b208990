//! What is known of rows: a file, or one row on the command line.

use super::{Context, input::ForModel};
use crate::{
    Error, Result,
    data::{Continuous, Dataset, Discrete, MISSING, Schema, Unseen},
    model::{Model, Origin},
};
use std::path::PathBuf;

/// What is known: a file of rows, or one row on the command line.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("known").required(true))]
pub(super) struct Known {
    /// Rows with missing values.
    #[arg(long, group = "known")]
    pub(super) data: Option<PathBuf>,
    /// One row: `name=value,…`; what is not named is missing. May be given several times.
    #[arg(long, value_name = "NAME=VALUE,…", group = "known", allow_hyphen_values = true, conflicts_with_all = ["delimiter", "columns", "drop"])]
    given: Vec<String>,
    #[command(flatten)]
    input: ForModel,
}

impl Known {
    /// The rows as a model with these columns reads them. Whole numbers that had noise when the model was fitted lie in the middle
    /// of it.
    pub(super) fn rows(&self, model: &dyn Model, origin: &Origin, context: &Context) -> Result<Dataset> {
        let schema = model.schema();
        let rows = match &self.data {
            Some(path) => self.input.load(path, (model, origin), context)?,
            None => {
                let pairs = pairs(schema, &self.given)?;
                match schema.is_continuous() {
                    true => reals(schema, &pairs)?.into(),
                    false => categories(schema, &pairs, self.input.unseen(), context)?.into(),
                }
            }
        };
        if origin.dequantised.is_empty() {
            return Ok(rows);
        }
        let rows = rows.continuous()?;
        rows.check_whole_in(&origin.dequantised)?;
        Ok(rows.centred_in(&origin.dequantised).into())
    }
}

/// `name=value,…`, each variable once. What follows a comma and names no variable belongs to the value before; a name may hold
/// commas and equals signs of its own.
fn pairs(schema: &Schema, given: &[String]) -> Result<Vec<(usize, String)>> {
    let mut pairs: Vec<(usize, String)> = Vec::new();
    for text in given {
        let Some((mut v, mut rest)) = named(schema, text) else {
            let name = text.split_once('=').map(|(name, _)| name.trim());
            let missing = || Error::invalid(format!("{}: name=value is expected", text.trim()));
            return Err(name.and_then(|name| schema.index(name).err()).unwrap_or_else(missing));
        };
        loop {
            let commas = rest.match_indices(',').map(|(at, _)| at);
            let next = commas.filter_map(|at| Some((at, named(schema, &rest[at + 1..])?))).next();
            let value = &rest[..next.map_or(rest.len(), |(at, _)| at)];
            if pairs.iter().any(|(known, _)| *known == v) {
                return Err(Error::invalid(format!("--given has two values for {}", schema.variables[v].name)));
            }
            pairs.push((v, value.trim().to_string()));
            let Some((_, after)) = next else { break };
            (v, rest) = after;
        }
    }
    Ok(pairs)
}

/// The variable that a text begins with, by its name or its number, and what follows the equals sign.
fn named<'t>(schema: &Schema, text: &'t str) -> Option<(usize, &'t str)> {
    let text = text.trim_start();
    let value = |name: &str| text.strip_prefix(name)?.trim_start().strip_prefix('=');
    let names = schema.variables.iter().enumerate();
    let longest = names.filter(|(_, v)| value(&v.name).is_some()).max_by_key(|(_, v)| v.name.len());
    let by_number = || {
        let (number, value) = text.split_once('=')?;
        Some((schema.index(number.trim()).ok()?, value))
    };
    longest.and_then(|(i, v)| Some((i, value(&v.name)?))).or_else(by_number)
}

/// A value as it stands, and without the comma that may end a list.
fn spellings(value: &str) -> impl Iterator<Item = &str> {
    let without = value.strip_suffix(',').map(str::trim_end);
    std::iter::once(value).chain(without)
}

fn reals(schema: &Schema, pairs: &[(usize, String)]) -> Result<Continuous> {
    let mut values = vec![f64::NAN; schema.len()];
    for (v, value) in pairs {
        let number = spellings(value).find_map(|text| text.parse().ok().filter(|x: &f64| x.is_finite()));
        let (name, value) = (&schema.variables[*v].name, if value.is_empty() { "nothing" } else { value });
        values[*v] = number.ok_or_else(|| Error::invalid(format!("{name}: {value} is not a number")))?;
    }
    Continuous::of(schema, values)
}

fn categories(schema: &Schema, pairs: &[(usize, String)], unseen: Unseen, context: &Context) -> Result<Discrete> {
    let mut codes = vec![MISSING; schema.len()];
    for (v, value) in pairs {
        let (variable, name) = (&schema.variables[*v], &schema.variables[*v].name);
        let code = spellings(value).find_map(|text| match &variable.words {
            Some(words) => words.iter().position(|word| word == text),
            None => text.parse().ok(),
        });
        match code.filter(|code| *code < variable.categories) {
            Some(code) => codes[*v] = code as u16,
            // A single word or number that the model has not seen; what holds a comma may be a name that is none.
            None if unseen == Unseen::Missing
                && !value.is_empty()
                && !value.contains([',', '='])
                && (variable.words.is_some() || code.is_some()) =>
            {
                context.note(&format!("{name}: {value} is unknown to the model, and taken for missing"));
            }
            None => {
                let known = match &variable.words {
                    Some(words) => words.join(", "),
                    None => format!("0..={}", variable.categories - 1),
                };
                let value = if value.is_empty() { "nothing" } else { value };
                return Err(Error::invalid(format!("{name}: {value} is not one of its categories, {known}")));
            }
        }
    }
    Discrete::new(schema.clone(), codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_a_comma() {
        let schema = Schema::reals(&["name".to_string(), "town".to_string()]);
        let of = |given: &[&str]| pairs(&schema, &given.iter().map(|g| g.to_string()).collect::<Vec<_>>());
        let smith = vec![(0, "Smith, A".to_string()), (1, "Rome".to_string())];
        assert_eq!(of(&["name=Smith, A,town=Rome"]).unwrap(), smith);
        assert_eq!(of(&["name=Smith, A", "town=Rome"]).unwrap(), smith);
        assert_eq!(of(&["name=a=b"]).unwrap(), [(0, "a=b".to_string())]);
        assert!(of(&["nam=Smith"]).unwrap_err().to_string().contains("no variable called nam"));
        assert!(of(&["Smith"]).unwrap_err().to_string().contains("name=value is expected"));
        let odd = Schema::reals(&["a".to_string(), "a=b".to_string(), "a,c".to_string()]);
        let given = ["a=1,a=b=2,a,c=3".to_string()];
        let found = pairs(&odd, &given).unwrap();
        assert_eq!(found, [(0, "1".to_string()), (1, "2".to_string()), (2, "3".to_string())]);
        assert!(of(&["name=a,name=b"]).unwrap_err().to_string().contains("two values for name"));
    }
}
