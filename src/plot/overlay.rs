//! Pictures inside figures: enlarged without smoothing, small in the file.

use crate::notebook::base64;
use image::{ExtendedColorType, ImageEncoder, codecs::png};

/// A picture of `columns × rows` RGB pixels, to be drawn over a rectangle of the figure (in pixels of the figure).
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width on the figure.
    pub width: u32,
    /// Height on the figure.
    pub height: u32,
    /// Pixels in a row of the picture.
    pub columns: usize,
    /// Rows of the picture.
    pub rows: usize,
    /// Red, green and blue of each pixel.
    pub rgb: Vec<u8>,
}

impl Overlay {
    /// The picture as an element of an SVG.
    pub(super) fn svg(&self) -> String {
        let picture = base64(&encode(&self.rgb, self.columns, self.rows));
        format!(
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{picture}\"/>\n",
            self.x, self.y, self.width, self.height
        )
    }

    /// Draws the picture into an RGB buffer that is `line` pixels wide.
    pub(super) fn paint(&self, buffer: &mut [u8], line: usize) {
        for y in 0..self.height as usize {
            for x in 0..self.width as usize {
                let from =
                    (y * self.rows / self.height as usize * self.columns + x * self.columns / self.width as usize) * 3;
                let (left, top) = (self.x + x as i32, self.y + y as i32);
                if left < 0 || top < 0 || left as usize >= line {
                    continue;
                }
                let to = (top as usize * line + left as usize) * 3;
                if let Some(pixel) = buffer.get_mut(to..to + 3) {
                    pixel.copy_from_slice(&self.rgb[from..from + 3]);
                }
            }
        }
    }
}

/// A PNG of RGB pixels, as small as it gets.
pub(super) fn encode(rgb: &[u8], columns: usize, rows: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = png::PngEncoder::new_with_quality(&mut bytes, png::CompressionType::Best, png::FilterType::NoFilter);
    encoder
        .write_image(rgb, columns as u32, rows as u32, ExtendedColorType::Rgb8)
        .expect("a buffer of the right size, written to memory");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_enlarged_without_smoothing() {
        let overlay = Overlay { x: 1, y: 0, width: 4, height: 2, columns: 2, rows: 1, rgb: vec![9, 9, 9, 7, 7, 7] };
        let mut buffer = vec![0; 5 * 2 * 3];
        overlay.paint(&mut buffer, 5);
        assert_eq!(buffer.iter().step_by(3).copied().collect::<Vec<_>>(), [0, 9, 9, 7, 7, 0, 9, 9, 7, 7]);
    }
}
