//! The heads of a circuit as one distribution.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Scalar,
        pass::{downward::Uses, plan::Plan, weights::Matrix},
    },
};

impl<T: Scalar> Circuit<T> {
    /// See [`Circuit::mixed`].
    pub(crate) fn mixture(&self, weights: &[f64]) -> Result<Self> {
        let heads = self.graph.heads();
        let total: f64 = weights.iter().sum();
        if weights.len() != heads || !weights.iter().all(|w| *w >= 0.0) || !(total > 0.0 && total.is_finite()) {
            let wanted = "weights: one a head, none below zero, and not all zero";
            return Err(Error::invalid(format!("{wanted}; here are {} for {heads} heads", weights.len())));
        }
        let mut graph = self.graph.clone();
        graph.sum(&[self.graph.root()], 1)?;
        let row = weights.iter().map(|w| T::of(w / total)).collect();
        let (plan, uses) = (Plan::new(&graph), Uses::new(&graph));
        let mut mixed = Self { graph, plan, uses, ..self.clone() };
        mixed.weights.push(vec![Matrix::dense(1, heads, row)]);
        Ok(mixed)
    }
}

impl Circuit {
    /// The mixture of the heads: a circuit of one head, which can be asked everything.
    ///
    /// ```text
    /// p(x) = Σ_i w_i p(x | i) / Σ_i w_i
    /// ```
    ///
    /// # Errors
    /// When there is not a weight for each head, one is negative, or all are zero.
    pub fn mixed(&self, weights: &[f64]) -> Result<Self> {
        self.mixture(weights)
    }
}
