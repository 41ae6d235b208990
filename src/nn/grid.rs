//! How the numbers of a row lie on an image.

use dfdx::shapes::Const;

use super::Size;
use crate::{Error, Result};

/// Channel after channel, row after row of pixels. A table of `D` columns is an image of one pixel with `D` channels.
///
/// Its numbers are known at run time, or to the compiler: see [`Image`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid<C = usize, H = usize, W = usize> {
    /// Numbers a pixel.
    pub channels: C,
    /// Rows of pixels.
    pub height: H,
    /// Columns of pixels.
    pub width: W,
}

/// Images of `C` channels of `H` × `W` pixels, sizes known to the compiler.
pub type Image<const C: usize, const H: usize, const W: usize> = Grid<Const<C>, Const<H>, Const<W>>;

/// The sizes of an image: a [`Grid`].
pub trait ImageSize: 'static + Copy + std::fmt::Debug + Send + Sync {
    /// Numbers a pixel.
    type Channels: Size;
    /// Rows of pixels.
    type Height: Size;
    /// Columns of pixels.
    type Width: Size;
}

impl<C: Size, H: Size, W: Size> ImageSize for Grid<C, H, W> {
    type Channels = C;
    type Height = H;
    type Width = W;
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
