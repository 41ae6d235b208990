//! A tree over the pixels of an image: where a circuit looks for what a pixel depends on.

use super::{
    Draw, Drawn, Table,
    lines::{heading, number},
    style::{FAINT, INK, LABEL, Sizes, colour},
};
use crate::{Error, Result};
use plotters::{coord::Shift, drawing::DrawingAreaErrorKind, prelude::*};

/// Variables on a grid, lines from each to its parent, wider where the weight is larger.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeMap {
    title: String,
    parents: Vec<Option<usize>>,
    width: usize,
    weights: Vec<f64>,
    unit: String,
}

impl TreeMap {
    /// `weights` is one number a variable, that of the edge to its parent; the root's is not used.
    ///
    /// # Errors
    /// When there is not one weight a variable, or the grid is not whole rows of `width`.
    pub fn new(title: &str, parents: &[Option<usize>], width: usize, weights: &[f64], unit: &str) -> Result<Self> {
        if width == 0 || !parents.len().is_multiple_of(width) || weights.len() != parents.len() {
            let message = format!("{} variables and {} weights on rows of {width}", parents.len(), weights.len());
            return Err(Error::invalid(message));
        }
        let (parents, weights) = (parents.to_vec(), weights.to_vec());
        Ok(Self { title: title.into(), parents, width, weights, unit: unit.into() })
    }

    fn cell(&self) -> f64 {
        (420.0 / self.width as f64).clamp(14.0, 48.0)
    }

    /// Width in pixels and colour of a line, for a weight as a share of the largest.
    fn line(share: f64) -> (f64, RGBColor) {
        let share = share.clamp(0.0, 1.0);
        let RGBColor(r, g, b) = colour("hclt", 0);
        let pale = |c: u8| (255.0 - (255.0 - f64::from(c)) * (0.35 + 0.65 * share)) as u8;
        (1.0 + 5.0 * share, RGBColor(pale(r), pale(g), pale(b)))
    }

    /// The largest weight of an edge.
    fn largest(&self) -> f64 {
        let edges = self.weights.iter().zip(&self.parents).filter(|(_, parent)| parent.is_some());
        edges.map(|(w, _)| *w).filter(|w| w.is_finite()).fold(f64::MIN_POSITIVE, f64::max)
    }

    /// A line from one dot to another; where dots lie between, in an arc around them.
    fn path(&self, from: (i32, i32), to: (i32, i32), sizes: Sizes) -> Vec<(i32, i32)> {
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let cell = f64::from(sizes.px(self.cell()));
        if length < 1.5 * cell {
            return vec![from, to];
        }
        let bend = (0.12 * length).clamp(0.35 * cell, 0.8 * cell) / length;
        let at = |t: f64| {
            let out = 4.0 * t * (1.0 - t) * bend;
            let x = f64::from(from.0) + t * dx - out * dy;
            let y = f64::from(from.1) + t * dy + out * dx;
            (x.round() as i32, y.round() as i32)
        };
        (0..=24).map(|i| at(f64::from(i) / 24.0)).collect()
    }
}

impl TreeMap {
    /// Three lines with what their widths stand for.
    fn key<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes, y: i32) -> DrawResult<DB> {
        let largest = self.largest();
        let mut x = sizes.px(12.0);
        for share in [1.0, 0.5, 0.1] {
            let (width, colour) = Self::line(share);
            area.draw(&PathElement::new([(x, y), (x + sizes.px(20.0), y)], sizes.stroke(colour, width)))?;
            let unit = if share == 0.1 { format!(" {}", self.unit) } else { String::new() };
            let text = format!("{}{unit}", number((share * largest * 1e3).round() / 1e3));
            let style = sizes.text(LABEL);
            let (wide, high) = area.estimate_text_size(&text, &style)?;
            area.draw(&Text::new(text, (x + sizes.px(26.0), y - high as i32 / 2 - sizes.px(1.0)), style))?;
            x += sizes.px(40.0) + wide as i32;
        }
        Ok(())
    }
}

/// What drawing without pictures returns.
type DrawResult<DB> = std::result::Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

impl Draw for TreeMap {
    fn size(&self) -> (u32, u32) {
        let rows = self.parents.len() / self.width;
        let width = (self.cell() * self.width as f64) as u32 + 24;
        (width.max(28 + self.title.chars().count() as u32 * 9).max(300), (self.cell() * rows as f64) as u32 + 72)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let top = heading(area, sizes, &self.title, &[])? + sizes.px(24.0);
        self.key(area, sizes, top - sizes.px(20.0))?;
        let at = |v: usize| {
            let (row, column) = ((v / self.width) as f64, (v % self.width) as f64);
            (sizes.px(12.0 + (column + 0.5) * self.cell()), top + sizes.px((row + 0.5) * self.cell()))
        };
        let largest = self.largest();
        let mut edges: Vec<(usize, usize)> =
            (0..self.parents.len()).filter_map(|v| Some((v, self.parents[v]?))).collect();
        edges.sort_by(|a, b| self.weights[a.0].total_cmp(&self.weights[b.0]));
        for (v, parent) in edges {
            let (width, colour) = Self::line(self.weights[v] / largest);
            area.draw(&PathElement::new(self.path(at(v), at(parent), sizes), sizes.stroke(colour, width)))?;
        }
        for (v, parent) in self.parents.iter().enumerate() {
            let (fill, radius) = if parent.is_none() { (colour("", 1), 0.22) } else { (FAINT, 0.12) };
            let radius = self.cell() * radius;
            area.draw(&Circle::new(at(v), sizes.px(radius + 1.0), INK.filled()))?;
            area.draw(&Circle::new(at(v), sizes.px(radius), fill.filled()))?;
        }
        Ok(Vec::new())
    }

    fn table(&self) -> Result<Table> {
        let parent = |p: &Option<usize>| p.map_or(f64::NAN, |p| p as f64);
        let weight = |(p, w): (&Option<usize>, &f64)| if p.is_some() { *w } else { f64::NAN };
        Table::new()
            .counts("variable", 0..self.parents.len())?
            .numbers("parent", self.parents.iter().map(parent))?
            .numbers(&self.unit, self.parents.iter().zip(&self.weights).map(weight))
    }
}
