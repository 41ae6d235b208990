//! The data sets that come with the repository (`datasets/README.md` states the source and licence of each).

use super::{
    Continuous, Images, LabelMaps, Sound, Text,
    load::{Array, Loaded, Values, load, load_image},
};
use crate::{Error, Result};
use std::{io::Read, path::PathBuf};

/// Where the shipped data is: `LIMBECK_DATASETS`, else `datasets/` here, else beside the sources this was built from.
///
/// # Errors
/// When none of these is a folder.
pub fn folder() -> Result<PathBuf> {
    let given = std::env::var_os("LIMBECK_DATASETS").map(PathBuf::from);
    let candidates = match given {
        Some(folder) => vec![folder],
        None => vec!["datasets".into(), concat!(env!("CARGO_MANIFEST_DIR"), "/datasets").into()],
    };
    candidates.iter().find(|f| f.is_dir()).cloned().ok_or_else(|| {
        Error::invalid(
            "the shipped data is not here; run in the repository, or set LIMBECK_DATASETS to its datasets/ folder",
        )
    })
}

fn array(name: &str) -> Result<(Array, PathBuf)> {
    let path = folder()?.join(name);
    match load(&path)? {
        Loaded::Array(array) => Ok((array, path)),
        Loaded::Columns(_) | Loaded::Text(_) => Err(Error::file(path, "an array is expected")),
    }
}

fn bytes(name: &str) -> Result<Vec<u8>> {
    match array(name)? {
        (Array { values: Values::Bytes(bytes), .. }, _) => Ok(bytes),
        (_, path) => Err(Error::file(path, "unsigned bytes are expected")),
    }
}

/// 1,797 handwritten digits of 8 × 8 pixels with 17 grey levels, labelled 0 to 9.
///
/// # Errors
/// When the shipped file is missing or damaged, as for every function here.
pub fn digits() -> Result<Images<1, 8, 8>> {
    Images::new(bytes("digits.npz:images")?, bytes("digits.npz:labels")?, 17)
}

/// A part of Fashion-MNIST, 28 × 28 pixels with 256 grey levels, labelled 0 to 9: `(train, test)`.
///
/// # Errors
/// As [`digits`].
pub fn fashion_mnist() -> Result<(Images<1, 28, 28>, Images<1, 28, 28>)> {
    let part = |part: &str| {
        let file = |kind: &str| format!("fashion-mnist/{part}-{kind}-ubyte.gz");
        Images::new(bytes(&file("images-idx3"))?, bytes(&file("labels-idx1"))?, 256)
    };
    Ok((part("train")?, part("t10k")?))
}

/// A grey texture of 256 × 256 pixels: `brick`, `grass` or `gravel`.
///
/// # Errors
/// As [`digits`]; also for another name.
pub fn texture(name: &str) -> Result<Images<1, 256, 256>> {
    let path = folder()?.join("textures").join(name).with_extension("png");
    let ([1, 256, 256], pixels) = load_image(&path)? else {
        return Err(Error::file(path, "a grey image of 256 × 256 pixels is expected"));
    };
    Images::new(pixels, Vec::new(), 256)
}

/// A photograph, `coffee` or `chelsea`, cut into patches of `S` × `S` pixels, row by row; what does not fill a patch is left out.
///
/// # Errors
/// As [`digits`]; also for another name, or a photograph smaller than a patch.
pub fn photo_patches<const S: usize>(name: &str) -> Result<Images<3, S, S>> {
    let path = folder()?.join("photos").join(name).with_extension("png");
    let ([channels, height, width], pixels) = load_image(&path)?;
    if channels != 3 {
        return Err(Error::file(path, "a colour image is expected"));
    }
    let mut patches = Vec::new();
    for top in (0..height / S * S).step_by(S) {
        for left in (0..width / S * S).step_by(S) {
            for (channel, row) in (0..3).flat_map(|c| (0..S).map(move |r| (c, r))) {
                let start = (channel * height + top + row) * width + left;
                patches.extend_from_slice(&pixels[start..start + S]);
            }
        }
    }
    Images::new(patches, Vec::new(), 256).map_err(|e| Error::file(path, e))
}

/// A sound of about a second at 8 kHz: `complete`, or the shorter `bell`.
///
/// # Errors
/// As [`digits`]; also for another name.
pub fn sound(name: &str) -> Result<Sound> {
    Sound::load(folder()?.join("sounds").join(name).with_extension("wav"))
}

/// The Landsat satellite table: 36 spectral values and the class of the soil.
///
/// # Errors
/// As [`digits`].
pub fn satellite() -> Result<Continuous> {
    Continuous::load(folder()?.join("satellite.csv"))
}

/// The first 56 State of the Union addresses, 1790 to 1845, 1.9 MB, as they were printed.
///
/// # Errors
/// As [`digits`].
pub fn addresses() -> Result<String> {
    text("sotu.txt.gz")
}

/// The same over 27 symbols, in the normal form of text8.
///
/// # Errors
/// As [`digits`].
pub fn addresses_text8() -> Result<Text<27>> {
    addresses().map(|text| Text::text8(&text))
}

/// The first 42 chapters of *Moby-Dick*, 0.4 MB, with dashes beyond ASCII.
///
/// # Errors
/// As [`digits`].
pub fn moby_dick() -> Result<String> {
    text("moby-dick.txt.gz")
}

fn text(name: &str) -> Result<String> {
    let path = folder()?.join(name);
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(Error::io(&path))?;
    flate2::read::GzDecoder::new(file).take(1 << 24).read_to_string(&mut text).map_err(|e| Error::file(&path, e))?;
    Ok(text)
}

/// Tiles of 32 × 64 cells cut from a map of the Earth's relief in 6 bands of height, from deep sea to high mountain.
///
/// # Errors
/// As [`digits`].
pub fn relief_tiles() -> Result<LabelMaps<6, 32, 64>> {
    LabelMaps::new(bytes("relief-tiles.npz:maps")?)
}
