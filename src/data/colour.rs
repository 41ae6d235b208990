//! Colours in other coordinates, in which channels say less of each other.

use super::{Discrete, MISSING, Rows, Schema, Variable};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A map of colours `(R, G, B)`, each `0..=255`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colour {
    /// YCoCg-R: brightness, and two differences of 512 categories. A bijection, so likelihoods stay what they are.
    ///
    /// ```text
    /// Co = R − B,  t = B + ⌊Co / 2⌋,  Cg = G − t,  Y = t + ⌊Cg / 2⌋      stored: Y, Co + 256, Cg + 256
    /// ```
    /// Source: Malvar and Sullivan 2003.
    #[serde(rename = "ycocg-r")]
    YCoCgR,
    /// The same modulo 256, so that all three have 256 categories. A bijection.
    ///
    /// ```text
    /// lift(x, y) = ((x + ⌊d / 2⌋) mod 256, d),  d = (y − x) mod 256      (t, Co) = lift(R, B),  (Y, Cg) = lift(G, t)
    /// ```
    #[serde(rename = "ycocg-modulo")]
    YCoCgModulo,
    /// The rounded YCbCr of the published LVD-PG code. It is **no** bijection: three colours of four are lost, and bits of what it
    /// gives are not bits of the pictures.
    ///
    /// ```text
    /// Y  =  .2126 R + .7152 G + .0722 B,  Cb = −.1146 R − .3854 G + .5 B + 128,  Cr = .5 R − .4542 G − .0458 B + 128
    /// ```
    #[serde(rename = "ycbcr-rounded")]
    YCbCrRounded,
    /// The `Y` of the latter alone: pictures of one channel. Bits of what it gives are bits of brightness.
    #[serde(rename = "grey")]
    Grey,
}

