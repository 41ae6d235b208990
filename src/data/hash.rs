//! A fingerprint of the data a model was fitted to.

use super::Rows;
use crate::Result;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of the values of all rows in order, as the first 16 hexadecimal digits.
///
/// # Errors
/// When a row cannot be read.
pub fn hash_rows(rows: &dyn Rows) -> Result<String> {
    let mut hash = Sha256::new();
    let (mut codes, mut reals, mut soft) = (Vec::new(), Vec::new(), Vec::new());
    let all: Vec<usize> = (0..rows.len()).collect();
    for block in all.chunks(4096) {
        rows.read(block, &mut codes)?;
        rows.read_reals(block, &mut reals)?;
        rows.read_evidence(block, &mut soft)?;
        codes.iter().for_each(|code| hash.update(code.to_le_bytes()));
        reals.iter().for_each(|x| hash.update(x.to_le_bytes()));
        soft.iter().for_each(|l| hash.update(l.to_le_bytes()));
    }
    Ok(hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
