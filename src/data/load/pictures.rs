//! Pictures in files of their own or in batches: read one file after the other, so that they need not all be in memory.

use super::{Array, Values, cifar, extension, image, npy};
use crate::{Error, Result, memory::afford};
use std::path::{Path, PathBuf};

/// What holds the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One in each file, PNG or JPEG.
    Images,
    /// CIFAR-10's binary batches.
    Cifar,
    /// The batches of down-sampled ImageNet: `.npz` with the arrays `data` and `labels`.
    ImageNet,
}

/// Files of colour or grey pictures of one size.
#[derive(Debug)]
pub(in crate::data) struct Pictures {
    origin: PathBuf,
    kind: Kind,
    files: Vec<PathBuf>,
}

/// What is read of a file: `(channels, height, width)` of a picture, and the pixels of all.
type Read = ([usize; 3], Vec<u8>);

impl Pictures {
    /// Those of a folder, or of one file, a picture or a batch of them; none where a path is something else.
    ///
    /// # Errors
    /// When a folder has none, or several kinds: nobody could say which are meant.
    pub(in crate::data) fn at(path: &Path) -> Result<Option<Self>> {
        let of = |kind, files| Ok(Some(Self { origin: path.to_path_buf(), kind, files }));
        if !path.is_dir() {
            return match extension(&path.to_string_lossy()).as_str() {
                "npz" if is_imagenet(&npy::members(path)?) => of(Kind::ImageNet, vec![path.to_path_buf()]),
                _ if Kind::Images.has(path) => of(Kind::Images, vec![path.to_path_buf()]),
                _ if cifar::recognises(path)? => of(Kind::Cifar, vec![path.to_path_buf()]),
                _ => Ok(None),
            };
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(Error::io(path))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.sort();
        let of_kind = |kind: Kind| files.iter().filter(|file| kind.has(file)).cloned().collect::<Vec<_>>();
        let kinds = [Kind::Cifar, Kind::ImageNet, Kind::Images].map(|kind| (kind, of_kind(kind)));
        let mut found = kinds.into_iter().filter(|(_, files)| !files.is_empty());
        match (found.next(), found.next()) {
            (Some((kind, files)), None) => of(kind, files),
            (Some((kind, _)), Some((_, others))) => {
                let batches = kind.name();
                let problem = format!("beside {batches}: which are meant? Put one kind elsewhere");
                Err(Error::file(&others[0], problem))
            }
            _ => Err(Error::file(
                path,
                "a folder without .png or .jpg images, data_batch_1.bin and so on of CIFAR-10, or train_data_batch_1.npz \
                 and so on of ImageNet",
            )),
        }
    }

    /// About how many bytes all pixels are.
    pub(in crate::data) fn size(&self) -> Result<u64> {
        let on_disk = |file: &PathBuf| Ok(file.metadata().map_err(Error::io(file))?.len());
        match (self.kind, self.files.first()) {
            (Kind::Images, Some(first)) => Ok(image::load_image(first)?.1.len() as u64 * self.files.len() as u64),
            _ => self.files.iter().map(on_disk).sum(),
        }
    }

    /// Hands `each` the pixels of file after file, whole pictures, and gives the `(channels, height, width)` that all have.
    ///
    /// # Errors
    /// When a file is damaged, or of pictures of another size than the first; and those of `each`.
    pub(in crate::data) fn for_each(&self, mut each: impl FnMut(Vec<u8>) -> Result<()>) -> Result<[usize; 3]> {
        let mut all: Option<[usize; 3]> = None;
        for file in &self.files {
            let (shape, pixels) = self.kind.read(file)?;
            if let Some(first) = all.replace(shape)
                && first != shape
            {
                let problem = format!("{shape:?} (channels, height, width) where the first has {first:?}");
                return Err(Error::file(file, problem));
            }
            each(pixels)?;
        }
        all.ok_or_else(|| Error::file(&self.origin, "no picture"))
    }

    /// All in memory.
    pub(super) fn load(&self) -> Result<Array> {
        let (mut all, files) = (Vec::new(), self.files.len());
        let shape = self.for_each(|pixels: Vec<u8>| {
            if all.is_empty() {
                // One byte here, and two more as categories.
                let size = pixels.len().checked_mul(files);
                afford(size, 3, "its pictures", "take fewer or smaller ones")
                    .map_err(|e| Error::file(&self.origin, e))?;
            }
            all.extend(pixels);
            Ok(())
        })?;
        let shape = [&[all.len() / shape.iter().product::<usize>()], &shape[..]].concat();
        Ok(Array { origin: self.origin.display().to_string(), shape, values: Values::Bytes(all) })
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Cifar => "CIFAR-10's batches",
            Self::ImageNet => "ImageNet's batches",
        }
    }

