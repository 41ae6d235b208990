//! Pictures in rows and columns: samples, reconstructions, data.

use super::{
    Draw, Drawn, Figure, Overlay, Table,
    lines::heading,
    style::{HIDDEN, LABEL, QUIET, Sizes},
};
use crate::{
    Error, Result,
    data::{Discrete, Images, LabelMaps, MISSING, Rows},
    notebook,
};
use plotters::{coord::Shift, prelude::*};

/// Grey or colour pictures of one size in a grid, with a name before each row of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    title: String,
    names: Vec<String>,
    columns: usize,
    /// Channels (1 or 3), height and width of a picture.
    shape: [usize; 3],
    levels: usize,
    pictures: Vec<Vec<u16>>,
    tile: u32,
}

impl Tiles {
    /// An empty grid, `columns` pictures wide, each drawn `tile` pixels wide.
    pub fn new(title: &str, columns: usize, tile: u32) -> Self {
        let (names, pictures) = (Vec::new(), Vec::new());
        Self { title: title.into(), names, columns: columns.max(1), shape: [1, 1, 1], levels: 2, pictures, tile }
    }

    /// Adds one row of the grid, called `name`: the first pictures of `rows`. Missing pixels are drawn light blue.
    ///
    /// # Errors
    /// When the rows are not pictures `[H, W]`, `[1, H, W]` or `[3, H, W]`, or differ in shape from those before.
    pub fn with(mut self, name: &str, rows: &Discrete) -> Result<Self> {
        let shape = match rows.schema().shape[..] {
            [h, w] => [1, h, w],
            [c @ (1 | 3), h, w] => [c, h, w],
            ref other => return Err(Error::invalid(format!("rows of shape {other:?} are not pictures"))),
        };
        if !self.pictures.is_empty() && shape != self.shape {
            return Err(Error::invalid(format!("pictures of {shape:?} among pictures of {:?}", self.shape)));
        }
        self.shape = shape;
        self.levels = rows.schema().variables.iter().map(|v| v.categories).max().unwrap_or(2);
        self.names.push(name.into());
        for i in 0..self.columns {
            self.pictures.push(if i < rows.len() { rows.row(i).to_vec() } else { Vec::new() });
        }
        Ok(self)
    }

    fn rgb(&self, picture: &[u16]) -> Vec<u8> {
        let [channels, h, w] = self.shape;
        let level = |code: u16| (code as usize * 255 / (self.levels - 1).max(1)).min(255) as u8;
        let pixel = |i: usize| match picture[i] {
            MISSING => HIDDEN,
            code if channels == 1 => [level(code); 3],
            _ => [0, 1, 2].map(|c| level(picture[c * h * w + i])),
        };
        (0..h * w).flat_map(pixel).collect()
    }

    fn tile_height(&self) -> u32 {
        (self.tile as usize * self.shape[1] / self.shape[2].max(1)).max(1) as u32
    }

    fn name_width(&self) -> u32 {
        let longest = self.names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as u32;
        if longest == 0 { 12 } else { 24 + longest * 8 }
    }
}

/// Pixels between pictures.
const GAP: u32 = 4;

