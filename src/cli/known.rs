//! What is known of rows: a file, or one row on the command line.

use super::{Context, input::ForModel};
use crate::{
    Error, Result,
    data::{Continuous, Dataset, Discrete, MISSING, Schema},
    model::Model,
};
use std::path::PathBuf;

/// What is known: a file of rows, or one row on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct Known {
    /// Rows with missing values.
    #[arg(long, required_unless_present = "given", conflicts_with = "given")]
    pub(super) data: Option<PathBuf>,
    /// One row: `name=value,…`; what is not named is missing. May be given several times.
    #[arg(long, value_name = "NAME=VALUE,…")]
    given: Vec<String>,
    #[command(flatten)]
    input: ForModel,
}

impl Known {
    /// The rows as a model with these columns reads them.
    pub(super) fn rows(&self, model: &dyn Model, context: &Context) -> Result<Dataset> {
        let schema = model.schema();
        if let Some(path) = &self.data {
            return self.input.load(path, model, context);
        }
        let pairs = pairs(schema, &self.given)?;
        match schema.is_continuous() {
            true => reals(schema, &pairs).map(Dataset::Continuous),
            false => categories(schema, &pairs).map(Dataset::Discrete),
        }
    }
}

/// `name=value,…`, each variable once. What follows a comma and names no variable belongs to the value before.
fn pairs(schema: &Schema, given: &[String]) -> Result<Vec<(usize, String)>> {
    let mut pairs: Vec<(usize, String)> = Vec::new();
    for text in given {
        let before = pairs.len();
        for part in text.split(',') {
            let named = part.split_once('=').map(|(name, value)| (schema.index(name.trim()), value));
            match named {
                Some((Ok(v), value)) => {
                    if pairs.iter().any(|(known, _)| *known == v) {
                        let name = &schema.variables[v].name;
                        return Err(Error::invalid(format!("--given has two values for {name}")));
                    }
                    pairs.push((v, value.trim().to_string()));
                }
                _ if part.trim().is_empty() => {}
                other => match pairs[before..].last_mut() {
                    Some((_, value)) => *value += &format!(",{part}"),
                    None => {
                        let missing = || Error::invalid(format!("{}: name=value is expected", part.trim()));
                        return Err(other.and_then(|(index, _)| index.err()).unwrap_or_else(missing));
                    }
                },
            }
        }
    }
    pairs.iter_mut().for_each(|(_, value)| *value = value.trim_end().to_string());
    Ok(pairs)
}

fn reals(schema: &Schema, pairs: &[(usize, String)]) -> Result<Continuous> {
    let mut values = vec![f64::NAN; schema.len()];
    for (v, value) in pairs {
        let number = value.parse().ok().filter(|x: &f64| x.is_finite());
        let name = &schema.variables[*v].name;
        values[*v] = number.ok_or_else(|| Error::invalid(format!("{name}: {value} is not a number")))?;
    }
    Continuous::of(schema, values)
}

fn categories(schema: &Schema, pairs: &[(usize, String)]) -> Result<Discrete> {
    let mut codes = vec![MISSING; schema.len()];
    for (v, value) in pairs {
        let (variable, name) = (&schema.variables[*v], &schema.variables[*v].name);
        let word = variable.words.as_ref().and_then(|words| words.iter().position(|w| w == value));
        let number = || value.parse().ok().filter(|code| variable.words.is_none() && *code < variable.categories);
        codes[*v] = word.or_else(number).ok_or_else(|| {
            let known = match &variable.words {
                Some(words) => words.join(", "),
                None => format!("0..={}", variable.categories - 1),
            };
            let value = if value.is_empty() { "nothing" } else { value };
            Error::invalid(format!("{name}: {value} is not one of its categories, {known}"))
        })? as u16;
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
        assert!(of(&["name=a,name=b"]).unwrap_err().to_string().contains("two values for name"));
    }
}
