//! Random splits of the variables: a binary tree, and the random and tensorised sum-product network.

use super::{SumProduct, regions::Regions};
use crate::{
    Error, Result,
    circuits::Graph,
    random::{Seed, Stream, permutation},
};

/// Variables split in random halves down to single ones.
pub(super) fn random_tree(variables: usize, units: usize, layer: SumProduct, seed: Seed) -> Result<Graph> {
    rat_spn(variables, usize::BITS as usize, 1, units, layer, seed)
}

/// `replicas` random trees of splits, each of at most `depth` levels, mixed at the root. Variables that are not split
/// further are independent given the node. Source: Peharz et al. 2019 (RAT-SPN, with Tucker layers).
pub(super) fn rat_spn(
    variables: usize,
    depth: usize,
    replicas: usize,
    units: usize,
    layer: SumProduct,
    seed: Seed,
) -> Result<Graph> {
    if replicas == 0 || depth == 0 {
        return Err(Error::invalid("a RAT-SPN needs at least one replica and one split"));
    }
    let mut regions = Regions::new(variables, units, layer, false);
    if variables == 1 {
        let leaf = regions.leaf(&[0])?;
        return regions.root(0, &[vec![leaf]]);
    }
    let mut partitions = Vec::new();
    for replica in 0..replicas {
        let mut rng = seed.stream("replica", replica as u64);
        let order = permutation(variables, &mut rng);
        partitions.push(halves(&mut regions, &order, 0, depth, &mut rng)?);
    }
    regions.root(0, &partitions)
}

/// The two halves of a set of variables in random order, each as a region.
fn halves(regions: &mut Regions, order: &[usize], level: usize, depth: usize, rng: &mut Stream) -> Result<Vec<usize>> {
    let (left, right) = order.split_at(order.len().div_ceil(2));
    let mut half = |part: &[usize]| {
        if part.len() == 1 || level + 1 == depth {
            return regions.leaf(part);
        }
        let shuffled: Vec<usize> = permutation(part.len(), rng).into_iter().map(|i| part[i]).collect();
        let parts = halves(regions, &shuffled, level + 1, depth, rng)?;
        regions.region(level + 1, &[parts])
    };
    Ok(vec![half(left)?, half(right)?])
}
