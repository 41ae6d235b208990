//! Files that hold a model or a checkpoint: named arrays behind a JSON header, in the safetensors format.
//!
//! The header begins with the version of the format and a checksum over every byte of the file.

use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    path::Path,
    time::Duration,
};

/// The key of our JSON header among the metadata of the file.
const HEADER: &str = "limbeck";

/// The version of the format that this program writes, and the only one that it reads.
const FORMAT: u32 = 2;

/// What stands before the checksum in a file, and how many digits that has. It is computed with zeros in its place.
const BEFORE_SUM: &[u8] = br#"sha256\":\""#;
const SUM: usize = 64;

/// The version alone: a newer file may hold anything else.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The metadata of a file.
#[derive(Deserialize)]
struct Envelope {
    header: serde_json::Value,
}

/// Where the checksum of a file stands.
fn place_of_sum(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    let header = bytes.get(8..8_usize.checked_add(usize::try_from(length).ok()?)?)?;
    let start = 8 + header.windows(BEFORE_SUM.len()).position(|w| w == BEFORE_SUM)? + BEFORE_SUM.len();
    bytes.get(start..start + SUM).map(|_| start..start + SUM)
}

/// The checksum of the bytes of a file, in hexadecimal digits.
fn sum_of(bytes: &[u8], place: &std::ops::Range<usize>) -> String {
    let mut hash = Sha256::new();
    hash.update(&bytes[..place.start]);
    hash.update([b'0'; SUM]);
    hash.update(&bytes[place.end..]);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A number that an archive can hold.
pub trait Number: Copy {
    /// Its name in the file.
    const DTYPE: Dtype;
    /// Appends its little-endian bytes.
    fn write(self, bytes: &mut Vec<u8>);
    /// Reads it from as many bytes as it has.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($type:ty, $dtype:ident) => {
        impl Number for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("chunks have the size of the type"))
            }
        }
    };
}
number!(f32, F32);
number!(f64, F64);
number!(u64, U64);

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl safetensors::View for &Entry {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Named arrays and a header, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Archive {
    header: String,
    entries: BTreeMap<String, Entry>,
    origin: String,
}

impl Archive {
    /// An archive without arrays.
    ///
    /// # Errors
    /// When the header cannot be written as JSON.
    pub fn new(header: &impl Serialize) -> Result<Self> {
        let header = serde_json::to_string(header).map_err(Error::invalid)?;
        Ok(Self { header, ..Self::default() })
    }

    /// Gives it another header.
    ///
    /// # Errors
    /// When the header cannot be written as JSON.
    pub fn set_header(&mut self, header: &impl Serialize) -> Result<()> {
        self.header = serde_json::to_string(header).map_err(Error::invalid)?;
        Ok(())
    }

    /// Adds an array; one of the same name is replaced.
    pub fn put<T: Number>(&mut self, name: &str, shape: &[usize], values: &[T]) {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        let mut bytes = Vec::with_capacity(std::mem::size_of_val(values));
        values.iter().for_each(|v| v.write(&mut bytes));
        self.entries.insert(name.to_string(), Entry { dtype: T::DTYPE, shape: shape.to_vec(), bytes });
    }

    /// The array called `name`, of this shape.
    ///
    /// # Errors
    /// When there is none, or it has another type or shape.
    pub fn get<T: Number>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let entry = self.entry(name)?;
        if entry.dtype != T::DTYPE || entry.shape != shape {
            let found = format!("array {name} is {:?} {:?}", entry.dtype, entry.shape);
            return Err(Error::file(&self.origin, format!("{found}; {:?} {shape:?} is expected", T::DTYPE)));
        }
        Ok(entry.bytes.chunks_exact(size_of::<T>()).map(T::read).collect())
    }

    /// The array called `name`, whatever its length, as one axis.
    ///
    /// # Errors
    /// When there is none, or it has another type.
    pub fn get_all<T: Number>(&self, name: &str) -> Result<Vec<T>> {
        let shape = self.entry(name)?.shape.clone();
        self.get(name, &shape)
    }

    /// The shape of the array called `name`, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Number of elements of all arrays together.
    pub fn elements(&self) -> usize {
        self.entries.values().map(|entry| entry.shape.iter().product::<usize>()).sum()
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        self.entries.get(name).ok_or_else(|| {
            let known: Vec<_> = self.entries.keys().take(6).map(String::as_str).collect();
            Error::file(&self.origin, format!("no array called {name}; there are {}", known.join(", ")))
        })
    }

    /// The names of the arrays, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The header, as the type it was made from.
    ///
    /// # Errors
    /// When it is of another form: the message says what is missing or wrong.
    pub fn header<H: DeserializeOwned>(&self) -> Result<H> {
        serde_json::from_str(&self.header).map_err(|e| Error::file(&self.origin, format!("its header: {e}")))
    }

    /// Puts all arrays of `other` into this one, their names behind `prefix/`.
    pub fn nest(&mut self, prefix: &str, other: &Self) {
        let renamed = other.entries.iter().map(|(name, entry)| (format!("{prefix}/{name}"), entry.clone()));
        self.entries.extend(renamed);
    }

    /// The arrays that [`Self::nest`] put behind `prefix/`, or `None` where there are none.
    pub fn nested(&self, prefix: &str) -> Option<Self> {
        let prefix = format!("{prefix}/");
        let inner = self.entries.iter().filter_map(|(n, e)| Some((n.strip_prefix(&prefix)?.to_string(), e.clone())));
        let entries: BTreeMap<_, _> = inner.collect();
        (!entries.is_empty()).then(|| Self { header: String::new(), entries, origin: self.origin.clone() })
    }

    /// Writes the archive to a temporary file beside `path`, then renames it.
    ///
    /// # Errors
    /// When the file cannot be written; one that was there before is untouched then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let (zeros, header) = ("0".repeat(SUM), &self.header);
        let envelope = format!(r#"{{"format":{FORMAT},"sha256":"{zeros}","header":{header}}}"#);
        let metadata = HashMap::from([(HEADER.to_string(), envelope)]);
        let mut bytes = safetensors::serialize(self.entries.iter(), Some(metadata)).map_err(Error::invalid)?;
        let place = place_of_sum(&bytes).ok_or_else(|| Error::invalid("a header without a place for its checksum"))?;
        let sum = sum_of(&bytes, &place);
        bytes[place].copy_from_slice(sum.as_bytes());
        write_atomically(path.as_ref(), |file| io::Write::write_all(file, &bytes))
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// When the file cannot be read, is not in the safetensors format, is truncated, or was not written by this library.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let not_ours = |e: safetensors::SafeTensorError| {
            Error::file(path, format!("not a model file that `limbeck fit` wrote, or damaged ({e})"))
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(not_ours)?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(HEADER)).cloned();
        let header = header.ok_or_else(|| {
            Error::file(path, "a safetensors file, but not one of limbeck's, or its header is damaged")
        })?;
        let format = serde_json::from_str::<Version>(&header).ok().map(|version| version.format);
        match format {
            Some(format) if format == FORMAT => {}
            Some(format) if format > FORMAT => {
                let remedy =
                    format!("written by a newer program (format {format}; this one reads {FORMAT}): update limbeck");
                return Err(Error::file(path, remedy));
            }
            _ => {
                return Err(Error::file(
                    path,
                    "damaged, or written by an older program, whose files are not read any more: fit again",
                ));
            }
        }
        let whole = place_of_sum(&bytes).is_some_and(|place| sum_of(&bytes, &place).as_bytes() == &bytes[place]);
        if !whole {
            return Err(Error::file(path, "damaged: its bytes are not those that were written (checksum)"));
        }
        let envelope: Envelope = serde_json::from_str(&header).map_err(|e| Error::file(path, e))?;
        let header = envelope.header.to_string();
        let tensors = SafeTensors::deserialize(&bytes).map_err(not_ours)?;
        let entry =
            |view: TensorView| Entry { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        let entries = tensors.tensors().into_iter().map(|(name, view)| (name, entry(view))).collect();
        Ok(Self { header, entries, origin: path.display().to_string() })
    }
}

