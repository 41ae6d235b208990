//! What makes a graph smooth, decomposable and whole.

use super::{Block, Graph, Kind, MOST_UNITS};
use crate::{Error, Result, circuits::scope::Scope};

impl Graph {
    /// The scope of a block that may be added, or why it may not.
    pub(super) fn check(&self, block: &Block) -> Result<Scope> {
        let number = self.blocks.len();
        let wrong = |what: String| Err(Error::invalid(format!("block {number}: {what}")));
        if !(1..=MOST_UNITS).contains(&block.units) {
            return wrong(format!("{} units; 1 to {MOST_UNITS} work", block.units));
        }
        let children = match &block.kind {
            Kind::Input { variable, .. } if *variable >= self.variables => {
                return wrong(format!("variable {variable} of {}", self.variables));
            }
            Kind::Input { variable, .. } => return Ok(Scope::of(*variable, self.variables)),
            Kind::Product { children } | Kind::Sum { children, .. } => children.as_slice(),
            Kind::Kronecker { left, right } => &[*left, *right],
        };
        let Some(first) = children.first() else { return wrong("no children".into()) };
        if let Some(missing) = children.iter().find(|c| **c >= number) {
            return wrong(format!("its child {missing} does not come before it"));
        }
        let mut scope = self.scopes[*first].clone();
        for child in &children[1..] {
            match &block.kind {
                Kind::Sum { .. } if self.scopes[*child] != scope => {
                    return wrong(format!("its children {first} and {child} differ in their variables: not smooth"));
                }
                Kind::Sum { .. } => {}
                _ => {
                    if let Some(v) = scope.shared(&self.scopes[*child]) {
                        return wrong(format!("two children share variable {v}: it is not decomposable"));
                    }
                    scope.add(&self.scopes[*child]);
                }
            }
        }
        let mut sorted = children.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return wrong(format!(
                "block {} is its child twice: once, with the sum of both weights, says the same",
                pair[0]
            ));
        }
        let kind = |c: usize| &self.blocks[c].kind;
        match &block.kind {
            Kind::Product { children } => {
                if let Some(c) = children.iter().find(|c| self.blocks[**c].units != block.units) {
                    return wrong(format!("{} units, but its child {c} has {}", block.units, self.blocks[*c].units));
                }
                if let Some(c) = children.iter().find(|c| self.is_product(**c)) {
                    return wrong(format!("its child {c} is a product, too: multiply that one's children"));
                }
            }
            Kind::Kronecker { left, right } => {
                let sizes = [left, right].map(|c| self.blocks[*c].units);
                if sizes[0].checked_mul(sizes[1]) != Some(block.units) {
                    return wrong(format!("{} units of all products of {} and {}", block.units, sizes[0], sizes[1]));
                }
                if let Some(c) = [left, right].into_iter().find(|c| matches!(kind(**c), Kind::Input { .. })) {
                    return wrong(format!("its child {c} is an input block: put a product between them"));
                }
            }
            Kind::Sum { children, .. } => {
                if let Some(c) = children.iter().find(|c| matches!(kind(**c), Kind::Sum { .. })) {
                    return wrong(format!("its child {c} is a sum, too: put a product between them"));
                }
                let own = |c: &usize| self.is_product(*c) && self.parents[*c].is_empty();
                if let Some(c) = children.iter().find(|c| children.len() > 1 && !own(c)) {
                    return wrong(format!("its child {c}, one of several, is not a product of its own"));
                }
            }
            Kind::Input { .. } => {}
        }
        // What is no sum is read either by sums alone or by products alone.
        let by_sum = matches!(block.kind, Kind::Sum { .. });
        let mixed = children.iter().find(|c| {
            let sum = |b: usize| matches!(kind(b), Kind::Sum { .. });
            !sum(**c) && self.parents[**c].iter().any(|p| sum(*p) != by_sum)
        });
        if let Some(c) = mixed {
            return wrong(format!(
                "its child {c} would have both sums and products as parents: make a second one like it"
            ));
        }
        Ok(scope)
    }

    /// Checks what only the whole can be: one root over every variable, nothing left over, tied parameters of one shape.
    ///
    /// # Errors
    /// Which block is wrong.
    pub fn validate(&self) -> Result<()> {
        let Some(root) = self.blocks.last() else { return Err(Error::invalid("a circuit without blocks")) };
        if !matches!(root.kind, Kind::Sum { .. }) {
            return Err(Error::invalid("the last block of a circuit, its root, must be a sum"));
        }
        if let Some(v) = (0..self.variables).find(|v| !self.scopes[self.root()].has(*v)) {
            return Err(Error::invalid(format!("variable {v} is not below the root")));
        }
        if let Some(b) = (0..self.root()).find(|b| self.parents[*b].is_empty()) {
            return Err(Error::invalid(format!("block {b} is below no other, and is not the root")));
        }
        let mut shapes: Vec<Option<Vec<usize>>> = vec![None; self.leaves + self.weights];
        for (b, block) in self.blocks.iter().enumerate() {
            let (set, shape) = match &block.kind {
                Kind::Input { leaf, .. } => (*leaf, vec![block.units]),
                Kind::Sum { children, weights } => {
                    let sizes = children.iter().map(|c| self.blocks[*c].units);
                    (self.leaves + weights, std::iter::once(block.units).chain(sizes).collect())
                }
                _ => continue,
            };
            match &shapes[set] {
                Some(other) if *other != shape => {
                    return Err(Error::invalid(format!("block {b} shares parameters of another shape")));
                }
                _ => shapes[set] = Some(shape),
            }
        }
        Ok(())
    }
}
