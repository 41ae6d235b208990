//! A circuit as a picture, with the flow of a row over it.

use super::{Circuit, exact::branches, graph::Kind};
use crate::{
    Error, Result,
    data::{Discrete, Rows},
    plot::{Diagram, DiagramNode},
};

impl Circuit {
    /// Every node and edge of a small circuit, from the root down, with the flow of one row over them.
    ///
    /// A sum is `+`, a product `×`, an input the name of its variable; an edge is as wide as its flow, which is the derivative
    /// of `log p(x)` with respect to the logarithm of its weight.
    ///
    /// # Errors
    /// When there is not one row, the row is impossible, or the circuit has more than 200 nodes.
    pub fn flow_diagram(&self, title: &str, row: &Discrete) -> Result<Diagram> {
        self.check(row)?;
        self.check_notes(super::evaluate::Notes::default(), row.len())?;
        if row.len() != 1 {
            return Err(Error::invalid(format!("{} rows; the flow of one can be drawn", row.len())));
        }
        let values = self.log_values(&row.row(0).into());
        if values.log_prob(self, &[1.0]) == f64::NEG_INFINITY {
            return Err(super::conditional::impossible(0));
        }
        let flows = self.row_flows(&values, &[1.0], |_, _| {});
        let blocks = self.graph.blocks();
        let mut levels = vec![0; blocks.len()];
        for b in (0..blocks.len()).rev() {
            for child in self.graph.children(b) {
                levels[child] = levels[child].max(levels[b] + 1);
            }
        }
        let (mut nodes, mut starts) = (Vec::new(), Vec::new());
        for (b, block) in blocks.iter().enumerate() {
            starts.push(nodes.len());
            let label = match &block.kind {
                Kind::Input { variable, .. } => self.schema.variables[*variable].name.clone(),
                Kind::Product { .. } | Kind::Kronecker { .. } => "×".into(),
                Kind::Sum { .. } => "+".into(),
            };
            nodes.extend(flows[b].iter().map(|flow| DiagramNode {
                level: levels[b],
                label: label.clone(),
                flow: *flow,
            }));
        }
        let mut lines = Vec::new();
        for (b, block) in blocks.iter().enumerate() {
            for (unit, own) in flows[b].iter().copied().enumerate() {
                let from = starts[b] + unit;
                match &block.kind {
                    Kind::Input { .. } => {}
                    Kind::Product { children } => {
                        lines.extend(children.iter().map(|c| (from, starts[*c] + unit, own)));
                    }
                    Kind::Kronecker { left, right } => {
                        let n = self.units(*right);
                        lines.push((from, starts[*left] + unit / n, own));
                        lines.push((from, starts[*right] + unit % n, own));
                    }
                    Kind::Sum { children, weights } => {
                        for e in branches(&self.weights[*weights], unit) {
                            let below = values.blocks[children[e.part]][e.node];
                            let share = (e.log_weight + below - values.blocks[b][unit]).exp();
                            let flow = if own > 0.0 { own * share } else { 0.0 };
                            lines.push((from, starts[children[e.part]] + e.node, flow));
                        }
                    }
                }
            }
        }
        Diagram::new(title, nodes, lines)
    }
}
