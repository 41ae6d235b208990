//! Pictures cut into squares.

use super::{Rows, Schema};
use crate::{Error, Result};

/// A grid of squares on pictures of `channels × height × width` pixels, row after row of squares.
///
/// ```
/// # use limbeck::{data::Patches, prelude::*};
/// let digits = shipped::digits()?.discrete();
/// let patches = Patches::new(digits.schema(), 4)?;
/// assert_eq!((patches.positions(), patches.values()), (4, 16));
/// assert_eq!(patches.places()[1][..5], [4, 5, 6, 7, 12]);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patches {
    channels: usize,
    height: usize,
    width: usize,
    side: usize,
    whole: Schema,
}

impl Patches {
    /// Squares of `side` pixels on the pictures of a schema, which are `[H, W]` or `[C, H, W]`.
    ///
    /// # Errors
    /// When these are no pictures, or `side` divides not both their height and their width; or when pixels differ in their
    /// categories from square to square.
    pub fn new(schema: &Schema, side: usize) -> Result<Self> {
        let [channels, height, width] = match schema.shape[..] {
            [height, width] => [1, height, width],
            [channels, height, width] => [channels, height, width],
            ref other => return Err(Error::invalid(format!("rows of shape {other:?} are not pictures"))),
        };
        if side == 0 || !height.is_multiple_of(side) || !width.is_multiple_of(side) {
            let squares = format!("squares of {side} pixels do not fill pictures of {height} × {width}");
            return Err(Error::invalid(format!("{squares}: a side that divides both does")));
        }
        let patches = Self { channels, height, width, side, whole: schema.clone() };
        let categories = |place: &usize| schema.variables[*place].categories;
        let places = patches.places();
        let same = |other: &Vec<usize>| other.iter().map(categories).eq(places[0].iter().map(categories));
        match places.iter().position(|other| !same(other)) {
            None => Ok(patches),
            Some(i) => Err(Error::invalid(format!("square {i} has pixels of other categories than square 0"))),
        }
    }

    /// Squares a picture.
    pub fn positions(&self) -> usize {
        (self.height / self.side) * (self.width / self.side)
    }

    /// Rows and columns of squares.
    pub fn grid(&self) -> [usize; 2] {
        [self.height / self.side, self.width / self.side]
    }

    /// Pixels along a square.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Values a square, channel after channel, row after row.
    pub fn values(&self) -> usize {
        self.channels * self.side * self.side
    }

    /// What the columns of whole pictures are.
    pub fn whole(&self) -> &Schema {
        &self.whole
    }

    /// Of each square, the variables of the picture that are its values.
    pub fn places(&self) -> Vec<Vec<usize>> {
        let [_, columns] = self.grid();
        let place = |square: usize, channel: usize, pixel: usize| {
            let (y, x) =
                (square / columns * self.side + pixel / self.side, square % columns * self.side + pixel % self.side);
            (channel * self.height + y) * self.width + x
        };
        let square = |square: usize| {
            let pixels = self.side * self.side;
            (0..self.channels)
                .flat_map(|c| (0..pixels).map(move |p| (c, p)))
                .map(|(c, p)| place(square, c, p))
                .collect()
        };
        (0..self.positions()).map(square).collect()
    }

    /// Of the values of a square, in the order of their pixels with all channels of a pixel side by side, which they are.
    pub(crate) fn by_pixel(&self) -> Vec<usize> {
        let pixels = self.side * self.side;
        (0..pixels).flat_map(|pixel| (0..self.channels).map(move |c| c * pixels + pixel)).collect()
    }

    /// The levels of each channel.
    ///
    /// # Errors
    /// When the pixels of a channel differ in them.
    pub(crate) fn levels(&self) -> Result<Vec<usize>> {
        let pixels = self.height * self.width;
        let channel = |(c, pixels): (usize, &[super::Variable])| {
            let levels = pixels[0].categories;
            match pixels.iter().find(|pixel| pixel.categories != levels) {
                None => Ok(levels),
                Some(pixel) => {
                    let [name, other] = [&pixel.name, &pixels[0].name];
                    let differ = format!("{name} has {} levels, and {other} {levels}", pixel.categories);
                    Err(Error::invalid(format!("channel {c}: pixel {differ}; all pixels of a channel need the same")))
                }
            }
        };
        self.whole.variables.chunks(pixels).enumerate().map(channel).collect()
    }

    /// What the columns of squares are.
    pub fn schema(&self) -> Schema {
        let places = &self.places()[0];
        let mut schema = self.whole.clone();
        schema.variables = places.iter().map(|place| self.whole.variables[*place].clone()).collect();
        schema.shape = if self.whole.shape.len() == 2 { vec![] } else { vec![self.channels] };
        schema.shape.extend([self.side, self.side]);
        schema
    }

