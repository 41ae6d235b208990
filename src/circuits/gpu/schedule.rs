//! In which order a GPU computes the blocks of a circuit, and which of them at once.
//!
//! The blocks of a level do not read each other: they are one launch of a kernel, or one batch of products of matrices. In a
//! batch no two products write to one place, so that every sum is made in one order.

use crate::circuits::{
    Graph,
    graph::Kind,
    pass::plan::{fused, shares_flow},
};

/// The number of rows at hand, where a size depends on it.
pub(super) const ROWS: usize = 0;

/// A block of a circuit, or what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Its values. A sum's become what flows over it, `F / S`, on the way down.
    Values(usize),
    Flows(usize),
    /// The weights of a set from its first column on, or the sums of their flows.
    Weights(usize, usize),
    Edges(usize, usize),
}

/// An operand of a product of matrices, which lie column after column: whose it is, and whether it is turned.
pub(super) type Side = (Part, bool);

/// `c (+)= a · b` for each of a batch, all of one shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    pub(super) products: Vec<(Side, Side, Part)>,
    /// Rows of `c`, columns of `c`, and what is summed over.
    pub(super) sizes: [usize; 3],
    /// How far the columns of each matrix of weights are apart.
    pub(super) columns: usize,
    pub(super) adds: bool,
}

/// What a product block multiplies at once: a block below, and a leaf.
pub(super) type Factor = (Option<usize>, Option<usize>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Blocks, each the product of its factors; those without have their values already, and are brought to their scale.
    Multiply(Vec<(usize, Vec<Factor>)>),
    Kronecker(usize),
    /// Brings blocks to one power of two a row.
    Align(Vec<usize>),
    Matrices(Batch),
    /// What flows over sums: `S ← F / S`.
    Divide(Vec<usize>),
    /// `F ← F · P`.
    Times(Vec<usize>),
    /// Adds the flows of a block, or stores them: from, to, and whether there are some.
    Add(usize, usize, bool),
    /// The same for one side of a Kronecker product: of the left, and whether there are some.
    FromKronecker(usize, bool, bool),
}

/// The blocks of each level, in their order; a level reads those below it alone.
fn levels(graph: &Graph) -> Vec<Vec<usize>> {
    let (mut of, mut levels) = (vec![0; graph.blocks().len()], Vec::<Vec<usize>>::new());
    for b in 0..graph.blocks().len() {
        if fused(graph, b) {
            continue;
        }
        of[b] = graph.children(b).into_iter().filter(|c| !fused(graph, *c)).map(|c| of[c] + 1).max().unwrap_or(0);
        levels.resize(levels.len().max(of[b] + 1), vec![]);
        levels[of[b]].push(b);
    }
    levels
}

/// How the units of the children of a sum lie side by side: each child with its first column; and how many there are in all.
fn side_by_side(graph: &Graph, children: &[usize]) -> (Vec<(usize, usize)>, usize) {
    let mut columns = 0;
    let places = children
        .iter()
        .map(|c| {
            columns += graph.blocks()[*c].units;
            (*c, columns - graph.blocks()[*c].units)
        })
        .collect();
    (places, columns)
}

