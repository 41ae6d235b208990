//! What a model sees of pictures: their colours in other coordinates, a quarter of them.

use super::{Colour, Discrete, MISSING, Rows, Schema, Variable};
use crate::{Error, Result, evidence::Space};
use serde::{Deserialize, Serialize};

/// What a model sees of pictures.
///
/// ```
/// # use limbeck::{data::{Colour, View}, prelude::*};
/// let pictures = shipped::photo_patches::<8>("chelsea")?.discrete();
/// let view = View { colour: Some(Colour::YCoCgR), quarter: true };
/// assert_eq!(view.of(Box::new(pictures))?.schema().shape, [3, 4, 4]);
/// assert_eq!(view.space().to_string(), "YCoCg-R, upper left quarter");
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// The coordinates of colours, where these are not red, green and blue; or none, where all that is seen is grey.
    pub colour: Option<Colour>,
    /// Whether only the upper left quarter is seen.
    pub quarter: bool,
}

impl View {
    /// Whether pictures are seen as they are.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the pictures can be had back.
    pub fn is_lossless(&self) -> bool {
        !self.quarter && self.colour.is_none_or(Colour::is_lossless)
    }

    /// The space of likelihoods of what is seen.
    pub fn space(&self) -> Space {
        let whole = match self.colour {
            None => Space::Raw,
            Some(colour) => Space::Colours { transform: colour.name(), lossless: colour.is_lossless() },
        };
        if self.quarter { Space::Quarter(Box::new(whole)) } else { whole }
    }

    /// By how much bits a dimension of the pictures may exceed those of what is seen of them: see [`Colour::bits_lost_per_dim`].
    pub fn bits_lost_per_dim(&self) -> f64 {
        self.colour.map_or(0.0, Colour::bits_lost_per_dim)
    }

    /// What the columns of pictures become.
    ///
    /// # Errors
    /// When they are no pictures, of an odd number of rows or columns where a quarter is to be seen, or without three channels of
    /// up to 256 levels where colours are to be.
    pub fn schema(&self, pictures: &Schema) -> Result<Schema> {
        let (channels, [height, width]) = self.sizes(pictures)?;
        let pixels = height * width;
        if self.colour.is_some() {
            let seen = &pictures.variables;
            if channels != 3 {
                let shape = &pictures.shape;
                return Err(Error::invalid(format!("rows of shape {shape:?} are no pictures of three channels")));
            }
            if let Some(v) = seen.iter().position(|v| !(1..=256).contains(&v.categories) || v.words.is_some()) {
                let (channel, k) = (v / pixels, seen[v].categories);
                return Err(Error::invalid(format!("channel {channel} has {k} levels, where 256 are expected")));
            }
        }
        let categories = self.colour.map(Colour::categories);
        let variable = |(i, place): (usize, usize)| Variable {
            categories: categories
                .map_or(pictures.variables[place].categories, |k| k[i / self.pixels_seen(height, width)]),
            ..pictures.variables[place].clone()
        };
        let mut shape = pictures.shape.clone();
        let seen = self.colour.map_or(channels, |colour| {
            shape[0] = colour.channels();
            colour.channels()
        });
        let variables = self.places(seen, [height, width]).into_iter().enumerate().map(variable).collect();
        if self.quarter {
            shape.iter_mut().rev().take(2).for_each(|side| *side /= 2);
        }
        Ok(Schema { variables, shape })
    }

    /// What the pictures were of which these are the columns that are seen.
    pub(crate) fn before(&self, seen: &Schema) -> Schema {
        let mut shape = seen.shape.clone();
        if self.quarter {
            shape.iter_mut().rev().take(2).for_each(|side| *side *= 2);
        }
        if self.colour.is_some() {
            shape[0] = 3;
        }
        let levels = seen.variables.iter().map(|v| v.categories).max().unwrap_or(0);
        Schema::uniform(&shape, if self.colour.is_some() { 256 } else { levels })
    }

