//! A circuit as a layer of a network: its pass downward is the backward pass.

use crate::{
    Error, Result,
    circuits::{
        Circuit, Leaf,
        pass::downward::Flows,
        pass::heads::RowWeights,
        pass::inputs::starts,
        pass::kernels::TILE,
        pass::upward::{Purpose, Workspace},
        pass::weights::Matrix,
    },
    data::{Discrete, Rows, Soft},
    nn::fields,
};
use dfdx::{
    dtypes::Dtype,
    nn::{Module, ModuleVisitor, TensorCollection, TensorOptions},
    shapes::{Const, Dim, HasShape, Rank1},
    tensor::{Cpu, CpuError, Gradients, OwnedTape, PutTape, SplitTape, Tape, Tensor, TensorFromVec, Trace},
    tensor_ops::Device,
};
use std::sync::Arc;

/// A circuit whose weights are softmaxes of logits that an optimizer moves.
///
/// `LOGITS` is [`Circuit::logits`]. As a layer it reads soft evidence, `IN` log-likelihoods a row (a network's outputs, one for
/// every category of every variable), and returns the row's log-likelihood:
///
/// ```text
/// y = log Σ_x p(x) Π_v exp λ_v(x_v)
/// ∂y/∂λ_v(a) = p(x_v = a | λ)        ∂y/∂logit_nc = F_nc − θ_nc F_n
/// ```
///
/// Numbers that are not probabilities (the parameters of binomial leaves and the like) stay as they are.
///
/// ```
/// use dfdx::{nn::ZeroGrads, prelude::{Backward, MeanTo}};
/// use limbeck::{circuits::CircuitLayer, nn::optim::{Adam, AdamConfig, Schedule}, prelude::*};
///
/// let rows = Discrete::new(Schema::uniform(&[2], 2), vec![0, 0, 1, 1, 1, 1, 0, 1])?;
/// let circuit: Circuit = FitCircuit::new(Structure::hclt(2)).start_circuit(&rows, Seed(0))?;
/// let before: f64 = circuit.evidence(&rows)?.mean();
/// let mut layer = CircuitLayer::<4, 14>::new(&circuit)?;
/// let mut adam = Adam::new(AdamConfig { rate: Schedule::constant(0.1), ..Default::default() })?;
/// let mut grads = layer.alloc_grads();
/// for _ in 0..50 {
///     let log_probs = layer.log_prob(&rows, grads)?;
///     grads = (-log_probs.mean()).backward();
///     adam.update(&mut layer, &mut grads)?;
///     layer.zero_grads(&mut grads);
/// }
/// assert!(layer.circuit().evidence(&rows)?.mean() > before);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CircuitLayer<const IN: usize, const LOGITS: usize> {
    circuit: Arc<Circuit>,
    /// Logits of the edges of every sum node, then of the categories of every leaf.
    pub logits: Tensor<Rank1<LOGITS>, f32, Cpu>,
}

/// A number a row, with the tape that takes gradients back.
pub type Traced = Tensor<(usize,), f32, Cpu, OwnedTape<f32, Cpu>>;

/// What is left of a [`CircuitLayer`] on another device: its logits.
#[derive(Clone, Debug)]
pub struct Logits<const LOGITS: usize, E: Dtype, D: Device<E>> {
    /// As in the layer.
    pub logits: Tensor<Rank1<LOGITS>, E, D>,
}

fields! { [const LOGITS: usize,] Logits[LOGITS,] { tensor logits: TensorOptions::reset_to_zeros() } }

impl<const IN: usize, const LOGITS: usize> TensorCollection<f32, Cpu> for CircuitLayer<IN, LOGITS> {
    type To<E2: Dtype, D2: Device<E2>> = Logits<LOGITS, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, f32, Cpu>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let field = Self::tensor("logits", |s| &s.logits, |s| &mut s.logits, TensorOptions::reset_to_zeros());
        visitor.visit_fields(field, |logits| Logits { logits })
    }
}

/// Whether the probabilities of such leaves are a softmax.
fn has_logits(kind: Leaf) -> bool {
    matches!(kind, Leaf::Categorical | Leaf::Bernoulli)
}

