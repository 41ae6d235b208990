//! Text: rows of characters.

use super::{Loaded, Reading, open};
use crate::{
    Error, Result,
    data::{Coding, Discrete, MISSING, Schema, Text, Unseen, Variable},
    memory::afford,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    path::Path,
};

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextForm {
    /// Its characters as they are.
    AsIs,
    /// The 27 symbols of text8: lower case, digits spelled out, everything else one space.
    Plain,
    /// Its bytes, of which there are 256, whatever they stand for.
    Bytes,
}

/// A text as a file held it, not yet cut into rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// The file it came from, for messages.
    pub origin: String,
    /// Its symbols.
    symbols: Symbols,
    /// Symbols of a row.
    length: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Symbols {
    Characters { text: String, plain: bool },
    Bytes(Vec<u8>),
}

/// Characters of a row where nothing else is said.
pub const LENGTH: usize = 64;

/// Reads a file as text.
pub(super) fn load(path: &Path, form: TextForm, reading: &Reading) -> Result<Loaded> {
    let mut bytes = Vec::new();
    let length = path.metadata().map_err(Error::io(path))?.len();
    afford(usize::try_from(length).ok(), 4, "the text", "cut the file into parts").map_err(|e| Error::file(path, e))?;
    open(path)?.read_to_end(&mut bytes).map_err(|e| Error::file(path, e))?;
    let symbols = match form {
        TextForm::Bytes => Symbols::Bytes(bytes),
        TextForm::AsIs | TextForm::Plain => {
            let text = String::from_utf8(bytes).map_err(|e| {
                let at = e.utf8_error().valid_up_to();
                Error::file(
                    path,
                    format!("not UTF-8 from byte {at} on: convert it, or read its bytes with --text bytes"),
                )
            })?;
            let plain = form == TextForm::Plain;
            let text = if plain { Text::text8(&text).spelled() } else { text };
            Symbols::Characters { text, plain }
        }
    };
    let passage = Passage { origin: path.display().to_string(), symbols, length: reading.length.unwrap_or(LENGTH) };
    match passage.len() {
        0 => Err(Error::file(path, "no character to read")),
        _ if passage.length == 0 => Err(Error::file(path, "rows of 0 characters; 1 at least are needed")),
        _ => Ok(Loaded::Text(passage)),
    }
}

/// One column for each place of a row, all with the same symbols.
fn schema(length: usize, categories: usize, words: Option<&[String]>) -> Schema {
    let variable = |i| Variable { name: format!("x{i}"), categories, words: words.map(<[String]>::to_vec) };
    Schema { variables: (0..length).map(variable).collect(), shape: vec![length] }
}

