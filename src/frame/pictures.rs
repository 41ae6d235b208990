//! Pictures whose pixels are numbers around 0.

use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows, Schema},
    nn::Grid,
    random::Seed,
};
use rand::RngExt;

/// Pictures of one size, channel after channel, row after row; black is −1 and white is 1.
///
/// ```
/// # use limbeck::{frame::Pictures, prelude::*};
/// let grass = Pictures::of(&shipped::texture("grass")?.discrete())?;
/// let five = grass.crops(32, 5, Seed(0))?;
/// assert_eq!((five.len(), five.grid().dims()), (5, 1024));
/// assert_eq!(five.shrunk(4)?.grid().height, 8);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    grid: Grid,
    values: Vec<f32>,
}

impl Pictures {
    /// Pictures one after the other.
    ///
    /// # Errors
    /// When there is none, one is cut off, or a number is not finite.
    pub fn new(grid: Grid, values: Vec<f32>) -> Result<Self> {
        let Grid { channels, height, width } = grid;
        if grid.dims() == 0 || values.is_empty() || !values.len().is_multiple_of(grid.dims()) {
            let size = format!("{channels} × {height} × {width}");
            return Err(Error::invalid(format!("{} numbers for pictures of {size}", values.len())));
        }
        match values.iter().position(|x| !x.is_finite()) {
            None => Ok(Self { grid, values }),
            Some(at) => {
                let (picture, pixel) = (at / grid.dims(), at % grid.dims());
                Err(Error::invalid(format!("pixel {pixel} of picture {picture} is {}", values[at])))
            }
        }
    }

    /// Rows of categories, whose first is black and whose last is white.
    ///
    /// # Errors
    /// When they are no pictures, a pixel is missing or has one category only, or there is no row.
    pub fn of(rows: &dyn Rows) -> Result<Self> {
        let (channels, height, width) = match rows.schema().shape[..] {
            [height, width] => (1, height, width),
            [channels, height, width] => (channels, height, width),
            ref other => return Err(Error::invalid(format!("rows of shape {other:?} are not pictures"))),
        };
        let variables = &rows.schema().variables;
        if let Some(pixel) = variables.iter().position(|v| v.categories < 2) {
            return Err(Error::invalid(format!(
                "pixel {pixel} has {} categories: 2 are needed",
                variables[pixel].categories
            )));
        }
        let mut codes = Vec::new();
        rows.read(&(0..rows.len()).collect::<Vec<_>>(), &mut codes)?;
        if let Some(at) = codes.iter().position(|code| *code == MISSING) {
            let (row, pixel) = (rows.number_of(at / variables.len()), at % variables.len());
            return Err(Error::invalid(format!("row {row}: pixel {pixel} is missing; whole pictures are needed")));
        }
        let bright = |(i, code): (usize, &u16)| {
            2.0 * f32::from(*code) / (variables[i % variables.len()].categories - 1) as f32 - 1.0
        };
        Self::new(Grid { channels, height, width }, codes.iter().enumerate().map(bright).collect())
    }