/// Writes a file through a temporary one in the same folder, so that `path` is either the old file or the whole new one. It keeps
/// the permissions of the old one.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let (folder, prefix) = place_of_parts(path)?;
    remove_leftovers(path, HOURS)?;
    let done = || -> io::Result<()> {
        // A name that nobody can know before, and a file that is not there yet.
        let mut temporary = tempfile::Builder::new().prefix(&prefix).suffix(PART).tempfile_in(folder)?;
        write(temporary.as_file_mut())?;
        match path.metadata() {
            Ok(old) => temporary.as_file().set_permissions(old.permissions())?,
            Err(_) => open_to_others(temporary.as_file())?,
        }
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|e| e.error)?;
        // The name, too, is to outlive a failure of the power.
        File::open(folder).and_then(|folder| folder.sync_all()).or(Ok(()))
    };
    done().map_err(Error::io(path))
}

/// How temporary files end.
const PART: &str = ".part";

/// A temporary file is its owner's alone; what it becomes is what any new file is here.
#[cfg(unix)]
fn open_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // As no call reads the mask of new files without setting it, a new file tells.
    let probe = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile()?;
    file.set_permissions(probe.as_file().metadata()?.permissions())
}

#[cfg(not(unix))]
fn open_to_others(_: &File) -> io::Result<()> {
    Ok(())
}

