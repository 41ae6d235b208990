//! Sampling from the circuit, and from its conditional given part of a row.

use super::{Hclt, Real, conditional::impossible};
use crate::{
    Result,
    data::{Discrete, MISSING, Rows},
    random::{Seed, Stream, categorical},
};
use rayon::prelude::*;

impl<T: Real> Hclt<T> {
    /// `n` independent rows.
    ///
    /// # Errors
    /// Never for a circuit whose parameters are finite.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Discrete> {
        self.complete(&Discrete::all_missing(self.schema.clone(), n), seed)
    }

    /// Draws every missing value from its exact conditional distribution given the values of its row: inpainting.
    ///
    /// The values of one row are drawn jointly. Row `i` uses stream `i`, whatever the other rows are.
    ///
    /// # Errors
    /// As [`Self::log_prob`]; also when what a row knows is impossible under the circuit.
    pub fn complete(&self, rows: &Discrete, seed: Seed) -> Result<Discrete> {
        self.check(rows)?;
        let drawn: Vec<Vec<u16>> = (0..rows.len())
            .into_par_iter()
            .map(|row| {
                self.complete_row(rows.row(row), &mut seed.stream("sample", row as u64)).ok_or_else(|| impossible(row))
            })
            .collect::<Result<_>>()?;
        Discrete::new(self.schema.clone(), drawn.concat())
    }

    /// From the root down: a latent state given its parent's and everything below it, then the missing value it emits.
    fn complete_row(&self, codes: &[u16], rng: &mut Stream) -> Option<Vec<u16>> {
        let h = self.states;
        let known = codes.iter().any(|c| *c != MISSING);
        let values = known.then(|| self.log_values(codes));
        let below = |v: usize, state: usize| values.as_ref().map_or(0.0, |values| values.products[v * h + state]);
        let mut states = vec![0; codes.len()];
        let mut drawn = codes.to_vec();
        for &v in self.tree.downward() {
            let prior = |state: usize| match self.tree.parents()[v] {
                None => self.weights.root[state].f64().ln(),
                Some(parent) => self.log_edge(v, states[parent], state),
            };
            let logs: Vec<f64> = (0..h).map(|state| prior(state) + below(v, state)).collect();
            let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if largest == f64::NEG_INFINITY {
                return None;
            }
            states[v] = categorical(logs.iter().map(|l| (l - largest).exp()), rng)?;
            if codes[v] == MISSING {
                let k = self.categories(v);
                let leaf = &self.weights.leaves[v][states[v] * k..(states[v] + 1) * k];
                drawn[v] = categorical(leaf.iter().map(|w| w.f64()), rng)? as u16;
            }
        }
        Some(drawn)
    }
}