    /// Pictures as they are seen, read as they are asked for.
    ///
    /// # Errors
    /// As [`Self::schema`]. To read a pixel of which some channels are missing and others known is an error, where colours are in
    /// other coordinates: these are of all or none.
    pub fn of<'a>(&self, pictures: Box<dyn Rows + 'a>) -> Result<Viewed<'a>> {
        let schema = self.schema(pictures.schema())?;
        let (channels, sides) = self.sizes(pictures.schema())?;
        Ok(Viewed { places: self.places(channels, sides), schema, view: *self, pictures })
    }

    /// Colours as they were, of what is seen; and how many pixels had coordinates that are no colour's, which go to the edge of the
    /// colours.
    ///
    /// # Errors
    /// When the rows are not seen like this, or the colours cannot be had back.
    pub fn undo(&self, seen: &Discrete) -> Result<(Discrete, usize)> {
        self.colour.map_or_else(|| Ok((seen.clone(), 0)), |colour| colour.undo(seen))
    }

    fn sizes(&self, pictures: &Schema) -> Result<(usize, [usize; 2])> {
        let (channels, height, width) = match pictures.shape[..] {
            [height, width] => (1, height, width),
            [channels, height, width] => (channels, height, width),
            ref other => return Err(Error::invalid(format!("rows of shape {other:?} are not pictures"))),
        };
        if self.quarter && !(height.is_multiple_of(2) && width.is_multiple_of(2)) {
            return Err(Error::invalid(format!("pictures of {height} × {width} have no quarter: both must be even")));
        }
        Ok((channels, [height, width]))
    }

    fn pixels_seen(&self, height: usize, width: usize) -> usize {
        if self.quarter { height * width / 4 } else { height * width }
    }

    /// Where the values that are seen lie in a picture, channel after channel.
    fn places(&self, channels: usize, [height, width]: [usize; 2]) -> Vec<usize> {
        let [rows, columns] = if self.quarter { [height / 2, width / 2] } else { [height, width] };
        let row = |c: usize, y: usize| (0..columns).map(move |x| (c * height + y) * width + x);
        (0..channels).flat_map(|c| (0..rows).flat_map(move |y| row(c, y))).collect()
    }
}

/// Pictures as a model sees them.
pub struct Viewed<'a> {
    pictures: Box<dyn Rows + 'a>,
    view: View,
    schema: Schema,
    places: Vec<usize>,
}

impl Rows for Viewed<'_> {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn number_of(&self, row: usize) -> usize {
        self.pictures.number_of(row)
    }

    fn read(&self, rows: &[usize], into: &mut Vec<u16>) -> Result<()> {
        let (mut read, width, seen) = (Vec::new(), self.pictures.schema().len(), self.places.len());
        self.pictures.read(rows, &mut read)?;
        into.clear();
        into.extend(read.chunks_exact(width).flat_map(|picture| self.places.iter().map(|place| picture[*place])));
        let Some(colour) = self.view.colour else { return Ok(()) };
        let (pixels, kept) = (seen / 3, seen / 3 * colour.channels());
        for (i, picture) in into.chunks_exact_mut(seen).enumerate() {
            for pixel in 0..pixels {
                let places = [0, 1, 2].map(|channel| channel * pixels + pixel);
                let codes = places.map(|place| picture[place]);
                let missing = codes.iter().filter(|code| **code == MISSING).count();
                if !(missing == 0 || missing == 3) {
                    let row = self.pictures.number_of(rows[i]);
                    let what = format!("row {row}, pixel {pixel}: {missing} of 3 channels missing");
                    return Err(Error::invalid(format!("{what}; in {} colours all are, or none", colour.name())));
                }
                let mapped = colour.map_codes(codes);
                places.iter().zip(mapped).for_each(|(place, code)| picture[*place] = code);
            }
        }
        if kept < seen {
            let mut place = 0..into.len();
            into.retain(|_| place.next().is_some_and(|place| place % seen < kept));
        }
        Ok(())
    }
}

impl Viewed<'_> {
    /// All rows in memory.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn collect(&self) -> Result<Discrete> {
        let mut codes = Vec::new();
        self.read(&(0..self.len()).collect::<Vec<_>>(), &mut codes)?;
        Discrete::new(self.schema.clone(), codes)
    }
}

