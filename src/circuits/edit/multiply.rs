//! The product of two circuits over one structure, as a circuit.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Leaf, Scalar,
        graph::{Block, Graph, Kind},
        leaf::Leaves,
        pass::{downward::Uses, plan::Plan, weights::Matrix},
    },
    memory::afford,
};

impl<T: Scalar> Circuit<T> {
    /// See [`Circuit::multiplied`].
    pub(crate) fn multiply(&self, other: &Self) -> Result<(Self, f64)> {
        self.check_factor(other)?;
        let pairs = |b: usize| self.units(b).checked_mul(other.units(b));
        let edges = |(b, block): (usize, &Block)| match &block.kind {
            Kind::Sum { children, .. } => {
                children.iter().try_fold(0_usize, |sum, c| sum.checked_add(pairs(b)?.checked_mul(pairs(*c)?)?))
            }
            _ => Some(0),
        };
        let mut blocks = self.graph.blocks().iter().enumerate();
        let all = blocks.try_fold(0_usize, |sum, block| sum.checked_add(edges(block)?));
        afford(all, 4 * size_of::<T>(), "the weights of the product", "factors with fewer states")?;
        let mut graph = Graph::new(self.vars());
        let (mut sums, mut leaves) = (Vec::new(), Vec::new());
        // Of each block, the logarithm of what each pair of nodes adds up to over all rows.
        let mut totals: Vec<Vec<f64>> = Vec::with_capacity(self.graph.blocks().len());
        for (b, block) in self.graph.blocks().iter().enumerate() {
            let units = pairs(b).unwrap_or(usize::MAX);
            let (_, total) = match &block.kind {
                Kind::Input { variable, leaf } => {
                    let Kind::Input { leaf: its, .. } = other.graph.blocks()[b].kind else { unreachable!("checked") };
                    let (product, total) = multiply_leaves(&self.leaves[*leaf], &other.leaves[its]);
                    leaves.push(product);
                    (graph.input(*variable, units)?, total)
                }
                Kind::Product { children } => {
                    let total = (0..units).map(|i| children.iter().map(|c| totals[*c][i]).sum()).collect();
                    (graph.product(children)?, total)
                }
                Kind::Kronecker { .. } => return Err(Error::invalid("products of all pairs cannot be multiplied")),
                Kind::Sum { children, weights } => {
                    let Kind::Sum { weights: its, .. } = other.graph.blocks()[b].kind else { unreachable!("checked") };
                    let below: Vec<&[f64]> = children.iter().map(|c| totals[*c].as_slice()).collect();
                    let (product, total) = multiply_weights(&self.weights[*weights], &other.weights[its], &below);
                    sums.push(product);
                    (graph.sum(children, units)?, total)
                }
            };
            totals.push(total);
        }
        graph.validate()?;
        let (plan, uses) = (Plan::new(&graph), Uses::new(&graph));
        let (name, schema) = (self.name.clone(), self.schema.clone());
        let product = Self { name, schema, graph, weights: sums, leaves, plan, uses };
        match totals[self.graph.root()][0] {
            f64::NEG_INFINITY => Err(Error::invalid("no row is possible under both circuits")),
            total => Ok((product, total)),
        }
    }

    fn check_factor(&self, other: &Self) -> Result<()> {
        let same = |a: &Kind, b: &Kind| match (a, b) {
            (Kind::Input { variable: a, .. }, Kind::Input { variable: b, .. }) => a == b,
            (Kind::Product { children: a }, Kind::Product { children: b })
            | (Kind::Sum { children: a, .. }, Kind::Sum { children: b, .. }) => a == b,
            _ => false,
        };
        let (ours, theirs) = (self.graph.blocks(), other.graph.blocks());
        let differs = ours.iter().zip(theirs).position(|(a, b)| !same(&a.kind, &b.kind));
        if ours.len() != theirs.len() || self.schema != other.schema || differs.is_some() {
            let at = differs.map(|b| format!(", from block {b} on")).unwrap_or_default();
            return Err(Error::invalid(format!(
                "circuits of two structures or over other columns have no product{at}"
            )));
        }
        if self.graph.heads() != 1 || other.graph.heads() != 1 {
            return Err(Error::invalid("circuits with several heads: mix them first"));
        }
        let categorical = |leaves: &Leaves<T>| matches!(leaves.kind, Leaf::Categorical | Leaf::Bernoulli);
        if !self.leaves.iter().chain(&other.leaves).all(categorical) {
            return Err(Error::invalid("the product of such leaves is none of their kind; categorical ones have one"));
        }
        Ok(())
    }
}

