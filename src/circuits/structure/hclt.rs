//! The hidden Chow-Liu tree: every variable gets a latent, and the latents form a tree.

use crate::{
    Result,
    circuits::{Graph, Tree},
};

/// ```text
/// p(x)   = Σ_z p(z_r) p(x_r | z_r) Π_{i→j} p(z_j | z_i) p(x_j | z_j)
/// P_v[h] = p(x_v | h) Π_{c ∈ children(v)} S_c[h]       a product block
/// S_c[h] = Σ_h' p(z_c = h' | z_v = h) P_c[h']          a sum block
/// ```
/// `joined`: a variable without children has no latent of its own, `S_c[h] = p(x_c | h)`. `shared`: so many distributions
/// `q_m` that all variables share, `p(x_v | h) = Σ_m a_v(h, m) q_m(x_v)`; none where it is 0.
/// Source: Liu and Van den Broeck 2021; the joined variant as in LVD-PG.
pub(super) fn hclt(tree: &Tree, states: usize, joined: bool, shared: usize) -> Result<Graph> {
    let mut graph = Graph::new(tree.len());
    let mut sums: Vec<Option<usize>> = vec![None; tree.len()];
    let mut first = None;
    for &v in &upward(tree) {
        let input = match (shared, first) {
            (0, _) => graph.input(v, states)?,
            (_, Some(first)) => {
                let values = graph.input_like(v, first)?;
                graph.sum(&[values], states)?
            }
            (_, None) => {
                let values = graph.input(v, shared)?;
                first = Some(values);
                graph.sum(&[values], states)?
            }
        };
        let is_root = v == tree.root();
        if joined && !is_root && tree.children(v).is_empty() {
            sums[v] = Some(input);
            continue;
        }
        let children = std::iter::once(input).chain(tree.children(v).iter().filter_map(|c| sums[*c]));
        let product = graph.product(&children.collect::<Vec<_>>())?;
        sums[v] = Some(graph.sum(&[product], if is_root { 1 } else { states })?);
    }
    Ok(graph)
}

/// Children before parents, and every subtree in one piece: what a parent reads was written last.
pub(super) fn upward(tree: &Tree) -> Vec<usize> {
    let (mut order, mut left) = (Vec::with_capacity(tree.len()), vec![tree.root()]);
    while let Some(v) = left.pop() {
        order.push(v);
        left.extend(tree.children(v));
    }
    order.reverse();
    order
}
