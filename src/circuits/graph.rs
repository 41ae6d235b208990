//! The graph of a circuit: blocks of nodes with one scope, children before parents.

mod check;

use super::scope::Scope;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A block of nodes that share their scope and their children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What the nodes compute.
    pub kind: Kind,
    /// Number of nodes.
    pub units: usize,
}

/// What the nodes of a block compute from the blocks below, named by their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Distributions of one variable; blocks with the same `leaf` share them.
    Input {
        /// The variable.
        variable: usize,
        /// The number of its parameters.
        leaf: usize,
    },
    /// Node `i` multiplies the `i`-th nodes of its children.
    Product {
        /// Blocks with as many nodes as this one.
        children: Vec<usize>,
    },
    /// Node `i · right + j` multiplies node `i` of the left block and node `j` of the right one.
    Kronecker {
        /// The left block.
        left: usize,
        /// The right block.
        right: usize,
    },
    /// Every node is a mixture of all nodes of all children; blocks with the same `weights` share them.
    Sum {
        /// Blocks of any size.
        children: Vec<usize>,
        /// The number of its parameters.
        weights: usize,
    },
}

/// A smooth and decomposable circuit without its parameters: what is mixed and multiplied with what.
///
/// It is built from below, and every step checks that products join disjoint scopes and sums mix equal ones.
///
/// ```
/// # use limbeck::circuits::Graph;
/// // Two variables, independent given a latent with three states.
/// let mut graph: Graph = Graph::new(2);
/// let parts = [graph.input(0, 3)?, graph.input(1, 3)?];
/// let components = graph.product(&parts)?;
/// graph.sum(&[components], 1)?;
/// assert_eq!(graph.blocks().len(), 4);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Graph {
    variables: usize,
    blocks: Vec<Block>,
    /// The variables below each block, a bit each.
    scopes: Vec<Scope>,
    parents: Vec<Vec<usize>>,
    leaves: usize,
    weights: usize,
}

/// The most nodes of a block.
pub(super) const MOST_UNITS: usize = 1 << 16;

impl Graph {
    /// An empty graph over `variables` variables.
    pub fn new(variables: usize) -> Self {
        Self { variables, blocks: vec![], scopes: vec![], parents: vec![], leaves: 0, weights: 0 }
    }

    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// All blocks, children before parents; the last is the root.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks that have block `b` among their children.
    pub fn parents(&self, b: usize) -> &[usize] {
        &self.parents[b]
    }

    /// The children of block `b`.
    pub fn children(&self, b: usize) -> Vec<usize> {
        match &self.blocks[b].kind {
            Kind::Input { .. } => vec![],
            Kind::Product { children } | Kind::Sum { children, .. } => children.clone(),
            Kind::Kronecker { left, right } => vec![*left, *right],
        }
    }

    /// The variables below block `b`, in order.
    pub fn scope(&self, b: usize) -> Vec<usize> {
        (0..self.variables).filter(|v| self.scopes[b].has(*v)).collect()
    }

    /// The block that the likelihood is read from: the last.
    pub fn root(&self) -> usize {
        self.blocks.len().saturating_sub(1)
    }

    /// The same graph with that many roots, each a distribution of its own over what is below.
    ///
    /// # Errors
    /// When there is no root yet, or `heads` is not in `1..=65536`.
    pub fn with_heads(&self, heads: usize) -> Result<Self> {
        let mut units: Vec<usize> = self.blocks.iter().map(|block| block.units).collect();
        if let Some(root) = units.last_mut() {
            *root = heads;
        }
        self.with_units(&units)
    }

    /// The same graph with other numbers of nodes.
    pub(super) fn with_units(&self, units: &[usize]) -> Result<Self> {
        let block = |(block, units): (&Block, &usize)| Block { kind: block.kind.clone(), units: *units };
        Raw { variables: self.variables, blocks: self.blocks.iter().zip(units).map(block).collect() }.try_into()
    }

