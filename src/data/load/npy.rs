//! NumPy's `.npy` and `.npz`.

use super::{Array, Values, elements, read_exactly};
use crate::{Error, Result};
use ndarray_npy::npy::header::{Header, Layout};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Write},
    path::Path,
};

/// The longest header that is parsed; NumPy's own are near 128 bytes.
const LONGEST_HEADER: usize = 4096;

/// An element type of `.npy`, as `<f8`: what it is, its bytes, and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Element {
    kind: u8,
    pub(crate) size: usize,
    big_endian: bool,
}

impl Element {
    /// An unsigned byte.
    pub(crate) const BYTE: Self = Self { kind: b'u', size: 1, big_endian: false };

    /// Appends a category as an element; none as NaN or −1.
    pub(crate) fn write(self, code: Option<u16>, bytes: &mut Vec<u8>) {
        let word = match (self.kind, self.size) {
            (b'f', 4) => u64::from(code.map_or(f32::NAN, f32::from).to_bits()),
            (b'f', _) => code.map_or(f64::NAN, f64::from).to_bits(),
            _ => code.map_or(u64::MAX, u64::from),
        };
        let word = word.to_le_bytes();
        let mut element = word.get(..self.size).unwrap_or(&word).to_vec();
        if self.big_endian {
            element.reverse();
        }
        bytes.extend(element);
    }

    fn parse(descriptor: &str) -> Option<Self> {
        let [order, kind, size] = *descriptor.as_bytes() else { return None };
        let size = size.checked_sub(b'0')? as usize;
        let known =
            matches!((kind, size), (b'b', 1) | (b'u' | b'i', 1 | 2 | 4) | (b'i', 8) | (b'u', 8) | (b'f', 4 | 8));
        let order_fits = matches!(order, b'<' | b'>') || (order == b'|' && size == 1);
        (known && order_fits).then_some(Self { kind, size, big_endian: order == b'>' })
    }

    #[inline(always)]
    fn word<const SIZE: usize>(self, bytes: &[u8; SIZE]) -> [u8; 8] {
        let mut word = [0; 8];
        word[..SIZE].copy_from_slice(bytes);
        if self.big_endian {
            word[..SIZE].reverse();
        }
        word
    }

    /// `None` where one is above 2⁶³ − 1.
    fn integers<const SIZE: usize>(self, bytes: &[u8]) -> Option<Vec<i64>> {
        let shift = 64 - 8 * SIZE as u32;
        let words = bytes.as_chunks::<SIZE>().0.iter().map(|b| u64::from_le_bytes(self.word(b)));
        match self.kind {
            b'i' => Some(words.map(|word| ((word << shift) as i64) >> shift).collect()),
            _ if SIZE < 8 => Some(words.map(|word| word as i64).collect()),
            _ => words.map(|word| i64::try_from(word).ok()).collect(),
        }
    }

    /// Decodes little-endian or big-endian elements.
    pub(crate) fn decode(self, path: &Path, bytes: Vec<u8>) -> Result<Values> {
        let singles = |bytes: &[u8]| {
            let words = bytes.as_chunks::<4>().0.iter().map(|b| self.word(b));
            words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]).into()).collect()
        };
        let doubles =
            |bytes: &[u8]| bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(self.word(b))).collect();
        let integers = match (self.kind, self.size) {
            (b'b' | b'u', 1) => return Ok(Values::Bytes(bytes)),
            (b'f', 4) => return Ok(Values::Reals(singles(&bytes))),
            (b'f', _) => return Ok(Values::Reals(doubles(&bytes))),
            (_, 1) => self.integers::<1>(&bytes),
            (_, 2) => self.integers::<2>(&bytes),
            (_, 4) => self.integers::<4>(&bytes),
            _ => self.integers::<8>(&bytes),
        };
        Ok(Values::Integers(integers.ok_or_else(|| Error::file(path, "an integer above 2^63 − 1"))?))
    }
}

