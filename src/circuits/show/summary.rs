//! What a circuit is made of, to read.

use crate::{
    Result,
    archive::Archive,
    circuits::{Circuit, Kind, Layout, Leaf, file::Header, pass::weights::Matrix},
    data::Variable,
    evidence::Fingerprint,
};
use serde::Serialize;
use std::{fmt, path::Path};

/// What a circuit, or its file, is made of. Prints itself as text.
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
    /// Hash of the rows it was fitted to, where it comes from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Fingerprint>,
}

impl Summary {
    /// Of the circuit in a file.
    ///
    /// # Errors
    /// As [`Circuit::load`].
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
        let summary = Circuit::load_any(path.as_ref())?.summary();
        let header: Header = Archive::load(path.as_ref())?.header()?;
        Ok(Self { data: Some(header.data), ..summary })
    }
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
            data: None,
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
        self.data.as_ref().map_or(Ok(()), |hash| write!(f, "\nfitted to rows with the hash {hash}"))
    }
}