impl Colour {
    /// The colour in these coordinates; missing where a channel is.
    fn map_codes(self, codes: [u16; 3]) -> [u16; 3] {
        match codes.map(|code| u8::try_from(code).ok()) {
            [Some(r), Some(g), Some(b)] => self.map([r, g, b]),
            _ => [MISSING; 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_is_a_quarter_in_other_colours() {
        let codes = (0..2 * 48).map(|i| if i < 48 && i % 16 == 5 { MISSING } else { (i * 37 % 256) as u16 }).collect();
        let pictures = Discrete::new(Schema::uniform(&[3, 4, 4], 256), codes).unwrap();
        let whole = View { colour: Some(Colour::YCoCgR), quarter: false };
        let seen = whole.of(Box::new(pictures.clone())).unwrap().collect().unwrap();
        let colour = |v: usize| Colour::YCoCgR.map([0, 16, 32].map(|channel| pictures.row(1)[channel + v] as u8));
        assert!((0..16).all(|v| colour(v) == [0, 16, 32].map(|channel| seen.row(1)[channel + v])));
        assert_eq!(whole.undo(&seen).unwrap(), (pictures.clone(), 0));
        // Bright, and redder than red can be.
        let mut codes = seen.codes().to_vec();
        [0, 16, 32].into_iter().zip([255, 511, 256]).for_each(|(place, code)| codes[place] = code);
        let (edge, moved) = whole.undo(&Discrete::new(seen.schema().clone(), codes).unwrap()).unwrap();
        assert_eq!((moved, edge.row(0)[0], edge.row(0)[1]), (1, 255, 37));
        let holed = pictures.mask(|row, v| row == 1 && v == 20);
        let error = whole.of(Box::new(holed)).unwrap().collect().unwrap_err().to_string();
        assert!(
            error.contains("row 1, pixel 4: 1 of 3 channels missing; in YCoCg-R colours all are, or none"),
            "{error}"
        );
        assert_eq!(whole.before(seen.schema()), *pictures.schema());
        let quarter = View { quarter: true, ..whole };
        let part = quarter.of(Box::new(pictures.clone())).unwrap();
        assert_eq!((&part.schema().shape[..], part.schema().variables[4].categories), (&[3, 2, 2][..], 512));
        assert_eq!(quarter.before(part.schema()), *pictures.schema());
        let mut read = Vec::new();
        part.read(&[1, 0], &mut read).unwrap();
        for (row, found) in [1, 0].into_iter().zip(read.chunks_exact(12)) {
            let want: Vec<u16> = [0, 1, 4, 5, 16, 17, 20, 21, 32, 33, 36, 37].map(|v| seen.row(row)[v]).to_vec();
            assert_eq!(found, want);
        }
        let plain = View { colour: None, quarter: true };
        assert_eq!(plain.of(Box::new(pictures.clone())).unwrap().collect().unwrap().row(0)[..3], [0, 37, 148]);
        assert_eq!([whole, quarter, plain].map(|view| view.is_lossless()), [true, false, false]);
        assert_eq!(plain.space().to_string(), "raw, upper left quarter");
        let rounded = View { colour: Some(Colour::YCbCrRounded), quarter: false };
        assert_eq!(rounded.space().to_string(), "rounded YCbCr (lossy)");
        assert!(rounded.bits_lost_per_dim() > 0.6 && !rounded.is_lossless());
        let grey = View { colour: Some(Colour::Grey), quarter: true };
        let seen = grey.of(Box::new(pictures.clone())).unwrap().collect().unwrap();
        assert_eq!((&seen.schema().shape[..], seen.schema().len()), (&[1, 2, 2][..], 4));
        let of = |v: usize| Colour::Grey.map([0, 16, 32].map(|channel| pictures.row(1)[channel + v] as u8))[0];
        assert_eq!(seen.row(1), [0, 1, 4, 5].map(of));
        assert_eq!((seen.row(0)[3], grey.before(seen.schema())), (MISSING, pictures.schema().clone()));
        assert_eq!(grey.space().to_string(), "grey (lossy), upper left quarter");
    }

    #[test]
    fn what_cannot_be_seen_like_that_is_refused() {
        let says = |view: View, shape: &[usize], levels: usize, what: &str| {
            let error = view.schema(&Schema::uniform(shape, levels)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        let colours = View { colour: Some(Colour::YCoCgModulo), quarter: false };
        let quarter = View { colour: None, quarter: true };
        says(colours, &[4, 4], 256, "no pictures of three channels");
        says(colours, &[3, 2, 2], 300, "channel 0 has 300 levels");
        says(quarter, &[3, 2, 3], 256, "both must be even");
        says(quarter, &[12], 256, "are not pictures");
    }
}
