//! A circuit: a graph and its parameters.

use super::{
    Leaf, Scalar,
    graph::{Graph, Kind},
    leaf::{Frame, Leaves},
    pass::downward::Uses,
    pass::plan::Plan,
    pass::weights::{Layout, Matrix},
};
use crate::{
    Error, Result,
    data::{MISSING, Rows, Schema},
    math::mean_and_deviation,
    memory::afford,
    random::Seed,
};
use rand::RngExt;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};

/// A probabilistic circuit: smooth and decomposable, so that every marginal is one pass upward, and exact.
///
/// ```text
/// p_n(x) = p(x_v | n)                 an input
///          Π_{c ∈ in(n)} p_c(x)       a product
///          Σ_{c ∈ in(n)} θ_nc p_c(x)  a sum, Σ_c θ_nc = 1
/// ```
/// Source: Darwiche 2003; Choi, Vergari and Van den Broeck 2020.
#[derive(Clone, PartialEq)]
pub struct Circuit<T: Scalar = f32> {
    pub(super) name: String,
    pub(super) schema: Schema,
    pub(super) graph: Graph,
    /// Of each set of sum weights, a matrix a child: every row, over all of them, sums to one.
    pub(super) weights: Vec<Vec<Matrix<T>>>,
    pub(super) leaves: Vec<Leaves<T>>,
    pub(super) plan: Plan,
    pub(super) uses: Uses,
}

impl<T: Scalar> Circuit<T> {
    /// A circuit of that graph over `schema` with leaves of one kind and random parameters.
    pub(super) fn randomised(name: &str, graph: Graph, schema: Schema, kinds: &[Leaf], seed: Seed) -> Result<Self> {
        graph.validate()?;
        if graph.variables() != schema.len() || kinds.len() != schema.len() {
            return Err(Error::invalid(format!(
                "a graph over {} variables and {} kinds of leaves for {} columns",
                graph.variables(),
                kinds.len(),
                schema.len()
            )));
        }
        let numbers = graph.parameters(&schema);
        let remedy = "fewer states or units, or a structure with fewer regions";
        // Weights, their flows, and what is remembered of them.
        afford(numbers, 4 * size_of::<T>(), "the parameters of the circuit", remedy)?;
        let mut leaves: Vec<Leaves<T>> = Vec::new();
        let mut weights: Vec<Vec<Matrix<T>>> = Vec::new();
        for block in graph.blocks() {
            match &block.kind {
                Kind::Input { variable, leaf } => {
                    let (kind, column) = (kinds[*variable], &schema.variables[*variable]);
                    kind.check(column, block.units)?;
                    if *leaf == leaves.len() {
                        let mut rng = seed.stream("leaf", *leaf as u64);
                        leaves.push(Leaves::random(kind, column.categories, block.units, &mut rng));
                    }
                    let shared = &leaves[*leaf];
                    if shared.kind != kind || shared.categories() != column.categories {
                        let name = &column.name;
                        return Err(Error::invalid(format!("variable {name} shares leaves with one of another kind")));
                    }
                }
                Kind::Sum { children, weights: set } if *set == weights.len() => {
                    let sizes: Vec<usize> = children.iter().map(|c| graph.blocks()[*c].units).collect();
                    weights.push(random_weights(block.units, &sizes, seed, *set as u64));
                }
                _ => {}
            }
        }
        let (plan, uses) = (Plan::new(&graph), Uses::new(&graph));
        Ok(Self { name: name.into(), schema, graph, weights, leaves, plan, uses })
    }

