//! One latent for all variables, a class that is seen, and a chain of latents.

use crate::{
    Error, Result,
    circuits::{Graph, Tree},
    data::Schema,
};

/// `p(x) = Σ_z p(z) Π_v p(x_v | z)`.
pub(super) fn mixture(variables: usize, components: usize) -> Result<Graph> {
    let mut graph = Graph::new(variables);
    let inputs = (0..variables).map(|v| graph.input(v, components)).collect::<Result<Vec<_>>>()?;
    let product = graph.product(&inputs)?;
    graph.sum(&[product], 1)?;
    Ok(graph)
}

/// `p(x) = p(x_c) Π_{v ≠ c} p(x_v | x_c)`: a mixture whose latent is the variable `c`.
pub(super) fn naive_bayes(schema: &Schema, class: usize) -> Result<Graph> {
    mixture(schema.len(), schema.variables[class].categories)
}

/// `p(x) = Σ_z p(z_1) p(x_1 | z_1) Π_t p(z_t | z_{t−1}) p(x_t | z_t)`, with the same `p(z_t | z_{t−1})` and `p(x_t | z_t)`
/// for every `t` where it is homogeneous.
pub(super) fn hmm(schema: &Schema, states: usize, homogeneous: bool) -> Result<Graph> {
    let length = schema.len();
    if homogeneous && schema.variables.iter().any(|v| v.categories != schema.variables[0].categories) {
        return Err(Error::invalid("a homogeneous hidden Markov model needs variables with the same categories"));
    }
    let mut graph = Graph::new(length);
    let (mut emission, mut transition, mut future) = (None, None, None);
    for t in (0..length).rev() {
        let input = match emission.filter(|_| homogeneous) {
            None => graph.input(t, states)?,
            Some(like) => graph.input_like(t, like)?,
        };
        emission = Some(input);
        let product = graph.product(&std::iter::once(input).chain(future).collect::<Vec<_>>())?;
        let sum = match transition.filter(|_| homogeneous && t > 0) {
            None => graph.sum(&[product], if t == 0 { 1 } else { states })?,
            Some(like) => graph.sum_like(&[product], like)?,
        };
        transition = Some(sum);
        future = Some(sum);
    }
    Ok(graph)
}

/// `p(x) = p(x_r) Π_{i→j} p(x_j | x_i)` along a tree: no latents, and so deterministic.
pub(super) fn chow_liu(schema: &Schema, tree: &Tree) -> Result<Graph> {
    let units = |v: usize| schema.variables[v].categories;
    let mut graph = Graph::new(tree.len());
    let mut sums = vec![0; tree.len()];
    for v in super::hclt::upward(tree) {
        let input = graph.input(v, units(v))?;
        let below: Vec<usize> = tree.children(v).iter().map(|c| sums[*c]).collect();
        // A child's sum has a node for each category of this variable.
        let product = graph.product(&std::iter::once(input).chain(below).collect::<Vec<_>>())?;
        sums[v] = graph.sum(&[product], tree.parents()[v].map_or(1, units))?;
    }
    Ok(graph)
}
