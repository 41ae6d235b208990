//! What a file of rows is besides its values, so that it can be made again byte for byte.

use super::{Discrete, MISSING, Rows, load::Element, save::csv_bytes};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the values of a file become its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub(crate) enum Envelope {
    /// Some bytes (the header of `.npy` or IDX), and an element a value, row after row.
    Elements {
        /// What stands before the elements.
        prefix: Vec<u8>,
        /// The type of the elements.
        element: Element,
    },
    /// CSV as this library writes it.
    Csv,
    /// The text of all rows, one after the other.
    Text,
}

impl Envelope {
    /// The envelope of a file that holds `rows`.
    ///
    /// # Errors
    /// When the file's bytes are not determined by its values: the message says what to do.
    pub(crate) fn of(path: &Path, rows: &Discrete) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let element = match super::load::read_header(path, bytes.as_slice()) {
            Ok((element, _, _)) => Some(element),
            Err(_) if bytes.starts_with(&[0, 0, 8]) => Some(Element::BYTE),
            Err(_) => None,
        };
        let envelope = element.and_then(|element| {
            let begin = bytes.len().checked_sub(rows.codes().len() * element.size)?;
            Some(Self::Elements { prefix: bytes[..begin].to_vec(), element })
        });
        let is_text = || rows.schema().alphabet().is_some() && Self::Text.open(rows) == bytes;
        let envelope = envelope.unwrap_or_else(|| if is_text() { Self::Text } else { Self::Csv });
        if envelope.open(rows) == bytes {
            return Ok(envelope);
        }
        Err(Error::file(
            path,
            "its bytes are not determined by its values (quotes, line ends, number formats, a packed archive); keep the \
             values alone with --values",
        ))
    }

    /// The file of these rows.
    pub(crate) fn open(&self, rows: &Discrete) -> Vec<u8> {
        match self {
            Self::Csv => csv_bytes(rows),
            Self::Text => (0..rows.len()).filter_map(|row| rows.text(row)).collect::<String>().into_bytes(),
            Self::Elements { prefix, element } => {
                let mut bytes = prefix.clone();
                for code in rows.codes() {
                    element.write((*code != MISSING).then_some(*code), &mut bytes);
                }
                bytes
            }
        }
    }
}
