//! Lossless compression under an absorbing model: every value is coded by its exact distribution given those before it in its row.

use super::DiffusionModel;
use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows},
    diffusion::Order,
    model::{Packed, coded},
};
use constriction::stream::{
    Decode, Encode,
    queue::{DefaultRangeDecoder, DefaultRangeEncoder},
};
use sha2::{Digest, Sha256};

/// Rows that share a stream, and that the network sees together: when they come back, too, so that not a bit differs.
const CHUNK: usize = 64;
/// The least probability of a value, before it is rounded.
const LEAST: f64 = 1e-9;

impl DiffusionModel {
    /// A hash of what it is, and of its numbers.
    fn fingerprint(&self) -> Result<[u8; 8]> {
        let mut hash = Sha256::new();
        hash.update(serde_json::to_vec(&(&self.spec, &self.schema)).map_err(Error::invalid)?);
        self.arrays.iter().flat_map(|(_, _, values)| values).for_each(|v| hash.update(v.to_le_bytes()));
        let digest = hash.finalize();
        Ok(std::array::from_fn(|i| digest[i]))
    }

    /// Of rows of the model's own length, the end of which may be missing.
    pub(super) fn compressed(&self, rows: &Discrete) -> Result<Vec<u8>> {
        let model = self.in_order()?;
        model.read(rows)?;
        let length = self.schema.len();
        if rows.schema().len() != length {
            return Err(Error::invalid(format!("rows of {} columns; the model is of {length}", rows.schema().len())));
        }
        let mut packed = Packed::of(rows, self.fingerprint()?)?;
        let (missing, order) = (packed.missing_model(length)?, Order::left_to_right(length));
        for chunk in (0..rows.len()).collect::<Vec<_>>().chunks(CHUNK) {
            let mut coder = DefaultRangeEncoder::new();
            model.unmask(chunk.len(), &order, |i, d, log_x0| {
                let code = rows.row(chunk[i])[d];
                if let Some(missing) = &missing {
                    coder.encode_symbol(usize::from(code == MISSING), missing).map_err(Error::invalid)?;
                }
                if code == MISSING {
                    return Ok(None);
                }
                if log_x0.len() > 1 {
                    coder.encode_symbol(code as usize, &coded(&chances(log_x0))?).map_err(Error::invalid)?;
                }
                Ok(Some(code))
            })?;
            packed.streams.push(coder.into_compressed().map_err(Error::invalid)?);
        }
        Ok(packed.write())
    }

    pub(super) fn decompressed(&self, bytes: &[u8]) -> Result<Discrete> {
        let model = self.in_order()?;
        let mut packed = Packed::read(bytes, self.fingerprint()?, CHUNK)?;
        let length = self.schema.len();
        let (missing, order) = (packed.missing_model(length)?, Order::left_to_right(length));
        let mut codes = Vec::new();
        let damaged = |_| Error::invalid("the compressed rows are damaged");
        for (i, words) in std::mem::take(&mut packed.streams).into_iter().enumerate() {
            let Ok(mut coder) = DefaultRangeDecoder::from_compressed(words);
            let rows = packed.rows_in(i, CHUNK);
            let mut decoded = model.unmask(rows, &order, |_, _, log_x0| {
                if let Some(missing) = &missing
                    && coder.decode_symbol(missing).map_err(damaged)? == 1
                {
                    return Ok(None);
                }
                if log_x0.len() == 1 {
                    return Ok(Some(0));
                }
                Ok(Some(coder.decode_symbol(&coded(&chances(log_x0))?).map_err(damaged)? as u16))
            })?;
            let mask = model.process().mask() as u16;
            decoded.iter_mut().filter(|code| **code == mask).for_each(|code| *code = MISSING);
            codes.extend(decoded);
        }
        packed.check(Discrete::new(self.schema.clone(), codes)?)
    }
}

fn chances(log_x0: &[f64]) -> Vec<f64> {
    log_x0.iter().map(|l| l.exp() + LEAST).collect()
}
