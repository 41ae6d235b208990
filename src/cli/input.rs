//! How a command reads its data.

use super::Context;
use crate::{
    Error, Result,
    data::{Colour, Dataset, Reading, Rows, Schema, TextForm, Unseen, View, open_for},
    model::{Model, Origin},
};
use std::path::Path;

/// How a text file is read.
#[derive(Debug, clap::Args)]
pub(super) struct Text {
    /// What separates the cells of a text file: one character, or "tab"; what its first line says where not given.
    #[arg(long, value_parser = delimiter, value_name = "CHARACTER")]
    delimiter: Option<u8>,
    /// The columns of a text file to use: all where none is named.
    #[arg(long, value_parser = names, value_name = "NAME,…", allow_hyphen_values = true)]
    columns: Vec<Names>,
    /// The columns of a text file to leave out.
    #[arg(long, value_parser = names, value_name = "NAME,…", allow_hyphen_values = true)]
    drop: Vec<Names>,
    /// What a text is read as: "as-is" (.txt where not given), "plain" (a to z and single spaces), "bytes".
    #[arg(long, value_parser = form, value_name = "FORM")]
    text: Option<TextForm>,
}

impl Text {
    pub(super) fn reading(&self) -> Reading {
        let Self { delimiter, columns, drop, text } = self;
        Reading {
            delimiter: *delimiter,
            columns: columns.concat(),
            drop: drop.concat(),
            text: *text,
            ..Reading::default()
        }
    }
}

/// Names on the command line.
type Names = Vec<String>;

/// `NAME,…`; a name that holds a comma stands in quotes, as in a CSV file.
fn names(text: &str) -> std::result::Result<Names, String> {
    if text.contains(['\n', '\r']) || text.matches('"').count() % 2 == 1 {
        return Err("names of columns are expected in one line, quotes in pairs".into());
    }
    let mut lines = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = lines.records().next().and_then(std::result::Result::ok);
    names.map(|names| names.iter().map(String::from).collect()).ok_or_else(|| "names of columns are expected".into())
}

fn delimiter(text: &str) -> std::result::Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("one character, or tab".into()),
    }
}

/// What the columns of a file are that a model was fitted to.
fn before(model: &dyn Model, origin: &Origin) -> Schema {
    if origin.view.is_plain() { model.schema().clone() } else { origin.view.before(model.schema()) }
}

/// What is seen of pictures.
#[derive(Debug, clap::Args)]
pub(super) struct Seen {
    /// Colours in other coordinates: "ycocg-r", "ycocg-modulo" (bijections), or "ycbcr-rounded", which loses three colours of four; or "grey".
    #[arg(long, value_parser = colour, value_name = "NAME")]
    colour: Option<Colour>,
    /// The upper left quarter of pictures alone.
    #[arg(long)]
    quarter: bool,
}

impl Seen {
    pub(super) fn view(&self) -> View {
        View { colour: self.colour, quarter: self.quarter }
    }
}

fn form(text: &str) -> std::result::Result<TextForm, String> {
    toml::Value::String(text.into()).try_into().map_err(|_| "as-is, plain or bytes is expected".into())
}

fn colour(text: &str) -> std::result::Result<Colour, String> {
    let known = "ycocg-r, ycocg-modulo, ycbcr-rounded or grey is expected";
    toml::Value::String(text.into()).try_into().map_err(|_| known.into())
}

/// How a file is read for a model that is there.
#[derive(Debug, clap::Args)]
pub(super) struct ForModel {
    #[command(flatten)]
    text: Text,
    /// What becomes of a category that the model does not know.
    #[arg(long, value_enum, default_value = "error")]
    unseen: UnseenIs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum UnseenIs {
    /// An error that names it.
    Error,
    /// A missing value.
    Missing,
}

impl ForModel {
    /// What becomes of a category that the model does not know.
    pub(super) fn unseen(&self) -> Unseen {
        match self.unseen {
            UnseenIs::Error => Unseen::Error,
            UnseenIs::Missing => Unseen::Missing,
        }
    }

    fn reading(&self) -> Reading {
        Reading { unseen: self.unseen(), ..self.text.reading() }
    }

    /// The rows of a file in memory as a model sees them; says which of its columns are not used.
    pub(super) fn load(
        &self,
        path: &Path,
        (model, origin): (&dyn Model, &Origin),
        context: &Context,
    ) -> Result<Dataset> {
        if !origin.view.is_plain() {
            let rows = Box::new(self.load_before(path, (model, origin), context)?);
            return Ok(origin.view.of(rows)?.collect()?.into());
        }
        self.load_before(path, (model, origin), context)
    }

    /// The same as they are in the file, where a model sees something else of pictures.
    pub(super) fn load_before(
        &self,
        path: &Path,
        (model, origin): (&dyn Model, &Origin),
        context: &Context,
    ) -> Result<Dataset> {
        let (rows, notes) = Dataset::load(path, &self.reading(), &before(model, origin))?;
        notes.iter().for_each(|note| context.note(note));
        Ok(rows)
    }

    /// The rows of a file as a model reads them, from disk where they are many. Whole numbers that had noise when the model was
    /// fitted have it here, too.
    pub(super) fn open(
        &self,
        path: &Path,
        (model, origin): (&dyn Model, &Origin),
        context: &Context,
    ) -> Result<Box<dyn Rows>> {
        if origin.dequantised.is_empty() {
            let (rows, notes) = open_for(path, &self.reading(), &before(model, origin))?;
            notes.iter().for_each(|note| context.note(note));
            return Ok(if origin.view.is_plain() { rows } else { Box::new(origin.view.of(rows)?) });
        }
        let rows = self.load(path, (model, origin), context)?;
        rows.continuous()?.check_whole_in(&origin.dequantised).map_err(|e| Error::file(path, e))?;
        let noisy = rows.continuous()?.dequantised_in(&origin.dequantised, context.seed);
        let names = origin.dequantised.join(", ");
        context.note(&format!("noise from [0, 1) on {names}, as when the model was fitted"));
        Ok(Box::new(noisy))
    }
}