/// `p(a) q(a) / Σ p q` of every pair, and `log Σ p q`.
fn multiply_leaves<T: Scalar>(p: &Leaves<T>, q: &Leaves<T>) -> (Leaves<T>, Vec<f64>) {
    let rows =
        |leaves: &Leaves<T>| (0..leaves.units).map(|u| leaves.distribution(u).collect()).collect::<Vec<Vec<f64>>>();
    let (ours, theirs) = (rows(p), rows(q));
    let pairs: Vec<Vec<f64>> =
        ours.iter().flat_map(|p| theirs.iter().map(|q| p.iter().zip(q).map(|(p, q)| p * q).collect())).collect();
    let totals: Vec<f64> = pairs.iter().map(|pair| pair.iter().sum()).collect();
    let mut product = p.of_units((0..pairs.len()).map(|i| i / theirs.len()));
    for (unit, (pair, total)) in pairs.iter().zip(&totals).enumerate() {
        for (a, value) in pair.iter().enumerate() {
            // What neither thinks possible with the other is as likely as anything: its weight will be nothing.
            let value = if *total > 0.0 { value / total } else { 1.0 / pair.len() as f64 };
            product.table[a * pairs.len() + unit] = T::of(value);
        }
    }
    (product, totals.into_iter().map(f64::ln).collect())
}

/// `θ θ′ Z(child) / Z` over all pairs below, and `log Z` of every pair of nodes.
fn multiply_weights<T: Scalar>(
    ours: &[Matrix<T>],
    theirs: &[Matrix<T>],
    below: &[&[f64]],
) -> (Vec<Matrix<T>>, Vec<f64>) {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        ours.iter().zip(theirs).map(|(a, b)| ((a, a.to_dense()), (b, b.to_dense()))).unzip();
    let [left, right] = [ours[0].0.rows(), theirs[0].0.rows()];
    let mut values: Vec<Vec<f64>> = below.iter().map(|z| Vec::with_capacity(left * right * z.len())).collect();
    let mut totals = Vec::with_capacity(left * right);
    for (i, j) in (0..left).flat_map(|i| (0..right).map(move |j| (i, j))) {
        let log_values: Vec<Vec<f64>> = ours
            .iter()
            .zip(&theirs)
            .zip(below)
            .map(|((ours, theirs), z)| {
                let (columns, its) = (ours.0.columns(), theirs.0.columns());
                let weight = |k: usize| ours.1[i * columns + k / its].f64() * theirs.1[j * its + k % its].f64();
                (0..columns * its).map(|k| weight(k).ln() + z[k]).collect()
            })
            .collect();
        // Of this pair alone: others may be likelier by any factor.
        let largest = log_values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for (logs, values) in log_values.iter().zip(&mut values) {
            let of = |log: &f64| if largest > f64::NEG_INFINITY { (log - largest).exp() } else { 0.0 };
            total += logs.iter().map(of).sum::<f64>();
            values.extend(logs.iter().map(of));
        }
        for (z, values) in below.iter().zip(&mut values) {
            let row = values.len() - z.len();
            values[row..].iter_mut().for_each(|v| *v /= if total > 0.0 { total } else { 1.0 });
        }
        // A pair of nodes that share no row has any weights: nothing leads to it.
        if total <= 0.0 {
            let all: usize = below.iter().map(|z| z.len()).sum();
            values.iter_mut().zip(below).for_each(|(values, z)| {
                let row = values.len() - z.len();
                values[row..].fill(1.0 / all as f64);
            });
        }
        totals.push(if total > 0.0 { total.ln() + largest } else { f64::NEG_INFINITY });
    }
    let matrix = |(values, z): (Vec<f64>, &&[f64])| {
        Matrix::dense(left * right, z.len(), values.into_iter().map(T::of).collect()).packed()
    };
    (values.into_iter().zip(below).map(matrix).collect(), totals)
}

impl Circuit {
    /// The normalised product of two circuits that differ in nothing but their states and parameters, and the logarithm of what it
    /// was divided by. A circuit with as many states a latent as both have together, multiplied, whose sums are Kronecker products:
    /// a way to grow that starts from what both have learned.
    ///
    /// ```text
    /// r(x) = p(x) q(x) / Z,   Z = Σ_x p(x) q(x)      θ_r(ij → kl) = θ_p(i → k) θ_q(j → l) Z_kl / Z_ij
    /// ```
    ///
    /// # Errors
    /// When the structures or columns differ, a circuit has several heads, leaves that are not categorical, or blocks of all pairs;
    /// when no row is possible under both, or there is no memory for the weights.
    pub fn multiplied(&self, other: &Self) -> Result<(Self, f64)> {
        self.multiply(other)
    }
}
