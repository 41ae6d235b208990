//! From regions of variables, split into parts, to blocks: what the structures over images and random splits share.

use crate::{
    Result,
    circuits::{Graph, Kind},
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How the parts of a region become the region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SumProduct {
    /// Every part is mixed, then node `i` of one is multiplied with node `i` of the others (canonical polyadic).
    #[default]
    Cp,
    /// Node `i` of one part is multiplied with node `i` of the others, then the products are mixed.
    CpTransposed,
    /// Every node of one part is multiplied with every node of the other, then the products are mixed; as in an EiNet.
    Tucker,
}

/// A graph under construction, region by region.
pub(super) struct Regions {
    pub(super) graph: Graph,
    units: usize,
    layer: SumProduct,
    /// With tied weights: the first sum at each depth over parts of each size.
    tied: Option<HashMap<Shape, usize>>,
}

/// What sums must have in common to share their weights: depth, sizes of the children, size.
type Shape = (usize, Vec<usize>, usize);

impl Regions {
    pub(super) fn new(variables: usize, units: usize, layer: SumProduct, tied: bool) -> Self {
        Self { graph: Graph::new(variables), units, layer, tied: tied.then(HashMap::new) }
    }

    /// A region that is not split: its variables are independent given the node.
    pub(super) fn leaf(&mut self, variables: &[usize]) -> Result<usize> {
        let units = self.units;
        let inputs = variables.iter().map(|v| self.graph.input(*v, units)).collect::<Result<Vec<_>>>()?;
        if let [input] = inputs[..] { Ok(input) } else { self.graph.product(&inputs) }
    }

    /// A region from each way to split it.
    pub(super) fn region(&mut self, depth: usize, partitions: &[Vec<usize>]) -> Result<usize> {
        let products = self.products(depth, partitions)?;
        match (self.layer, &products[..]) {
            (SumProduct::Cp, [product]) => Ok(*product),
            _ => self.sum(depth, &products, self.units),
        }
    }

    /// The last region, as one root.
    pub(super) fn root(mut self, depth: usize, partitions: &[Vec<usize>]) -> Result<Graph> {
        let products = self.products(depth, partitions)?;
        self.graph.sum(&products, 1)?;
        Ok(self.graph)
    }

    fn products(&mut self, depth: usize, partitions: &[Vec<usize>]) -> Result<Vec<usize>> {
        partitions.iter().map(|parts| self.product(depth, parts)).collect()
    }

    fn product(&mut self, depth: usize, parts: &[usize]) -> Result<usize> {
        match self.layer {
            SumProduct::Cp => {
                let sums = parts.iter().map(|p| self.sum(depth, &[*p], self.units)).collect::<Result<Vec<_>>>()?;
                self.graph.product(&sums)
            }
            SumProduct::CpTransposed => {
                let factors = parts
                    .iter()
                    .map(|p| match self.graph.blocks()[*p].kind {
                        Kind::Product { .. } => self.sum(depth, &[*p], self.units),
                        _ => Ok(*p),
                    })
                    .collect::<Result<Vec<_>>>()?;
                self.graph.product(&factors)
            }
            SumProduct::Tucker => {
                let (first, rest) = parts.split_first().expect("a partition has parts");
                let mut left = self.factor(*first)?;
                for (i, part) in rest.iter().enumerate() {
                    let right = self.factor(*part)?;
                    left = self.graph.kronecker(left, right)?;
                    if i + 1 < rest.len() {
                        left = self.sum(depth, &[left], self.units)?;
                    }
                }
                Ok(left)
            }
        }
    }

    /// A part that a Kronecker product can read.
    fn factor(&mut self, part: usize) -> Result<usize> {
        match self.graph.blocks()[part].kind {
            Kind::Input { .. } => self.graph.product(&[part]),
            _ => Ok(part),
        }
    }

    fn sum(&mut self, depth: usize, children: &[usize], units: usize) -> Result<usize> {
        let Some(tied) = &mut self.tied else { return self.graph.sum(children, units) };
        let sizes = children.iter().map(|c| self.graph.blocks()[*c].units).collect();
        let key = (depth, sizes, units);
        if let Some(like) = tied.get(&key) {
            return self.graph.sum_like(children, *like);
        }
        let sum = self.graph.sum(children, units)?;
        tied.insert(key, sum);
        Ok(sum)
    }
}
