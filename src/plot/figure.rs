//! A drawn figure with the table it was drawn from.

use super::{
    Overlay, Table,
    overlay::encode,
    style::{LABEL, PAPER, QUIET, Sizes, ensure_font},
};
use crate::{
    Error, Result,
    archive::write_atomically,
    notebook::{self, base64},
};
use image::{RgbImage, imageops::thumbnail};
use plotters::{
    backend::{BitMapBackend, DrawingBackend, SVGBackend},
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::Text,
};
use std::{io::Write, path::Path};

/// Magnification at which a picture is drawn before it is made smaller: plotters fills a slanted line pixel by pixel, and the
/// wider it is, the less its slope shows.
const DRAWN: f64 = 6.0;
/// The most pixels of such a picture; what would have more is magnified less.
const MOST: f64 = 4e7;
/// Magnification of the PNG.
const MAGNIFIED: f64 = 2.0;
/// Magnification in a notebook, where a pixel of the picture is one of the page.
const SHOWN: f64 = 1.5;
/// Height of a note, pixels.
const NOTE: u32 = 18;

/// What drawing returns: pictures to lay over, or the backend's error.
pub type Drawn<DB> = std::result::Result<Vec<Overlay>, DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Something that can be drawn, and the numbers it is drawn from.
pub trait Draw {
    /// Width and height, pixels.
    fn size(&self) -> (u32, u32);

    /// Draws onto `area`, with lengths and fonts from `sizes`.
    ///
    /// # Errors
    /// The backend's.
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB>;

    /// The numbers.
    ///
    /// # Errors
    /// When they do not form a table.
    fn table(&self) -> Result<Table>;
}

/// What [`Figure`] draws: a [`Draw`], compiled for both backends here and once.
///
/// A generic `Figure::new` would be compiled with all of plotters' drawing in every cell that calls it: 10 s and more.
pub trait Picture {
    /// See [`Draw::size`].
    fn size(&self) -> (u32, u32);

    /// See [`Draw::draw`].
    ///
    /// # Errors
    /// The backend's.
    fn onto_svg<'a>(&self, area: &DrawingArea<SVGBackend<'a>, Shift>, sizes: Sizes) -> Drawn<SVGBackend<'a>>;

    /// See [`Draw::draw`].
    ///
    /// # Errors
    /// The backend's.
    fn onto_bitmap<'a>(&self, area: &DrawingArea<BitMapBackend<'a>, Shift>, sizes: Sizes) -> Drawn<BitMapBackend<'a>>;

    /// See [`Draw::table`].
    ///
    /// # Errors
    /// When the numbers do not form a table.
    fn table(&self) -> Result<Table>;
}

// Not one `impl<T: Draw> Picture for T`: its methods, too, would be compiled where they are used.
macro_rules! pictures {
    ($($drawn:ty),*) => {$(
        impl Picture for $drawn {
            fn size(&self) -> (u32, u32) {
                Draw::size(self)
            }
            fn onto_svg<'a>(&self, area: &DrawingArea<SVGBackend<'a>, Shift>, sizes: Sizes) -> Drawn<SVGBackend<'a>> {
                self.draw(area, sizes)
            }
            fn onto_bitmap<'a>(
                &self,
                area: &DrawingArea<BitMapBackend<'a>, Shift>,
                sizes: Sizes,
            ) -> Drawn<BitMapBackend<'a>> {
                self.draw(area, sizes)
            }
            fn table(&self) -> Result<Table> {
                Draw::table(self)
            }
        }
    )*};
}
pictures!(super::Diagram, super::Dots, super::Lines, super::Planes, super::Tiles, super::TreeMap);

/// A figure: an SVG, a PNG of twice the size, and the table behind them.
#[derive(Clone)]
pub struct Figure {
    svg: String,
    png: Vec<u8>,
    shown: Vec<u8>,
    table: Table,
    size: (u32, u32),
}

impl Figure {
    /// Draws `what`.
    ///
    /// # Errors
    /// When it cannot be drawn or has no table.
    pub fn new(what: &dyn Picture) -> Result<Self> {
        Self::noted(what, "")
    }

