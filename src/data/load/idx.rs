//! The IDX format of MNIST and Fashion-MNIST, unsigned bytes only.

use super::{Array, Values, elements, open, read_exactly};
use crate::{Error, Result};
use std::{io::Read, path::Path};

/// Whether the file begins with two zero bytes, as IDX does.
pub(super) fn recognises(path: &Path) -> Result<bool> {
    let mut magic = [0; 4];
    Ok(open(path)?.read_exact(&mut magic).is_ok() && magic[..2] == [0, 0])
}

/// Whether it can be nothing else: its header is one of unsigned bytes, and says how long the file is, where that is to be seen.
pub(super) fn is_certainly(path: &Path) -> Result<bool> {
    let (mut from, mut magic, mut sizes) = (open(path)?, [0; 4], [0; 16]);
    if from.read_exact(&mut magic).is_err() || magic[..3] != [0, 0, 8] || !(1..=4).contains(&magic[3]) {
        return Ok(false);
    }
    let header = 4 * usize::from(magic[3]);
    if from.read_exact(&mut sizes[..header]).is_err() {
        return Ok(false);
    }
    let mut each = sizes[..header].as_chunks::<4>().0.iter().map(|size| u64::from(u32::from_be_bytes(*size)));
    let promised = each.try_fold(1_u64, |all, size| all.checked_mul(size)).map(|n| n + 4 + header as u64);
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(is_compressed || promised == Some(path.metadata().map_err(Error::io(path))?.len()))
}

pub(super) fn load(path: &Path) -> Result<Array> {
    let mut from = open(path)?;
    let truncated = |_| Error::file(path, "truncated inside its header");
    let mut magic = [0; 4];
    from.read_exact(&mut magic).map_err(truncated)?;
    let [0, 0, kind, axes] = magic else {
        return Err(Error::file(path, format!("not an IDX file: it begins with {magic:02x?}, IDX with [00, 00, …]")));
    };
    if kind != 8 || !(1..=4).contains(&axes) {
        let found = format!("IDX of element type {kind:#04x} with {axes} axes");
        return Err(Error::file(path, format!("{found}; unsigned bytes (0x08) with 1 to 4 axes are read")));
    }
    let shape = (0..axes)
        .map(|_| {
            let mut size = [0; 4];
            from.read_exact(&mut size).map_err(truncated)?;
            Ok(u32::from_be_bytes(size) as usize)
        })
        .collect::<Result<Vec<_>>>()?;
    let length = elements(path, &shape)?;
    let bytes = read_exactly(path, from, length)?;
    Ok(Array { origin: path.display().to_string(), shape, values: Values::Bytes(bytes) })
}
