//! Squares of the plane side by side: densities, clouds of points, bent grids.

use super::{
    Draw, Drawn, Overlay, Table,
    lines::heading,
    style::{FAINT, LABEL, QUIET, Sizes, colour},
};
use crate::Result;
use plotters::{coord::Shift, prelude::*};

/// Panels in rows, each the square `[−reach, reach]²` with its name above it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    title: String,
    columns: usize,
    panels: Vec<Panel>,
}

#[derive(Clone, Debug, PartialEq)]
struct Panel {
    name: String,
    reach: f64,
    shows: Shows,
}

#[derive(Clone, Debug, PartialEq)]
enum Shows {
    /// Relative densities in the middle of `SIDE × SIDE` cells, the upper left first.
    Density(Vec<f64>),
    Points(Vec<[f64; 2]>),
    Curves(Vec<Vec<[f64; 2]>>),
}

/// Cells along a side of a density.
const SIDE: usize = 48;
/// Width of a panel, and of the space between two, pixels.
const PANEL: f64 = 150.0;
const GAP: f64 = 14.0;
/// Height of a panel's name.
const NAME: f64 = 20.0;

impl Planes {
    /// An empty figure, `columns` panels wide.
    pub fn new(title: &str, columns: usize) -> Self {
        Self { title: title.into(), columns: columns.max(1), panels: Vec::new() }
    }

    fn panel(mut self, name: &str, reach: f64, shows: Shows) -> Self {
        self.panels.push(Panel { name: name.into(), reach, shows });
        self
    }

    /// Adds a density, darker where it is higher. `log_prob` is asked once, for the middle of every cell.
    #[must_use]
    pub fn density(self, name: &str, reach: f64, log_prob: impl FnOnce(&[[f64; 2]]) -> Vec<f64>) -> Self {
        let logs = log_prob(&Self::cells(reach));
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let relative = logs.iter().map(|l| (l - highest).exp()).collect();
        self.panel(name, reach, Shows::Density(relative))
    }

    /// The middles of the cells of a [`density`](Self::density), the upper left first.
    pub fn cells(reach: f64) -> Vec<[f64; 2]> {
        let at = |i: usize| reach * ((2 * i + 1) as f64 / SIDE as f64 - 1.0);
        (0..SIDE * SIDE).map(|i| [at(i % SIDE), -at(i / SIDE)]).collect()
    }

    /// Adds a cloud of points; those outside are not drawn.
    #[must_use]
    pub fn points(self, name: &str, reach: f64, points: impl IntoIterator<Item = [f64; 2]>) -> Self {
        self.panel(name, reach, Shows::Points(points.into_iter().collect()))
    }

    /// Adds curves, such as the lines of a grid after a bijection; what leaves the square is cut off.
    #[must_use]
    pub fn curves(self, name: &str, reach: f64, curves: impl IntoIterator<Item = Vec<[f64; 2]>>) -> Self {
        self.panel(name, reach, Shows::Curves(curves.into_iter().collect()))
    }

    /// The lines of a square grid, `lines` each way, `dots` points on each: to be bent by a bijection.
    pub fn grid(reach: f64, lines: usize, dots: usize) -> Vec<Vec<[f64; 2]>> {
        let at = |i: usize, n: usize| reach * (2.0 * i as f64 / (n - 1).max(1) as f64 - 1.0);
        let line = |i: usize| -> Vec<[f64; 2]> { (0..dots).map(|j| [at(i, lines), at(j, dots)]).collect() };
        let turned = |i: usize| line(i).into_iter().map(|[x, y]| [y, x]).collect();
        (0..lines).map(line).chain((0..lines).map(turned)).collect()
    }

    fn rows(&self) -> usize {
        self.panels.len().div_ceil(self.columns)
    }
}