    /// Number of roots of the circuit: nodes of the last block.
    pub fn heads(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.units)
    }

    /// Numbers that parameters of this graph are, those that are shared once; none where there are more than can be counted.
    pub(super) fn parameters(&self, schema: &crate::data::Schema) -> Option<usize> {
        let (mut leaves, mut weights, mut all) = (0, 0, Some(0_usize));
        for block in &self.blocks {
            let numbers = match &block.kind {
                Kind::Input { variable, leaf } if *leaf == leaves => {
                    leaves += 1;
                    let k = schema.variables.get(*variable).map_or(0, |v| v.categories) + 4;
                    block.units.checked_mul(k)
                }
                Kind::Sum { children, weights: set } if *set == weights => {
                    weights += 1;
                    let below = children.iter().map(|c| self.blocks[*c].units).sum::<usize>();
                    block.units.checked_mul(below)
                }
                _ => Some(0),
            };
            all = all.zip(numbers).and_then(|(all, numbers)| all.checked_add(numbers));
        }
        all
    }

    pub(super) fn leaf_sets(&self) -> usize {
        self.leaves
    }

    pub(super) fn weight_sets(&self) -> usize {
        self.weights
    }

    /// A block of `units` distributions of one variable.
    ///
    /// # Errors
    /// When there is no such variable.
    pub fn input(&mut self, variable: usize, units: usize) -> Result<usize> {
        self.leaves += 1;
        self.push(Block { kind: Kind::Input { variable, leaf: self.leaves - 1 }, units })
    }

    /// A block of distributions of `variable` that are those of the input block `like`, parameters and all.
    ///
    /// # Errors
    /// When there is no such variable, or `like` is not an input block.
    pub fn input_like(&mut self, variable: usize, like: usize) -> Result<usize> {
        match self.blocks.get(like) {
            Some(Block { kind: Kind::Input { leaf, .. }, units }) => {
                let (leaf, units) = (*leaf, *units);
                self.push(Block { kind: Kind::Input { variable, leaf }, units })
            }
            _ => Err(Error::invalid(format!("block {like} is not an input block"))),
        }
    }

    /// A block whose node `i` multiplies the `i`-th nodes of its children.
    ///
    /// # Errors
    /// When the children differ in size, or share a variable (the product would not be decomposable).
    pub fn product(&mut self, children: &[usize]) -> Result<usize> {
        let units = children.first().and_then(|c| self.blocks.get(*c)).map_or(0, |block| block.units);
        self.push(Block { kind: Kind::Product { children: children.to_vec() }, units })
    }

    /// A block of all products of a node of `left` and a node of `right`.
    ///
    /// # Errors
    /// As [`Self::product`].
    pub fn kronecker(&mut self, left: usize, right: usize) -> Result<usize> {
        let units = [left, right].iter().map(|c| self.blocks.get(*c).map_or(0, |block| block.units)).product();
        self.push(Block { kind: Kind::Kronecker { left, right }, units })
    }

    /// A block of `units` mixtures of all nodes of the children.
    ///
    /// # Errors
    /// When the children's scopes differ (the sum would not be smooth), or one of several children has another parent.
    pub fn sum(&mut self, children: &[usize], units: usize) -> Result<usize> {
        self.weights += 1;
        let children = self.below_sum(children)?;
        self.push(Block { kind: Kind::Sum { children, weights: self.weights - 1 }, units })
    }

    /// A block of mixtures with the parameters of the sum block `like`.
    ///
    /// # Errors
    /// As [`Self::sum`]; also when `like` is not a sum block over blocks of the same sizes.
    pub fn sum_like(&mut self, children: &[usize], like: usize) -> Result<usize> {
        let Some(Block { kind: Kind::Sum { weights, .. }, units }) = self.blocks.get(like) else {
            return Err(Error::invalid(format!("block {like} is not a sum block")));
        };
        let (weights, units) = (*weights, *units);
        let children = self.below_sum(children)?;
        self.push(Block { kind: Kind::Sum { children, weights }, units })
    }

    /// The children of a sum: a sum among them, or one of several that has a parent already, goes through a product of its own.
    fn below_sum(&mut self, children: &[usize]) -> Result<Vec<usize>> {
        let several = children.len() > 1;
        if let Some((i, c)) = children.iter().enumerate().find(|(i, c)| children[..*i].contains(c)) {
            let remedy = "once, with the sum of both weights, says the same";
            return Err(Error::invalid(format!("block {c} is child {i} of a sum, and another: {remedy}")));
        }
        if let Some(pair) = children.windows(2).find(|pair| self.scopes.get(pair[0]) != self.scopes.get(pair[1])) {
            return Err(Error::invalid(format!(
                "blocks {} and {} differ in their variables: their sum is not smooth",
                pair[0], pair[1]
            )));
        }
        let mut below = Vec::with_capacity(children.len());
        for &child in children {
            let of_its_own = match self.blocks.get(child).map(|block| &block.kind) {
                Some(Kind::Sum { .. }) => true,
                Some(_) => several && !(self.parents[child].is_empty() && self.is_product(child)),
                None => false,
            };
            below.push(if of_its_own { self.product(&[child])? } else { child });
        }
        Ok(below)
    }

    fn is_product(&self, b: usize) -> bool {
        matches!(self.blocks[b].kind, Kind::Product { .. } | Kind::Kronecker { .. })
    }

    fn push(&mut self, block: Block) -> Result<usize> {
        let scope = self.check(&block)?;
        let number = self.blocks.len();
        self.blocks.push(block);
        self.scopes.push(scope);
        self.parents.push(vec![]);
        for child in self.children(number) {
            self.parents[child].push(number);
        }
        Ok(number)
    }
}

