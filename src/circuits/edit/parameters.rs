//! The parameters of a block, read and set.

use crate::{
    Error, Result,
    circuits::{Circuit, Leaf, RealCircuit, Scalar, graph::Kind, leaf::Leaves, pass::weights::Matrix},
};

/// How far a row of probabilities may be from one in sum.
const TOLERANCE: f64 = 1e-5;

impl<T: Scalar> Circuit<T> {
    /// The parameters of a block of the graph, by unit:
    ///
    /// | block | shape | a row |
    /// |---|---|---|
    /// | sum | `(units, units of all children)` | the weights, child after child |
    /// | categorical, Bernoulli, indicator | `(units, categories)` | the probabilities |
    /// | binomial | `(units, 1)` | the success probability |
    /// | Poisson | `(units, 1)` | the rate |
    /// | discretised logistic | `(units, 2)` | mean and scale, in categories |
    /// | Gaussian | `(units, 2)` | mean and standard deviation, in the units of the data |
    /// | product | none | |
    ///
    /// # Errors
    /// When the graph has no such block.
    pub fn block_parameters(&self, block: usize) -> Result<Vec<f64>> {
        self.has_block(block)?;
        Ok(match &self.graph.blocks()[block].kind {
            Kind::Sum { weights, .. } => {
                let parts: Vec<(usize, Vec<T>)> =
                    self.weights[*weights].iter().map(|m| (m.columns(), m.to_dense())).collect();
                let row = |unit| {
                    parts
                        .iter()
                        .flat_map(move |(width, values)| values[unit * width..][..*width].iter().map(|w| w.f64()))
                };
                (0..self.units(block)).flat_map(row).collect()
            }
            Kind::Input { leaf, .. } => {
                let leaves = &self.leaves[*leaf];
                match leaves.density() {
                    _ if leaves.numbers.is_empty() => {
                        (0..leaves.units).flat_map(|unit| leaves.distribution(unit)).collect()
                    }
                    Some(_) => {
                        let (shift, scale) = (leaves.frame.shift, leaves.frame.scale);
                        leaves.numbers.chunks_exact(2).flat_map(|n| [shift + scale * n[0], scale * n[1]]).collect()
                    }
                    None => leaves.numbers.clone(),
                }
            }
            _ => Vec::new(),
        })
    }