    /// Channels, height and width.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len() / self.grid.dims()
    }

    /// Whether there is none, which is never.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All of them, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One of them.
    pub fn picture(&self, i: usize) -> &[f32] {
        &self.values[i * self.grid.dims()..(i + 1) * self.grid.dims()]
    }

    /// The first of them; all where there are no more.
    ///
    /// # Errors
    /// When there are to be none.
    pub fn first(&self, n: usize) -> Result<Self> {
        Self::new(self.grid, self.values[..n.min(self.len()) * self.grid.dims()].to_vec())
    }

    /// The same rectangle out of each: rows from `top` on, columns from `left` on.
    ///
    /// # Errors
    /// When it reaches beyond an edge, or is empty.
    pub fn piece(&self, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Result<Self> {
        let Grid { channels, height: high, width: wide } = self.grid;
        let inside = |from: usize, size: usize, side: usize| from.checked_add(size).is_some_and(|end| end <= side);
        if !inside(top, height, high) || !inside(left, width, wide) {
            let piece = format!("{height} × {width} pixels from ({top}, {left}) on");
            return Err(Error::invalid(format!("{piece}, out of pictures of {high} × {wide}")));
        }
        let rows = self.values.chunks_exact(wide).enumerate();
        let rows = rows.filter(|(row, _)| (top..top + height).contains(&(row % high)));
        let values = rows.flat_map(|(_, row)| &row[left..left + width]).copied().collect();
        Self::new(Grid { channels, height, width }, values)
    }

    /// Squares cut out anywhere.
    ///
    /// # Errors
    /// When a side is 0 or greater than the pictures', or there are to be none.
    pub fn crops(&self, side: usize, n: usize, seed: Seed) -> Result<Self> {
        let Grid { channels, height, width } = self.grid;
        if side == 0 || side > height || side > width {
            return Err(Error::invalid(format!("squares of {side} pixels out of pictures of {height} × {width}")));
        }
        let mut rng = seed.stream("crops", 0);
        let mut values = Vec::with_capacity(n * channels * side * side);
        for _ in 0..n {
            let picture = self.picture(rng.random_range(0..self.len()));
            let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
            for row in (0..channels).flat_map(|c| (0..side).map(move |i| c * height + top + i)) {
                values.extend_from_slice(&picture[row * width + left..][..side]);
            }
        }
        Self::new(Grid { channels, height: side, width: side }, values)
    }

    /// One channel, the mean of all.
    pub fn grey(&self) -> Self {
        let (channels, pixels) = (self.grid.channels, self.grid.pixels());
        let mean = |picture: &[f32], v: usize| picture.iter().skip(v).step_by(pixels).sum::<f32>() / channels as f32;
        let each = |picture| (0..pixels).map(move |v| mean(picture, v));
        let values = self.values.chunks_exact(self.grid.dims()).flat_map(each).collect();
        Self { grid: Grid { channels: 1, ..self.grid }, values }
    }

    /// The means of squares of `by` pixels.
    ///
    /// # Errors
    /// When these do not fill the pictures.
    pub fn shrunk(&self, by: usize) -> Result<Self> {
        let Grid { channels, height, width } = self.grid;
        if by == 0 || !height.is_multiple_of(by) || !width.is_multiple_of(by) {
            return Err(Error::invalid(format!("squares of {by} pixels do not fill pictures of {height} × {width}")));
        }
        let grid = Grid { channels, height: height / by, width: width / by };
        let mut values = vec![0.0; self.values.len() / (by * by)];
        let share = ((by * by) as f32).recip();
        for (at, x) in self.values.iter().enumerate() {
            let (row, column) = (at / width, at % width);
            // Channels and pictures are whole numbers of rows.
            values[row / by * grid.width + column / by] += share * x;
        }
        Self::new(grid, values)
    }

    /// As categories of 256 levels, to be shown or written; what is darker than black is black.
    pub fn discrete(&self) -> Result<Discrete> {
        let Grid { channels, height, width } = self.grid;
        let shape = [channels, height, width];
        let shape = if channels == 1 { &shape[1..] } else { &shape[..] };
        let level = |x: &f32| ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u16;
        Discrete::new(Schema::uniform(shape, 256), self.values.iter().map(level).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_go_there_and_back() {
        let codes: Vec<u16> = (0..96).map(|i| (i * 2654435761_usize % 256) as u16).collect();
        let rows = Discrete::new(Schema::uniform(&[3, 4, 4], 256), codes.clone()).unwrap();
        let pictures = Pictures::of(&rows).unwrap();
        assert_eq!((pictures.len(), pictures.grid()), (2, Grid { channels: 3, height: 4, width: 4 }));
        assert_eq!(pictures.discrete().unwrap().codes(), codes);
        assert_eq!(pictures.grey().picture(1)[5], (0..3).map(|c| pictures.picture(1)[16 * c + 5]).sum::<f32>() / 3.0);
        // Means of squares are means of means.
        let once = pictures.shrunk(4).unwrap();
        let twice = pictures.shrunk(2).unwrap().shrunk(2).unwrap();
        let apart = once.values().iter().zip(twice.values()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-6, "{apart}");
        let first: f32 = pictures.picture(0)[..16].iter().sum::<f32>() / 16.0;
        assert!((once.picture(0)[0] - first).abs() < 1e-6);
    }

    #[test]
    fn crops_are_pieces_and_what_is_no_picture_is_refused() {
        let grid = Grid { channels: 1, height: 5, width: 7 };
        let pictures = Pictures::new(grid, (0..35).map(|i| i as f32).collect()).unwrap();
        let crops = pictures.crops(3, 10, Seed(0)).unwrap();
        for i in 0..10 {
            let crop = crops.picture(i);
            let expected = [0, 1, 2, 7, 8, 9, 14, 15, 16].map(|at| crop[0] + at as f32);
            assert_eq!(crop, expected);
        }
        let piece = pictures.piece([1, 2], [2, 3]).unwrap();
        assert_eq!(piece.values(), [9.0, 10.0, 11.0, 16.0, 17.0, 18.0]);
        assert!(pictures.piece([4, 0], [2, 3]).is_err() && pictures.piece([0, usize::MAX], [1, 2]).is_err());
        assert!(pictures.piece([0, 0], [0, 3]).is_err());
        assert_eq!(crops.first(2).unwrap().values(), &crops.values()[..18]);
        assert_eq!(crops.first(99).unwrap(), crops);
        assert!(crops.first(0).is_err());
        assert!(pictures.crops(6, 1, Seed(0)).is_err() && pictures.crops(0, 1, Seed(0)).is_err());
        assert!(pictures.crops(2, 0, Seed(0)).is_err() && pictures.shrunk(2).is_err());
        assert!(Pictures::new(grid, vec![0.0; 34]).is_err() && Pictures::new(grid, vec![f32::NAN; 35]).is_err());
        let missing = Discrete::new(Schema::uniform(&[1, 2], 4), vec![0, MISSING]).unwrap();
        assert!(Pictures::of(&missing).unwrap_err().to_string().contains("pixel 1 is missing"));
        let table = Discrete::new(Schema::uniform(&[4], 4), vec![0; 4]).unwrap();
        assert!(Pictures::of(&table).is_err());
    }
}