impl Circuit {
    /// Number of logits of a [`CircuitLayer`]: of every edge, and of every category of every leaf.
    pub fn logits(&self) -> usize {
        let edges: usize = self.weights.iter().flatten().map(Matrix::edges).sum();
        let leaves = self.leaves.iter().filter(|l| has_logits(l.kind));
        edges + leaves.map(|l| l.units * l.categories()).sum::<usize>()
    }

    /// The probabilities of every sum node and of every leaf, in order.
    fn each_softmax(&mut self, each: &mut dyn FnMut(&mut [&mut f32])) {
        for parts in &mut self.weights {
            for row in 0..parts[0].rows() {
                let mut edges: Vec<&mut f32> = Vec::new();
                for matrix in parts.iter_mut() {
                    let range = matrix.row(row);
                    edges.extend(matrix.values[range].iter_mut().filter(|w| **w > 0.0));
                }
                each(&mut edges);
            }
        }
        for leaves in self.leaves.iter_mut().filter(|l| has_logits(l.kind)) {
            let (units, known) = (leaves.units, leaves.categories() * leaves.units);
            for unit in 0..units {
                each(&mut leaves.table[unit..known].iter_mut().step_by(units).collect::<Vec<_>>());
            }
        }
    }

    /// The flows of every edge and category, in the order of the logits.
    fn flows_in_order(&self, flows: &Flows<f32>) -> Vec<f64> {
        let mut sums = Vec::new();
        for (parts, flows) in self.weights.iter().zip(&flows.sums.edges) {
            for row in 0..parts[0].rows() {
                for (matrix, flows) in parts.iter().zip(flows) {
                    let edges = matrix.row(row).filter(|i| matrix.values[*i] > 0.0);
                    sums.extend(edges.map(|i| f64::from(flows[i]) * f64::from(matrix.values[i])));
                }
            }
        }
        for (leaves, flows) in self.leaves.iter().zip(&flows.sums.leaves) {
            if has_logits(leaves.kind) {
                let (units, known) = (leaves.units, leaves.categories() * leaves.units);
                for unit in 0..units {
                    sums.extend(flows[unit..known].iter().step_by(units).map(|f| f64::from(*f)));
                }
            }
        }
        sums
    }

    /// The gradients of `Σ_b weights_b log p(row b)`: of the logits, and of the soft evidence of every row, where there is any.
    fn gradients(&self, rows: &dyn Rows, weights: &[f32], width: usize) -> Result<(Vec<f64>, Vec<f32>)> {
        let mut flows = Flows::new(self);
        let mut evidence = vec![0.0; rows.len() * width];
        let (starts, mut column) = (starts(&self.schema), Vec::new());
        let all: Vec<usize> = (0..rows.len()).collect();
        let row_weights = RowWeights { weights: Some(weights), ..RowWeights::default() };
        Workspace::new(Purpose::Sums).for_each_block(self, rows, &all, row_weights, |block, tiles| {
            flows.add(self, tiles);
            if width == 0 {
                return Ok(());
            }
            for (tile, rows) in tiles.iter().zip(block.chunks(TILE)) {
                for (b, row) in rows.iter().enumerate() {
                    let says = tile.row(b);
                    let weight = f64::from(weights[*row]);
                    let exact = tile.underflowed[b].then(|| self.row_flows(&self.log_values(&says), &[1.0], |_, _| {}));
                    for (set, uses) in self.uses.leaves.iter().enumerate() {
                        for (v, block) in uses {
                            self.column(tile, exact.as_deref(), *block, b, &mut column);
                            // Those in the tile have the weight already.
                            if exact.is_some() {
                                column.iter_mut().for_each(|flow| *flow *= weight);
                            }
                            let mut p = vec![0.0; self.schema.variables[*v].categories];
                            self.add_expected((*v, set), &column, Some(&says), &mut p);
                            let into = &mut evidence[row * width + starts[*v]..];
                            into.iter_mut().zip(p).for_each(|(e, p)| *e += p as f32);
                        }
                    }
                }
            }
            Ok(())
        })?;
        let mut own = self.clone();
        let mut sums = self.flows_in_order(&flows).into_iter();
        let mut gradients = Vec::new();
        own.each_softmax(&mut |probabilities| {
            let flows: Vec<f64> = sums.by_ref().take(probabilities.len()).collect();
            let total: f64 = flows.iter().sum();
            gradients.extend(probabilities.iter().zip(flows).map(|(p, flow)| flow - f64::from(**p) * total));
        });
        Ok((gradients, evidence))
    }
}