impl Colour {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::YCoCgR => "YCoCg-R",
            Self::YCoCgModulo => "YCoCg modulo 256",
            Self::YCbCrRounded => "rounded YCbCr",
            Self::Grey => "grey",
        }
    }

    /// Whether the picture can be had back.
    pub fn is_lossless(self) -> bool {
        matches!(self, Self::YCoCgR | Self::YCoCgModulo)
    }

    /// Channels of what it gives.
    pub fn channels(self) -> usize {
        if self == Self::Grey { 1 } else { 3 }
    }

    /// Categories of each channel; of grey, the first alone counts.
    pub fn categories(self) -> [usize; 3] {
        if self == Self::YCoCgR { [256, 512, 512] } else { [256; 3] }
    }

    /// By how much bits a dimension of the pictures may exceed those of what the map gives: zero for a bijection; of three channels, the
    /// logarithm of the volume that it keeps, as if colours were spread evenly. Of grey ones nothing is known, and it is zero as well.
    pub fn bits_lost_per_dim(self) -> f64 {
        /// The determinant of the matrix.
        const KEPT: f64 = 0.24475;
        if self == Self::YCbCrRounded { -KEPT.log2() / 3.0 } else { 0.0 }
    }

    /// The colour in these coordinates; those beyond the [channels](Self::channels) are 0.
    pub fn map(self, [r, g, b]: [u8; 3]) -> [u16; 3] {
        match self {
            Self::YCoCgR => {
                let [r, g, b] = [r, g, b].map(i32::from);
                let co = r - b;
                let t = b + (co >> 1);
                let cg = g - t;
                [t + (cg >> 1), co + 256, cg + 256].map(|x| x as u16)
            }
            Self::YCoCgModulo => {
                let (t, co) = lift(r, b);
                let (y, cg) = lift(g, t);
                [y, co, cg].map(u16::from)
            }
            Self::Grey => [Self::YCbCrRounded.map([r, g, b])[0], 0, 0],
            Self::YCbCrRounded => {
                let [r, g, b] = [r, g, b].map(f64::from);
                let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
                let cb = -0.1146 * r - 0.3854 * g + 0.5 * b + 128.0;
                let cr = 0.5 * r - 0.4542 * g - 0.0458 * b + 128.0;
                [y, cb, cr].map(|x| x.round().clamp(0.0, 255.0) as u16)
            }
        }
    }

    /// The colour of which these are the coordinates; none where there is none, or where the map is no bijection.
    pub fn inverse(self, [y, co, cg]: [u16; 3]) -> Option<[u8; 3]> {
        match self {
            Self::YCoCgR => {
                let (y, co, cg) = (i32::from(y), i32::from(co) - 256, i32::from(cg) - 256);
                let t = y - (cg >> 1);
                let (g, b) = (cg + t, t - (co >> 1));
                let [r, g, b] = [b + co, g, b].map(|x| u8::try_from(x).ok());
                Some([r?, g?, b?])
            }
            Self::YCoCgModulo => {
                let [y, co, cg] = [y, co, cg].map(|x| u8::try_from(x).ok());
                let (g, t) = unlift(y?, cg?);
                let (r, b) = unlift(t, co?);
                Some([r, g, b])
            }
            Self::YCbCrRounded | Self::Grey => None,
        }
    }

    /// The colour in these coordinates, or where there is none the one at the edge of all colours; `None` where the map is no bijection.
    fn nearest(self, codes: [u16; 3]) -> Option<[u8; 3]> {
        let [y, co, cg] = codes.map(i32::from);
        self.inverse(codes).or_else(|| {
            let (co, cg) = (co - 256, cg - 256);
            let t = y - (cg >> 1);
            let b = t - (co >> 1);
            (self == Self::YCoCgR).then(|| [b + co, cg + t, b].map(|x| x.clamp(0, 255) as u8))
        })
    }

    /// Pictures back from these coordinates; and how many pixels had some that are no colour's, which go to the edge of the colours.
    ///
    /// # Errors
    /// When the rows are not in such coordinates, or the map is no bijection.
    pub fn undo(self, pictures: &Discrete) -> Result<(Discrete, usize)> {
        if !self.is_lossless() {
            let name = self.name();
            return Err(Error::invalid(format!("{name}: several colours became one, so that none comes back")));
        }
        let mut moved = 0;
        let back = |codes: [u16; 3]| {
            moved += usize::from(!codes.contains(&MISSING) && self.inverse(codes).is_none());
            let colour = (!codes.contains(&MISSING)).then(|| self.nearest(codes)).flatten();
            colour.map_or([MISSING; 3], |colour| colour.map(u16::from))
        };
        Ok((by_pixel(pictures, self.categories(), [256; 3], back)?, moved))
    }
}

fn lift(x: u8, y: u8) -> (u8, u8) {
    let d = y.wrapping_sub(x);
    (x.wrapping_add(d >> 1), d)
}

fn unlift(a: u8, d: u8) -> (u8, u8) {
    let x = a.wrapping_sub(d >> 1);
    (x, x.wrapping_add(d))
}