    /// Draws the leaves anew, around how often each value is seen in the first rows of `rows`; `spread` along the values.
    pub(super) fn init_from_counts(&mut self, rows: &dyn Rows, spread: bool, seed: Seed) -> Result<()> {
        const ENOUGH: usize = 10_000;
        let vars = self.vars();
        let mut counts: Vec<Vec<f64>> = self.schema.variables.iter().map(|v| vec![0.0; v.categories]).collect();
        let (mut codes, mut reals) = (Vec::new(), Vec::new());
        let all: Vec<usize> = (0..rows.len().min(ENOUGH)).collect();
        rows.read_reals(&all, &mut reals)?;
        for block in all.chunks(1024) {
            rows.read(block, &mut codes)?;
            for row in codes.chunks_exact(vars) {
                let known = row.iter().zip(&mut counts).filter(|(code, _)| **code != MISSING);
                known.for_each(|(code, counts)| counts[*code as usize] += 1.0);
            }
        }
        for (set, leaves) in self.leaves.iter_mut().enumerate() {
            if leaves.density().is_some() {
                let columns = self.uses.leaves[set].iter().map(|(v, _)| *v).collect::<BTreeSet<_>>();
                let of = |v: usize| reals.iter().skip(v).step_by(vars).copied().filter(|x| !x.is_nan());
                let (shift, scale) = mean_and_deviation(&columns.into_iter().flat_map(of).collect::<Vec<_>>());
                leaves.frame = Frame { shift, scale, floor: 1.0 / rows.len().max(2) as f64 };
                continue;
            }
            let mut seen = vec![0.0; leaves.categories()];
            for (v, _) in &self.uses.leaves[set] {
                seen.iter_mut().zip(&counts[*v]).for_each(|(sum, n)| *sum += n);
            }
            leaves.init_from_counts(&seen, &mut seed.stream("near", set as u64));
            if spread {
                leaves.spread(&seen);
            }
        }
        Ok(())
    }

    /// Gives the states that mix shared distributions an order: each begins around its own of those.
    pub(super) fn order_states(&mut self) {
        for b in self.graph.blocks() {
            let Kind::Sum { children, weights } = &b.kind else { continue };
            if !children.iter().all(|c| matches!(self.graph.blocks()[*c].kind, Kind::Input { .. })) {
                continue;
            }
            for matrix in &mut self.weights[*weights] {
                let (states, shared) = (b.units as f64, matrix.columns() as f64);
                for row in 0..matrix.rows() {
                    let range = matrix.row(row);
                    let near = |m: usize| {
                        let away = (row as f64 + 0.5) / states - (m as f64 + 0.5) / shared;
                        1e-3 + (-away.abs() * states.min(shared) / 2.0).exp()
                    };
                    let values = &mut matrix.values[range];
                    let all: Vec<f64> = (0..values.len()).map(|m| near(m) * (0.05 + values[m].f64())).collect();
                    let total: f64 = all.iter().sum();
                    values.iter_mut().zip(all).for_each(|(value, w)| *value = T::of(w / total));
                }
            }
        }
    }

    /// Whether some columns are real numbers.
    pub(super) fn is_real(&self) -> bool {
        self.schema.variables.iter().any(|v| v.categories == 0)
    }

    pub(super) fn vars(&self) -> usize {
        self.schema.len()
    }

    pub(super) fn units(&self, block: usize) -> usize {
        self.graph.blocks()[block].units
    }

    /// The kind of leaves of each variable.
    pub(super) fn leaf_kinds(&self) -> Vec<Leaf> {
        let mut kinds = vec![Leaf::default(); self.vars()];
        for (leaves, uses) in self.leaves.iter().zip(&self.uses.leaves) {
            uses.iter().for_each(|(v, _)| kinds[*v] = leaves.kind);
        }
        kinds
    }

    /// Number of parameters, of which each distribution determines its last.
    pub(super) fn count_parameters(&self) -> usize {
        let edges: usize = self.weights.iter().flatten().map(Matrix::edges).sum();
        edges + self.leaves.iter().map(Leaves::parameters).sum::<usize>()
    }

    /// Refuses rows of other variables or with more categories.
    pub(super) fn check(&self, rows: &dyn Rows) -> Result<()> {
        let (ours, theirs) = (&self.schema.variables, &rows.schema().variables);
        if ours.len() != theirs.len() {
            return Err(Error::invalid(format!(
                "rows of {} values; the circuit has {} variables",
                theirs.len(),
                ours.len()
            )));
        }
        match ours
            .iter()
            .zip(theirs)
            .find(|(a, b)| a.categories < b.categories || (b.categories == 0) != (a.categories == 0))
        {
            None => Ok(()),
            Some((a, b)) if a.categories == 0 || b.categories == 0 => {
                let [a_is, b_is] = [a, b].map(|v| if v.categories == 0 { "real numbers" } else { "categories" });
                Err(Error::invalid(format!("variable {} is of {a_is}; the rows have {b_is}", a.name)))
            }
            Some((a, b)) => Err(Error::invalid(format!(
                "variable {} has {} categories; the circuit knows {}",
                a.name, b.categories, a.categories
            ))),
        }
    }
}

