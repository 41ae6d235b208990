//! Lines over an axis, with bands of uncertainty.

use super::{
    Draw, Drawn, Table,
    style::{FAINT, INK, LABEL, Sizes, TITLE, colour},
};
use crate::{Error, Result};
use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, ValueFormatter},
    },
    prelude::*,
    style::RGBColor,
};
use std::ops::Range;

/// How an axis counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// Evenly.
    #[default]
    Linear,
    /// By powers; values must be positive.
    Log,
}

/// One line: a name and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    errors: Vec<f64>,
}

impl Series {
    /// A line through `points`, called `name` in the legend.
    pub fn new(name: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect(), errors: Vec::new() }
    }

    /// The half-width of the band around each point.
    #[must_use]
    pub fn errors(mut self, errors: impl IntoIterator<Item = f64>) -> Self {
        self.errors = errors.into_iter().collect();
        self
    }
}

/// Lines with axes, units and a legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Lines {
    title: String,
    x: String,
    y: String,
    axes: (Axis, Axis),
    /// The lowest number that is drawn.
    least: f64,
    markers: bool,
    series: Vec<Series>,
}

impl Lines {
    /// An empty figure; the axes are named with their units.
    pub fn new(title: &str, x: &str, y: &str) -> Self {
        let axes = (Axis::Linear, Axis::Linear);
        let least = f64::NEG_INFINITY;
        Self { title: title.into(), x: x.into(), y: y.into(), axes, least, markers: false, series: Vec::new() }
    }

    /// Begins the vertical axis here; what lies below is in the table alone.
    #[must_use]
    pub fn above(mut self, least: f64) -> Self {
        self.least = least;
        self
    }

    /// How the two axes count.
    #[must_use]
    pub fn axes(mut self, x: Axis, y: Axis) -> Self {
        self.axes = (x, y);
        self
    }

    /// Marks every point.
    #[must_use]
    pub fn markers(mut self) -> Self {
        self.markers = true;
        self
    }

    /// Adds a line.
    #[must_use]
    pub fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// The range of finite values, a little wider than they are.
    fn range(&self, pick: fn(&(f64, f64), f64) -> [f64; 2], scale: Axis) -> Range<f64> {
        let values = self.series.iter().flat_map(|s| {
            let error = |i: usize| s.errors.get(i).copied().unwrap_or(0.0);
            s.points.iter().enumerate().flat_map(move |(i, p)| pick(p, error(i)))
        });
        let usable = values.filter(|v| v.is_finite() && (scale == Axis::Linear || *v > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match scale {
            _ if low > high => 0.0..1.0,
            Axis::Linear => {
                let margin = if high > low { (high - low) * 0.04 } else { 0.5 };
                low - margin..high + margin
            }
            Axis::Log => low / 1.15..high * 1.15,
        }
    }

    fn draw_on<DB, X, Y>(
        &self,
        area: &DrawingArea<DB, Shift>,
        sizes: Sizes,
        x: X,
        y: Y,
    ) -> std::result::Result<(), DrawingAreaErrorKind<DB::ErrorType>>
    where
        DB: DrawingBackend,
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
        Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin_right(sizes.px(16.0))
            .margin_bottom(sizes.px(4.0))
            .margin_left(sizes.px(10.0))
            .x_label_area_size(sizes.px(44.0))
            .y_label_area_size(sizes.px(62.0))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_labels(7)
            .y_labels(6)
            .max_light_lines(1)
            .light_line_style(TRANSPARENT)
            .bold_line_style(sizes.stroke(FAINT, 1.0))
            .axis_style(sizes.stroke(INK, 1.0))
            .label_style(sizes.text(LABEL - 1.0))
            .axis_desc_style(sizes.text(LABEL))
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v))
            .set_all_tick_mark_size(sizes.px(4.0))
            .draw()?;
        for (i, series) in self.series.iter().enumerate() {
            let colour = colour(&series.name, i);
            let finite: Vec<(f64, f64)> =
                series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
            let shown = || finite.split(|point| point.1 < self.least).filter(|points| !points.is_empty());
            if series.errors.len() == series.points.len() {
                let edge =
                    |sign: f64| series.points.iter().zip(&series.errors).map(move |((x, y), e)| (*x, y + sign * e));
                let band: Vec<(f64, f64)> = edge(1.0).chain(edge(-1.0).rev()).collect();
                chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.2).filled())))?;
            }
            for points in shown() {
                chart.draw_series(LineSeries::new(points.iter().copied(), sizes.stroke(colour, 2.0)))?;
                // A point by itself is no line.
                if self.markers || points.len() == 1 {
                    let dot = |p: &(f64, f64)| Circle::new(*p, sizes.px(3.0), colour.filled());
                    chart.draw_series(points.iter().map(dot))?;
                }
            }
        }
        Ok(())
    }
}

/// A logarithmic axis with ticks at powers of ten, or of two where there would be too few of ten.
fn log(range: Range<f64>) -> impl AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>> {
    let base = if range.end / range.start < 150.0 { 2.0 } else { 10.0 };
    range.log_scale().base(base)
}

