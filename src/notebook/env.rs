//! Settings that reach a notebook from outside: environment variables, read once where they are used.

use std::{env::VarError, fmt, str::FromStr};

use crate::{Error, Result};

/// How much work a notebook or a figure does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// Minutes on two cores: a chapter within 90 s.
    #[default]
    Small,
    /// The sizes of the papers.
    Full,
}

impl Budget {
    /// `small` or `full`, whichever this is.
    ///
    /// ```
    /// # use limbeck::notebook::Budget;
    /// let steps: usize = Budget::Small.pick(500, 50_000);
    /// assert_eq!(steps, 500);
    /// ```
    pub fn pick<T>(self, small: T, full: T) -> T {
        match self {
            Budget::Small => small,
            Budget::Full => full,
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "small" => Ok(Budget::Small),
            "full" => Ok(Budget::Full),
            _ => Err(Error::invalid(format_args!("a budget is `small` or `full`, not {word:?}"))),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.pick("small", "full"))
    }
}

/// The budget asked for by `LIMBECK_SCALE`; [`Budget::Small`] where it is not set.
///
/// # Errors
/// A value other than `small` and `full`.
pub fn budget() -> Result<Budget> {
    env("LIMBECK_SCALE", Budget::Small)
}

/// The environment variable `name` as a `T`, or `default` where it is not set.
///
/// ```
/// # use limbeck::notebook;
/// let steps: usize = notebook::env("STEPS", 2000)?;
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// # Errors
/// A value that is not a `T`; the message names the variable.
pub fn env<T: FromStr>(name: &str, default: T) -> Result<T>
where
    T::Err: fmt::Display,
{
    match std::env::var(name) {
        Ok(value) => parse(name, &value),
        Err(VarError::NotPresent) => Ok(default),
        Err(VarError::NotUnicode(_)) => Err(Error::invalid(format_args!("{name} is not valid Unicode"))),
    }
}

/// Whether the notebook runs unattended (`NB_STRICT` is set, as `notebooks/tools/run.py` does):
/// a panic then ends the process, and nothing that depends on the clock is printed, so that two runs write the same bytes.
pub fn strict() -> bool {
    std::env::var_os("NB_STRICT").is_some()
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T>
where
    T::Err: fmt::Display,
{
    value.parse().map_err(|why| Error::invalid(format_args!("{name}={value}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_and_written_by_the_same_word() {
        for budget in [Budget::Small, Budget::Full] {
            assert_eq!(parse::<Budget>("LIMBECK_SCALE", &budget.to_string()).unwrap(), budget);
        }
        let refused = parse::<Budget>("LIMBECK_SCALE", "huge").unwrap_err().to_string();
        assert!(refused.contains("LIMBECK_SCALE=huge") && refused.contains("`full`"), "{refused}");
    }

    #[test]
    fn a_value_that_does_not_parse_is_not_the_default() {
        assert_eq!(env("LIMBECK_TEST_THAT_IS_NOT_SET", 7).unwrap(), 7);
        assert_eq!(parse::<usize>("STEPS", "20").unwrap(), 20);
        assert!(parse::<usize>("STEPS", "2e3").unwrap_err().to_string().contains("STEPS=2e3"));
    }
}