impl Draw for Tiles {
    fn size(&self) -> (u32, u32) {
        let width = self.name_width() + self.columns as u32 * (self.tile + GAP) + 12;
        let title = 28 + self.title.chars().count() as u32 * 9;
        (width.max(title), 36 + self.names.len() as u32 * (self.tile_height() + GAP) + 12)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let top = heading(area, sizes, &self.title, &[])?;
        let (width, height) = (f64::from(self.tile), f64::from(self.tile_height()));
        for (row, name) in self.names.iter().enumerate() {
            let style = sizes.text(LABEL);
            let (_, text) = area.estimate_text_size(name, &style)?;
            let middle = sizes.px((row as f64 + 0.5) * height + row as f64 * f64::from(GAP));
            area.draw(&Text::new(name.clone(), (sizes.px(12.0), top + middle - text as i32 / 2), style))?;
        }
        let place = |i: usize| {
            let (row, column) = ((i / self.columns) as f64, (i % self.columns) as f64);
            let x = f64::from(self.name_width()) + column * (width + f64::from(GAP));
            (sizes.px(x), top + sizes.px(row * (height + f64::from(GAP))))
        };
        let present = || self.pictures.iter().enumerate().filter(|(_, picture)| !picture.is_empty());
        // A thin edge: bright pixels at the border of a picture are not to run into the paper.
        for (i, _) in present() {
            let (x, y) = place(i);
            let corners = [
                (x - sizes.px(1.0), y - sizes.px(1.0)),
                (x + sizes.px(width) + sizes.px(1.0), y + sizes.px(height) + sizes.px(1.0)),
            ];
            area.draw(&Rectangle::new(corners, QUIET.filled()))?;
        }
        Ok(present()
            .map(|(i, picture)| {
                let (x, y) = place(i);
                let (width, height) = (sizes.px(width) as u32, sizes.px(height) as u32);
                Overlay { x, y, width, height, columns: self.shape[2], rows: self.shape[1], rgb: self.rgb(picture) }
            })
            .collect())
    }

    /// One row a picture, its levels in one cell, `?` for a hidden one.
    fn table(&self) -> Result<Table> {
        let present = || self.pictures.iter().enumerate().filter(|(_, picture)| !picture.is_empty());
        let level = |code: &u16| if *code == MISSING { "?".to_string() } else { code.to_string() };
        let levels = |picture: &Vec<u16>| picture.iter().map(level).collect::<Vec<_>>().join(" ");
        Table::new()
            .text("row", present().map(|(i, _)| self.names[i / self.columns].as_str()))?
            .counts("picture", present().map(|(i, _)| i % self.columns))?
            .text("levels", present().map(|(_, picture)| levels(picture)))
    }
}

/// Pixels that a bare value's pictures are drawn wide, and how many pictures.
const SHOWN: (u32, usize) = (56, 12);

impl Discrete {
    /// Shows the first rows where they are pictures, and says what the columns are; evcxr calls it for the last expression of a
    /// cell.
    pub fn evcxr_display(&self) {
        show(&format!("{self:?}"), self);
    }
}

impl<const C: usize, const H: usize, const W: usize> Images<C, H, W> {
    /// Shows the first images; evcxr calls it for the last expression of a cell.
    pub fn evcxr_display(&self) {
        show(&format!("{self:?}"), &self.discrete());
    }
}

impl<const K: usize, const H: usize, const W: usize> LabelMaps<K, H, W> {
    /// Shows the first maps; evcxr calls it for the last expression of a cell.
    pub fn evcxr_display(&self) {
        show(&format!("{self:?}"), &self.discrete());
    }
}

fn show(what: &str, rows: &Discrete) {
    let (width, most) = SHOWN;
    let tiles = Tiles::new(what, most, width).with("", rows);
    match tiles.and_then(|tiles| Figure::new(&tiles)) {
        Ok(figure) => figure.evcxr_display(),
        Err(_) => notebook::emit("text/plain", what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Schema;

    #[test]
    fn hidden_pixels_are_blue_and_the_rest_is_grey() {
        let data = Discrete::new(Schema::uniform(&[1, 2], 3), vec![2, MISSING]).unwrap();
        let tiles = Tiles::new("A title", 2, 10).with("data", &data).unwrap();
        assert_eq!(tiles.rgb(&tiles.pictures[0]), [[255; 3], HIDDEN].concat());
        let figure = Figure::new(&tiles).unwrap();
        assert!(figure.svg().contains("<image") && figure.svg().contains("data"));
        assert_eq!(figure.table().frame().shape(), (1, 3));
        let row = Discrete::new(Schema::uniform(&[2], 3), vec![2, 0]).unwrap();
        assert!(tiles.with("not a picture", &row).is_err());
    }
}
