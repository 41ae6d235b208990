//! How the numbers of a row lie on an image.

use crate::{Error, Result};

/// Channel after channel, row after row of pixels. A table of `D` columns is an image of one pixel with `D` channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Numbers a pixel.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

impl Grid {
    /// One pixel with a channel for each coordinate.
    pub fn pixel(dims: usize) -> Self {
        Self { channels: dims, height: 1, width: 1 }
    }

    /// Pixels.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Coordinates.
    pub fn dims(&self) -> usize {
        self.channels * self.pixels()
    }

    /// Half as high and half as wide, with four times the channels.
    ///
    /// # Errors
    /// When the height or the width is odd.
    pub fn squeezed(self) -> Result<Self> {
        let Self { channels, height, width } = self;
        if !height.is_multiple_of(2) || !width.is_multiple_of(2) {
            let size = format!("an image of {height} × {width} pixels");
            return Err(Error::invalid(format!("{size} cannot be squeezed: both must be even")));
        }
        Ok(Self { channels: 4 * channels, height: height / 2, width: width / 2 })
    }

    /// The grid, if it has `dims` coordinates, and one at least.
    pub(crate) fn of(self, dims: usize) -> Result<Self> {
        if self.dims() == dims && dims > 0 {
            return Ok(self);
        }
        let Self { channels, height, width } = self;
        Err(Error::invalid(format!("images of {channels} × {height} × {width} for rows of {dims} coordinates")))
    }
}
