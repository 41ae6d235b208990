//! One number a name, as dots with error bars on a common axis: rows of a comparison.

use super::{
    Draw, Drawn, Table,
    lines::{heading, number},
    style::{FAINT, INK, LABEL, Sizes, colour},
};
use crate::Result;
use plotters::{coord::Shift, prelude::*};

/// Names down the side, a value and its standard error for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Dots {
    title: String,
    x: String,
    rows: Vec<(String, Vec<Dot>)>,
}

/// A value in a row, and what it is of, where a row has several.
#[derive(Clone, Debug, PartialEq)]
struct Dot {
    of: String,
    value: f64,
    error: f64,
}

impl Dots {
    /// An empty figure; the axis is named with its unit.
    pub fn new(title: &str, x: &str) -> Self {
        Self { title: title.into(), x: x.into(), rows: Vec::new() }
    }

    /// Adds a row: `value ± error`.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64, error: f64) -> Self {
        self.rows.push((name.into(), vec![Dot { of: String::new(), value, error }]));
        self
    }

    /// Adds a row of several values, each with the name of what it is of: one colour in all rows.
    #[must_use]
    pub fn with_each<'a>(mut self, name: &str, values: impl IntoIterator<Item = (&'a str, f64, f64)>) -> Self {
        let dots = values.into_iter().map(|(of, value, error)| Dot { of: of.into(), value, error });
        self.rows.push((name.into(), dots.collect()));
        self
    }

    /// What the dots are of, in the order in which it comes first.
    fn legend(&self) -> Vec<(String, RGBColor)> {
        let mut legend: Vec<(String, RGBColor)> = Vec::new();
        for dot in self.dots().map(|(_, dot)| dot).filter(|dot| !dot.of.is_empty()) {
            if legend.iter().all(|(name, _)| *name != dot.of) {
                legend.push((dot.of.clone(), colour(&dot.of, legend.len())));
            }
        }
        legend
    }

    fn dots(&self) -> impl Iterator<Item = (&str, &Dot)> {
        self.rows.iter().flat_map(|(name, dots)| dots.iter().map(move |dot| (name.as_str(), dot)))
    }
}

/// Between two dots of a row, in rows.
const APART: f64 = 0.16;

impl Draw for Dots {
    fn size(&self) -> (u32, u32) {
        let legend = if self.legend().is_empty() { 0 } else { 22 };
        (620, 110 + legend + 30 * self.rows.len() as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let legend = self.legend();
        let used = heading(area, sizes, &self.title, &legend)?;
        let (_, below) = area.split_vertically(used);
        let style = sizes.text(LABEL);
        let mut widest = 0;
        for (name, ..) in &self.rows {
            widest = widest.max(area.estimate_text_size(name, &style)?.0 as i32);
        }
        let ends = self.dots().flat_map(|(_, dot)| [dot.value - dot.error, dot.value + dot.error]);
        let bounds = ends.filter(|v| v.is_finite());
        let (low, high) = bounds.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let margin = ((high - low) * 0.08).max(1e-9);
        let n = self.rows.len() as f64;
        let mut chart = ChartBuilder::on(&below)
            .margin_right(sizes.px(24.0))
            .margin_left(widest + sizes.px(20.0))
            .x_label_area_size(sizes.px(44.0))
            .build_cartesian_2d(low - margin..high + margin, n..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc(&self.x)
            .x_labels(6)
            .light_line_style(TRANSPARENT)
            .bold_line_style(sizes.stroke(FAINT, 1.0))
            .axis_style(sizes.stroke(INK, 1.0))
            .label_style(sizes.text(LABEL - 1.0))
            .axis_desc_style(sizes.text(LABEL))
            .x_label_formatter(&|v| number(*v))
            .draw()?;
        for (i, (name, dots)) in self.rows.iter().enumerate() {
            let middle = i as f64 + 0.5;
            for (k, Dot { of, value, error }) in dots.iter().enumerate() {
                // Beside each other, so that no bar hides another.
                let y = middle + APART * (k as f64 - (dots.len() - 1) as f64 / 2.0);
                let own = legend.iter().find(|(name, _)| name == of).map(|(_, colour)| *colour);
                let (ends, colour) = ([(value - error, y), (value + error, y)], own.unwrap_or(colour(name, i)));
                chart.draw_series([PathElement::new(ends, sizes.stroke(colour, 2.0))])?;
                chart.draw_series([Circle::new((*value, y), sizes.px(5.0), colour.filled())])?;
            }
            let (width, height) = area.estimate_text_size(name, &style)?;
            let (_, at) = chart.backend_coord(&(low, middle));
            let (_, top) = area.get_base_pixel();
            let left = widest + sizes.px(10.0) - width as i32;
            area.draw(&Text::new(name.clone(), (left, at - top - height as i32 / 2), style.clone()))?;
        }
        Ok(Vec::new())
    }

    fn table(&self) -> Result<Table> {
        let table = Table::new().text("name", self.dots().map(|(name, _)| name))?;
        let table = if self.legend().is_empty() { table } else { table.text("of", self.dots().map(|(_, d)| &d.of))? };
        table
            .numbers(&self.x, self.dots().map(|(_, dot)| dot.value))?
            .numbers("standard error", self.dots().map(|(_, dot)| dot.error))
    }
}
