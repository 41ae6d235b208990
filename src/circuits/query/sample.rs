//! Sampling from the circuit, and from its conditional given part of a row.

use crate::{
    Result,
    circuits::{
        Circuit, Scalar,
        graph::Kind,
        pass::inputs::{Read, Row},
        pass::log_space::{LogValues, branches},
        query::conditional::impossible,
    },
    data::{Discrete, Rows},
    random::{Seed, Stream, categorical},
};
use rayon::prelude::*;

impl<T: Scalar> Circuit<T> {
    /// Draws what is missing of each row.
    pub(crate) fn complete_rows(&self, rows: &dyn Rows, head: usize, seed: Seed) -> Result<Vec<Row>> {
        self.check(rows)?;
        let mut read = Read::default();
        read.read(rows, &(0..rows.len()).collect::<Vec<_>>())?;
        // Where nothing is known, every node has probability one.
        let blank = LogValues { blocks: self.graph.blocks().iter().map(|block| vec![0.0; block.units]).collect() };
        (0..rows.len())
            .into_par_iter()
            .map(|i| {
                let row = read.row(i, rows.len(), &self.schema);
                let values = (!row.is_blank()).then(|| self.log_values(&row));
                let rng = &mut seed.stream("sample", i as u64);
                self.complete_row(row, values.as_ref().unwrap_or(&blank), head, rng)
                    .ok_or_else(|| impossible(rows.number_of(i)))
            })
            .collect()
    }

    /// From the root down: at a sum one child, by how much of what is known it explains; at a product all; at an input the
    /// missing value.
    fn complete_row(&self, row: Row, values: &LogValues, head: usize, rng: &mut Stream) -> Option<Row> {
        let mut drawn = row.clone();
        let mut left = vec![(self.graph.root(), head)];
        while let Some((b, unit)) = left.pop() {
            match &self.graph.blocks()[b].kind {
                Kind::Input { variable, leaf } if row.hides(*variable) => {
                    let leaves = &self.leaves[*leaf];
                    if let Some(density) = leaves.density() {
                        drawn.reals[*variable] = density.draw(leaves, unit, rng);
                    } else {
                        drawn.codes[*variable] = categorical(self.posterior(&row, *variable, *leaf, unit), rng)? as u16;
                    }
                }
                Kind::Input { .. } => {}
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
    pub fn complete(&self, rows: &dyn Rows, seed: Seed) -> Result<Discrete> {
        self.check_weights(crate::circuits::pass::upward::RowWeights::default(), rows.len())?;
        self.complete_under(0, rows, seed)
    }

    /// The same under one of several heads.
    ///
    /// # Errors
    /// As [`Self::complete`]; also when there is no such head.
    pub fn complete_under(&self, head: usize, rows: &dyn Rows, seed: Seed) -> Result<Discrete> {
        let heads = self.graph.heads();
        if head >= heads {
            return Err(crate::Error::invalid(format!("head {head} of {heads}")));
        }
        let drawn = self.complete_rows(rows, head, seed)?;
        Discrete::new(self.schema.clone(), drawn.into_iter().flat_map(|row| row.codes).collect())
    }
}