/// Pictures whose every pixel is mapped by itself.
fn by_pixel(
    pictures: &Discrete,
    from: [usize; 3],
    to: [usize; 3],
    mut map: impl FnMut([u16; 3]) -> [u16; 3],
) -> Result<Discrete> {
    let (schema, codes) = (pictures.schema(), pictures.codes());
    let [3, height, width] = schema.shape[..] else {
        return Err(Error::invalid(format!("rows of shape {:?} are no pictures of three channels", schema.shape)));
    };
    let pixels = height * width;
    if let Some(v) = (0..3 * pixels).find(|v| schema.variables[*v].categories != from[v / pixels]) {
        let (channel, k) = (v / pixels, schema.variables[v].categories);
        return Err(Error::invalid(format!("channel {channel} has {k} levels, where {} are expected", from[channel])));
    }
    let mut mapped = vec![0; codes.len()];
    for (row, into) in codes.chunks_exact(3 * pixels).zip(mapped.chunks_exact_mut(3 * pixels)) {
        for pixel in 0..pixels {
            let colour = map([0, 1, 2].map(|channel| row[channel * pixels + pixel]));
            (0..3).for_each(|channel| into[channel * pixels + pixel] = colour[channel]);
        }
    }
    let variable = |(v, variable): (usize, &Variable)| Variable { categories: to[v / pixels], ..variable.clone() };
    let variables = schema.variables.iter().enumerate().map(variable).collect();
    Discrete::new(Schema { variables, shape: schema.shape.clone() }, mapped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;
    use std::collections::HashSet;

    const LOSSLESS: [Colour; 2] = [Colour::YCoCgR, Colour::YCoCgModulo];

    fn comes_back(colour: [u8; 3]) {
        for map in LOSSLESS {
            let codes = map.map(colour);
            assert!(codes.iter().zip(map.categories()).all(|(code, k)| (*code as usize) < k), "{map:?} of {colour:?}");
            assert_eq!(map.inverse(codes), Some(colour), "{map:?}");
        }
    }

    #[test]
    fn all_colours_come_back() {
        (0..1_u32 << 24).into_par_iter().for_each(|i| comes_back([(i >> 16) as u8, (i >> 8) as u8, i as u8]));
        assert_eq!(Colour::YCoCgR.map([255, 0, 0]), [63, 511, 129]);
        assert_eq!(Colour::YCoCgR.map([7, 7, 7]), [7, 256, 256]);
    }

    #[test]
    fn rounded_colours_do_not() {
        let levels = || (0..64_u8).map(|i| 4 * i);
        let all = levels().flat_map(|r| levels().flat_map(move |g| levels().map(move |b| [r, g, b])));
        // On a coarse grid most colours are still apart; side by side three of four are not.
        let near =
            (0..32_u8).flat_map(|r| (0..32_u8).flat_map(move |g| (0..32_u8).map(move |b| [100 + r, 90 + g, 80 + b])));
        let kept = |colours: Vec<[u8; 3]>| {
            let codes: HashSet<[u16; 3]> = colours.iter().map(|c| Colour::YCbCrRounded.map(*c)).collect();
            codes.len() as f64 / colours.len() as f64
        };
        let (apart, near) = (kept(all.collect()), kept(near.collect()));
        assert!(apart > 0.9 && (0.2..0.4).contains(&near), "{apart}, {near}");
        assert!((Colour::YCbCrRounded.bits_lost_per_dim() - 0.677).abs() < 1e-3);
        assert!(Colour::YCbCrRounded.inverse([1, 2, 3]).is_none() && Colour::Grey.inverse([1, 0, 0]).is_none());
        assert_eq!([[7, 7, 7], [255, 0, 0], [0, 0, 255]].map(|colour| Colour::Grey.map(colour)[0]), [7, 54, 18]);
    }

    #[test]
    fn what_is_no_colour_goes_to_the_edge_and_what_is_missing_stays() {
        let mut schema = Schema::uniform(&[3, 1, 3], 512);
        schema.variables[..3].iter_mut().for_each(|v| v.categories = 256);
        // (200, 100, 50); a red beyond red; a pixel that is missing.
        let codes = vec![112, 255, MISSING, 406, 511, MISSING, 231, 256, MISSING];
        let (back, moved) = Colour::YCoCgR.undo(&Discrete::new(schema.clone(), codes).unwrap()).unwrap();
        assert_eq!(back.codes(), [200, 255, MISSING, 100, 255, MISSING, 50, 128, MISSING]);
        assert_eq!(moved, 1);
        let says = |map: Colour, schema: &Schema, what: &str| {
            let error = map.undo(&Discrete::all_missing(schema.clone(), 1)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        says(Colour::YCbCrRounded, &Schema::uniform(&[3, 1, 3], 256), "none comes back");
        says(Colour::YCoCgR, &Schema::uniform(&[2, 2], 256), "three channels");
        says(Colour::YCoCgModulo, &schema, "512 levels");
    }
}