    /// Draws `what`, with a small note at the lower edge: the scale and the seed it was made at.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn noted(what: &dyn Picture, note: &str) -> Result<Self> {
        ensure_font();
        let (width, mut height) = what.size();
        if !note.is_empty() {
            height += NOTE;
        }
        let mut svg = String::new();
        let overlays = {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            paint(&area, Sizes(1.0), note, |area, sizes| what.onto_svg(area, sizes))?
        };
        if let Some(end) = svg.rfind("</svg>") {
            svg.insert_str(end, &overlays.iter().map(Overlay::svg).collect::<String>());
        }
        let size = (width, height);
        let drawn = bitmap(what, size, note)?;
        let [png, shown] = [MAGNIFIED, SHOWN].map(|magnified| {
            let [width, height] = [width, height].map(|n| Sizes(magnified).px(n.into()) as u32);
            encode(&thumbnail(&drawn, width, height), width as usize, height as usize)
        });
        Ok(Self { svg, png, shown, table: what.table()?, size })
    }

    /// The figure as SVG.
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The figure as PNG, at twice the size.
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// The numbers it was drawn from.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// An `<img>` element that carries the whole picture.
    pub fn html(&self) -> String {
        let (width, height) = self.size;
        format!("<img width=\"{width}\" height=\"{height}\" src=\"data:image/png;base64,{}\"/>", base64(&self.png))
    }

    /// Writes `name.svg`, `name.png` and `name.csv` into a folder, each through a temporary file.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>, name: &str) -> Result<()> {
        let folder = folder.as_ref();
        write_atomically(&folder.join(format!("{name}.svg")), |f| f.write_all(self.svg.as_bytes()))?;
        write_atomically(&folder.join(format!("{name}.png")), |f| f.write_all(&self.png))?;
        self.table.save(folder.join(format!("{name}.csv")))
    }

    /// Shows the figure in a notebook; evcxr calls it for the last expression of a cell.
    pub fn evcxr_display(&self) {
        notebook::emit("image/png", &base64(&self.shown));
    }
}

/// A figure of `size`, many times as large.
fn bitmap(what: &dyn Picture, size: (u32, u32), note: &str) -> Result<RgbImage> {
    let fits = (MOST / (f64::from(size.0) * f64::from(size.1))).sqrt();
    let sizes = Sizes(DRAWN.min(fits).max(MAGNIFIED));
    let (width, height) = (sizes.px(size.0.into()) as u32, sizes.px(size.1.into()) as u32);
    let mut rgb = vec![0; (width * height * 3) as usize];
    let overlays = {
        let area = BitMapBackend::with_buffer(&mut rgb, (width, height)).into_drawing_area();
        paint(&area, sizes, note, |area, sizes| what.onto_bitmap(area, sizes))?
    };
    overlays.iter().for_each(|o| o.paint(&mut rgb, width as usize));
    Ok(RgbImage::from_raw(width, height, rgb).expect("a buffer of the right size"))
}

/// Draws on paper, with the note at the lower edge.
fn paint<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    sizes: Sizes,
    note: &str,
    what: impl Fn(&DrawingArea<DB, Shift>, Sizes) -> Drawn<DB>,
) -> Result<Vec<Overlay>> {
    let draw = || {
        area.fill(&PAPER)?;
        let overlays = if note.is_empty() {
            what(area, sizes)?
        } else {
            let (_, height) = area.dim_in_pixel();
            let (above, below) = area.split_vertically(height as i32 - sizes.px(NOTE.into()));
            below.draw(&Text::new(note.to_string(), (sizes.px(12.0), 0), sizes.text(LABEL - 3.0).color(&QUIET)))?;
            what(&above, sizes)?
        };
        area.present()?;
        Ok(overlays)
    };
    draw().map_err(|e: DrawingAreaErrorKind<DB::ErrorType>| Error::invalid(format!("the figure cannot be drawn: {e}")))
}

