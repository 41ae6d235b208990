//! The look of every figure, in one place.

use plotters::style::{Color, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font};
use std::sync::Once;

/// The one family that figures use; its file is part of the library.
pub const FAMILY: &str = "sans-serif";
/// Text and axes.
pub const INK: RGBColor = RGBColor(38, 38, 38);
/// Grid lines and what stands back.
pub const FAINT: RGBColor = RGBColor(222, 222, 222);
/// Notes.
pub const QUIET: RGBColor = RGBColor(120, 120, 120);
/// Paper.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// Hidden pixels.
pub const HIDDEN: [u8; 3] = [86, 180, 233];

/// The colours of Okabe and Ito, which readers with any common colour blindness tell apart, a grey and a brown.
const PALETTE: [RGBColor; 9] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
    RGBColor(120, 72, 20),
];
/// Methods with a colour of their own, the same in every figure.
const METHODS: [(&str, usize); 15] = [
    ("hclt", 0),
    ("train", 0),
    ("test", 1),
    ("validation", 1),
    ("chow-liu", 2),
    ("independent", 4),
    ("mixture", 4),
    ("hmm", 1),
    ("random-tree", 3),
    ("rat-spn", 5),
    ("quad-tree", 6),
    ("quad-graph", 7),
    ("poon-domingos", 8),
    ("lvd (vq-vae)", 1),
    ("lvd-pg (vq-vae)", 2),
];

/// The colour of a method, or of the `index`-th series when it has none of its own.
pub fn colour(method: &str, index: usize) -> RGBColor {
    let own = METHODS.iter().find(|(name, _)| *name == method).map(|(_, i)| *i);
    PALETTE[own.unwrap_or(index) % PALETTE.len()]
}

/// Sizes in pixels at a magnification: 1 for SVG, 2 for PNG.
#[derive(Clone, Copy, Debug)]
pub struct Sizes(pub f64);

impl Sizes {
    /// `n` pixels of the figure, in pixels of the picture.
    pub fn px(self, n: f64) -> i32 {
        (n * self.0).round() as i32
    }

    /// Text of `n` pixels.
    pub fn text(self, n: f64) -> TextStyle<'static> {
        TextStyle::from((FAMILY, n * self.0)).color(&INK)
    }

    /// A line of `n` pixels.
    pub fn stroke(self, colour: RGBColor, n: f64) -> ShapeStyle {
        colour.stroke_width((n * self.0).round().max(1.0) as u32)
    }
}

/// The size of labels at axes and in legends, pixels.
pub const LABEL: f64 = 13.0;
/// The size of titles, pixels.
pub const TITLE: f64 = 15.0;

/// Makes the font known to plotters; every drawing begins with it.
pub(super) fn ensure_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let font = include_bytes!("font/DejaVuSans.ttf");
        // Fails only for a damaged file, and a test draws with it.
        let _ = register_font(FAMILY, FontStyle::Normal, font);
    });
}
