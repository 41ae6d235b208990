//! What a circuit is made of, to read.

use crate::{
    circuits::{Circuit, Kind, Layout, Leaf, pass::weights::Matrix},
    data::Variable,
};
use serde::Serialize;
use std::fmt;

/// What a circuit is made of. Prints itself as text.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The structure's name.
    pub structure: String,
    /// What the columns are.
    pub variables: Vec<Variable>,
    /// The kind of leaves of each variable.
    pub leaves: Vec<Leaf>,
    /// Blocks of inputs, of products, and of sums.
    pub blocks: [usize; 3],
    /// Nodes of all blocks.
    pub nodes: usize,
    /// Matrices of weights that are full, in blocks, and sparse.
    pub layouts: [usize; 3],
    /// Edges of sums.
    pub edges: usize,
    /// Parameters, of which each distribution determines its last.
    pub parameters: usize,
    /// Roots.
    pub heads: usize,
}

impl Circuit {
    /// What it is made of.
    pub fn summary(&self) -> Summary {
        let blocks = self.graph.blocks();
        let count = |is: &dyn Fn(&Kind) -> bool| blocks.iter().filter(|b| is(&b.kind)).count();
        let (inputs, sums) = (count(&|k| matches!(k, Kind::Input { .. })), count(&|k| matches!(k, Kind::Sum { .. })));
        let layouts = self.layouts();
        let in_layout = |layout| layouts.iter().filter(|l| **l == layout).count();
        Summary {
            structure: self.name.clone(),
            variables: self.schema.variables.clone(),
            leaves: self.leaf_kinds(),
            blocks: [inputs, blocks.len() - inputs - sums, sums],
            nodes: blocks.iter().map(|b| b.units).sum(),
            layouts: [Layout::Full, Layout::Blocks, Layout::Sparse].map(in_layout),
            edges: self.weights.iter().flatten().map(Matrix::edges).sum(),
            parameters: self.parameters(),
            heads: self.graph.heads(),
        }
    }
}

/// How many variables are listed one by one.
const LISTED: usize = 12;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [inputs, products, sums] = self.blocks;
        let [full, in_blocks, sparse] = self.layouts;
        writeln!(f, "{}: {} parameters, {} edges of sums", self.structure, self.parameters, self.edges)?;
        let heads = if self.heads == 1 { "one head".into() } else { format!("{} heads", self.heads) };
        let nodes = self.nodes;
        writeln!(f, "{nodes} nodes in {inputs} input, {products} product and {sums} sum blocks, {heads}")?;
        writeln!(f, "weights: {full} matrices full, {in_blocks} in blocks, {sparse} sparse")?;
        write!(f, "{} variables:", self.variables.len())?;
        for (variable, leaf) in self.variables.iter().zip(&self.leaves).take(LISTED) {
            match variable.categories {
                0 => write!(f, "\n  {}: real, {leaf}", variable.name)?,
                k => write!(f, "\n  {}: {k} categories, {leaf}", variable.name)?,
            }
        }
        if self.variables.len() > LISTED {
            write!(f, "\n  … and {} more", self.variables.len() - LISTED)?;
        }
        Ok(())
    }
}
