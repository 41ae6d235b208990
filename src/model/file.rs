//! Models in files.

use super::Model;
use crate::{
    Error, Result,
    archive::Archive,
    data::{Rows, Schema, View, fingerprint},
    error::counted,
    evidence::Fingerprint,
    random::Seed,
    train::History,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, path::Path};

/// Where a model comes from: the rows it was fitted to, and how.
#[derive(Clone, Debug)]
pub struct Origin {
    /// How many rows.
    pub rows: usize,
    /// Which rows.
    pub data: Fingerprint,
    /// The settings, where they are known.
    pub settings: Option<toml::Table>,
    /// The root of all randomness, where it is known.
    pub seed: Option<Seed>,
    /// Columns of whole numbers that had noise from `[0, 1)`.
    pub dequantised: Vec<String>,
    /// What it sees of pictures.
    pub view: View,
    /// What happened at each step, of a long training at some thousand of them; but for its time, so that a seed decides every
    /// byte; nothing where it is not known.
    pub history: History,
}

/// Steps of a training that a file keeps, beside the ends of its epochs.
const STEPS: usize = 4096;

impl Origin {
    /// Of a model that was fitted to these rows.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn of(rows: &dyn Rows) -> Result<Self> {
        let data = fingerprint(rows)?;
        Ok(Self {
            rows: rows.len(),
            data,
            settings: None,
            seed: None,
            dequantised: vec![],
            view: View::default(),
            history: History::default(),
        })
    }

    /// The same with the settings, the seed and the history of the fit.
    pub fn fitted(self, settings: toml::Table, seed: Seed, history: History) -> Self {
        Self { settings: Some(settings), seed: Some(seed), history: history.untimed().thinned(STEPS), ..self }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fitted to {} with the hash {}", counted(self.rows, "row"), self.data)?;
        if let Some(Seed(seed)) = self.seed {
            write!(f, ", seed {seed}")?;
        }
        if !self.dequantised.is_empty() {
            write!(f, ", with noise from [0, 1) on {}", self.dequantised.join(", "))?;
        }
        if !self.view.is_plain() {
            write!(f, ", pictures seen as {}", self.view.space())?;
        }
        if let Some(last) = self.history.last() {
            let epochs = self.history.epochs();
            let steps = counted(last.step as usize, "step");
            write!(f, "\n{}, {steps}; loss {:.4}", counted(epochs.len(), "epoch"), last.loss)?;
            let best = epochs.iter().filter_map(|e| e.2).min_by(f64::total_cmp);
            best.map_or(Ok(()), |best| write!(f, ", best validation loss {best:.4} nats a row"))?;
        }
        let Some(settings) = &self.settings else { return Ok(()) };
        write!(f, "\nsettings:")?;
        let text = toml::to_string(settings).map_err(|_| fmt::Error)?;
        text.lines().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// What a model file says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    limbeck: String,
    family: String,
    kind: String,
    schema: Schema,
    rows: usize,
    data: Fingerprint,
    settings: Option<toml::Table>,
    seed: Option<Seed>,
    dequantised: Vec<String>,
    #[serde(default, skip_serializing_if = "View::is_plain")]
    view: View,
    /// What the family needs beside the arrays.
    body: serde_json::Value,
}

/// A model file that was read, and from which its family makes the model.
pub struct ModelFile {
    /// The family.
    pub family: String,
    /// The name that `limbeck fit` knows the model by.
    pub kind: String,
    /// What the columns are.
    pub schema: Schema,
    /// Where the model comes from.
    pub origin: Origin,
    /// Its arrays.
    pub arrays: Archive,
    body: serde_json::Value,
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// When it is not one, or is damaged, or was written by a newer program.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let arrays = Archive::load(path)?;
        let header: Header = arrays.header().map_err(|error| match arrays.header::<serde_json::Value>() {
            Ok(header) if header.get("run").is_some() => Error::file(path, "the checkpoint of a run, not a model"),
            _ => error,
        })?;
        let Header { family, kind, schema, rows, data, settings, seed, dequantised, view, body, .. } = header;
        schema.check().map_err(|e| Error::file(path, e))?;
        let history = History::load(&arrays)?;
        Ok(Self {
            family,
            kind,
            schema,
            origin: Origin { rows, data, settings, seed, dequantised, view, history },
            arrays,
            body,
        })
    }

    /// What the family needs beside the arrays, as the type it was made from.
    ///
    /// # Errors
    /// When it is of another form, or the file is of another family.
    pub fn body<T: DeserializeOwned>(&self, family: &str) -> Result<T> {
        if self.family != family {
            return Err(Error::invalid(format!("a model of the family {}; {family} is expected", self.family)));
        }
        serde_json::from_value(self.body.clone()).map_err(|e| Error::invalid(format!("its header: {e}")))
    }
}

pub(super) fn save(model: &dyn Model, path: &Path, origin: &Origin) -> Result<()> {
    let mut arrays = Archive::default();
    let body = model.put(&mut arrays)?;
    origin.history.save(&mut arrays);
    arrays.set_header(&Header {
        limbeck: env!("CARGO_PKG_VERSION").into(),
        family: model.family().into(),
        kind: model.kind().into(),
        schema: model.schema().clone(),
        rows: origin.rows,
        data: origin.data,
        settings: origin.settings.clone(),
        seed: origin.seed,
        dequantised: origin.dequantised.clone(),
        view: origin.view,
        body,
    })?;
    arrays.save(path)
}
