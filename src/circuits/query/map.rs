//! The most probable completion of a row: exact on deterministic circuits, a bound elsewhere.

use crate::{
    Result,
    circuits::{
        Circuit, Deterministic, Layout, Scalar, graph::Kind, leaf::Leaves, pass::weights::Matrix,
        query::conditional::impossible,
    },
    data::{Discrete, MISSING, Rows, fingerprint},
    evidence::{Evidence, Exact, LowerBound, Space},
    simd::largest,
};
use rayon::prelude::*;

impl<T: Scalar> Circuit<T> {
    /// The completions by the most probable child at every sum and the most probable value at every leaf.
    pub(crate) fn best_rows(&self, rows: &Discrete) -> Result<Discrete> {
        self.check(rows)?;
        let maxima = Maxima::of(self);
        let best: Vec<Vec<u16>> = (0..rows.len())
            .into_par_iter()
            .map(|row| maxima.best_row(rows.row(row)).ok_or_else(|| impossible(rows.number_of(row))))
            .collect::<Result<_>>()?;
        Discrete::new(self.schema.clone(), best.concat())
    }
}

/// What is the same for all rows whose most probable completion is sought.
struct Maxima<'a, T: Scalar> {
    circuit: &'a Circuit<T>,
    /// Logarithms of the weights; they lie as these do.
    weights: Vec<Vec<Vec<f64>>>,
    /// The most probable category of every unit of every set of leaves, and its logarithm.
    leaves: Vec<Vec<(u16, f64)>>,
}

impl<'a, T: Scalar> Maxima<'a, T> {
    fn of(circuit: &'a Circuit<T>) -> Self {
        let logs = |matrix: &Matrix<T>| matrix.values.iter().map(|w| w.f64().ln()).collect();
        let weights = circuit.weights.iter().map(|parts| parts.iter().map(logs).collect()).collect();
        let most = |leaves: &Leaves<T>, unit: usize| {
            let logs = leaves.log_probs(unit).enumerate();
            logs.fold((0, f64::NEG_INFINITY), |best, (a, log)| if log > best.1 { (a as u16, log) } else { best })
        };
        let leaves = circuit.leaves.iter().map(|leaves| (0..leaves.units).map(|unit| most(leaves, unit)).collect());
        Self { circuit, weights, leaves: leaves.collect() }
    }

    fn best_row(&self, codes: &[u16]) -> Option<Vec<u16>> {
        let (graph, values) = (&self.circuit.graph, self.values(codes));
        let mut row = codes.to_vec();
        let mut left = vec![(graph.root(), 0)];
        while let Some((b, unit)) = left.pop() {
            match &graph.blocks()[b].kind {
                Kind::Input { variable, leaf } => {
                    if codes[*variable] == MISSING {
                        row[*variable] = self.leaves[*leaf][unit].0;
                    }
                }
                Kind::Product { children } => left.extend(children.iter().map(|c| (*c, unit))),
                Kind::Kronecker { left: l, right: r } => {
                    let units = self.circuit.units(*r);
                    left.extend([(*l, unit / units), (*r, unit % units)]);
                }
                Kind::Sum { children, weights } => left.push(self.best_edge(children, *weights, unit, &values)?),
            }
        }
        Some(row)
    }

    /// The largest log-likelihood that each node gives to a completion, by block.
    fn values(&self, codes: &[u16]) -> Vec<Vec<f64>> {
        let mut blocks: Vec<Vec<f64>> = Vec::with_capacity(self.circuit.graph.blocks().len());
        for block in self.circuit.graph.blocks() {
            let value = |unit: usize| match &block.kind {
                Kind::Input { variable, leaf } if codes[*variable] == MISSING => self.leaves[*leaf][unit].1,
                Kind::Input { variable, leaf } => self.circuit.leaves[*leaf].log_prob(unit, codes[*variable]),
                Kind::Product { children } => children.iter().map(|c| blocks[*c][unit]).sum(),
                Kind::Kronecker { left, right } => {
                    let units = self.circuit.units(*right);
                    blocks[*left][unit / units] + blocks[*right][unit % units]
                }
                Kind::Sum { children, weights } => {
                    let parts = self.circuit.weights[*weights].iter().zip(&self.weights[*weights]).zip(children);
                    let best = parts.map(|((matrix, logs), child)| {
                        let (logs, values) = (&logs[matrix.row(unit)], &blocks[*child]);
                        match matrix.layout() {
                            Layout::Full => largest_sum(logs, values),
                            _ => largest(
                                &matrix.row_columns(unit).zip(logs).map(|(c, l)| l + values[c]).collect::<Vec<_>>(),
                            ),
                        }
                    });
                    best.fold(f64::NEG_INFINITY, f64::max)
                }
            };
            let values = (0..block.units).map(value).collect();
            blocks.push(values);
        }
        blocks
    }

    /// The child, and its node, that give the largest value.
    fn best_edge(&self, children: &[usize], set: usize, unit: usize, values: &[Vec<f64>]) -> Option<(usize, usize)> {
        let parts = self.circuit.weights[set].iter().zip(&self.weights[set]).zip(children);
        let terms = parts.flat_map(|((matrix, logs), child)| {
            let edges = matrix.row_columns(unit).zip(&logs[matrix.row(unit)]);
            edges.map(move |(node, log)| (*child, node, log + values[*child][node]))
        });
        let best = terms.max_by(|a, b| a.2.total_cmp(&b.2))?;
        (best.2 > f64::NEG_INFINITY).then_some((best.0, best.1))
    }
}

/// `max_i a_i + b_i`.
fn largest_sum(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let ((whole, rest), (also, last)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [f64::NEG_INFINITY; LANES];
    for (a, b) in whole.iter().zip(also) {
        (0..LANES).for_each(|i| lanes[i] = larger(lanes[i], a[i] + b[i]));
    }
    let rest = rest.iter().zip(last).map(|(a, b)| a + b);
    lanes.into_iter().chain(rest).fold(f64::NEG_INFINITY, larger)
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
        self.check_weights(crate::circuits::pass::heads::RowWeights::default(), rows.len())?;
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
