//! Figures and tables as values: shown in a notebook, saved as SVG, PNG and CSV, drawn in one style.

mod diagram;
mod dots;
mod figure;
mod lines;
mod overlay;
mod planes;
pub mod style;
mod table;
mod tiles;
mod tree;

pub use diagram::{Diagram, DiagramNode};
pub use dots::Dots;
pub use figure::{Draw, Drawn, Figure, Picture};
pub use lines::{Axis, Lines, Series};
pub use overlay::Overlay;
pub use planes::Planes;
pub use table::Table;
pub use tiles::Tiles;
pub use tree::TreeMap;
