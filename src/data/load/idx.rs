//! The IDX format of MNIST and Fashion-MNIST, unsigned bytes only.

use super::{Array, Values, elements, open, read_exactly};
use crate::{Error, Result};
use std::{io::Read, path::Path};

/// Whether the file begins with two zero bytes, as IDX does.
pub(super) fn recognises(path: &Path) -> Result<bool> {
    let mut magic = [0; 4];
    Ok(open(path)?.read_exact(&mut magic).is_ok() && magic[..2] == [0, 0])
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
