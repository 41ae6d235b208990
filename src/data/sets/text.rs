//! Text over a small alphabet.

use crate::{Error, Result, data::Discrete};
use std::path::Path;

/// The 27 symbols of text8: the space, then `a` to `z`.
const TEXT8: &str = " abcdefghijklmnopqrstuvwxyz";
const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// A text whose every character is one of `K` symbols.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<const K: usize> {
    symbols: Vec<u8>,
    alphabet: Vec<char>,
}

impl<const K: usize> Text<K> {
    /// Reads `text` over an alphabet of `K` characters; a symbol is the position of its character.
    ///
    /// # Errors
    /// When the alphabet does not have `K` characters, or a character of the text is not in it.
    pub fn new(text: &str, alphabet: &str) -> Result<Self> {
        const { assert!(K > 0 && K <= 256, "an alphabet has 1 to 256 symbols") };
        let alphabet: Vec<char> = alphabet.chars().collect();
        if alphabet.len() != K {
            return Err(Error::invalid(format!("an alphabet of {} characters; {K} are expected", alphabet.len())));
        }
        let symbols = text
            .chars()
            .enumerate()
            .map(|(at, c)| {
                let symbol = alphabet.iter().position(|a| *a == c).map(|s| s as u8);
                symbol.ok_or_else(|| Error::invalid(format!("character {at}, {c:?}, is not in the alphabet")))
            })
            .collect::<Result<_>>()?;
        Ok(Self { symbols, alphabet })
    }

    /// One symbol a character.
    pub fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// Number of characters.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there is no character.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// The characters that symbols stand for; an unknown symbol is `?`.
    pub fn spell(&self, symbols: &[u8]) -> String {
        symbols.iter().map(|s| self.alphabet.get(*s as usize).copied().unwrap_or('?')).collect()
    }

    /// The whole text.
    pub fn spelled(&self) -> String {
        self.spell(&self.symbols)
    }

    /// The first 90 of 100 parts of the text to learn from, 5 to choose by and the last 5 to report on: as text8 and enwik8 are split,
    /// 90 million characters, 5 and 5.
    pub fn split(&self) -> [Self; 3] {
        let n = self.len();
        let (valid, test) = (n / 20, n / 20);
        let part =
            |from: usize, to: usize| Self { symbols: self.symbols[from..to].to_vec(), alphabet: self.alphabet.clone() };
        [part(0, n - valid - test), part(n - valid - test, n - test), part(n - test, n)]
    }

    /// Windows of `length` characters one after the other, a last shorter one left out.
    ///
    /// # Errors
    /// When `length` is zero or longer than the text.
    pub fn windows(&self, length: usize) -> Result<Discrete> {
        if length == 0 || length > self.len() {
            return Err(Error::invalid(format!("windows of {length} characters from a text of {}", self.len())));
        }
        Ok(super::discrete(&[length], K, &self.symbols[..self.len() / length * length]))
    }
}

impl Text<27> {
    /// Any text in the normal form of text8: lower case, digits spelled out, everything else one space.
    pub fn text8(raw: &str) -> Self {
        let mut symbols = Vec::with_capacity(raw.len());
        let space = |symbols: &mut Vec<u8>| {
            if symbols.last().is_some_and(|s| *s != 0) {
                symbols.push(0);
            }
        };
        for c in raw.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' => symbols.push(c as u8 - b'a' + 1),
                '0'..='9' => {
                    space(&mut symbols);
                    symbols.extend(DIGITS[(c as u8 - b'0') as usize].bytes().map(|b| b - b'a' + 1));
                    symbols.push(0);
                }
                _ => space(&mut symbols),
            }
        }
        Self { symbols, alphabet: TEXT8.chars().collect() }
    }

    /// Reads a file that is in text8's normal form already, as text8 itself.
    ///
    /// # Errors
    /// When the file cannot be read, or holds another character: the message names the first.
    pub fn load_text8(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::new(&text, TEXT8).map_err(|e| Error::file(path, e))
    }
}

impl Text<256> {
    /// Reads a file byte by byte, as enwik8 is modelled.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub fn load_bytes(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let symbols = std::fs::read(path).map_err(Error::io(path))?;
        if symbols.is_empty() {
            return Err(Error::file(path, "empty"));
        }
        Ok(Self { symbols, alphabet: (0..=255_u8).map(char::from).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text8_spells_digits_and_folds_the_rest() {
        let text = Text::text8("In 1790, the U.S.\n\nCongress — met!");
        assert_eq!(text.spell(text.symbols()), "in one seven nine zero the u s congress met ");
    }

    #[test]
    fn a_foreign_character_is_named() {
        let error = Text::<2>::new("abac", "ab").unwrap_err();
        assert_eq!(error.to_string(), "character 3, 'c', is not in the alphabet");
    }

    #[test]
    fn parts_of_a_text_are_the_text() {
        let text = Text::text8(&"abcdefghij ".repeat(20));
        let parts = text.split();
        assert_eq!(parts.each_ref().map(Text::len), [198, 11, 11]);
        assert_eq!(parts.map(|part| part.spelled()).concat(), text.spelled());
    }

    #[test]
    fn files_in_the_form_of_text8_and_enwik8_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text8");
        std::fs::write(&path, " anarchism originated as a term").unwrap();
        let text = Text::load_text8(&path).unwrap();
        assert_eq!((text.symbols()[..3].to_vec(), text.len()), (vec![0, 1, 14], 31));
        std::fs::write(&path, " anarchism\n").unwrap();
        assert!(Text::load_text8(&path).unwrap_err().to_string().contains("character 10, '\\n'"));
        let path = folder.path().join("enwik8");
        std::fs::write(&path, "<mediawiki xml:lang=\"pl\">ż").unwrap();
        let bytes = Text::load_bytes(&path).unwrap();
        assert_eq!((bytes.symbols()[0], bytes.len()), (b'<', 27));
    }

    #[test]
    fn windows_do_not_overlap() {
        let windows = Text::<2>::new("abbab", "ab").unwrap().windows(2).unwrap();
        assert_eq!(windows.codes(), [0, 1, 1, 0]);
    }
}