    /// Whether a file of a folder is of this kind, by its name.
    fn has(self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let numbered = |name: &str, before: &str, after: &str| {
            let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap_or_default();
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        };
        match self {
            Self::Images => matches!(extension(&name).as_str(), "png" | "jpg" | "jpeg") && !name.ends_with(".gz"),
            Self::Cifar => numbered(name.strip_suffix(".gz").unwrap_or(&name), "data_batch_", ".bin"),
            Self::ImageNet => numbered(&name, "train_data_batch_", ".npz"),
        }
    }

    fn read(self, file: &Path) -> Result<Read> {
        match self {
            Self::Images => image::load_image(file),
            Self::Cifar => cifar::read(file),
            Self::ImageNet => imagenet(file),
        }
    }
}

fn is_imagenet(members: &[String]) -> bool {
    ["data", "labels"].iter().all(|name| members.iter().any(|member| member == name))
}

/// A batch of down-sampled ImageNet: rows of `3 · S · S` bytes, red, green, blue, each row after row.
fn imagenet(file: &Path) -> Result<Read> {
    let Array { shape, values, .. } = npy::load_npz(file, Some("data"))?;
    let wrong = |what: String| Error::file(file, format!("{what}; ImageNet's batches are rows of 3 · S · S bytes"));
    let [_, width] = shape[..] else { return Err(wrong(format!("data of shape {shape:?}"))) };
    let side = (width / 3).isqrt();
    match values {
        Values::Bytes(pixels) if side > 0 && 3 * side * side == width && !pixels.is_empty() => {
            Ok(([3, side, side], pixels))
        }
        Values::Bytes(_) => Err(wrong(format!("data of shape {shape:?}"))),
        _ => Err(wrong("data that are no bytes".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load::{Loaded, load, write_npz};

    fn shape(path: &Path) -> Result<Vec<usize>> {
        load(path).map(|loaded| match loaded {
            Loaded::Array(array) => array.shape,
            _ => panic!("an array"),
        })
    }

    #[test]
    fn batches_of_imagenet_are_pictures_alone_and_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let batch = |name: &str, rows: usize, width: usize| {
            let (data, labels): (Vec<u8>, Vec<u8>) = ((0..rows * width).map(|i| i as u8).collect(), vec![1; rows]);
            write_npz(at(name), &[("data", &[rows, width], &data[..]), ("labels", &[rows], &labels[..])]).unwrap();
        };
        batch("train_data_batch_1.npz", 2, 48);
        batch("train_data_batch_2.npz", 3, 48);
        batch("val_data.npz", 4, 48);
        assert_eq!(shape(&at("val_data.npz")).unwrap(), [4, 3, 4, 4]);
        assert_eq!(shape(folder.path()).unwrap(), [5, 3, 4, 4], "validation is no training batch");
        // One of its arrays by name is that array.
        let named = format!("{}:data", at("val_data.npz").display());
        assert_eq!(shape(Path::new(&named)).unwrap(), [4, 48]);
        for width in [47, 49, 2] {
            batch("odd.npz", 2, width);
            let error = shape(&at("odd.npz")).unwrap_err().to_string();
            assert!(error.contains("rows of 3 · S · S bytes"), "{error}");
        }
        batch("train_data_batch_3.npz", 1, 12);
        let error = shape(folder.path()).unwrap_err().to_string();
        assert!(error.contains("[3, 2, 2] (channels, height, width) where the first has [3, 4, 4]"), "{error}");
        std::fs::write(at("data_batch_1.bin"), [0; 3073]).unwrap();
        let error = shape(folder.path()).unwrap_err().to_string();
        assert!(error.contains("beside CIFAR-10's batches"), "{error}");
    }
}