/// Rows of `units` random distributions over all children, cut into a matrix a child.
///
/// They are far from uniform: mixtures of many nodes in equal parts would all be the same, level by level more so.
fn random_weights<T: Scalar>(units: usize, sizes: &[usize], seed: Seed, set: u64) -> Vec<Matrix<T>> {
    let mut rng = seed.stream("weights", set);
    let mut parts: Vec<Vec<T>> = sizes.iter().map(|size| Vec::with_capacity(units * size)).collect();
    for _ in 0..units {
        let row: Vec<f64> =
            (0..sizes.iter().sum()).map(|_| 1e-3 + (-(1.0 - rng.random::<f64>()).ln()).powi(4)).collect();
        let total: f64 = row.iter().sum();
        let mut row = row.into_iter();
        for (part, size) in parts.iter_mut().zip(sizes) {
            part.extend(row.by_ref().take(*size).map(|w| T::of(w / total)));
        }
    }
    parts.into_iter().zip(sizes).map(|(values, size)| Matrix::dense(units, *size, values)).collect()
}

impl Circuit {
    /// A circuit of this graph with random parameters, and leaves of one kind for every variable.
    ///
    /// # Errors
    /// When the graph is not valid, is over another number of variables, or a variable cannot have such leaves.
    pub fn random(graph: Graph, schema: Schema, leaf: Leaf, seed: Seed) -> Result<Self> {
        let kinds = vec![leaf; schema.len()];
        Self::randomised("circuit", graph, schema, &kinds, seed)
    }

    /// The same with a kind of leaves for each variable.
    ///
    /// # Errors
    /// As [`Self::random`].
    pub fn random_mixed(graph: Graph, schema: Schema, leaves: &[Leaf], seed: Seed) -> Result<Self> {
        Self::randomised("circuit", graph, schema, leaves, seed)
    }

    /// The structure's name, as `limbeck fit` knows it; `circuit` for one of your own.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same under another name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What is mixed and multiplied with what.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Number of parameters, of which each distribution determines its last.
    pub fn parameters(&self) -> usize {
        self.count_parameters()
    }

    /// Adds all parameters to a hash.
    pub(crate) fn hash_into(&self, hash: &mut Sha256) {
        let weights = self.weights.iter().flatten().flat_map(|matrix| &matrix.values);
        weights.chain(self.leaves.iter().flat_map(|leaves| &leaves.table)).for_each(|x| hash.update(x.to_le_bytes()));
        self.leaves.iter().flat_map(|leaves| &leaves.numbers).for_each(|x| hash.update(x.to_le_bytes()));
    }

    /// How the weights of each sum block lie in memory, an entry for each of its children.
    pub fn layouts(&self) -> Vec<Layout> {
        self.weights.iter().flatten().map(Matrix::layout).collect()
    }
}

/// As [`Display`](fmt::Display): its numbers would be pages.
impl<T: Scalar> fmt::Debug for Circuit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: Scalar> fmt::Display for Circuit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (vars, blocks, parameters) = (self.vars(), self.graph.blocks().len(), self.count_parameters());
        let nodes: usize = self.graph.blocks().iter().map(|b| b.units).sum();
        let mut kinds: Vec<String> = self.leaves.iter().map(|l| l.kind.to_string()).collect();
        kinds.dedup();
        kinds.sort();
        kinds.dedup();
        let leaves = kinds.join(" and ");
        write!(
            f,
            "{}: {vars} variables, {nodes} nodes in {blocks} blocks, {parameters} parameters, {leaves} leaves",
            self.name
        )
    }
}
