//! Sampling from the circuit, and from its conditional given part of a row.

use super::{
    Circuit, Real,
    conditional::impossible,
    exact::{LogValues, branches},
    graph::Kind,
};
use crate::{
    Result,
    data::{Discrete, MISSING, Rows},
    random::{Seed, Stream, categorical},
};
use rayon::prelude::*;

impl<T: Real> Circuit<T> {
    /// Draws what is missing of each row.
    pub(super) fn complete_rows(&self, rows: &Discrete, head: usize, seed: Seed) -> Result<Discrete> {
        self.check(rows)?;
        // Where nothing is known, every node has probability one.
        let blank = LogValues { blocks: self.graph.blocks().iter().map(|block| vec![0.0; block.units]).collect() };
        let drawn: Vec<Vec<u16>> = (0..rows.len())
            .into_par_iter()
            .map(|row| {
                let codes = rows.row(row);
                let values = codes.iter().any(|c| *c != MISSING).then(|| self.log_values(codes));
                let rng = &mut seed.stream("sample", row as u64);
                self.complete_row(codes, values.as_ref().unwrap_or(&blank), head, rng).ok_or_else(|| impossible(row))
            })
            .collect::<Result<_>>()?;
        Discrete::new(self.schema.clone(), drawn.concat())
    }

    /// From the root down: at a sum one child, by how much of what is known it explains; at a product all; at an input the
    /// missing value.
    fn complete_row(&self, codes: &[u16], values: &LogValues, head: usize, rng: &mut Stream) -> Option<Vec<u16>> {
        let mut drawn = codes.to_vec();
        let mut left = vec![(self.graph.root(), head)];
        while let Some((b, unit)) = left.pop() {
            match &self.graph.blocks()[b].kind {
                Kind::Input { variable, leaf } => {
                    if codes[*variable] == MISSING {
                        drawn[*variable] = categorical(self.leaves[*leaf].distribution(unit), rng)? as u16;
                    }
                }
                Kind::Product { children } => left.extend(children.iter().map(|c| (*c, unit))),
                Kind::Kronecker { left: l, right: r } => {
                    let units = self.units(*r);
                    left.extend([(*l, unit / units), (*r, unit % units)]);
                }
                Kind::Sum { children, weights } => {
                    let terms = branches(&self.weights[*weights], unit);
                    let logs = terms.clone().map(|e| e.log_weight + values.blocks[children[e.part]][e.node]);
                    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
                    if largest == f64::NEG_INFINITY {
                        return None;
                    }
                    let chosen = categorical(logs.map(|l| (l - largest).exp()), rng)?;
                    let chosen = terms.clone().nth(chosen)?;
                    left.push((children[chosen.part], chosen.node));
                }
            }
        }
        Some(drawn)
    }
}

impl Circuit {
    /// `n` independent rows.
    ///
    /// # Errors
    /// Never for a circuit with one head whose parameters are finite.
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
        self.check_notes(super::evaluate::Notes::default(), rows.len())?;
        self.complete_rows(rows, 0, seed)
    }

    /// The same under one of several heads.
    ///
    /// # Errors
    /// As [`Self::complete`]; also when there is no such head.
    pub fn complete_under(&self, head: usize, rows: &Discrete, seed: Seed) -> Result<Discrete> {
        let heads = self.graph.heads();
        if head >= heads {
            return Err(crate::Error::invalid(format!("head {head} of {heads}")));
        }
        self.complete_rows(rows, head, seed)
    }
}
