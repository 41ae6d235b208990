//! Rows that were compressed under a model: what stands before the streams of the entropy coder, and how a distribution is coded.

use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows, fingerprint},
};
use constriction::stream::model::DefaultContiguousCategoricalEntropyModel as Categories;

/// The first bytes.
const MAGIC: [u8; 8] = *b"limbeck1";
/// Bytes before the streams.
const HEADER: usize = 40;

/// Compressed rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    /// The model's fingerprint.
    pub(crate) model: [u8; 8],
    /// How many rows.
    pub(crate) rows: u64,
    /// A hash of them.
    pub(crate) data: [u8; 8],
    /// How many of their values are missing.
    pub(crate) missing: u64,
    /// Words of the entropy coder.
    pub(crate) streams: Vec<Vec<u32>>,
}

impl Packed {
    /// Of these rows, and without streams yet.
    pub(crate) fn of(rows: &Discrete, model: [u8; 8]) -> Result<Self> {
        let missing = rows.codes().iter().filter(|code| **code == MISSING).count() as u64;
        Ok(Self { model, rows: rows.len() as u64, data: hash_of(rows)?, missing, streams: vec![] })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(self.model);
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.data);
        bytes.extend(self.missing.to_le_bytes());
        for stream in &self.streams {
            bytes.extend((stream.len() as u32).to_le_bytes());
            stream.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        }
        bytes
    }

    /// What was written under the model with this fingerprint, `chunk` rows a stream.
    pub(crate) fn read(bytes: &[u8], model: [u8; 8], chunk: usize) -> Result<Self> {
        let (fields, []) = bytes.get(..HEADER).unwrap_or_default().as_chunks::<8>() else { unreachable!() };
        let [MAGIC, written, rows, data, missing] = fields else {
            return Err(Error::invalid("not rows that limbeck compressed (the first bytes differ)"));
        };
        if *written != model {
            return Err(Error::invalid("compressed with another model: decompress with the same one"));
        }
        let damaged =
            || Error::invalid("the compressed rows are damaged: their length does not agree with their header");
        let rows = u64::from_le_bytes(*rows);
        let mut streams = Vec::new();
        let (words, rest) = bytes[HEADER..].as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        while let Some(length) = words.next() {
            if words.len() < length as usize {
                return Err(damaged());
            }
            streams.push(words.by_ref().take(length as usize).collect::<Vec<u32>>());
        }
        if streams.len() as u64 != rows.div_ceil(chunk as u64) || !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self { model, rows, data: *data, missing: u64::from_le_bytes(*missing), streams })
    }

    /// Rows in stream `i`.
    pub(crate) fn rows_in(&self, i: usize, chunk: usize) -> usize {
        (self.rows as usize - i * chunk).min(chunk)
    }

    /// Whether a value is missing, where some are.
    pub(crate) fn missing_model(&self, vars: usize) -> Result<Option<Categories>> {
        let all = self.rows as f64 * vars as f64;
        let share = (self.missing as f64 / all).clamp(1e-6, 1.0 - 1e-6);
        (self.missing > 0).then(|| coded(&[1.0 - share, share])).transpose()
    }

    /// Refuses rows that came back otherwise.
    pub(crate) fn check(&self, decoded: Discrete) -> Result<Discrete> {
        if hash_of(&decoded)? != self.data {
            return Err(Error::invalid(
                "the decompressed rows are not those that were compressed: the file is damaged, or the two machines compute \
                 the model's probabilities with different rounding",
            ));
        }
        Ok(decoded)
    }
}

/// A distribution as the entropy coder has it.
pub(crate) fn coded(p: &[f64]) -> Result<Categories> {
    Categories::from_floating_point_probabilities_fast(p, None)
        .map_err(|()| Error::invalid("a distribution that cannot be coded"))
}

fn hash_of(rows: &Discrete) -> Result<[u8; 8]> {
    Ok(fingerprint(rows)?.number().to_be_bytes())
}
