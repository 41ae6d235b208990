//! The hidden Chow-Liu tree: every variable gets a latent, and the latents form the tree.

use super::{Real, Tree};
use crate::{Error, Result, data::Schema, random::Seed};
use rand::RngExt;
use std::ops::Range;

/// A hidden Chow-Liu tree with categorical leaves.
///
/// ```text
/// p(x)   = Σ_z p(z_r) p(x_r | z_r) Π_{i→j} p(z_j | z_i) p(x_j | z_j)
/// P_v[h] = p(x_v | h) Π_{c ∈ children(v)} S_c[h]       a product region
/// S_c[h] = Σ_h' p(z_c = h' | z_v = h) P_c[h']           a sum region
/// ```
/// Smooth and decomposable by construction, so every marginal is one pass upward, and exact.
/// The latent states of all variables are `0..states`. Source: Liu and Van den Broeck 2021.
#[derive(Clone, Debug, PartialEq)]
pub struct Hclt<T: Real = f32> {
    pub(super) schema: Schema,
    pub(super) tree: Tree,
    pub(super) states: usize,
    pub(super) weights: Weights<T>,
}

/// The parameters. Every distribution is a row that sums to one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights<T> {
    /// `p(z_root)`: `(states,)`.
    pub(super) root: Vec<T>,
    /// `p(z_v | z_parent)`: `(states of the parent, states of v)` for each variable; empty for the root.
    pub(super) edges: Vec<Vec<T>>,
    /// `p(x_v | z_v)`: `(states, categories)` for each variable.
    pub(super) leaves: Vec<Vec<T>>,
}

impl<T: Real> Hclt<T> {
    /// A circuit over `schema` with this tree, `states` latent states a variable, and random parameters.
    ///
    /// # Errors
    /// When the tree and the schema differ in their number of variables, or `states` is not in `1..=4096`.
    pub fn random(schema: Schema, tree: Tree, states: usize, seed: Seed) -> Result<Self> {
        if tree.len() != schema.len() {
            return Err(Error::invalid(format!("a tree over {} variables for {} of them", tree.len(), schema.len())));
        }
        if !(1..=4096).contains(&states) {
            return Err(Error::out_of_range("states", states, "1 ≤ states ≤ 4096"));
        }
        let rows = |purpose: &str, index: usize, rows: usize, width: usize| -> Vec<T> {
            let mut rng = seed.stream(purpose, index as u64);
            (0..rows).flat_map(|_| distribution((0..width).map(|_| 0.05 + rng.random::<f64>()).collect())).collect()
        };
        let edge = |v: usize| if v == tree.root() { vec![] } else { rows("edge", v, states, states) };
        let weights = Weights {
            root: rows("root", 0, 1, states),
            edges: (0..tree.len()).map(edge).collect(),
            leaves: schema.variables.iter().enumerate().map(|(v, x)| rows("leaf", v, states, x.categories)).collect(),
        };
        Ok(Self { schema, tree, states, weights })
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The tree of the latents.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Latent states a variable.
    pub fn states(&self) -> usize {
        self.states
    }

    /// Number of parameters, of which each distribution determines its last.
    pub fn parameters(&self) -> usize {
        let rows: usize = self.weights.edges.iter().chain(&self.weights.leaves).map(Vec::len).sum();
        rows + self.states
    }

    pub(super) fn vars(&self) -> usize {
        self.tree.len()
    }

    pub(super) fn categories(&self, variable: usize) -> usize {
        self.schema.variables[variable].categories
    }

    /// The block of `variable` in an array of `(variables, states, columns)`.
    pub(super) fn block(&self, variable: usize, columns: usize) -> Range<usize> {
        let size = self.states * columns;
        variable * size..(variable + 1) * size
    }
}

/// Positive numbers, made to sum to one.
fn distribution<T: Real>(values: Vec<f64>) -> impl Iterator<Item = T> {
    let total: f64 = values.iter().sum();
    values.into_iter().map(move |v| T::of(v / total))
}
