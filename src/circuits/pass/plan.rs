//! Where the values and flows of every block lie in the memory of a tile.

use crate::circuits::{
    graph::{Graph, Kind},
    pass::kernels::TILE,
};
use std::ops::Range;

/// The memory of a tile, in elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Values of each block where all are kept for the pass downward.
    pub(crate) kept: Vec<Range<usize>>,
    pub(crate) kept_len: usize,
    /// Values of each block where only the likelihood is wanted: a block's place is used again once its parents have read it.
    pub(crate) passing: Vec<Range<usize>>,
    pub(crate) passing_len: usize,
    /// Flows of each block. A sum whose one parent is a product has that product's, as has an input block below products.
    pub(crate) flows: Vec<Range<usize>>,
    pub(crate) flow_len: usize,
    /// The block whose exponents each block has.
    pub(crate) exponents: Vec<usize>,
    /// Elements of the largest block.
    pub(crate) scratch_len: usize,
}

/// Whether an input block is read by products: then its values go straight into theirs, and it has no place of its own.
pub(crate) fn fused(graph: &Graph, b: usize) -> bool {
    let below_product = |p: &usize| matches!(graph.blocks()[*p].kind, Kind::Product { .. });
    matches!(graph.blocks()[b].kind, Kind::Input { .. }) && graph.parents(b).iter().all(below_product)
}

/// Whether block `b` has the flows of its one parent, a product.
pub(crate) fn shares_flow(graph: &Graph, b: usize) -> bool {
    let [parent] = graph.parents(b) else { return false };
    matches!(graph.blocks()[b].kind, Kind::Sum { .. }) && matches!(graph.blocks()[*parent].kind, Kind::Product { .. })
}

/// Two places in the memory of a tile: one to write, one to read.
pub(crate) fn two<T>(memory: &mut [T], to: Range<usize>, from: Range<usize>) -> (&mut [T], &[T]) {
    let [to, from] =
        memory.get_disjoint_mut([to, from]).expect("blocks that are alive together have places of their own");
    (to, from)
}

impl Plan {
    pub(crate) fn new(graph: &Graph) -> Self {
        let blocks = graph.blocks();
        let place = |at: &mut usize, units: usize| {
            *at += units * TILE;
            *at - units * TILE..*at
        };
        let (mut kept_len, mut flow_len) = (0, 0);
        let mut kept = Vec::new();
        for (b, block) in blocks.iter().enumerate() {
            kept.push(if fused(graph, b) { 0..0 } else { place(&mut kept_len, block.units) });
        }
        let mut flows = vec![0..0; blocks.len()];
        for (b, block) in blocks.iter().enumerate().rev() {
            flows[b] = match graph.parents(b) {
                [parent] if shares_flow(graph, b) => flows[*parent].clone(),
                _ if fused(graph, b) => 0..0,
                _ => place(&mut flow_len, block.units),
            };
        }
        let exponents = (0..blocks.len()).fold(Vec::new(), |mut all: Vec<usize>, b| {
            all.push(match &blocks[b].kind {
                Kind::Sum { children, .. } => all[children[0]],
                _ => b,
            });
            all
        });
        let scratch_len = blocks.iter().map(|block| block.units).max().unwrap_or(0) * TILE;
        let (passing, passing_len) = passing(graph);
        Self { kept, kept_len, passing, passing_len, flows, flow_len, exponents, scratch_len }
    }
}

/// Places for values that are let go after their last reader: the first free place of the same size, or a new one.
fn passing(graph: &Graph) -> (Vec<Range<usize>>, usize) {
    let blocks = graph.blocks();
    let (mut places, mut free, mut end) = (Vec::new(), Vec::<Range<usize>>::new(), 0);
    for (b, block) in blocks.iter().enumerate() {
        let size = block.units * TILE;
        let place = if fused(graph, b) {
            0..0
        } else if let Some(i) = free.iter().position(|place| place.len() == size) {
            free.swap_remove(i)
        } else {
            end += size;
            end - size..end
        };
        places.push(place);
        for child in graph.children(b) {
            let last = graph.parents(child).iter().max() == Some(&b);
            if last && !fused(graph, child) {
                free.push(places[child].clone());
            }
        }
    }
    (places, end)
}