    /// Refuses pictures of another size, or with more categories.
    pub(crate) fn check(&self, pictures: &dyn Rows) -> Result<()> {
        let (ours, theirs) = (&self.whole, pictures.schema());
        if ours.len() != theirs.len() || ours.shape != theirs.shape {
            return Err(Error::invalid(format!(
                "pictures of {:?}; these squares are of {:?}",
                theirs.shape, ours.shape
            )));
        }
        let mut each = ours.variables.iter().zip(&theirs.variables);
        match each.find(|(ours, theirs)| theirs.categories > ours.categories || theirs.categories == 0) {
            None => Ok(()),
            Some((ours, theirs)) => Err(Error::invalid(format!(
                "pixel {} has {} levels; these squares know {}",
                theirs.name, theirs.categories, ours.categories
            ))),
        }
    }

    /// The squares of pictures as rows: all of the first picture, then all of the second.
    ///
    /// # Errors
    /// When the pictures have other variables.
    pub fn of<'a>(&self, pictures: &'a dyn Rows) -> Result<PatchRows<'a>> {
        self.check(pictures)?;
        Ok(PatchRows { pictures, schema: self.schema(), places: self.places() })
    }
}

/// The squares of pictures, which are read as they are asked for.
pub struct PatchRows<'a> {
    pictures: &'a dyn Rows,
    schema: Schema,
    places: Vec<Vec<usize>>,
}

impl Rows for PatchRows<'_> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.pictures.len() * self.places.len()
    }

    fn number_of(&self, row: usize) -> usize {
        self.pictures.number_of(row / self.places.len())
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        let (n, values) = (self.places.len(), self.pictures.schema().len());
        // Each picture once, though several of its squares are asked for one after the other.
        let mut pictures: Vec<usize> = rows.iter().map(|row| row / n).collect();
        pictures.dedup();
        let mut read = Vec::new();
        self.pictures.read(&pictures, &mut read)?;
        into.clear();
        let mut at = 0;
        for row in rows {
            while pictures[at] != row / n {
                at += 1;
            }
            let picture = &read[at * values..(at + 1) * values];
            into.extend(self.places[row % n].iter().map(|place| picture[*place]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Discrete;

    #[test]
    fn squares_are_those_of_the_picture_in_any_order() {
        let pictures = Discrete::new(Schema::uniform(&[2, 4, 6], 100), (0..96).map(|i| i % 100).collect()).unwrap();
        let patches = Patches::new(pictures.schema(), 2).unwrap();
        assert_eq!((patches.positions(), patches.grid(), patches.values()), (6, [2, 3], 8));
        let mut all: Vec<usize> = patches.places().concat();
        all.sort_unstable();
        assert_eq!(all, (0..48).collect::<Vec<_>>(), "every pixel is in one square");
        let rows = patches.of(&pictures).unwrap();
        assert_eq!((rows.len(), &rows.schema().shape[..]), (12, &[2, 2, 2][..]));
        let mut read = Vec::new();
        for order in [vec![0, 1, 2, 3], vec![11, 0, 7, 6, 6, 1]] {
            rows.read(&order, &mut read).unwrap();
            for (row, found) in order.iter().zip(read.chunks_exact(8)) {
                let picture = pictures.row(row / 6);
                let want: Vec<u16> = patches.places()[row % 6].iter().map(|place| picture[*place]).collect();
                assert_eq!(found, want);
            }
        }
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        let says = |schema: &Schema, side: usize, what: &str| {
            let error = Patches::new(schema, side).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        says(&Schema::uniform(&[8, 8], 2), 3, "squares of 3 pixels do not fill pictures of 8 × 8");
        says(&Schema::uniform(&[8, 8], 2), 0, "squares of 0");
        says(&Schema::uniform(&[8], 2), 2, "are not pictures");
        let mut mixed = Schema::uniform(&[4, 4], 2);
        mixed.variables[3].categories = 3;
        says(&mixed, 2, "square 1 has pixels of other categories");
        let patches = Patches::new(&Schema::uniform(&[4, 4], 2), 2).unwrap();
        let others = Discrete::all_missing(Schema::uniform(&[4, 2], 2), 1);
        assert!(patches.of(&others).is_err());
        let more = Discrete::all_missing(Schema::uniform(&[4, 4], 3), 1);
        assert!(patches.of(&more).err().unwrap().to_string().contains("has 3 levels; these squares know 2"));
    }
}
