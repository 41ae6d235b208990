//! A tree over the pixels of an image: where a circuit looks for what a pixel depends on.

use super::{
    Draw, Drawn, Table,
    lines::heading,
    style::{FAINT, INK, Sizes, colour},
};
use crate::{Error, Result};
use plotters::{coord::Shift, prelude::*};

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
}

impl Draw for TreeMap {
    fn size(&self) -> (u32, u32) {
        let rows = self.parents.len() / self.width;
        let width = (self.cell() * self.width as f64) as u32 + 24;
        (width.max(28 + self.title.chars().count() as u32 * 9), (self.cell() * rows as f64) as u32 + 48)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let top = heading(area, sizes, &self.title, &[])?;
        let at = |v: usize| {
            let (row, column) = ((v / self.width) as f64, (v % self.width) as f64);
            (sizes.px(12.0 + (column + 0.5) * self.cell()), top + sizes.px((row + 0.5) * self.cell()))
        };
        let largest = self.weights.iter().copied().filter(|w| w.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        for (v, parent) in self.parents.iter().enumerate() {
            if let Some(parent) = parent {
                let width = 1.0 + 5.0 * (self.weights[v] / largest).clamp(0.0, 1.0);
                area.draw(&PathElement::new([at(v), at(*parent)], sizes.stroke(colour("hclt", 0), width)))?;
            }
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