/// A tick label: as many digits as it needs.
pub(super) fn number(v: f64) -> String {
    let text = match v.abs() {
        // Steps of an axis do not add up to 0 to the last digit.
        a if a < 1e-13 => "0".to_string(),
        a if !(1e-3..1e6).contains(&a) => format!("{v:.0e}"),
        a if a >= 100.0 => format!("{v:.0}"),
        _ => format!("{v:.3}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text };
    text.replace('-', "−")
}

/// A title, and below it a legend in as many lines as it needs; returns the height they take.
pub(super) fn heading<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    sizes: Sizes,
    title: &str,
    legend: &[(String, RGBColor)],
) -> std::result::Result<i32, DrawingAreaErrorKind<DB::ErrorType>> {
    let left = sizes.px(12.0);
    area.draw(&Text::new(title.to_string(), (left, sizes.px(10.0)), sizes.text(TITLE)))?;
    if legend.is_empty() {
        return Ok(sizes.px(36.0));
    }
    let mut x = left;
    let mut y = sizes.px(43.0);
    for (name, colour) in legend {
        let (wide, _) = area.estimate_text_size(name, &sizes.text(LABEL))?;
        if x > left && x + sizes.px(26.0) + wide as i32 > area.dim_in_pixel().0 as i32 {
            (x, y) = (left, y + sizes.px(19.0));
        }
        area.draw(&PathElement::new([(x, y), (x + sizes.px(20.0), y)], sizes.stroke(*colour, 3.0)))?;
        let style = sizes.text(LABEL);
        let (width, height) = area.estimate_text_size(name, &style)?;
        area.draw(&Text::new(name.clone(), (x + sizes.px(26.0), y - height as i32 / 2 - sizes.px(1.0)), style))?;
        x += sizes.px(26.0 + 18.0) + width as i32;
    }
    Ok(y + sizes.px(15.0))
}

impl Draw for Lines {
    fn size(&self) -> (u32, u32) {
        (620, 400)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let named = self.series.len() > 1;
        let legend: Vec<_> =
            self.series.iter().enumerate().map(|(i, s)| (s.name.clone(), colour(&s.name, i))).collect();
        let used = heading(area, sizes, &self.title, if named { &legend } else { &[] })?;
        let (_, below) = area.split_vertically(used);
        let x = self.range(|p, _| [p.0, p.0], self.axes.0);
        let y = self.range(|p, e| [p.1 - e, p.1 + e], self.axes.1);
        let y = if y.end > self.least { y.start.max(self.least)..y.end } else { y };
        match self.axes {
            (Axis::Linear, Axis::Linear) => self.draw_on(&below, sizes, x, y)?,
            (Axis::Log, Axis::Linear) => self.draw_on(&below, sizes, log(x), y)?,
            (Axis::Linear, Axis::Log) => self.draw_on(&below, sizes, x, log(y))?,
            (Axis::Log, Axis::Log) => self.draw_on(&below, sizes, log(x), log(y))?,
        }
        Ok(Vec::new())
    }

    fn table(&self) -> Result<Table> {
        if let Some(s) = self.series.iter().find(|s| !s.errors.is_empty() && s.errors.len() != s.points.len()) {
            return Err(Error::invalid(format!("{}: {} errors for {} points", s.name, s.errors.len(), s.points.len())));
        }
        let points = || self.series.iter().flat_map(|s| s.points.iter().enumerate().map(move |(i, p)| (s, i, p)));
        let table = Table::new()
            .text("series", points().map(|(s, ..)| s.name.as_str()))?
            .numbers(&self.x, points().map(|(_, _, p)| p.0))?
            .numbers(&self.y, points().map(|(_, _, p)| p.1))?;
        if self.series.iter().all(|s| s.errors.is_empty()) {
            return Ok(table);
        }
        table.numbers("±", points().map(|(s, i, _)| s.errors.get(i).copied().unwrap_or(f64::NAN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Figure;

    #[test]
    fn a_figure_names_its_axes_and_keeps_its_numbers() {
        let lines = Lines::new("Learning", "epoch", "bits per dimension")
            .with(Series::new("train", [(1.0, 3.0), (2.0, 2.0)]))
            .with(Series::new("test", [(1.0, 3.5), (2.0, f64::NAN)]).errors([0.1, 0.2]));
        let figure = Figure::new(&lines).unwrap();
        for text in ["Learning", "epoch", "bits per dimension", "train", "test"] {
            assert!(figure.svg().contains(text), "{text}");
        }
        assert!(figure.png().starts_with(b"\x89PNG"));
        assert_eq!(figure.table().frame().shape(), (4, 4));
    }

    #[test]
    fn what_lies_below_the_axis_is_in_the_table_alone() {
        let curve = Series::new("loss", [(0.0, 1e-9), (1.0, 0.1), (2.0, 1e-9), (3.0, 1.0)]);
        let lines = Lines::new("", "x", "y").axes(Axis::Linear, Axis::Log).with(curve);
        let (all, above) = (Figure::new(&lines).unwrap(), Figure::new(&lines.above(1e-3)).unwrap());
        assert_eq!(above.table().frame().height(), 4);
        assert!(all.svg().contains("1e−9") && !above.svg().contains("1e−9"));
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!([0.0, -1.1e-16].map(number), ["0", "0"]);
        assert_eq!([0.0, 1.5, -2.0, 1200.0, 1e-5, 0.125].map(number), ["0", "1.5", "−2", "1200", "1e−5", "0.125"]);
    }

    #[test]
    fn a_figure_without_points_is_drawn_empty() {
        for scale in [Axis::Linear, Axis::Log] {
            assert!(Figure::new(&Lines::new("", "x", "y").axes(scale, scale)).is_ok());
        }
    }
}