impl std::fmt::Debug for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Figure({} × {})", self.size.0, self.size.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{Discrete, Schema},
        plot::{Axis, Diagram, DiagramNode, Dots, Lines, Series, Tiles, TreeMap},
    };

    /// The value of an attribute of an SVG element.
    fn attribute(element: &str, name: &str) -> Option<f64> {
        let start = element.find(&format!(" {name}=\""))? + name.len() + 3;
        element[start..].split('"').next()?.parse().ok()
    }

    /// Every text lies within the picture, by a generous estimate of its width, and no two share a place.
    fn gate(what: &dyn Picture, expected: &[&str]) {
        let figure = Figure::noted(what, "scale small · seed 0").unwrap();
        let (width, height) = (f64::from(figure.size.0), f64::from(figure.size.1));
        let mut places = Vec::new();
        for element in figure.svg().split("<text").skip(1) {
            let (head, rest) = element.split_once('>').unwrap();
            let text = rest.split("</text>").next().unwrap().trim();
            let (x, y, size) =
                (attribute(head, "x").unwrap(), attribute(head, "y").unwrap(), attribute(head, "font-size").unwrap());
            let length = text.chars().count() as f64 * size * 0.62 / 1.24;
            let (left, right) = match head {
                _ if head.contains("rotate(") => (x, x),
                _ if head.contains("text-anchor=\"middle\"") => (x - length / 2.0, x + length / 2.0),
                _ if head.contains("text-anchor=\"end\"") => (x - length, x),
                _ => (x, x + length),
            };
            assert!(
                left >= 0.0 && right <= width && y >= 0.0 && y <= height,
                "{text:?} at {left}..{right}, {y} of {width} × {height}"
            );
            assert!(!places.contains(&(x.to_bits(), y.to_bits())), "{text:?} is drawn over another");
            places.push((x.to_bits(), y.to_bits()));
        }
        for text in expected {
            assert!(figure.svg().contains(text), "{text:?} is not in the figure");
        }
        assert!(figure.table().frame().height() > 0);
        image::load_from_memory(figure.png()).unwrap();
    }

    #[test]
    fn figures_pass_the_gate() {
        let steps = (0..50).map(|i| (f64::from(i), 1e5 / f64::from(i + 1)));
        let lines = Lines::new("A title", "step", "loss (nats)");
        let lines = lines
            .with(Series::new("train", steps.clone()))
            .with(Series::new("validation", steps.map(|(x, y)| (x, y * 1.2))));
        gate(&lines, &["A title", "step", "loss (nats)", "train", "validation"]);
        gate(&lines.axes(Axis::Linear, Axis::Log), &["loss (nats)"]);
        let many = (0..9).fold(Lines::new("Nine", "x", "y"), |lines, i| {
            lines.with(Series::new(&format!("a rather long name {i}"), [(0.0, f64::from(i)), (1.0, 1.0)]))
        });
        gate(&many, &["a rather long name 8"]);
        let node = |level, label: &str| DiagramNode { level, label: label.into(), flow: 0.5 };
        let nodes = vec![node(0, "+"), node(1, "rain"), node(1, "lawn")];
        gate(&Diagram::new("A diagram with a long title", nodes, vec![(0, 1, 0.2), (0, 2, 1.0)]).unwrap(), &["rain"]);
        gate(
            &Dots::new("Models", "bits/dim").with("hclt", 1.9, 0.01).with("independent pixels", 2.4, 0.02),
            &["bits/dim", "hclt"],
        );
        let students = Dots::new("Students", "nats");
        gate(
            &students.with_each("one-shot", [("teacher", -102.0, 0.7), ("student", -99.0, 0.2)]),
            &["teacher", "student", "one-shot"],
        );
        let pictures = Discrete::new(Schema::uniform(&[2, 2], 4), (0..12).map(|i| i % 4).collect()).unwrap();
        gate(
            &Tiles::new("A title longer than its pictures are wide", 2, 20).with("known", &pictures).unwrap(),
            &["known"],
        );
        let parents = [None, Some(0), Some(0), Some(1)];
        gate(&TreeMap::new("A tree", &parents, 2, &[0.0, 0.3, 0.2, 0.1], "nats").unwrap(), &["A tree", "scale small"]);
    }
}
