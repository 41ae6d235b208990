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
use plotters::{
    backend::{BitMapBackend, DrawingBackend, SVGBackend},
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    element::Text,
};
use std::{io::Write, path::Path};

/// Magnification of the PNG.
const MAGNIFIED: u32 = 2;
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

/// A figure: an SVG, a PNG of twice the size, and the table behind them.
#[derive(Clone)]
pub struct Figure {
    svg: String,
    png: Vec<u8>,
    table: Table,
    size: (u32, u32),
}

impl Figure {
    /// Draws `what`.
    ///
    /// # Errors
    /// When it cannot be drawn or has no table.
    pub fn new(what: &impl Draw) -> Result<Self> {
        Self::noted(what, "")
    }

    /// Draws `what`, with a small note at the lower edge: the scale and the seed it was made at.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn noted(what: &impl Draw, note: &str) -> Result<Self> {
        ensure_font();
        let (width, mut height) = what.size();
        if !note.is_empty() {
            height += NOTE;
        }
        let failed = |e: &dyn std::fmt::Display| Error::invalid(format!("the figure cannot be drawn: {e}"));
        let mut svg = String::new();
        let overlays = {
            let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            area.fill(&PAPER).map_err(|e| failed(&e))?;
            let overlays = draw_noted(what, &area, Sizes(1.0), note).map_err(|e| failed(&e))?;
            area.present().map_err(|e| failed(&e))?;
            overlays
        };
        if let Some(end) = svg.rfind("</svg>") {
            svg.insert_str(end, &overlays.iter().map(Overlay::svg).collect::<String>());
        }
        let (wide, high) = (width * MAGNIFIED, height * MAGNIFIED);
        let mut rgb = vec![0; (wide * high * 3) as usize];
        let overlays = {
            let area = BitMapBackend::with_buffer(&mut rgb, (wide, high)).into_drawing_area();
            area.fill(&PAPER).map_err(|e| failed(&e))?;
            let overlays = draw_noted(what, &area, Sizes(MAGNIFIED.into()), note).map_err(|e| failed(&e))?;
            area.present().map_err(|e| failed(&e))?;
            overlays
        };
        overlays.iter().for_each(|o| o.paint(&mut rgb, wide as usize));
        let png = encode(&rgb, wide as usize, high as usize);
        Ok(Self { svg, png, table: what.table()?, size: (width, height) })
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
        notebook::emit("image/png", &base64(&self.png));
    }
}

fn draw_noted<DB: DrawingBackend>(
    what: &impl Draw,
    area: &DrawingArea<DB, Shift>,
    sizes: Sizes,
    note: &str,
) -> Drawn<DB> {
    if note.is_empty() {
        return what.draw(area, sizes);
    }
    let (_, height) = area.dim_in_pixel();
    let (above, below) = area.split_vertically(height as i32 - sizes.px(NOTE.into()));
    below.draw(&Text::new(note.to_string(), (sizes.px(12.0), 0), sizes.text(LABEL - 3.0).color(&QUIET)))?;
    what.draw(&above, sizes)
}

impl std::fmt::Debug for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Figure({} × {})", self.size.0, self.size.1)
    }
}
