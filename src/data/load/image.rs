//! One PNG or JPEG image.

use crate::{Error, Result};
use image::{ColorType, DynamicImage, GenericImageView, ImageDecoder, ImageReader};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// The largest width or height that is read, and the most memory that one image may take, bytes.
const LARGEST_SIDE: u32 = 16_384;
const LARGEST_IMAGE: u64 = 256 << 20;

/// Reads one image as `(channels, height, width)` bytes with 1 or 3 channels.
pub(crate) fn load_image(path: &Path) -> Result<([usize; 3], Vec<u8>)> {
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_IMAGE);
    let mut reader =
        ImageReader::open(path).map_err(Error::io(path))?.with_guessed_format().map_err(Error::io(path))?;
    reader.limits(limits);
    // The size is known before anything of that size is made; a decoder that panics on a damaged file stops here.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        let bytes = u64::from(width) * u64::from(height) * u64::from(decoder.color_type().bytes_per_pixel()).max(3);
        if bytes > LARGEST_IMAGE {
            let kind = image::error::LimitErrorKind::InsufficientMemory;
            return Err(image::ImageError::Limits(image::error::LimitError::from_kind(kind)));
        }
        DynamicImage::from_decoder(decoder)
    }));
    let picture =
        decoded.map_err(|_| Error::file(path, "damaged: its decoder broke off"))?.map_err(|e| Error::file(path, e))?;
    let (width, height) = picture.dimensions();
    let (w, h) = (width as usize, height as usize);
    match picture.color() {
        ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16 => {
            Ok(([1, h, w], picture.into_luma8().into_raw()))
        }
        _ => {
            let pixels = picture.into_rgb8().into_raw();
            let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3)).copied().collect();
            Ok(([3, h, w], planes))
        }
    }
}
