//! A small graph drawn in levels, with what flows over it: width and colour of an edge, colour of a node.

use super::{
    Draw, Drawn, Table,
    lines::heading,
    style::{INK, Sizes, colour},
};
use crate::{Error, Result};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// A node of a [`Diagram`].
#[derive(Clone, Debug, PartialEq)]
pub struct DiagramNode {
    /// Its row, the uppermost is 0.
    pub level: usize,
    /// What stands in it: a few characters.
    pub label: String,
    /// What flows to it, from 0 to 1.
    pub flow: f64,
}

/// Nodes in levels and edges between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagram {
    title: String,
    nodes: Vec<DiagramNode>,
    /// From, to, flow.
    edges: Vec<(usize, usize, f64)>,
}

/// The most nodes that can be told apart.
const MOST_NODES: usize = 200;
/// Pixels from node to node, and from level to level.
const ACROSS: f64 = 40.0;
const DOWN: f64 = 62.0;
const RADIUS: f64 = 13.0;

impl Diagram {
    /// `edges` are pairs of nodes, by their places in `nodes`, with the flow from one to the other.
    ///
    /// # Errors
    /// When there are no nodes or more than 200, or an edge names one that does not exist.
    pub fn new(title: &str, nodes: Vec<DiagramNode>, edges: Vec<(usize, usize, f64)>) -> Result<Self> {
        if nodes.is_empty() || nodes.len() > MOST_NODES {
            return Err(Error::invalid(format!("a diagram of {} nodes; 1 to {MOST_NODES} can be drawn", nodes.len())));
        }
        if let Some((from, to, _)) = edges.iter().find(|(from, to, _)| *from.max(to) >= nodes.len()) {
            return Err(Error::invalid(format!("an edge from node {from} to {to} of {}", nodes.len())));
        }
        Ok(Self { title: title.into(), nodes, edges })
    }

    fn levels(&self) -> Vec<Vec<usize>> {
        let last = self.nodes.iter().map(|node| node.level).max().unwrap_or(0);
        let mut levels = vec![Vec::new(); last + 1];
        self.nodes.iter().enumerate().for_each(|(i, node)| levels[node.level].push(i));
        levels
    }
}

/// Between a pale grey and the colour of a method.
fn shade(flow: f64) -> RGBColor {
    let flow = flow.clamp(0.0, 1.0);
    let RGBColor(r, g, b) = colour("", 1);
    let mix = |c: u8| (232.0 + (f64::from(c) - 232.0) * flow).round() as u8;
    RGBColor(mix(r), mix(g), mix(b))
}

impl Draw for Diagram {
    fn size(&self) -> (u32, u32) {
        let levels = self.levels();
        let widest = levels.iter().map(Vec::len).max().unwrap_or(1) as f64;
        let width = (widest * ACROSS + 40.0).max(28.0 + 9.0 * self.title.chars().count() as f64);
        (width as u32, (levels.len() as f64 * DOWN + 40.0) as u32)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, sizes: Sizes) -> Drawn<DB> {
        let top = heading(area, sizes, &self.title, &[])?;
        let width = f64::from(self.size().0);
        let mut places = vec![(0, 0); self.nodes.len()];
        for (row, level) in self.levels().iter().enumerate() {
            for (i, node) in level.iter().enumerate() {
                let x = width * (i as f64 + 0.5) / level.len() as f64;
                places[*node] = (sizes.px(x), top + sizes.px(DOWN * (row as f64 + 0.45)));
            }
        }
        let mut edges = self.edges.clone();
        edges.sort_by(|a, b| a.2.total_cmp(&b.2));
        for (from, to, flow) in edges {
            let stroke = sizes.stroke(shade(flow), 1.0 + 6.0 * flow.clamp(0.0, 1.0));
            area.draw(&PathElement::new([places[from], places[to]], stroke))?;
        }
        for (node, at) in self.nodes.iter().zip(places) {
            area.draw(&Circle::new(at, sizes.px(RADIUS), INK.filled()))?;
            area.draw(&Circle::new(at, sizes.px(RADIUS - 1.0), shade(node.flow).filled()))?;
            let size = if node.label.chars().count() > 3 { 9.0 } else { 12.0 };
            let style = sizes.text(size).pos(Pos::new(HPos::Center, VPos::Center));
            area.draw(&Text::new(node.label.clone(), at, style))?;
        }
        Ok(Vec::new())
    }

    fn table(&self) -> Result<Table> {
        Table::new()
            .counts("from", self.edges.iter().map(|e| e.0))?
            .counts("to", self.edges.iter().map(|e| e.1))?
            .numbers("flow", self.edges.iter().map(|e| e.2))
    }
}