/// Steps that fill in the values of all blocks.
pub(super) fn upward(graph: &Graph) -> Vec<Step> {
    let mut steps = Vec::new();
    for level in levels(graph) {
        let (mut products, mut kroneckers, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for b in level {
            match &graph.blocks()[b].kind {
                Kind::Input { .. } => products.push((b, vec![(None, Some(b))])),
                Kind::Product { children } => {
                    let (leaves, others): (Vec<usize>, Vec<usize>) = children.iter().partition(|c| fused(graph, **c));
                    let both = |i: usize| (others.get(i).copied(), leaves.get(i).copied());
                    products.push((b, (0..leaves.len().max(others.len())).map(both).collect()));
                }
                Kind::Kronecker { .. } => kroneckers.push(b),
                Kind::Sum { children, weights } => sums.push((b, children, *weights)),
            }
        }
        steps.extend(kroneckers.iter().map(|b| Step::Kronecker(*b)));
        products.extend(kroneckers.into_iter().map(|b| (b, vec![])));
        if !products.is_empty() {
            steps.push(Step::Multiply(products));
        }
        let mut all = Vec::new();
        for (b, children, set) in sums {
            if children.len() > 1 {
                steps.push(Step::Align(children.clone()));
            }
            let (places, columns) = side_by_side(graph, children);
            for (i, (c, first)) in places.into_iter().enumerate() {
                let sizes = [ROWS, graph.blocks()[b].units, graph.blocks()[c].units];
                let product = ((Part::Values(c), false), (Part::Weights(set, first), false), Part::Values(b));
                all.push((product, sizes, columns, i > 0));
            }
        }
        steps.extend(batches(all).into_iter().map(Step::Matrices));
    }
    steps
}

/// Steps that carry the flows of the root down to all blocks, and add up those of edges.
pub(super) fn downward(graph: &Graph) -> Vec<Step> {
    let (mut steps, mut begun) = (Vec::new(), vec![false; graph.blocks().len()]);
    let below_sums =
        |b: usize| graph.parents(b).first().is_some_and(|p| matches!(graph.blocks()[*p].kind, Kind::Sum { .. }));
    for level in levels(graph).into_iter().rev() {
        let is_sum = |b: &usize| matches!(graph.blocks()[*b].kind, Kind::Sum { .. });
        // With one parent, a sum, the values have been a factor already.
        let late = |b: &usize| !is_sum(b) && graph.parents(*b).len() > 1 && below_sums(*b);
        let times: Vec<usize> = level.iter().copied().filter(late).collect();
        if !times.is_empty() {
            steps.push(Step::Times(times));
        }
        let divided: Vec<usize> = level.iter().copied().filter(|b| is_sum(b) && *b != graph.root()).collect();
        if !divided.is_empty() {
            steps.push(Step::Divide(divided));
        }
        let (mut down, mut sums, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for &b in level.iter().rev() {
            match &graph.blocks()[b].kind {
                Kind::Input { .. } => {}
                Kind::Product { children } => {
                    for c in children.iter().filter(|c| !fused(graph, **c) && !shares_flow(graph, **c)) {
                        steps.push(Step::Add(b, *c, begun[*c]));
                        begun[*c] = true;
                    }
                }
                Kind::Kronecker { left, right } => {
                    for (c, by_left) in [(*left, true), (*right, false)] {
                        steps.push(Step::FromKronecker(b, by_left, begun[c]));
                        begun[c] = true;
                    }
                }
                Kind::Sum { children, weights } => {
                    let (places, columns) = side_by_side(graph, children);
                    for (c, first) in places {
                        let (units, below) = (graph.blocks()[b].units, graph.blocks()[c].units);
                        let (over, values) = ((Part::Values(b), false), (Part::Values(c), true));
                        let only = graph.parents(c).len() == 1;
                        let to_child = (over, (Part::Weights(*weights, first), true), Part::Flows(c));
                        down.push((to_child, [ROWS, below, units], columns, begun[c] && !only));
                        sums.push(((values, over, Part::Edges(*weights, first)), [below, units, ROWS], columns, true));
                        if only {
                            alone.push(c);
                        }
                        begun[c] = true;
                    }
                }
            }
        }
        steps.extend(batches(down).into_iter().chain(batches(sums)).map(Step::Matrices));
        if !alone.is_empty() {
            steps.push(Step::Times(alone));
        }
    }
    steps
}

type Product = ((Side, Side, Part), [usize; 3], usize, bool);

/// Products of one shape in one batch, unless they write to one place: then the later is in a later batch.
fn batches(mut products: Vec<Product>) -> Vec<Batch> {
    products.sort_by_key(|(_, sizes, columns, adds)| (*adds, *sizes, *columns));
    let mut batches: Vec<Batch> = Vec::new();
    let mut written = std::collections::BTreeSet::new();
    for (product, sizes, columns, adds) in products {
        let fits = batches.last().is_some_and(|b| (b.sizes, b.columns, b.adds) == (sizes, columns, adds));
        if !fits || written.contains(&product.2) {
            batches.push(Batch { products: vec![], sizes, columns, adds });
            written.clear();
        }
        written.insert(product.2);
        batches.last_mut().expect("one has been begun").products.push(product);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuits::Tree;
    use std::collections::BTreeSet;

    #[test]
    fn a_level_is_one_launch_and_one_batch() {
        // A root with two children, each of which has two.
        let tree = Tree::new(vec![None, Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)]).unwrap();
        let graph = Graph::hclt(&tree, 3).unwrap();
        let up = upward(&graph);
        assert_eq!(up.len(), 6, "products and sums of three levels");
        assert!(matches!(&up[0], Step::Multiply(four) if four.len() == 4));
        assert!(matches!(&up[1], Step::Matrices(four) if four.products.len() == 4));
        let down = downward(&graph);
        // At the root two products and one factor; below, a division before them.
        assert_eq!(down.len(), 3 + 4 + 4);
        assert!(matches!(&down[8], Step::Matrices(four) if four.products.len() == 4 && !four.adds));
    }

    #[test]
    fn no_batch_writes_twice_to_one_place() {
        // Two leaves below one sum each, with the same weights: their flows are summed one after the other.
        let mut graph = Graph::new(2);
        let a = graph.input(0, 2).unwrap();
        let b = graph.input_like(1, a).unwrap();
        let first = graph.sum(&[a], 3).unwrap();
        let second = graph.sum_like(&[b], first).unwrap();
        let both = graph.product(&[first, second]).unwrap();
        graph.sum(&[both], 1).unwrap();
        for step in downward(&graph) {
            let Step::Matrices(batch) = step else { continue };
            let places: BTreeSet<Part> = batch.products.iter().map(|p| p.2).collect();
            assert_eq!(places.len(), batch.products.len());
        }
        let edges = |step: &Step| matches!(step, Step::Matrices(b) if matches!(b.products[0].2, Part::Edges(0, _)));
        assert_eq!(downward(&graph).iter().filter(|step| edges(step)).count(), 2);
    }
}