/// The folder of a file's temporary ones, and how their names begin.
fn place_of_parts(path: &Path) -> Result<(&Path, String)> {
    let name = path.file_name().ok_or_else(|| Error::file(path, "not the name of a file"))?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((folder, format!(".{}.", name.to_string_lossy())))
}

/// So old that no run writes it any more.
const HOURS: Duration = Duration::from_secs(6 * 3600);

/// Removes the temporary files for `path` that a run which was killed left behind, those older than `age`.
///
/// # Errors
/// When `path` is not the name of a file.
pub(crate) fn remove_leftovers(path: &Path, age: Duration) -> Result<()> {
    let (folder, prefix) = place_of_parts(path)?;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let old = || entry.metadata().and_then(|m| m.modified()).is_ok_and(|t| t.elapsed().is_ok_and(|t| t >= age));
        if name.starts_with(&prefix) && name.ends_with(PART) && old() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut archive = Archive::new(&("kind", 3)).unwrap();
        archive.put("weights", &[2, 2], &[0.1_f32, f32::MIN_POSITIVE, -0.0, f32::NEG_INFINITY]);
        let mut inner = Archive::default();
        inner.put("loss", &[1], &[std::f64::consts::PI]);
        archive.nest("best", &inner);
        archive.save(&path).unwrap();
        let loaded = Archive::load(&path).unwrap();
        assert_eq!(loaded.header::<(String, u32)>().unwrap(), ("kind".to_string(), 3));
        let weights: Vec<f32> = loaded.get("weights", &[2, 2]).unwrap();
        assert_eq!(weights.map_bits(), [0.1_f32, f32::MIN_POSITIVE, -0.0, f32::NEG_INFINITY].map(f32::to_bits));
        assert_eq!(loaded.nested("best").unwrap().get_all::<f64>("loss").unwrap(), [std::f64::consts::PI]);
        assert!(loaded.get::<f64>("weights", &[2, 2]).unwrap_err().to_string().contains("F32"));
        assert!(loaded.get::<f32>("bias", &[1]).unwrap_err().to_string().contains("no array called bias"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u32>;
    }
    impl Bits for Vec<f32> {
        fn map_bits(&self) -> Vec<u32> {
            self.iter().map(|v| v.to_bits()).collect()
        }
    }

    #[test]
    fn every_bit_of_a_file_is_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut archive = Archive::new(&("kind", 3)).unwrap();
        archive.put("w", &[3], &[1.0_f32, -2.0, 0.5]);
        archive.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            assert!(Archive::load(&path).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn files_of_other_versions_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let message = |metadata: &str| {
            let none: [(&str, &Entry); 0] = [];
            let metadata = HashMap::from([(HEADER.to_string(), metadata.to_string())]);
            std::fs::write(&path, safetensors::serialize(none, Some(metadata)).unwrap()).unwrap();
            Archive::load(&path).unwrap_err().to_string()
        };
        assert!(message(r#"{"format":3,"body":[]}"#).contains("format 3; this one reads 2"));
        assert!(message(r#"{"model":"circuit"}"#).contains("written by an older program"));
        assert!(message(r#"{"format":2,"sha256":"","header":1}"#).contains("damaged"));
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let mut archive = Archive::new(&()).unwrap();
        archive.put("w", &[64], &[1.0_f32; 64]);
        archive.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 4, 12, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Archive::load(&path).is_err(), "{length} bytes");
        }
        let mut hostile = u64::MAX.to_le_bytes().to_vec();
        hostile.extend([b'{'; 64]);
        std::fs::write(&path, hostile).unwrap();
        assert!(Archive::load(&path).unwrap_err().to_string().contains("not a model file"));
    }
}
