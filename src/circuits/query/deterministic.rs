//! Deterministic circuits: at most one child of every sum is possible for a complete row. Maxima, entropies and divergences
//! are then exact.

use crate::{
    Error, Result,
    circuits::{Circuit, Scalar, graph::Kind, pass::log_space::branches},
};
use std::{ops::Deref, path::Path};

/// A circuit that has been found to be deterministic.
///
/// ```
/// # use limbeck::prelude::*;
/// let digits = shipped::digits()?.discrete();
/// let settings: FitCircuit = FitCircuit { epochs: 1, em: Em::exact(), ..FitCircuit::new(Structure::ChowLiu) };
/// let (circuit, _): (Circuit, History) = settings.fit(&digits, None, Seed(0))?;
/// let tree: Deterministic = Deterministic::new(circuit)?;
/// assert!(tree.entropy() > 0.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Deterministic(Circuit);

impl Deref for Deterministic {
    type Target = Circuit;

    fn deref(&self) -> &Circuit {
        &self.0
    }
}

impl Deterministic {
    /// The circuit, if it can be seen to be deterministic: the children of every sum differ in the possible values of a
    /// variable that they read themselves.
    ///
    /// # Errors
    /// When it cannot; the message names the block.
    pub fn new(circuit: Circuit) -> Result<Self> {
        circuit.check_weights(crate::circuits::pass::heads::RowWeights::default(), 0)?;
        match (0..circuit.graph.blocks().len()).find(|b| !circuit.decides(*b)) {
            None => Ok(Self(circuit)),
            Some(b) => Err(Error::invalid(format!(
                "the circuit is not deterministic: more than one child of sum block {b} may be possible for a row"
            ))),
        }
    }

    /// Reads a circuit that is deterministic.
    ///
    /// # Errors
    /// As [`Circuit::load`] and [`Self::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::new(Circuit::load(path)?).map_err(|e| Error::file(path, e))
    }

    /// The circuit as any other.
    pub fn into_circuit(self) -> Circuit {
        self.0
    }

    /// `H(p) = −Σ_x p(x) log p(x)`, nats.
    ///
    /// ```text
    /// H(n) = Σ_c H(c) of a product,    Σ_c θ_nc (H(c) − log θ_nc) of a sum
    /// ```
    /// Source: Vergari et al. 2021.
    pub fn entropy(&self) -> f64 {
        self.0.entropy_of_deterministic()
    }

    /// `−Σ_x q(x) log p(x)` of this circuit `p` under any other `q` with the same graph, nats; ∞ where this one excludes more
    /// than 10⁻⁴ of what `q` gives.
    ///
    /// # Errors
    /// When the graphs differ: the circuits are then not known to be compatible.
    pub fn cross_entropy_under(&self, q: &Circuit) -> Result<f64> {
        q.cross_entropy(&self.0)
    }

    /// `KL(self ‖ other) = Σ_x p(x) log(p(x) / q(x))`, nats, of two circuits with the same graph.
    ///
    /// # Errors
    /// As [`Self::cross_entropy_under`].
    pub fn kl(&self, other: &Self) -> Result<f64> {
        // It is never negative; two equal circuits differ by rounding.
        Ok((other.cross_entropy_under(self)? - self.entropy()).max(0.0))
    }
}

impl<T: Scalar> Circuit<T> {
    /// Whether at most one child of a sum block is possible for a row, as far as the inputs right below show it.
    fn decides(&self, b: usize) -> bool {
        let Kind::Sum { children, weights } = &self.graph.blocks()[b].kind else { return true };
        let matrices = &self.weights[*weights];
        if (0..self.units(b)).all(|row| branches(matrices, row).nth(1).is_none()) {
            return true;
        }
        let [child] = children[..] else { return false };
        let inputs = match &self.graph.blocks()[child].kind {
            Kind::Product { children } => children.clone(),
            _ => vec![child],
        };
        let disjoint = |leaf: usize| {
            let leaves = &self.leaves[leaf];
            // By logarithms: what is too small for the table is possible all the same.
            let possible = |a: usize| move |unit: &usize| leaves.log_prob(*unit, a as u16) > f64::NEG_INFINITY;
            (0..leaves.categories()).all(|a| (0..leaves.units).filter(possible(a)).count() <= 1)
        };
        inputs.iter().any(|c| matches!(self.graph.blocks()[*c].kind, Kind::Input { leaf, .. } if disjoint(leaf)))
    }

