//! Anemone: a step that is smaller for nodes the batch uses less than the circuit expects.

use super::counts::{Counts, set_row};
use crate::circuits::{Circuit, Scalar};
use rayon::prelude::*;

impl<T: Scalar> Circuit<T> {
    /// `p_TD`: of every node, how often a sample of the circuit goes through it; the heads are equally likely.
    ///
    /// ```text
    /// p_TD(root) = 1        p_TD(c) = Σ_{products n} p_TD(n) + Σ_{sums n} θ_nc p_TD(n)
    /// ```
    pub(in crate::circuits) fn top_down(&self) -> Vec<Vec<f64>> {
        let heads = self.graph.heads();
        self.descend(vec![1.0 / heads as f64; heads], |mass, step| mass * step.log_weight.exp())
    }

    /// `θ ∝ step F̂ + (1 − step) p_TD θ`, where `average / correction` is the flow `F̂` a row.
    pub(super) fn anemone_step(&mut self, average: &Counts, correction: f64, pseudocount: f64, step: f64) {
        let mass = self.top_down();
        // Parameters that several blocks share are used by all of them.
        let total = |blocks: &mut dyn Iterator<Item = usize>, units: usize| {
            let mut sum = vec![0.0; units];
            blocks.for_each(|b| sum.iter_mut().zip(&mass[b]).for_each(|(s, m)| *s += m));
            sum
        };
        let scale = step / correction;
        let uses = &self.uses;
        self.weights.par_iter_mut().zip(&average.edges).enumerate().for_each(|(set, (parts, flows))| {
            let mass = total(&mut uses.weights[set].iter().copied(), parts[0].rows());
            for (row, mass) in mass.iter().enumerate() {
                let stay = (1.0 - step) * mass;
                set_row(parts, row, pseudocount, |part, i, weight| scale * flows[part][i] + stay * weight);
            }
        });
        self.leaves.par_iter_mut().zip(&average.leaves).enumerate().for_each(|(set, (leaves, flows))| {
            let mass = total(&mut uses.leaves[set].iter().map(|(_, b)| *b), leaves.units);
            let units = leaves.units;
            if let Some(density) = leaves.density() {
                // What the unit expects of a row, as often as the circuit goes there.
                let mass: Vec<f64> = mass.iter().map(|m| (1.0 - step) * m).collect();
                let counts = flows.iter().zip(density.missing(leaves, &mass)).map(|(f, stay)| scale * f + stay);
                return leaves.maximise_expected(&counts.collect::<Vec<_>>(), pseudocount, 1.0);
            }
            let mut counts = vec![0.0; leaves.table.len()];
            let rows = leaves.table.chunks_exact(units).zip(flows.chunks_exact(units)).take(leaves.categories());
            for (counts, (table, flows)) in counts.chunks_exact_mut(units).zip(rows) {
                for (unit, count) in counts.iter_mut().enumerate() {
                    *count = scale * flows[unit] + (1.0 - step) * mass[unit] * table[unit].f64();
                }
            }
            leaves.maximise_expected(&counts, pseudocount, 1.0);
        });
    }
}
