//! Learning energies from points and chains.

mod contrast;
mod matching;
#[cfg(test)]
mod tests;
mod transport;

pub use contrast::{Contrast, Particles};
pub use matching::{Matching, Passage};
pub use transport::{Estimator, Transport};

use crate::{Error, Result, evidence::Fingerprint};
use sha2::{Digest, Sha256};

/// A hash of points of `dims` finite numbers.
pub(super) fn hash_of(points: &[f32], dims: usize) -> Result<Fingerprint> {
    if dims == 0 || points.is_empty() || !points.len().is_multiple_of(dims) {
        return Err(Error::invalid(format!("{} numbers of data for points of {dims}", points.len())));
    }
    if let Some(at) = points.iter().position(|x| !x.is_finite()) {
        return Err(Error::invalid(format!("number {} of point {} is {}", at % dims, at / dims, points[at])));
    }
    let mut hash = Sha256::new();
    points.iter().for_each(|x| hash.update(x.to_le_bytes()));
    Ok(Fingerprint::of(hash))
}