impl Passage {
    /// Number of symbols.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.symbols {
            Symbols::Characters { text, .. } => text.chars().count(),
            Symbols::Bytes(bytes) => bytes.len(),
        }
    }

    /// Rows of one length, one after the other. To learn from, whole ones alone; for a model that is there, the end of the last is
    /// missing where the text ends before.
    pub(super) fn discrete(&self, coding: Coding) -> Result<Discrete> {
        if let Coding::Learn(Some(_)) = coding {
            return Err(Error::file(&self.origin, "a text has the symbols that it has: leave out --categories"));
        }
        let (schema, mut codes) = match (coding, &self.symbols) {
            (Coding::Learn(_), Symbols::Bytes(bytes)) => {
                (schema(self.length, 256, None), bytes.iter().map(|b| u16::from(*b)).collect::<Vec<_>>())
            }
            (Coding::Learn(_), Symbols::Characters { text, plain }) => {
                let alphabet: BTreeSet<char> =
                    if *plain { (' '..=' ').chain('a'..='z').collect() } else { text.chars().collect() };
                if alphabet.len() >= MISSING as usize {
                    return Err(Error::file(
                        &self.origin,
                        format!("{} different characters; 65534 at most", alphabet.len()),
                    ));
                }
                let words: Vec<String> = alphabet.iter().map(|c| String::from(*c)).collect();
                let schema = schema(self.length, words.len(), Some(&words));
                let codes = self.codes(text, &schema, Unseen::Error)?;
                (schema, codes)
            }
            (Coding::Use(schema, _), Symbols::Bytes(bytes)) => {
                let of_bytes = |v: &Variable| v.categories == 256 && v.words.is_none();
                if !schema.variables.iter().all(of_bytes) {
                    return Err(Error::file(&self.origin, "the model is not of bytes"));
                }
                (schema.clone(), bytes.iter().map(|b| u16::from(*b)).collect())
            }
            (Coding::Use(schema, unseen), Symbols::Characters { text, .. }) => {
                (schema.clone(), self.codes(text, schema, unseen)?)
            }
        };
        let length = schema.len();
        match coding {
            Coding::Learn(_) if codes.len() < length => {
                let found = format!("a text of {} characters, less than a row of {length}", codes.len());
                return Err(Error::file(&self.origin, format!("{found}: a smaller --length, or a longer text")));
            }
            Coding::Learn(_) => codes.truncate(codes.len() / length * length),
            Coding::Use(..) => codes.resize(codes.len().div_ceil(length) * length, MISSING),
        }
        Discrete::new(schema, codes)
    }

    fn codes(&self, text: &str, schema: &Schema, unseen: Unseen) -> Result<Vec<u16>> {
        let Some(alphabet) = schema.alphabet() else {
            return Err(Error::file(&self.origin, "a text, and the model is of other columns than characters"));
        };
        let codes: HashMap<char, u16> = alphabet.iter().enumerate().map(|(i, c)| (*c, i as u16)).collect();
        let (mut line, mut column) = (1, 0);
        let code = |c: char| {
            column += 1;
            let here = (line, column);
            if c == '\n' {
                (line, column) = (line + 1, 0);
            }
            match (codes.get(&c), unseen) {
                (Some(code), _) => Ok(*code),
                (None, Unseen::Missing) => Ok(MISSING),
                (None, Unseen::Error) => {
                    let plain: Vec<char> = (' '..=' ').chain('a'..='z').collect();
                    let remedy = match alphabet == plain {
                        true => "it was fitted to plain text: --text plain makes it so",
                        false => "remove it, or fit the model to a text that has it",
                    };
                    let place = format!("line {}, column {}", here.0, here.1);
                    Err(Error::at(&self.origin, place, format!("{c:?} is not among the model's characters: {remedy}")))
                }
            }
        };
        text.chars().map(code).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Rows, load, load_with};

    fn file(folder: &tempfile::TempDir, text: &[u8]) -> std::path::PathBuf {
        let path = folder.path().join("book.txt");
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_text_is_rows_of_its_own_characters() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "zażółć\ngęślą jaźń".as_bytes());
        let rows = Reading { length: Some(5), ..Reading::default() };
        let rows = load_with(&path, &rows).unwrap().discrete(Coding::Learn(None)).unwrap();
        let alphabet: String = rows.schema().alphabet().unwrap().into_iter().collect();
        assert_eq!((rows.len(), alphabet.as_str()), (3, "\n agjlzóąćęłńśźż"));
        assert_eq!(rows.row(0)[1], 2);
        // What comes later may end within a row, and an unknown character has a place.
        let later = file(&folder, "la la\nlalala".as_bytes());
        let read = load(&later).unwrap();
        let coded = read.discrete(Coding::Use(rows.schema(), Unseen::Error)).unwrap();
        assert_eq!((coded.len(), &coded.row(2)[..3]), (3, &[5, 2, MISSING][..]));
        let odd = load(file(&folder, "la\nla!".as_bytes())).unwrap();
        let error = odd.discrete(Coding::Use(rows.schema(), Unseen::Error)).unwrap_err().to_string();
        assert!(error.contains("book.txt, line 2, column 3: '!' is not among the model's characters"), "{error}");
        let coded = odd.discrete(Coding::Use(rows.schema(), Unseen::Missing)).unwrap();
        assert_eq!(coded.row(1)[0], MISSING);
    }

    #[test]
    fn plain_text_has_27_symbols_and_bytes_have_256() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, b"In 1790, Congress");
        let form = |text| Reading { length: Some(4), text: Some(text), ..Reading::default() };
        let plain = load_with(&path, &form(TextForm::Plain)).unwrap().discrete(Coding::Learn(None)).unwrap();
        assert_eq!((plain.len(), plain.schema().variables[0].categories), (7, 27));
        let bytes = load_with(&path, &form(TextForm::Bytes)).unwrap().discrete(Coding::Learn(None)).unwrap();
        assert_eq!((bytes.len(), bytes.row(0)), (4, &[73, 110, 32, 49][..]));
        let error = load(&path).unwrap().discrete(Coding::Use(plain.schema(), Unseen::Error)).unwrap_err().to_string();
        assert!(error.contains("--text plain"), "{error}");
        let error = load_with(&path, &form(TextForm::Bytes)).unwrap();
        assert!(error.discrete(Coding::Use(plain.schema(), Unseen::Error)).is_err());
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let says = |text: &[u8], reading: &Reading, coding: Coding| {
            let loaded = load_with(file(&folder, text), reading).and_then(|l| l.discrete(coding));
            loaded.unwrap_err().to_string()
        };
        let usual = Reading::default();
        assert!(says(b"", &usual, Coding::Learn(None)).contains("no character"));
        assert!(says(b"ab\xff", &usual, Coding::Learn(None)).contains("not UTF-8 from byte 2 on"));
        assert!(says(b"short", &usual, Coding::Learn(None)).contains("less than a row of 64"));
        assert!(says(b"short", &usual, Coding::Learn(Some(3))).contains("--categories"));
        assert!(
            says(b"short", &Reading { length: Some(0), ..usual.clone() }, Coding::Learn(None)).contains("rows of 0")
        );
        let table = Schema::uniform(&[2], 3);
        assert!(says(b"short", &usual, Coding::Use(&table, Unseen::Error)).contains("other columns than characters"));
    }
}