    pub(crate) fn entropy_of_deterministic(&self) -> f64 {
        let mut entropies: Vec<Vec<f64>> = Vec::new();
        for block in self.graph.blocks() {
            let values = (0..block.units).map(|unit| match &block.kind {
                Kind::Input { leaf, .. } => self.leaves[*leaf].distribution(unit).map(|p| -xlogx(p)).sum(),
                Kind::Product { children } => children.iter().map(|c| entropies[*c][unit]).sum(),
                Kind::Kronecker { left, right } => {
                    let units = self.units(*right);
                    entropies[*left][unit / units] + entropies[*right][unit % units]
                }
                Kind::Sum { children, weights } => branches(&self.weights[*weights], unit)
                    .map(|e| e.log_weight.exp() * (entropies[children[e.part]][e.node] - e.log_weight))
                    .sum(),
            });
            let values = values.collect();
            entropies.push(values);
        }
        entropies[self.graph.root()][0]
    }

    /// `−Σ_x p(x) log q(x)` for a deterministic `q` with the graph of this circuit `p`.
    ///
    /// For every pair of nodes of one block: the mass `M` of `p`'s where `q`'s is possible, and `C = −Σ p log q` there.
    pub(crate) fn cross_entropy(&self, q: &Self) -> Result<f64> {
        if self.graph != q.graph || self.schema.variables.len() != q.schema.variables.len() {
            return Err(Error::invalid(
                "the circuits have different graphs; only the same one is known to be compatible",
            ));
        }
        let mut pairs: Vec<Pairs> = Vec::new();
        for (b, block) in self.graph.blocks().iter().enumerate() {
            let units = block.units;
            let made = match &block.kind {
                Kind::Input { leaf, .. } => Pairs::of(units, |i, j| {
                    let (p, q) = (self.leaves[*leaf].distribution(i), q.leaves[*leaf].distribution(j));
                    let possible = p.zip(q).filter(|(_, q)| *q > 0.0);
                    possible.fold((0.0, 0.0), |(m, c), (p, q)| (m + p, c - p * q.ln()))
                }),
                Kind::Product { children } => {
                    Pairs::of(units, |i, j| joined(children.iter().map(|c| pairs[*c].get(i, j))))
                }
                Kind::Kronecker { left, right } => {
                    let n = self.units(*right);
                    Pairs::of(units, |i, j| {
                        joined([pairs[*left].get(i / n, j / n), pairs[*right].get(i % n, j % n)].into_iter())
                    })
                }
                Kind::Sum { children, weights } => {
                    let [child] = children[..] else {
                        return Err(Error::invalid(format!("sum block {b} has several children: not compatible")));
                    };
                    let below = &pairs[child];
                    let inner = self.units(child);
                    // Over the children of each of q's nodes, for each child of p's.
                    let over: Vec<Vec<(f64, f64)>> = (0..units)
                        .map(|j| {
                            (0..inner)
                                .map(|i| {
                                    branches(&q.weights[*weights], j).fold((0.0, 0.0), |(m, c), e| {
                                        let (mass, cross) = below.get(i, e.node);
                                        (m + mass, c + cross - e.log_weight * mass)
                                    })
                                })
                                .collect()
                        })
                        .collect();
                    Pairs::of(units, |i, j| {
                        branches(&self.weights[*weights], i).fold((0.0, 0.0), |(m, c), e| {
                            let ((mass, cross), weight) = (over[j][e.node], e.log_weight.exp());
                            (m + weight * mass, c + weight * cross)
                        })
                    })
                }
            };
            pairs.push(made);
        }
        let (mass, cross) = pairs[self.graph.root()].get(0, 0);
        // Weights are single precision: what is lost by rounding is not mass outside.
        Ok(if mass < 1.0 - 1e-4 { f64::INFINITY } else { cross })
    }
}

/// A pair of numbers for every pair of nodes.
struct Pairs {
    units: usize,
    values: Vec<(f64, f64)>,
}

impl Pairs {
    fn of(units: usize, value: impl Fn(usize, usize) -> (f64, f64)) -> Self {
        Self { units, values: (0..units * units).map(|at| value(at / units, at % units)).collect() }
    }

    fn get(&self, i: usize, j: usize) -> (f64, f64) {
        self.values[i * self.units + j]
    }
}

/// Mass and cross-entropy of a product: `M = Π M_c`, `C = Σ_c C_c Π_{others} M`.
fn joined(parts: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    parts.fold((1.0, 0.0), |(m, c), (mass, cross)| (m * mass, c * mass + cross * m))
}

fn xlogx(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}
