//! What can go wrong, said so that the reader knows where and what would be right.

use std::{fmt::Display, io, path::Path};

/// The result of every public function that can meet bad input.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong, where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path as the caller gave it.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that was read and whose content is not what it should be.
    #[error("{path}{place}: {problem}")]
    File {
        /// The path as the caller gave it.
        path: String,
        /// Where in the file, as `, row 17, column 3`; empty for the whole of it.
        place: String,
        /// What was found, and what would be right.
        problem: String,
    },
    /// An argument outside its range.
    #[error("{name} is {value}; it must satisfy {allowed}")]
    OutOfRange {
        /// The argument.
        name: &'static str,
        /// The value that was given.
        value: String,
        /// The values it may take.
        allowed: &'static str,
    },
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// Likelihoods that say different things and so cannot be ranked.
    #[error("cannot compare {left} with {right}: {reason}")]
    Incomparable {
        /// The first space.
        left: String,
        /// The second space.
        right: String,
        /// What would make them comparable.
        reason: &'static str,
    },
    /// A number that stopped being one during training.
    #[error("training stopped at step {step}: {problem}")]
    NotFinite {
        /// The step, counted from 1.
        step: u64,
        /// Which value, in which batch.
        problem: String,
    },
    /// The user ended a run that can go on.
    #[error("interrupted at step {step}; {checkpoint} holds it, and --resume goes on")]
    Interrupted {
        /// Steps made.
        step: u64,
        /// The file to go on from.
        checkpoint: String,
    },
    /// Anything else the caller can mend.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An error whose message says it all.
    pub fn invalid(message: impl Display) -> Self {
        Self::Invalid(in_a_line(&message.to_string()))
    }

    /// `value` of the argument `name` is not one of the `allowed`.
    pub fn out_of_range(name: &'static str, value: impl Display, allowed: &'static str) -> Self {
        Self::OutOfRange { name, value: value.to_string(), allowed }
    }

    /// The file at `path` as a whole is not what it should be.
    pub fn file(path: impl AsRef<Path>, problem: impl Display) -> Self {
        Self::at(path, "", problem)
    }

    /// The file at `path` is wrong at `place` (`row 17, column 3`).
    pub fn at(path: impl AsRef<Path>, place: impl Display, problem: impl Display) -> Self {
        let place = in_a_line(&place.to_string());
        Self::File {
            path: path.as_ref().display().to_string(),
            place: if place.is_empty() { place } else { format!(", {place}") },
            problem: in_a_line(&problem.to_string()),
        }
    }

    /// A function that turns an [`io::Error`] at `path` into ours: `.map_err(Error::io(path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |source| Self::Io { path, source }
    }
}

/// The lines of a parser's message as one, without the rulers and carets between them.
fn in_a_line(message: &str) -> String {
    if !message.contains('\n') {
        return message.into();
    }
    let is_ruler = |line: &&str| line.chars().all(|c| "|^-=~ \t".contains(c));
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !is_ruler(line)).collect();
    lines.join("; ")
}

/// `3 rows`, `1 row`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_place_and_the_remedy() {
        let error = Error::at("train.csv", "row 17, column 3", "category 31 is outside 0..=16");
        assert_eq!(error.to_string(), "train.csv, row 17, column 3: category 31 is outside 0..=16");
        let parser = "expected EOI\n  |\n1 | {'a': 1} (\n  |          ^---\n";
        assert_eq!(Error::file("a.npy", parser).to_string(), "a.npy: expected EOI; 1 | {'a': 1} (");
        let error = Error::out_of_range("lambda", 0.7, "0 ≤ λ < ½");
        assert_eq!(error.to_string(), "lambda is 0.7; it must satisfy 0 ≤ λ < ½");
    }
}