/// Reads a header: the element type, the layout, the shape. The reader is left at the first element.
pub(crate) fn read_header(path: &Path, mut from: impl Read) -> Result<(Element, Layout, Vec<usize>)> {
    let not_npy = || Error::file(path, "not a NumPy .npy array (its first bytes are not \\x93NUMPY)");
    let mut start = vec![0; 10];
    from.read_exact(&mut start).map_err(|_| not_npy())?;
    if !start.starts_with(b"\x93NUMPY") {
        return Err(not_npy());
    }
    let length = match start[6] {
        1 => u16::from_le_bytes([start[8], start[9]]) as usize,
        2 | 3 => {
            let mut more = [0; 2];
            from.read_exact(&mut more).map_err(|_| not_npy())?;
            start.extend(more);
            u32::from_le_bytes([start[8], start[9], more[0], more[1]]) as usize
        }
        version => return Err(Error::file(path, format!(".npy version {version}; versions 1 to 3 are read"))),
    };
    if length > LONGEST_HEADER {
        return Err(Error::file(
            path,
            format!("a header of {length} bytes; {LONGEST_HEADER} is the most that is read"),
        ));
    }
    let text = start.len();
    start.resize(text + length, 0);
    from.read_exact(&mut start[text..]).map_err(|_| Error::file(path, "truncated inside its header"))?;
    // The parser recurses once a bracket.
    if start[text..].iter().filter(|b| b"([{".contains(b)).count() > 8 {
        return Err(Error::file(path, "a header with nested types; only plain numbers are read"));
    }
    let header = Header::from_reader(&mut Cursor::new(&start)).map_err(|e| Error::file(path, e))?;
    let descriptor = header.type_descriptor.as_string().cloned().unwrap_or_default();
    let element = Element::parse(&descriptor).ok_or_else(|| {
        let remedy = "save it as uint8, an integer type, float32 or float64";
        Error::file(path, format!("elements of type {}; {remedy}", header.type_descriptor))
    })?;
    Ok((element, header.layout, header.shape))
}

fn read_array(path: &Path, mut from: impl Read, available: Option<u64>) -> Result<Array> {
    let (element, layout, mut shape) = read_header(path, &mut from)?;
    let length = elements(path, &shape)?
        .checked_mul(element.size)
        .ok_or_else(|| Error::file(path, format!("an array of shape {shape:?} cannot exist")))?;
    if let Some(available) = available.filter(|a| *a < length as u64) {
        let problem = format!("shape {shape:?} needs {length} bytes, and at most {available} can be there: truncated");
        return Err(Error::file(path, problem));
    }
    let mut bytes = read_exactly(path, from, length)?;
    if layout == Layout::Fortran && shape.len() > 1 {
        bytes = to_row_major(&bytes, &shape, element.size);
    }
    if shape.is_empty() {
        shape.push(1);
    }
    Ok(Array { origin: path.display().to_string(), values: element.decode(path, bytes)?, shape })
}

