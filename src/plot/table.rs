//! A table: a polars frame that shows itself in a notebook and saves itself as CSV.

use crate::{Error, Result, archive::write_atomically};
use polars::prelude::*;
use std::{fmt, io, path::Path};

/// Columns of one length, each with a name.
///
/// ```
/// # use limbeck::plot::Table;
/// let table = Table::new().text("model", ["hclt", "independent"])?.numbers("bits/dim", [1.62, 2.4])?;
/// assert_eq!(table.frame().shape(), (2, 2));
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Table(DataFrame);

impl Table {
    /// A table without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of text.
    ///
    /// # Errors
    /// When its length differs from the other columns', or its name is taken.
    pub fn text<S: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = S>) -> Result<Self> {
        let values: Vec<String> = values.into_iter().map(|v| v.as_ref().to_string()).collect();
        self.with(Column::new(name.into(), values))
    }

    /// Adds a column of numbers; NaN is shown as an empty cell.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn numbers(self, name: &str, values: impl IntoIterator<Item = f64>) -> Result<Self> {
        let values: Vec<Option<f64>> = values.into_iter().map(|v| (!v.is_nan()).then_some(v)).collect();
        self.with(Column::new(name.into(), values))
    }

    /// Adds a column of counts.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn counts(self, name: &str, values: impl IntoIterator<Item = usize>) -> Result<Self> {
        self.with(Column::new(name.into(), values.into_iter().map(|v| v as u64).collect::<Vec<_>>()))
    }

    fn with(self, column: Column) -> Result<Self> {
        let mut columns = self.0.into_columns();
        let height = columns.first().map_or(column.len(), Column::len);
        columns.push(column);
        DataFrame::new(height, columns).map(Self).map_err(|e| Error::invalid(format!("not a table: {e}")))
    }

    /// The frame.
    pub fn frame(&self) -> &DataFrame {
        &self.0
    }

    /// The cells as text, row after row, numbers with four digits after the point at most.
    fn cells(&self) -> Vec<Vec<String>> {
        let columns = self.0.columns();
        (0..self.0.height()).map(|row| columns.iter().map(|c| cell(c, row, false)).collect()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.0.columns().iter().map(|c| c.name().to_string()).collect()
    }

    /// The table as HTML, numbers aligned to the right.
    pub fn html(&self) -> String {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut html = String::from("<table><thead><tr>");
        self.names().iter().for_each(|name| html += &format!("<th>{}</th>", escape(name)));
        html += "</tr></thead><tbody>";
        for row in self.cells() {
            html += "<tr>";
            for (text, column) in row.iter().zip(self.0.columns()) {
                let side = if column.dtype().is_numeric() { "right" } else { "left" };
                html += &format!("<td style=\"text-align:{side}\">{}</td>", escape(text));
            }
            html += "</tr>";
        }
        html + "</tbody></table>"
    }

    /// Writes the table as CSV with all digits, through a temporary file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(self.names()).map_err(io::Error::other)?;
            for row in 0..self.0.height() {
                writer.write_record(self.0.columns().iter().map(|c| cell(c, row, true))).map_err(io::Error::other)?;
            }
            writer.flush()
        })
    }

    /// Shows the table in a notebook; evcxr calls it for the last expression of a cell.
    pub fn evcxr_display(&self) {
        crate::notebook::emit_all(&[("text/html", &self.html()), ("text/plain", &self.to_string())]);
    }
}

impl From<DataFrame> for Table {
    fn from(frame: DataFrame) -> Self {
        Self(frame)
    }
}

fn cell(column: &Column, row: usize, all_digits: bool) -> String {
    match column.get(row) {
        Ok(AnyValue::Null) | Err(_) => String::new(),
        Ok(AnyValue::Float64(v)) if all_digits => v.to_string(),
        Ok(AnyValue::Float64(v)) => {
            let text = format!("{v:.4}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
        }
        Ok(AnyValue::String(text)) => text.to_string(),
        Ok(AnyValue::StringOwned(text)) => text.to_string(),
        Ok(value) => value.to_string(),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, cells) = (self.names(), self.cells());
        let width = |i: usize| {
            cells.iter().map(|row| row[i].chars().count()).chain([names[i].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..names.len()).map(width).collect();
        let numeric: Vec<bool> = self.0.columns().iter().map(|c| c.dtype().is_numeric()).collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String]| {
            for (i, (text, width)) in row.iter().zip(&widths).enumerate() {
                let gap = if i == 0 { "" } else { "  " };
                if numeric[i] { write!(f, "{gap}{text:>width$}")? } else { write!(f, "{gap}{text:<width$}")? }
            }
            writeln!(f)
        };
        line(f, &names)?;
        cells.iter().try_for_each(|row| line(f, row))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} × {})", self.0.height(), self.0.width())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let table = Table::new().text("model", ["a<b", "c"]).unwrap();
        table.numbers("nats", [1.0 / 3.0, f64::NAN]).unwrap().counts("n", [3, 4]).unwrap()
    }

    #[test]
    fn a_table_is_text_and_html_and_csv() {
        assert_eq!(table().to_string(), "model    nats  n\na<b    0.3333  3\nc              4\n");
        assert!(table().html().contains("<td style=\"text-align:left\">a&lt;b</td>"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        table().save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "model,nats,n\na<b,0.3333333333333333,3\nc,,4\n");
    }

    #[test]
    fn columns_of_different_lengths_are_refused() {
        assert!(table().numbers("short", [1.0]).is_err());
        assert!(table().numbers("n", [1.0, 2.0]).is_err());
    }
}
