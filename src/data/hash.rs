//! A fingerprint of rows: of those a model was fitted to, or evidence is of.

use super::Rows;
use crate::{Result, evidence::Fingerprint};
use sha2::{Digest, Sha256};

/// The beginning of the SHA-256 of the values of all rows in order.
///
/// # Errors
/// When a row cannot be read.
pub fn fingerprint(rows: &dyn Rows) -> Result<Fingerprint> {
    if let Some(identity) = rows.identity()? {
        return Ok(identity);
    }
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
    Ok(Fingerprint::of(hash))
}
