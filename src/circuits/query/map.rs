//! The most probable completion of a row: exact on deterministic circuits, a bound elsewhere.

use crate::{
    Result,
    circuits::{
        Circuit, Deterministic, Scalar,
        graph::Kind,
        pass::log_space::{LogValues, Mixing, branches},
        query::conditional::impossible,
    },
    data::{Discrete, MISSING, Rows, fingerprint},
    evidence::{Evidence, Exact, LowerBound, Space},
};
use rayon::prelude::*;

impl<T: Scalar> Circuit<T> {
    /// The completions by the most probable child at every sum and the most probable value at every leaf.
    pub(crate) fn best_rows(&self, rows: &Discrete) -> Result<Discrete> {
        self.check(rows)?;
        let best: Vec<Vec<u16>> = (0..rows.len())
            .into_par_iter()
            .map(|row| self.best_row(rows.row(row)).ok_or_else(|| impossible(rows.number_of(row))))
            .collect::<Result<_>>()?;
        Discrete::new(self.schema.clone(), best.concat())
    }

    fn best_row(&self, codes: &[u16]) -> Option<Vec<u16>> {
        let most = |leaf: usize, unit: usize| {
            let logs = self.leaves[leaf].log_probs(unit).enumerate();
            logs.fold((0, f64::NEG_INFINITY), |best, (a, log)| if log > best.1 { (a as u16, log) } else { best })
        };
        let values = self.log_values_by(Mixing::Max, |variable, leaf, unit| match codes[variable] {
            MISSING => most(leaf, unit).1,
            code => self.leaves[leaf].log_prob(unit, code),
        });
        let mut row = codes.to_vec();
        let mut left = vec![(self.graph.root(), 0)];
        while let Some((b, unit)) = left.pop() {
            match &self.graph.blocks()[b].kind {
                Kind::Input { variable, leaf } => {
                    if codes[*variable] == MISSING {
                        row[*variable] = most(*leaf, unit).0;
                    }
                }
                Kind::Product { children } => left.extend(children.iter().map(|c| (*c, unit))),
                Kind::Kronecker { left: l, right: r } => {
                    let units = self.units(*r);
                    left.extend([(*l, unit / units), (*r, unit % units)]);
                }
                Kind::Sum { children, weights } => left.push(self.best_edge(children, *weights, unit, &values)?),
            }
        }
        Some(row)
    }

    fn best_edge(&self, children: &[usize], set: usize, unit: usize, values: &LogValues) -> Option<(usize, usize)> {
        let terms = branches(&self.weights[set], unit).map(|e| {
            let child = children[e.part];
            (child, e.node, e.log_weight + values.blocks[child][e.node])
        });
        let best = terms.max_by(|a, b| a.2.total_cmp(&b.2))?;
        (best.2 > f64::NEG_INFINITY).then_some((best.0, best.1))
    }
}

impl Circuit {
    /// A probable completion of each row, and its likelihood: a lower bound on that of the most probable one.
    ///
    /// At every sum the child with the largest maximum is followed, which is the maximum of the sum only where the circuit
    /// is deterministic: [`Deterministic::map`] is exact.
    ///
    /// # Errors
    /// As [`Circuit::complete`].
    pub fn map(&self, rows: &Discrete) -> Result<(Discrete, Evidence<LowerBound>)> {
        self.check_weights(crate::circuits::pass::upward::RowWeights::default(), rows.len())?;
        let best = self.best_rows(rows)?;
        let evidence = Evidence::new(self.log_prob(&best)?, Space::Raw, self.vars())?.of_rows(fingerprint(&best)?);
        Ok((best, evidence))
    }
}

impl Deterministic {
    /// The most probable completion of each row, and its likelihood.
    ///
    /// # Errors
    /// As [`Circuit::complete`].
    pub fn map(&self, rows: &Discrete) -> Result<(Discrete, Evidence<Exact>)> {
        let best = self.best_rows(rows)?;
        let evidence = self.evidence(&best)?;
        Ok((best, evidence))
    }
}