impl Draw for Planes {
    fn size(&self) -> (u32, u32) {
        let columns = self.columns.min(self.panels.len().max(1)) as f64;
        let width = 24.0 + columns * (PANEL + GAP);
        let title = 28.0 + self.title.chars().count() as f64 * 9.0;
        (width.max(title) as u32, (42.0 + self.rows() as f64 * (PANEL + NAME + GAP)) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let top = heading(area, sizes, &self.title, &[])?;
        let mut overlays = Vec::new();
        for (i, panel) in self.panels.iter().enumerate() {
            let (row, column) = ((i / self.columns) as f64, (i % self.columns) as f64);
            let left = sizes.px(14.0 + column * (PANEL + GAP));
            let upper = top + sizes.px(row * (PANEL + NAME + GAP) + NAME);
            let side = sizes.px(PANEL);
            let name = sizes.text(LABEL - 1.0);
            area.draw(&Text::new(panel.name.clone(), (left, upper - sizes.px(NAME - 3.0)), name))?;
            let place = |[x, y]: [f64; 2]| {
                let at = |v: f64| ((v / panel.reach + 1.0) / 2.0 * f64::from(side)).round() as i32;
                (left + at(x), upper + at(-y))
            };
            let inside = |[x, y]: &[f64; 2]| x.abs() <= panel.reach && y.abs() <= panel.reach;
            match &panel.shows {
                Shows::Density(relative) => {
                    let (width, height) = (side as u32, side as u32);
                    let rgb = relative.iter().flat_map(|p| shade(*p)).collect();
                    overlays.push(Overlay { x: left, y: upper, width, height, columns: SIDE, rows: SIDE, rgb });
                }
                Shows::Points(points) => {
                    let dot = colour("", 0).mix(0.55).filled();
                    let radius = sizes.px(1.2).max(1);
                    for point in points.iter().filter(|p| inside(p)) {
                        area.draw(&Circle::new(place(*point), radius, dot))?;
                    }
                }
                Shows::Curves(curves) => {
                    for curve in curves {
                        for part in curve.split(|p| !inside(p)) {
                            for line in gentle(part.iter().map(|p| place(*p))) {
                                area.draw(&PathElement::new(line, sizes.stroke(colour("", 0), 1.0)))?;
                            }
                        }
                    }
                }
            }
            let frame = Rectangle::new([(left, upper), (left + side, upper + side)], sizes.stroke(FAINT, 1.0));
            area.draw(&frame)?;
            // In the first row, wherever it changes.
            if i < self.columns && (i == 0 || self.panels[i - 1].reach != panel.reach) {
                let reach = format!("±{}", panel.reach);
                let style = sizes.text(LABEL - 3.0).color(&QUIET);
                let (wide, _) = area.estimate_text_size(&reach, &style)?;
                let corner = (left + side - wide as i32, upper + side + sizes.px(1.0));
                area.draw(&Text::new(reach, corner, style))?;
            }
        }
        Ok(overlays)
    }

    /// A row for each point and each point of a curve; for a density, its ratio to the highest at every third cell each way.
    fn table(&self) -> Result<Table> {
        let mut names = Vec::new();
        let mut values: Vec<[f64; 3]> = Vec::new();
        // As many digits as can be seen.
        let round = |x: f64| (x * 1e3).round() / 1e3;
        for panel in &self.panels {
            let mut add = |x: f64, y: f64, value: f64| {
                names.push(panel.name.as_str());
                values.push([round(x), round(y), value]);
            };
            match &panel.shows {
                Shows::Density(relative) => {
                    // Every third cell each way: what the picture shows, in a file of a reasonable size.
                    let shown = |i: usize| (i % SIDE).is_multiple_of(3) && (i / SIDE).is_multiple_of(3);
                    let cells = Self::cells(panel.reach).into_iter().zip(relative).enumerate();
                    cells.filter(|(i, _)| shown(*i)).for_each(|(_, ([x, y], p))| add(x, y, round(*p)));
                }
                Shows::Points(points) => points.iter().for_each(|[x, y]| add(*x, *y, f64::NAN)),
                Shows::Curves(curves) => curves.iter().enumerate().for_each(|(i, curve)| {
                    curve.iter().for_each(|[x, y]| add(*x, *y, i as f64));
                }),
            }
        }
        Table::new()
            .text("panel", names)?
            .numbers("x", values.iter().map(|v| v[0]))?
            .numbers("y", values.iter().map(|v| v[1]))?
            .numbers("density or curve", values.iter().map(|v| v[2]))
    }
}

/// A line in parts that do not turn sharply: the outer edge of a sharp turn would be drawn far away.
fn gentle(line: impl Iterator<Item = (i32, i32)>) -> Vec<Vec<(i32, i32)>> {
    let mut parts: Vec<Vec<(i32, i32)>> = Vec::new();
    for to in line {
        let Some(part) = parts.last_mut() else {
            parts.push(vec![to]);
            continue;
        };
        match part[..] {
            [.., at] if at == to => {}
            [.., from, at] if (at.0 - from.0) * (to.0 - at.0) + (at.1 - from.1) * (to.1 - at.1) < 0 => {
                parts.push(vec![at, to]);
            }
            _ => part.push(to),
        }
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// White to dark blue.
fn shade(p: f64) -> [u8; 3] {
    // Low densities can still be seen.
    let p = if p.is_finite() { p.clamp(0.0, 1.0).sqrt() } else { 0.0 };
    [(255.0, 0.0), (255.0, 68.0), (255.0, 128.0)].map(|(from, to): (f64, f64)| (from + (to - from) * p).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Figure;

    #[test]
    fn a_density_is_darkest_where_it_is_highest() {
        let normal = |cells: &[[f64; 2]]| cells.iter().map(|[x, y]| -x * x - y * y).collect();
        let planes = Planes::new("A title", 2)
            .density("normal", 3.0, normal)
            .points("points", 3.0, [[0.0, 1.0], [9.0, 0.0]])
            .curves("grid", 3.0, Planes::grid(2.0, 3, 5));
        let Shows::Density(relative) = &planes.panels[0].shows else { panic!("not a density") };
        let highest = relative.iter().copied().fold(0.0, f64::max);
        assert_eq!(highest, 1.0);
        let at = relative.iter().position(|p| *p == highest).unwrap();
        assert!([at / SIDE, at % SIDE].iter().all(|i| (SIDE / 2 - 1..=SIDE / 2).contains(i)), "{at}");
        assert!(shade(1.0)[0] < shade(0.1)[0] && shade(0.0) == [255; 3]);
        assert_eq!(gentle([(0, 0), (0, 0), (5, 0), (1, 1)].into_iter()), [[(0, 0), (5, 0)], [(5, 0), (1, 1)]]);
        let figure = Figure::new(&planes).unwrap();
        assert!(figure.svg().contains("normal") && figure.svg().contains("<image"));
        assert_eq!(figure.table().frame().height(), SIDE * SIDE / 9 + 2 + 6 * 5);
    }
}