/// A graph as it stands in a file; it is checked when it is read.
#[derive(Serialize, Deserialize)]
struct Raw {
    variables: usize,
    blocks: Vec<Block>,
}

impl From<Graph> for Raw {
    fn from(graph: Graph) -> Self {
        Self { variables: graph.variables, blocks: graph.blocks }
    }
}

impl TryFrom<Raw> for Graph {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        if raw.variables > raw.blocks.len() {
            let (variables, blocks) = (raw.variables, raw.blocks.len());
            return Err(Error::invalid(format!("{variables} variables, and {blocks} blocks")));
        }
        let mut graph = Self::new(raw.variables);
        for block in raw.blocks {
            match &block.kind {
                Kind::Input { leaf: set, .. } if *set <= graph.leaves => graph.leaves = graph.leaves.max(set + 1),
                Kind::Sum { weights: set, .. } if *set <= graph.weights => graph.weights = graph.weights.max(set + 1),
                Kind::Input { leaf: set, .. } | Kind::Sum { weights: set, .. } => {
                    return Err(Error::invalid(format!("parameters {set} come before others with lower numbers")));
                }
                _ => {}
            }
            graph.push(block)?;
        }
        graph.validate()?;
        Ok(graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_smooth_or_decomposable_is_refused_where_it_is() {
        let mut graph = Graph::new(2);
        let a = graph.input(0, 2).unwrap();
        let b = graph.input(1, 2).unwrap();
        let says = |result: Result<usize>, what: &str| {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        };
        says(graph.clone().product(&[a, a]), "block 2: two children share variable 0: it is not decomposable");
        says(graph.clone().sum(&[a, b], 1), "not smooth");
        says(graph.clone().input(2, 2), "variable 2 of 2");
        says(graph.clone().product(&[]), "units");
        let product = graph.product(&[a, b]).unwrap();
        assert!(graph.clone().validate().unwrap_err().to_string().contains("must be a sum"));
        says(graph.clone().sum(&[a], 1), "both sums and products");
        let sum = graph.sum(&[product], 3).unwrap();
        graph.validate().unwrap();
        // A sum of sums goes through a product.
        let root = graph.sum(&[sum], 1).unwrap();
        assert_eq!((root, graph.children(root)), (5, vec![4]));
        graph.validate().unwrap();
        assert_eq!(graph.scope(product), [0, 1]);
    }

    #[test]
    fn a_graph_from_a_file_is_checked() {
        let mut graph = Graph::new(2);
        let parts = [graph.input(0, 2).unwrap(), graph.input(1, 2).unwrap()];
        let product = graph.product(&parts).unwrap();
        graph.sum(&[product], 1).unwrap();
        let text = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
        for (from, to) in [("\"variable\":1", "\"variable\":0"), ("\"units\":1", "\"units\":0"), ("[2]", "[9]")] {
            assert!(serde_json::from_str::<Graph>(&text.replacen(from, to, 1)).is_err(), "{from} → {to}");
        }
    }
}
