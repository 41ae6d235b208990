//! Images of one size.

use crate::{
    Error, Result,
    data::{
        Discrete,
        load::{Array, Loaded, Values, load},
    },
};
use std::path::Path;

/// Images with `C` channels, `H` rows and `W` columns of pixels, each a level `0..levels`; perhaps with labels.
#[derive(Clone, PartialEq)]
pub struct Images<const C: usize, const H: usize, const W: usize> {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    levels: usize,
}

/// How many images there are, and of which size.
impl<const C: usize, const H: usize, const W: usize> std::fmt::Debug for Images<C, H, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} images of {C} × {H} × {W} pixels, {} levels each", self.len(), self.levels)
    }
}

impl<const C: usize, const H: usize, const W: usize> Images<C, H, W> {
    /// `pixels` image after image, channel after channel, row after row; `labels` one an image, or empty.
    ///
    /// # Errors
    /// When there is no whole number of images, a pixel is not below `levels`, or the labels do not match.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, levels: usize) -> Result<Self> {
        let size = const {
            assert!(C * H * W > 0, "an image needs a pixel");
            C * H * W
        };
        if pixels.is_empty() || !pixels.len().is_multiple_of(size) {
            return Err(Error::invalid(format!("{} pixels are not whole images of {C} × {H} × {W}", pixels.len())));
        }
        if !(1..=256).contains(&levels) {
            return Err(Error::out_of_range("levels", levels, "1 ≤ levels ≤ 256"));
        }
        if let Some(i) = pixels.iter().position(|p| *p as usize >= levels) {
            let (image, pixel) = (i / size, i % size);
            let message = format!("image {image}, pixel {pixel}: {} is outside 0..={}", pixels[i], levels - 1);
            return Err(Error::invalid(message));
        }
        if !labels.is_empty() && labels.len() != pixels.len() / size {
            return Err(Error::invalid(format!("{} labels for {} images", labels.len(), pixels.len() / size)));
        }
        Ok(Self { pixels, labels, levels })
    }

    /// Reads images of this size with 256 levels from any file that [`load`] reads.
    ///
    /// # Errors
    /// As [`load`]; also when the file holds other shapes, or values outside `0..=255`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let (path, loaded) = (path.as_ref(), load(path.as_ref())?);
        let Loaded::Array(Array { shape, values: Values::Bytes(pixels), .. }) = loaded else {
            return Err(Error::file(path, "images are arrays of unsigned bytes"));
        };
        if shape.iter().skip(1).product::<usize>() != C * H * W {
            return Err(Error::file(path, format!("shape {shape:?}; images of {C} × {H} × {W} are expected")));
        }
        Self::new(pixels, Vec::new(), 256)
    }

    /// Gives the images labels, one each.
    ///
    /// # Errors
    /// When there are not as many labels as images.
    pub fn with_labels(self, labels: Vec<u8>) -> Result<Self> {
        Self::new(self.pixels, labels, self.levels)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / (C * H * W)
    }

    /// Never true: a set without images cannot be made.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// Number of grey or colour levels.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// The `C · H · W` pixels of one image.
    pub fn image(&self, i: usize) -> &[u8] {
        let (size, images) = (C * H * W, self.len());
        self.pixels.get(i * size..(i + 1) * size).unwrap_or_else(|| panic!("image {i} (from 0) of {images}"))
    }

    /// All pixels, image after image.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// One label an image; empty where there are none.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The images with these indices, in this order.
    pub fn select(&self, images: &[usize]) -> Self {
        let pixels = images.iter().flat_map(|i| self.image(*i)).copied().collect();
        let labels = if self.labels.is_empty() { vec![] } else { images.iter().map(|i| self.labels[*i]).collect() };
        Self { pixels, labels, levels: self.levels }
    }

    /// One variable a pixel, for circuits with categorical leaves.
    pub fn discrete(&self) -> Discrete {
        let shape: &[usize] = if C == 1 { &[H, W] } else { &[C, H, W] };
        super::discrete(shape, self.levels, &self.pixels)
    }

    /// The pixels of these images as numbers in `[0, 1]`, for networks: `(images, C, H, W)`.
    pub fn batch(&self, images: &[usize]) -> Vec<f32> {
        let scale = 1.0 / (self.levels - 1).max(1) as f32;
        images.iter().flat_map(|i| self.image(*i)).map(|p| *p as f32 * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_beyond_its_levels_is_named() {
        let error = Images::<1, 2, 2>::new(vec![0, 1, 2, 3, 4, 0, 0, 0], vec![], 4).unwrap_err();
        assert_eq!(error.to_string(), "image 1, pixel 0: 4 is outside 0..=3");
        assert!(Images::<1, 2, 2>::new(vec![0; 5], vec![], 4).is_err());
        assert!(Images::<1, 2, 2>::new(vec![0; 8], vec![1], 4).is_err());
    }

    #[test]
    fn selection_keeps_labels_with_their_images() {
        let images = Images::<1, 1, 2>::new(vec![0, 1, 2, 3, 4, 5], vec![7, 8, 9], 6).unwrap();
        let some = images.select(&[2, 0]);
        assert_eq!((some.image(0), some.labels()), (&[4, 5][..], &[9, 7][..]));
        assert_eq!(some.batch(&[1]), [0.0, 0.2]);
        assert_eq!(some.discrete().row(0), [4, 5]);
    }
}