    /// Sets the parameters of a block, and of those that share them, as [`Self::block_parameters`] gives them. A weight of zero
    /// is an edge that is not there: learning does not bring it back.
    ///
    /// # Errors
    /// When the graph has no such block, the block has no parameters to set, their number is another, or they are not
    /// distributions. The circuit is then as before.
    pub fn set_block_parameters(&mut self, block: usize, values: &[f64]) -> Result<()> {
        self.has_block(block)?;
        let now = self.block_parameters(block)?.len();
        if now != values.len() {
            return Err(Error::invalid(format!("block {block} has {now} parameters; {} are given", values.len())));
        }
        match &self.graph.blocks()[block].kind {
            Kind::Sum { weights, .. } => {
                let parts = &mut self.weights[*weights];
                let width: usize = parts.iter().map(Matrix::columns).sum();
                check_rows(block, values, width)?;
                let mut first = 0;
                for matrix in parts {
                    let columns = matrix.columns();
                    let part = values.chunks_exact(width).flat_map(|row| &row[first..first + columns]);
                    *matrix = Matrix::dense(matrix.rows(), columns, part.map(|w| T::of(*w)).collect()).packed();
                    first += columns;
                }
                Ok(())
            }
            Kind::Input { leaf, .. } => {
                let leaves = &mut self.leaves[*leaf];
                *leaves = with_parameters(leaves, block, values)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn has_block(&self, block: usize) -> Result<()> {
        let blocks = self.graph.blocks().len();
        let missing = || Error::invalid(format!("block {block} of a graph with {blocks}"));
        (block < blocks).then_some(()).ok_or_else(missing)
    }
}

impl RealCircuit {
    /// The parameters of a block, as [`Circuit::block_parameters`].
    ///
    /// # Errors
    /// As there.
    pub fn block_parameters(&self, block: usize) -> Result<Vec<f64>> {
        self.0.block_parameters(block)
    }

    /// Sets the parameters of a block, as [`Circuit::set_block_parameters`].
    ///
    /// # Errors
    /// As there.
    pub fn set_block_parameters(&mut self, block: usize, values: &[f64]) -> Result<()> {
        self.0.set_block_parameters(block, values)
    }
}

/// The same leaves with other parameters.
fn with_parameters<T: Scalar>(leaves: &Leaves<T>, block: usize, values: &[f64]) -> Result<Leaves<T>> {
    let (mut new, kind) = (leaves.clone(), leaves.kind);
    let (units, k) = (leaves.units, leaves.categories());
    if kind == Leaf::Indicator {
        return Err(Error::invalid(format!("block {block} is of indicators, which have no parameters")));
    } else if leaves.density().is_some() {
        let (shift, scale) = (leaves.frame.shift, leaves.frame.scale);
        new.numbers = values.chunks_exact(2).flat_map(|n| [(n[0] - shift) / scale, n[1] / scale]).collect();
    } else if !leaves.numbers.is_empty() {
        new.numbers = values.to_vec();
    } else {
        check_rows(block, values, k)?;
        for (unit, row) in values.chunks_exact(k).enumerate() {
            row.iter().enumerate().for_each(|(a, p)| new.table[a * units + unit] = T::of(*p));
        }
    }
    new.tabulate();
    if !new.is_valid() {
        return Err(Error::invalid(format!("{values:?} are no parameters of {kind} leaves (block {block})")));
    }
    Ok(new)
}

/// Refuses rows that are not distributions.
fn check_rows(block: usize, values: &[f64], width: usize) -> Result<()> {
    for (unit, row) in values.chunks_exact(width).enumerate() {
        let total: f64 = row.iter().sum();
        if !row.iter().all(|p| *p >= 0.0) || (total - 1.0).abs() > TOLERANCE {
            let is = format_args!("unit {unit} of block {block} has the probabilities {row:?}, which sum to {total}");
            return Err(Error::invalid(format!("{is}: they are to be 0 or more, and 1 in sum")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::{
        circuits::{Circuit, Graph, Leaf, SumProduct},
        data::{Discrete, Schema},
        random::Seed,
    };

    fn circuit(kind: Leaf, k: usize) -> (Circuit, usize, usize) {
        let mut graph = Graph::new(1);
        let input = graph.input(0, 2).unwrap();
        let sum = graph.sum(&[input], 1).unwrap();
        (Circuit::random(graph, Schema::uniform(&[1], k), kind, Seed(0)).unwrap(), input, sum)
    }

    #[test]
    fn a_circuit_by_hand_is_what_it_was_said_to_be() {
        let (mut c, input, sum) = circuit(Leaf::Categorical, 3);
        c.set_block_parameters(input, &[0.5, 0.25, 0.25, 0.0, 0.0, 1.0]).unwrap();
        c.set_block_parameters(sum, &[0.5, 0.5]).unwrap();
        let rows = Discrete::new(Schema::uniform(&[1], 3), vec![0, 1, 2]).unwrap();
        let p: Vec<f64> = c.log_prob(&rows).unwrap().iter().map(|l| l.exp()).collect();
        assert!(p.iter().zip([0.25, 0.125, 0.625]).all(|(p, want)| (p - want).abs() < 1e-7), "{p:?}");
        assert_eq!(c.block_parameters(input).unwrap(), [0.5, 0.25, 0.25, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn numbers_determine_the_probabilities() {
        let (mut c, input, sum) = circuit(Leaf::Binomial, 3);
        c.set_block_parameters(input, &[0.5, 0.1]).unwrap();
        c.set_block_parameters(sum, &[1.0, 0.0]).unwrap();
        let rows = Discrete::new(Schema::uniform(&[1], 3), vec![0, 1, 2]).unwrap();
        let p: Vec<f64> = c.log_prob(&rows).unwrap().iter().map(|l| l.exp()).collect();
        assert!(p.iter().zip([0.25, 0.5, 0.25]).all(|(p, want)| (p - want).abs() < 1e-7), "{p:?}");
    }

    #[test]
    fn what_is_no_distribution_is_refused_and_changes_nothing() {
        let (mut c, input, sum) = circuit(Leaf::Categorical, 2);
        let before = c.clone();
        for (block, values) in [
            (input, vec![0.5, 0.5, 0.5]),
            (input, vec![0.5, 0.5, 0.9, 0.9]),
            (input, vec![0.5, 0.5, f64::NAN, 1.0]),
            (sum, vec![1.5, -0.5]),
            (7, vec![]),
        ] {
            assert!(c.set_block_parameters(block, &values).is_err(), "{block}, {values:?}");
        }
        assert_eq!(c, before);
        let (mut poisson, input, _) = circuit(Leaf::Poisson, 4);
        assert!(poisson.set_block_parameters(input, &[2.0, -1.0]).is_err());
    }

    #[test]
    fn what_is_read_is_set_to_the_same_circuit() {
        let structure = crate::circuits::Structure::RatSpn { depth: 2, replicas: 2, units: 3, layer: SumProduct::Cp };
        for kind in [Leaf::Categorical, Leaf::Poisson, Leaf::DiscretisedLogistic] {
            let schema = Schema::uniform(&[4], 5);
            let rows = Discrete::new(schema.clone(), (0..40).map(|i| i % 5).collect()).unwrap();
            let graph = structure.graph(&rows, Seed(1)).unwrap();
            let c: Circuit = Circuit::random(graph.clone(), schema.clone(), kind, Seed(1)).unwrap();
            let mut copy: Circuit = Circuit::random(graph.clone(), schema, kind, Seed(2)).unwrap();
            for block in 0..graph.blocks().len() {
                copy.set_block_parameters(block, &c.block_parameters(block).unwrap()).unwrap();
            }
            let [a, b] = [&c, &copy].map(|c| c.log_prob(&rows).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-6), "{kind}");
        }
    }
}