fn to_row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..bytes.len() / size {
        let offset = index.iter().zip(shape).rev().fold(0, |offset, (i, d)| offset * d + i);
        out.extend_from_slice(&bytes[offset * size..(offset + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

pub(super) fn load_npy(path: &Path) -> Result<Array> {
    let file = File::open(path).map_err(Error::io(path))?;
    let length = file.metadata().map_err(Error::io(path))?.len();
    read_array(path, BufReader::new(file), Some(length))
}

fn open_npz(path: &Path) -> Result<zip::ZipArchive<BufReader<File>>> {
    let file = File::open(path).map_err(Error::io(path))?;
    zip::ZipArchive::new(BufReader::new(file)).map_err(|e| Error::file(path, format!("not an .npz: {e}")))
}

/// The names of the arrays of an `.npz`, in order.
pub(super) fn members(path: &Path) -> Result<Vec<String>> {
    let archive = open_npz(path)?;
    let mut names: Vec<String> =
        archive.file_names().map(|name| name.strip_suffix(".npy").unwrap_or(name).to_string()).collect();
    names.sort_unstable();
    Ok(names)
}

pub(super) fn load_npz(path: &Path, member: Option<&str>) -> Result<Array> {
    let (mut archive, names) = (open_npz(path)?, members(path)?);
    let wanted = match (member, names.as_slice()) {
        (Some(member), _) if names.iter().any(|n| n == member) => member.to_string(),
        (Some(member), _) => {
            return Err(Error::file(path, format!("no array called {member}; there are {}", names.join(", "))));
        }
        (None, []) => return Err(Error::file(path, "an archive without arrays")),
        (None, [only]) => only.clone(),
        (None, _) => {
            let remedy = format!("say which, as {}:{}", path.display(), names[0]);
            return Err(Error::file(path, format!("several arrays ({}); {remedy}", names.join(", "))));
        }
    };
    let entry = archive.by_name(&format!("{wanted}.npy")).map_err(|e| Error::file(path, e))?;
    // Deflate never expands a byte to more than 1032.
    let most = entry.compressed_size().saturating_mul(1032).min(entry.size());
    let mut array = read_array(path, entry, Some(most))?;
    array.origin = format!("{}:{wanted}", path.display());
    Ok(array)
}

/// Writes `values` as an `.npy` array of this shape, through a temporary file.
///
/// # Errors
/// [`Error::Invalid`] when the shape does not hold the values; [`Error::File`] when the extension is not `.npy`;
/// [`Error::Io`] when the file cannot be written.
pub fn write_npy<T: ndarray_npy::WritableElement>(path: impl AsRef<Path>, shape: &[usize], values: &[T]) -> Result<()> {
    use ndarray_npy::WriteNpyExt;
    if path.as_ref().extension().is_none_or(|e| !e.eq_ignore_ascii_case("npy")) {
        return Err(Error::file(path, "an array is written as .npy: give it this extension"));
    }
    let view = ndarray::ArrayViewD::from_shape(shape, values)
        .map_err(|_| Error::invalid(format!("{} values do not fill the shape {shape:?}", values.len())))?;
    crate::archive::write_atomically(path.as_ref(), |file| {
        view.write_npy(file).map_err(|e| std::io::Error::other(e.to_string()))
    })
}

/// Writes an array of this shape that is never whole in memory: `fill` is given what takes its values, in order.
///
/// # Errors
/// As [`write_npy`], and those of `fill`.
pub fn stream_npy(
    path: impl AsRef<Path>,
    shape: &[usize],
    fill: impl FnOnce(&mut dyn FnMut(&[f64]) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("npy")) {
        return Err(Error::file(path, "an array is written as .npy: give it this extension"));
    }
    let type_descriptor = <f64 as ndarray_npy::WritableElement>::type_descriptor();
    let header = Header { type_descriptor, layout: Layout::Standard, shape: shape.to_vec() };
    let (mut written, mut failed) = (0, None);
    let done = crate::archive::write_atomically(path, |file| {
        let mut to = std::io::BufWriter::with_capacity(1 << 20, file);
        header.write(&mut to).map_err(|e| std::io::Error::other(e.to_string()))?;
        let mut put = |values: &[f64]| {
            written += values.len();
            values.iter().try_for_each(|x| to.write_all(&x.to_le_bytes())).map_err(Error::io(path))
        };
        if let Err(error) = fill(&mut put) {
            failed = Some(error);
            return Err(std::io::Error::other("no more values"));
        }
        if written != shape.iter().product::<usize>() {
            return Err(std::io::Error::other(format!("{written} values do not fill the shape {shape:?}")));
        }
        to.flush()
    });
    failed.map_or(done, Err)
}

/// Writes named byte arrays into one compressed `.npz`, through a temporary file.
///
/// # Errors
/// As [`write_npy`].
pub fn write_npz(path: impl AsRef<Path>, arrays: &[(&str, &[usize], &[u8])]) -> Result<()> {
    let views: Vec<_> = arrays
        .iter()
        .map(|(name, shape, values)| ndarray::ArrayViewD::from_shape(*shape, values).map(|view| (*name, view)))
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::invalid(format!("an array does not fill its shape: {e}")))?;
    crate::archive::write_atomically(path.as_ref(), |file| {
        let other = |e: ndarray_npy::WriteNpzError| std::io::Error::other(e.to_string());
        let mut npz = ndarray_npy::NpzWriter::new_compressed(file);
        for (name, view) in &views {
            npz.add_array(*name, view).map_err(other)?;
        }
        npz.finish().map(drop).map_err(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_piece_by_piece_is_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, pieces) = (folder.path().join("whole.npy"), folder.path().join("pieces.npy"));
        let values: Vec<f64> = (0..24).map(|i| f64::from(i) / 7.0).collect();
        write_npy(&whole, &[4, 3, 2], &values).unwrap();
        stream_npy(&pieces, &[4, 3, 2], |put| values.chunks(5).try_for_each(put)).unwrap();
        assert_eq!(std::fs::read(&pieces).unwrap(), std::fs::read(&whole).unwrap());
        let short = stream_npy(&pieces, &[5, 3, 2], |put| put(&values)).unwrap_err().to_string();
        assert!(short.contains("24 values do not fill the shape [5, 3, 2]"), "{short}");
        let own = stream_npy(&pieces, &[1], |_| Err(Error::invalid("nothing to say"))).unwrap_err().to_string();
        assert_eq!(own, "nothing to say");
        assert_eq!(std::fs::read(&pieces).unwrap(), std::fs::read(&whole).unwrap(), "what was there stays");
    }
}
