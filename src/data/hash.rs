//! A fingerprint of the data a model was fitted to.

use super::Rows;
use crate::Result;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of the codes of all rows in order, as the first 16 hexadecimal digits.
///
/// # Errors
/// When a row cannot be read.
pub fn hash_rows(rows: &dyn Rows) -> Result<String> {
    let mut hash = Sha256::new();
    let mut codes = Vec::new();
    let all: Vec<usize> = (0..rows.len()).collect();
    for block in all.chunks(4096) {
        rows.read(block, &mut codes)?;
        codes.iter().for_each(|code| hash.update(code.to_le_bytes()));
    }
    Ok(hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
