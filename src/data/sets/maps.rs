//! Maps whose every cell is one of `K` classes.

use crate::{
    Error, Result,
    data::{Discrete, load::load_image},
};
use std::path::{Path, PathBuf};

/// Maps of `H` rows and `W` columns of classes `0..K`.
#[derive(Clone, PartialEq)]
pub struct LabelMaps<const K: usize, const H: usize, const W: usize> {
    cells: Vec<u8>,
}

/// How many maps there are, and of which size.
impl<const K: usize, const H: usize, const W: usize> std::fmt::Debug for LabelMaps<K, H, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} maps of {H} × {W} cells, {K} classes", self.len())
    }
}

impl<const K: usize, const H: usize, const W: usize> LabelMaps<K, H, W> {
    /// `cells` map after map, row after row.
    ///
    /// # Errors
    /// When there is no whole number of maps, or a class is not below `K`.
    pub fn new(cells: Vec<u8>) -> Result<Self> {
        const { assert!(K > 0 && K <= 256 && H * W > 0, "a map needs a cell, and 1 to 256 classes") };
        if cells.is_empty() || !cells.len().is_multiple_of(H * W) {
            return Err(Error::invalid(format!("{} cells are not whole maps of {H} × {W}", cells.len())));
        }
        if let Some(i) = cells.iter().position(|c| *c as usize >= K) {
            let (map, cell) = (i / (H * W), i % (H * W));
            return Err(Error::invalid(format!("map {map}, cell {cell}: class {} is outside 0..={}", cells[i], K - 1)));
        }
        Ok(Self { cells })
    }

    /// Number of maps.
    pub fn len(&self) -> usize {
        self.cells.len() / (H * W)
    }

    /// Never true: a set without maps cannot be made.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The `H · W` cells of one map.
    pub fn map(&self, i: usize) -> &[u8] {
        &self.cells[i * H * W..(i + 1) * H * W]
    }

    /// One variable a cell.
    pub fn discrete(&self) -> Discrete {
        super::discrete(&[H, W], K, &self.cells)
    }
}

/// The categories of Cityscapes: void, flat, construction, object, nature, sky, human, vehicle.
const CITYSCAPES: usize = 8;

/// The category of a class by its number in `*_labelIds.png`; what is beyond is a licence plate.
fn category_of(id: u8) -> u8 {
    match id {
        0..=6 => 0,
        7..=10 => 1,
        11..=16 => 2,
        17..=20 => 3,
        21..=22 => 4,
        23 => 5,
        24..=25 => 6,
        _ => 7,
    }
}

impl<const H: usize, const W: usize> LabelMaps<CITYSCAPES, H, W> {
    /// Reads the label maps of Cityscapes, `gtFine/train/*/*_gtFine_labelIds.png` for the folder `gtFine/train`, in the order of
    /// their names: the 8 categories of their 34 classes, each cell that of the pixel nearest to its middle.
    ///
    /// Hoogeboom et al. 2021 learn from 2,500 of the 2,975 maps of `train`, choose by the other 475, and report on the 500 of `val`,
    /// with `H` × `W` = 32 × 64.
    ///
    /// # Errors
    /// When the folder has no such file, or one is no grey image or too small.
    pub fn load_cityscapes(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut files = Vec::new();
        find(folder, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(Error::file(folder, "no *_gtFine_labelIds.png in this folder or those below"));
        }
        let mut cells = Vec::with_capacity(files.len() * H * W);
        for file in files {
            let ([channels, height, width], pixels) = load_image(&file)?;
            if channels != 1 || height < H || width < W {
                let found = format!("{channels} channels of {height} × {width} pixels");
                return Err(Error::file(&file, format!("{found}; one of {H} × {W} at least is expected")));
            }
            let middle = |i: usize, cells: usize, pixels: usize| (2 * i + 1) * pixels / (2 * cells);
            let at = |row: usize, column: usize| pixels[middle(row, H, height) * width + middle(column, W, width)];
            cells.extend((0..H * W).map(|i| category_of(at(i / W, i % W))));
        }
        Self::new(cells)
    }
}

/// The label maps in a folder and those below it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        // A link may lead back up.
        if entry.file_type().map_err(Error::io(folder))?.is_dir() {
            find(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().ends_with("_gtFine_labelIds.png") {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_maps_of_cityscapes_are_read_as_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let city = folder.path().join("train/aachen");
        std::fs::create_dir_all(&city).unwrap();
        let save = |name: &str, pixels: Vec<u8>, width: u32| {
            let height = pixels.len() as u32 / width;
            image::GrayImage::from_raw(width, height, pixels).unwrap().save(city.join(name)).unwrap();
        };
        // Four pixels a cell: the one to the lower right of the middle counts.
        save("b_gtFine_labelIds.png", vec![0, 0, 0, 0, 0, 7, 0, 33, 0, 0, 0, 0, 0, 23, 0, 255], 4);
        save("a_gtFine_labelIds.png", vec![26; 16], 4);
        save("a_gtFine_instanceIds.png", vec![26; 16], 4);
        let maps = LabelMaps::<8, 2, 2>::load_cityscapes(folder.path()).unwrap();
        assert_eq!((maps.len(), maps.map(0), maps.map(1)), (2, &[7, 7, 7, 7][..], &[1, 7, 5, 7][..]));
        assert!(LabelMaps::<8, 8, 8>::load_cityscapes(folder.path()).unwrap_err().to_string().contains("4 × 4"));
        let empty = tempfile::tempdir().unwrap();
        let error = LabelMaps::<8, 2, 2>::load_cityscapes(empty.path()).unwrap_err().to_string();
        assert!(error.contains("no *_gtFine_labelIds.png"), "{error}");
        std::fs::write(city.join("c_gtFine_labelIds.png"), [0; 40]).unwrap();
        assert!(LabelMaps::<8, 2, 2>::load_cityscapes(folder.path()).is_err());
    }

    #[test]
    fn a_class_beyond_the_last_is_named() {
        let error = LabelMaps::<3, 1, 2>::new(vec![0, 1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "map 1, cell 1: class 3 is outside 0..=2");
        assert_eq!(LabelMaps::<3, 1, 2>::new(vec![0, 1, 2, 0]).unwrap().map(1), [2, 0]);
    }
}