impl<const IN: usize, const LOGITS: usize> CircuitLayer<IN, LOGITS> {
    /// The circuit as a layer; its probabilities become logits. An edge that is not there stays away.
    ///
    /// # Errors
    /// When `IN` is not its number of categories or `LOGITS` not that of its logits: the message says them. Also for a circuit
    /// with several heads.
    pub fn new(circuit: &Circuit) -> Result<Self> {
        let categories: usize = circuit.schema.variables.iter().map(|v| v.categories).sum();
        let found = circuit.logits();
        if (IN, LOGITS) != (categories, found) {
            return Err(Error::invalid(format!(
                "CircuitLayer::<{IN}, {LOGITS}> for this circuit: CircuitLayer::<{categories}, {found}> is its type"
            )));
        }
        if circuit.graph.heads() > 1 {
            return Err(Error::invalid(format!("a circuit with {} heads; a layer has one", circuit.graph.heads())));
        }
        let mut logits = Vec::with_capacity(LOGITS);
        let mut own = circuit.clone();
        own.each_softmax(&mut |p| logits.extend(p.iter().map(|p| p.max(f32::MIN_POSITIVE).ln())));
        let logits = Cpu::default().tensor_from_vec(logits, (Const,));
        Ok(Self { circuit: Arc::new(circuit.clone()), logits })
    }

    /// The circuit with its parameters as they are now.
    pub fn circuit(&self) -> Circuit {
        let mut circuit = (*self.circuit).clone();
        let logits = self.logits.as_vec();
        let mut left = logits.as_slice();
        circuit.each_softmax(&mut |probabilities| {
            let (own, rest) = left.split_at(probabilities.len());
            left = rest;
            let largest = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total: f64 = own.iter().map(|l| f64::from(l - largest).exp()).sum();
            let least = f64::from(f32::MIN_POSITIVE);
            probabilities
                .iter_mut()
                .zip(own)
                .for_each(|(p, l)| **p = (f64::from(l - largest).exp() / total).max(least) as f32);
        });
        circuit
    }

    /// Log-likelihood of each row, nats, traced into `grads`, so that its gradient reaches the logits.
    ///
    /// # Errors
    /// As [`Circuit::log_prob`].
    pub fn log_prob(&self, rows: &Discrete, grads: Gradients<f32, Cpu>) -> Result<Traced> {
        let circuit = self.circuit();
        let log_probs: Vec<f32> = circuit.log_prob(rows)?.into_iter().map(|p| p as f32).collect();
        let out = self.logits.device().tensor_from_vec(log_probs, (rows.len(),));
        let (logits, mut tape) = self.logits.clone().traced(grads).split_tape();
        let (ghost, rows) = (out.ghost(), rows.clone());
        tape.add_backward_op(move |grads| {
            let given = grads.get_or_alloc_mut(&ghost)?.clone();
            let (moved, _) = circuit.gradients(&rows, &given, 0).map_err(|_| CpuError::WrongNumElements)?;
            grads.get_or_alloc_mut(&logits)?.iter_mut().zip(moved).for_each(|(g, d)| *g += d as f32);
            Ok(())
        });
        Ok(out.put_tape(tape))
    }
}

