//! A circuit as a picture, with the flow of a row over it.

use crate::{
    Error, Result,
    circuits::{Circuit, Graph, graph::Kind, pass::log_space::branches},
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
        self.check_weights(crate::circuits::pass::heads::RowWeights::default(), row.len())?;
        if row.len() != 1 {
            return Err(Error::invalid(format!("{} rows; the flow of one can be drawn", row.len())));
        }
        let values = self.log_values(&row.row(0).into());
        if values.log_prob(self, &[1.0]) == f64::NEG_INFINITY {
            return Err(crate::circuits::query::conditional::impossible(0));
        }
        let flows = self.row_flows(&values, &[1.0], |_, _| {});
        let blocks = self.graph.blocks();
        let levels = self.graph.depths();
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

impl Graph {
    /// The blocks from the root down, `levels` of them: a sum as `+` with its number of nodes, a product `×` (of all pairs `⊗`),
    /// an input as the number of its variable. Below the last level stands how many variables there are.
    ///
    /// # Errors
    /// When `levels` is 0, or there are more than 200 blocks.
    pub fn diagram(&self, title: &str, levels: usize) -> Result<Diagram> {
        if levels == 0 {
            return Err(Error::out_of_range("levels", levels, "1 ≤ levels"));
        }
        let depths = self.depths();
        let drawn: Vec<usize> = (0..self.blocks().len()).rev().filter(|b| depths[*b] < levels).collect();
        let nodes = drawn.iter().map(|b| {
            let units = self.blocks()[*b].units;
            let variables = self.scope(*b);
            let label = match (&self.blocks()[*b].kind, variables.as_slice()) {
                (Kind::Input { .. }, [variable]) => variable.to_string(),
                _ if depths[*b] + 1 == levels => format!("{}…", variables.len()),
                (Kind::Kronecker { .. }, _) => "⊗".into(),
                (Kind::Product { .. }, _) => "×".into(),
                _ => format!("+{units}"),
            };
            DiagramNode { level: depths[*b], label, flow: 0.15 }
        });
        let place = |b: usize| drawn.iter().position(|d| *d == b);
        let lines = drawn.iter().enumerate().flat_map(|(from, b)| {
            self.children(*b).into_iter().filter_map(move |child| Some((from, place(child)?, 0.15)))
        });
        let (nodes, lines) = (nodes.collect(), lines.collect());
        Diagram::new(title, nodes, lines)
    }

    /// How far each block is below the root, along the longest way.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.blocks().len()];
        for b in (0..depths.len()).rev() {
            for child in self.children(b) {
                depths[child] = depths[child].max(depths[b] + 1);
            }
        }
        depths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{circuits::Structure, data::Schema, plot::Picture, random::Seed};

    #[test]
    fn the_upper_levels_of_a_large_graph_can_be_drawn() {
        let rows = Discrete::all_missing(Schema::uniform(&[16, 16], 2), 3);
        let graph = Structure::QuadTree { units: 4, layer: crate::circuits::SumProduct::Cp, tied: false }
            .graph(&rows, Seed(0))
            .unwrap();
        let upper = graph.diagram("A quad tree", 3).unwrap();
        assert_eq!(upper.table().unwrap().frame().height(), 1 + 4);
        assert!(graph.diagram("A quad tree", 40).is_err() && graph.diagram("A quad tree", 0).is_err());
    }
}