impl<const IN: usize, const LOGITS: usize, B: Dim, T: Tape<f32, Cpu>> Module<Tensor<(B, Const<IN>), f32, Cpu, T>>
    for CircuitLayer<IN, LOGITS>
{
    type Output = Tensor<(B,), f32, Cpu, T>;
    type Error = CpuError;

    /// Where a log-likelihood is NaN or +∞, every row is NaN, so that the loss shows it.
    ///
    /// # Errors
    /// The device's own: out of memory.
    fn try_forward(&self, evidence: Tensor<(B, Const<IN>), f32, Cpu, T>) -> Result<Self::Output, CpuError> {
        let (evidence, mut tape) = evidence.split_tape();
        let circuit = self.circuit();
        let wrong = |_| CpuError::WrongNumElements;
        let Ok(soft) = Soft::new(circuit.schema.clone(), evidence.as_vec()) else {
            let rows = evidence.shape().0;
            let lost = self.logits.device().try_tensor_from_vec(vec![f32::NAN; rows.size()], (rows,))?;
            return Ok(lost.put_tape(tape));
        };
        let log_probs = circuit.log_prob(&soft).map_err(wrong)?;
        let log_probs = log_probs.into_iter().map(|p| p as f32).collect();
        let out = self.logits.device().try_tensor_from_vec(log_probs, (evidence.shape().0,))?;
        if T::OWNS_TAPE {
            let (ghost, logits) = (out.ghost(), self.logits.clone());
            tape.add_backward_op(move |grads| {
                let given = grads.get_or_alloc_mut(&ghost)?.clone();
                let (moved, posterior) =
                    circuit.gradients(&soft, &given, IN).map_err(|_| CpuError::WrongNumElements)?;
                grads.get_or_alloc_mut(&logits)?.iter_mut().zip(moved).for_each(|(g, d)| *g += d as f32);
                grads.get_or_alloc_mut(&evidence)?.iter_mut().zip(posterior).for_each(|(g, d)| *g += d);
                Ok(())
            });
        }
        Ok(out.put_tape(tape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Fit;
    use crate::{
        circuits::{FitCircuit, Structure},
        data::{MISSING, Schema},
        nn::{
            Dense, Relu,
            optim::{Adam, AdamConfig, Schedule},
        },
        random::Seed,
    };
    use dfdx::{
        nn::{BuildOnDevice, ZeroGrads},
        prelude::{Axis, Backward, MeanTo, Rank2, SumTo, TensorFrom, Trace, WithEmptyTape},
    };
    use rand::RngExt;

    fn rows() -> Discrete {
        let codes = (0..90).map(|i| if i % 11 == 0 { MISSING } else { (i * i % 7 % 3) as u16 }).collect();
        Discrete::new(Schema::uniform(&[3], 3), codes).unwrap()
    }

    fn layer() -> CircuitLayer<9, 28> {
        let circuit = FitCircuit::new(Structure::hclt(2)).start_circuit(&rows(), Seed(3)).unwrap();
        CircuitLayer::new(&circuit).unwrap()
    }

    #[test]
    fn the_gradients_are_those_of_finite_differences() {
        let layer = layer();
        let mut rng = Seed(1).stream("evidence", 0);
        let values: Vec<f32> = (0..36).map(|_| 3.0 * rng.random::<f32>() - 2.0).collect();
        let weights: Vec<f32> = vec![1.0, -0.5, 2.0, 0.0];
        let device = Cpu::default();
        let value = |layer: &CircuitLayer<9, 28>, values: &[f32]| -> f64 {
            let soft = Soft::new(layer.circuit.schema.clone(), values.to_vec()).unwrap();
            let log_probs = layer.circuit().log_prob(&soft).unwrap();
            log_probs.iter().zip(&weights).map(|(p, w)| p * f64::from(*w)).sum()
        };
        let evidence: Tensor<Rank2<4, 9>, f32, Cpu> = device.tensor(values.clone());
        let scale = device.tensor_from_vec(weights.clone(), (Const::<4>,));
        let out = layer.forward(evidence.leaky_trace()) * scale;
        let grads = out.sum::<dfdx::prelude::Rank0, _>().backward();
        let near = |found: f32, numeric: f64, what: &str| {
            assert!((f64::from(found) - numeric).abs() < 2e-3, "{what}: {found} for {numeric}");
        };
        let step = 5e-3_f32;
        for (i, found) in grads.get(&evidence).as_vec().into_iter().enumerate() {
            let at = |by: f32| {
                let mut moved = values.clone();
                moved[i] += by;
                value(&layer, &moved)
            };
            near(found, (at(step) - at(-step)) / f64::from(2.0 * step), "evidence");
        }
        for (i, found) in grads.get(&layer.logits).as_vec().into_iter().enumerate() {
            let at = |by: f32| {
                let (mut moved, mut logits) = (layer.clone(), layer.logits.as_vec());
                logits[i] += by;
                moved.logits = device.tensor_from_vec(logits, (Const,));
                value(&moved, &values)
            };
            near(found, (at(step) - at(-step)) / f64::from(2.0 * step), "logits");
        }
    }

    #[test]
    fn evidence_that_is_not_a_number_is_not_hidden() {
        let evidence: Tensor<Rank2<2, 9>, f32, Cpu> =
            Cpu::default().tensor_from_vec(vec![f32::NAN; 18], (Const, Const));
        assert!(layer().forward(evidence).as_vec().iter().all(|p| p.is_nan()));
    }

    #[test]
    fn a_layer_keeps_its_circuit_and_says_its_type() {
        let circuit = FitCircuit::new(Structure::hclt(2)).start_circuit(&rows(), Seed(3)).unwrap();
        let again = layer().circuit();
        for (a, b) in circuit.log_prob(&rows()).unwrap().iter().zip(again.log_prob(&rows()).unwrap()) {
            assert!((a - b).abs() < 1e-5);
        }
        let error = CircuitLayer::<9, 5>::new(&circuit).unwrap_err().to_string();
        assert!(error.contains("CircuitLayer::<9, 28> is its type"), "{error}");
    }

    #[test]
    fn gradient_ascent_learns_as_em_does() {
        let rows = rows();
        let mut layer = layer();
        let mut adam = Adam::new(AdamConfig { rate: Schedule::constant(0.05), ..Default::default() }).unwrap();
        let mut grads = layer.alloc_grads();
        for _ in 0..300 {
            let loss = -layer.log_prob(&rows, grads).unwrap().mean();
            grads = loss.backward();
            adam.update(&mut layer, &mut grads).unwrap();
            layer.zero_grads(&mut grads);
        }
        let settings =
            FitCircuit { epochs: 300, em: crate::circuits::Em::exact(), ..FitCircuit::new(Structure::hclt(2)) };
        let (em, _) = settings.fit(&rows, None, Seed(3)).unwrap();
        let (by_gradient, by_em) =
            (layer.circuit().evidence(&rows).unwrap().mean(), em.evidence(&rows).unwrap().mean());
        assert!((by_gradient - by_em).abs() < 0.02, "{by_gradient} by gradient, {by_em} by EM");
    }

    /// `p(y | x) ∝ c(y) exp Σ λ_v(y_v)` where `c` allows only rows whose two values are equal: no other is ever predicted.
    #[test]
    fn a_network_learns_through_a_circuit_that_knows_what_is_possible() {
        let equal = Discrete::new(Schema::uniform(&[2], 2), vec![0, 0, 1, 1]).unwrap();
        let settings = FitCircuit {
            epochs: 100,
            em: crate::circuits::Em::exact(),
            ..FitCircuit::new(Structure::Mixture { components: 2 })
        };
        let constraint = settings.fit(&equal, None, Seed(1)).unwrap().0;
        let device = Cpu::seed_from_u64(0);
        let mut net = <(Dense<Const<1>, Const<8>, Relu>, Dense<Const<8>, Const<4>>)>::build_on_device(&device);
        let layer = CircuitLayer::<4, 10>::new(&constraint).unwrap();
        let x: Tensor<Rank2<4, 1>, f32, Cpu> = device.tensor([[-1.0], [-0.5], [0.5], [1.0]]);
        // Both values are 1 where x is positive.
        let told: Tensor<Rank2<4, 4>, f32, Cpu> =
            device.tensor([[1., 0., 1., 0.], [1., 0., 1., 0.], [0., 1., 0., 1.], [0., 1., 0., 1.]]);
        let mut adam = Adam::new(AdamConfig { rate: Schedule::constant(0.05), ..Default::default() }).unwrap();
        let mut grads = net.alloc_grads();
        for _ in 0..200 {
            let lambda = net.forward(x.clone().traced(grads));
            let seen = (lambda.with_empty_tape() * told.clone()).sum::<Rank1<4>, Axis<1>>();
            let loss = (layer.forward(lambda) - seen).mean();
            grads = loss.backward();
            adam.update(&mut net, &mut grads).unwrap();
            net.zero_grads(&mut grads);
        }
        let soft = Soft::new(constraint.schema.clone(), net.forward(x).as_vec()).unwrap();
        let predicted = constraint.conditionals(&soft).unwrap();
        for (row, high) in [false, false, true, true].into_iter().enumerate() {
            assert!((predicted.get(row, 0)[1] > 0.9) == high, "{:?}", predicted.get(row, 0));
            assert!((predicted.get(row, 0)[1] - predicted.get(row, 1)[1]).abs() < 1e-2);
        }
    }
}
