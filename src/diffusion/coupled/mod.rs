//! A circuit as the output of a denoiser: positions that are shown together depend on each other.

#[cfg(test)]
mod tests;

use super::{Absorbing, Denoiser, Network, Noisy, Process, Steps, denoiser::history, process::normalise};
use crate::{
    Error, Result,
    circuits::{Circuit, CircuitLayer},
    data::{Discrete, MISSING, Rows, Schema, Soft, fingerprint},
    evidence::{Evidence, Fingerprint, LowerBound, Space},
    nn::{ops::rowmap, optim::AdamConfig},
    random::{Seed, Stream},
    train::{Clock, GradientLearner, Loss, Objective, Trained},
};
use dfdx::{
    nn::Module,
    prelude::MeanTo,
    shapes::{Const, Dim},
    tensor::{Cpu, Gradients, NoneTape, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use rand::RngExt;
use std::{marker::PhantomData, sync::Arc};

/// An absorbing process whose denoiser says a joint distribution of all positions: a network weighs the leaves of a circuit.
///
/// ```text
/// p(x_0 | x_t) = C(x_0) Π_d x̂_0^d(x_0^d) / Z       Z = Σ_x C(x) Π_d x̂_0^d(x^d), one pass of the circuit
/// ```
///
/// Independent positions are the special case of a circuit that says nothing. In a step that shows many positions at once, they
/// are then drawn together, and few steps may do. What a step shows has the probability of two passes:
///
/// ```text
/// p(x_s | x_t) / p(which are shown) = C(shown as they are, hidden by x̂_0) / C(all by x̂_0)
/// ```
///
/// `IN` is the number of categories of all positions, `LOGITS` that of the circuit ([`CircuitLayer`]). The idea of such a head is that
/// of CoDD; bounds by it are ours.
#[derive(Clone, Debug)]
pub struct Coupled<P, N, const IN: usize, const LOGITS: usize> {
    process: P,
    /// The network, and the circuit.
    parts: (N, CircuitLayer<IN, LOGITS>),
    schema: Schema,
}

/// Rows in one call.
const BLOCK: usize = 64;
/// A logarithm of nothing that a circuit in single precision takes.
const NEVER: f64 = -1e30;

impl<P, N, const IN: usize, const LOGITS: usize> Coupled<P, N, IN, LOGITS>
where
    P: Process + Masks,
    N: Network<f32, Cpu, Categories = P::Categories, States = P::States>
        + Denoiser<Categories = P::Categories, States = P::States>,
{
    /// Of rows as the circuit is of.
    ///
    /// # Errors
    /// When `IN` or `LOGITS` are not those of the circuit, it is of other categories than the process, or the network does not read
    /// rows of its length.
    pub fn new(process: P, network: N, circuit: &Circuit) -> Result<Self> {
        let (schema, k) = (circuit.schema().clone(), process.categories().size());
        if let Some(v) = schema.variables.iter().find(|v| v.categories != k) {
            return Err(Error::invalid(format!(
                "column {} of {} categories; the process is of {k}",
                v.name, v.categories
            )));
        }
        network.check_length(schema.len())?;
        Ok(Self { process, parts: (network, CircuitLayer::new(circuit)?), schema })
    }

    /// The circuit as it is now.
    pub fn circuit(&self) -> Circuit {
        self.parts.1.circuit()
    }

    /// Log-likelihoods of soft evidence under the circuit: what the network says of positions that are hidden, and the rest as it
    /// stands; twice, before and after `shown` are shown.
    fn log_ratio<T: Tape<f32, Cpu>>(
        &self,
        x0: &Arc<[u16]>,
        xt: &[u16],
        shown: &Arc<[bool]>,
        tape: T,
    ) -> Tensor<(usize,), f32, Cpu, T> {
        let length = self.schema.len();
        let rows = xt.len() / length;
        let mask = self.process.masked() as u16;
        let times = vec![self.process.time(0); rows];
        let logits = self.parts.0.forward(Noisy { states: xt, length, times: &times }, tape);
        let hidden: Arc<[bool]> = xt.iter().map(|x| *x == mask).collect();
        let both = [None, Some(shown.clone())].map(|shown| {
            let is_free = {
                let hidden = hidden.clone();
                move |i: usize| hidden[i] && !shown.as_ref().is_some_and(|shown| shown[i])
            };
            let again = (hidden.clone(), is_free.clone(), x0.clone());
            let (hidden, x0) = (hidden.clone(), x0.clone());
            let evidence = rowmap(
                logits.retaped::<T>(),
                self.process.categories().size(),
                move |i, logits, into| evidence_at(logits, x0[i] as usize, hidden[i], is_free(i), into),
                move |i, logits, d, into| {
                    let (hidden, is_free, x0) = &again;
                    slopes_at(logits, x0[i] as usize, hidden[i], is_free(i), d, into);
                },
            );
            let evidence: Tensor<(usize, Const<IN>), f32, Cpu, T> = evidence.reshape_like(&(rows, Const::<IN>));
            self.parts.1.try_forward(evidence).expect("memory for a number a row")
        });
        let (_, tape) = logits.split_tape();
        let [before, after] = both;
        let (before, first) = before.split_tape();
        let (after, second) = after.split_tape();
        after.put_tape(tape.merge(first).merge(second)) - before.retaped::<T>()
    }

    /// Which positions are hidden at a moment, and which of them the step then shows.
    fn noise(&self, steps: &Steps, i: usize, x0: &[u16], rng: &mut Stream) -> (Vec<u16>, Vec<bool>) {
        let (s, t) = steps.step(i);
        let mask = self.process.masked();
        let xt: Vec<u16> = x0.iter().map(|x| self.process.noisy(t, *x as usize, rng) as u16).collect();
        let share = self.process.shown(s, t);
        let shown = xt.iter().map(|x| *x as usize == mask && rng.random::<f64>() < share).collect();
        (xt, shown)
    }

    /// The bound of rows in these steps, from a draw of noise at each of them. Its interval is that of the draws.
    ///
    /// # Errors
    /// When the rows are of other columns, or a value is missing.
    pub fn evidence(&self, rows: &dyn Rows, steps: &Steps, draws: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        let length = self.schema.len();
        let mut codes = Vec::new();
        rows.read(&(0..rows.len()).collect::<Vec<_>>(), &mut codes)?;
        self.check(rows, &codes)?;
        let (mut bounds, mut variance) = (Vec::with_capacity(rows.len()), 0.0);
        for (row, x0) in codes.chunks_exact(length).enumerate() {
            let mut rng = seed.stream("coupled", row as u64);
            let mut sums = Vec::with_capacity(draws);
            for _ in 0..draws {
                let (mut noisy, mut shown) = (Vec::new(), Vec::new());
                for i in 1..=steps.len() {
                    let (xt, of_step) = self.noise(steps, i, x0, &mut rng);
                    noisy.extend(xt);
                    shown.extend(of_step);
                }
                let mut sum = 0.0;
                for (noisy, shown) in noisy.chunks(BLOCK * length).zip(shown.chunks(BLOCK * length)) {
                    let repeated: Arc<[u16]> = x0.repeat(noisy.len() / length).into();
                    let logs = self.log_ratio(&repeated, noisy, &shown.into(), NoneTape).as_vec();
                    sum += logs.into_iter().map(f64::from).sum::<f64>();
                }
                sums.push(sum);
            }
            let mean = sums.iter().sum::<f64>() / draws as f64;
            if draws > 1 {
                variance += sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (draws * (draws - 1)) as f64;
            }
            bounds.push(mean);
        }
        let error = 2.0 * variance.sqrt() / bounds.len() as f64;
        Evidence::new(bounds, Space::Raw, length)?.of_rows(fingerprint(rows)?).within(error, error)
    }

    /// `n` rows, drawn in these steps, in each of them jointly.
    ///
    /// # Errors
    /// When `n` is 0, or a circuit's number stops being one.
    pub fn sample(&self, n: usize, steps: &Steps, seed: Seed) -> Result<Discrete> {
        let (length, k, mask) = (self.schema.len(), self.process.categories().size(), self.process.masked() as u16);
        let circuit = self.circuit();
        let mut state = vec![mask; n * length];
        for i in (1..=steps.len()).rev() {
            let (s, t) = steps.step(i);
            let mut logits = self.parts.0.logits(&state, length, &vec![self.process.time(t); n]);
            let each = logits.chunks_exact_mut(k).zip(&state);
            each.for_each(|(log_x0, x)| match *x == mask {
                true => normalise(log_x0),
                false => {
                    log_x0.iter_mut().enumerate().for_each(|(c, l)| *l = if c == *x as usize { 0.0 } else { NEVER })
                }
            });
            let soft = Soft::new(self.schema.clone(), logits.into_iter().map(|l| l as f32).collect())?;
            let drawn = circuit.complete(&soft, seed.child("joint", i as u64))?;
            let share = self.process.shown(s, t);
            for (row, (state, drawn)) in
                state.chunks_exact_mut(length).zip(drawn.codes().chunks_exact(length)).enumerate()
            {
                let mut rng = seed.child("shown", i as u64).stream("row", row as u64);
                for (x, drawn) in state.iter_mut().zip(drawn) {
                    if *x == mask && rng.random::<f64>() < share {
                        *x = *drawn;
                    }
                }
            }
        }
        Discrete::new(self.schema.clone(), state)
    }

    fn check(&self, rows: &dyn Rows, codes: &[u16]) -> Result<()> {
        if rows.schema().len() != self.schema.len() {
            let (found, ours) = (rows.schema().len(), self.schema.len());
            return Err(Error::invalid(format!("rows of {found} columns; the model is of {ours}")));
        }
        let k = self.process.categories().size();
        match codes.iter().position(|code| *code as usize >= k) {
            None => Ok(()),
            Some(at) => {
                let (row, column) = (rows.number_of(at / self.schema.len()), at % self.schema.len());
                let what = if codes[at] == MISSING { "missing".into() } else { format!("category {}", codes[at]) };
                Err(Error::invalid(format!(
                    "row {row}, column {column}: {what}; whole rows of {k} categories are expected"
                )))
            }
        }
    }
}

/// A process that hides, and shows again.
pub trait Masks {
    /// The state that hides.
    fn masked(&self) -> usize;
    /// Of what is hidden at `t`, the share that the step back to `s` shows.
    fn shown(&self, s: usize, t: usize) -> f64;
}

impl<K: crate::nn::Size, S: crate::nn::Size> Masks for Absorbing<K, S> {
    fn masked(&self) -> usize {
        self.mask()
    }

    fn shown(&self, s: usize, t: usize) -> f64 {
        self.revealed(s, t)
    }
}

/// What the circuit is told of a position: what stands there, or what is shown there and how likely the network finds it, or all
/// that the network says.
fn evidence_at(logits: &[f32], x0: usize, hidden: bool, free: bool, into: &mut [f32]) {
    if !hidden {
        into.fill(NEVER as f32);
        into[x0] = 0.0;
        return;
    }
    let mut logs: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
    normalise(&mut logs);
    for (k, (to, log)) in into.iter_mut().zip(logs).enumerate() {
        *to = if free || k == x0 { log } else { NEVER } as f32;
    }
}

/// Adds its slopes along the logits.
fn slopes_at(logits: &[f32], x0: usize, hidden: bool, free: bool, d: &[f32], into: &mut [f32]) {
    if !hidden {
        return;
    }
    let mut logs: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
    normalise(&mut logs);
    let of = |k: usize| if free || k == x0 { f64::from(d[k]) } else { 0.0 };
    let total: f64 = (0..logits.len()).map(of).sum();
    for (k, (to, log)) in into.iter_mut().zip(logs).enumerate() {
        *to += (of(k) - total * log.exp()) as f32;
    }
}

/// The bound of [`Coupled`] at drawn steps, nats a row.
pub struct CoupledLoss<'a, P, N, const IN: usize, const LOGITS: usize> {
    train: &'a dyn Rows,
    steps: Steps,
    model: PhantomData<fn() -> (P, N)>,
}

/// A [`Coupled`] that learns with Adam; a [`Learner`](crate::train::Learner) for [`train`](crate::train::train()).
pub type CoupledLearner<'a, P, N, const IN: usize, const LOGITS: usize> =
    GradientLearner<CoupledLoss<'a, P, N, IN, LOGITS>, Cpu>;

impl<'a, P, N, const IN: usize, const LOGITS: usize> CoupledLearner<'a, P, N, IN, LOGITS>
where
    P: Process + Masks,
    N: Network<f32, Cpu, Categories = P::Categories, States = P::States>
        + Denoiser<Categories = P::Categories, States = P::States>,
{
    /// For the bound of these steps.
    ///
    /// # Errors
    /// When a setting of Adam is out of range.
    pub fn new(model: Coupled<P, N, IN, LOGITS>, train: &'a dyn Rows, steps: Steps, adam: AdamConfig) -> Result<Self> {
        model.check(train, &[])?;
        Self::of(CoupledLoss { train, steps, model: PhantomData }, model, adam)
    }
}

impl<P, N, const IN: usize, const LOGITS: usize> Objective<Cpu> for CoupledLoss<'_, P, N, IN, LOGITS>
where
    P: Process + Masks,
    N: Network<f32, Cpu, Categories = P::Categories, States = P::States>
        + Denoiser<Categories = P::Categories, States = P::States>,
{
    type Model = Coupled<P, N, IN, LOGITS>;

    fn describe(&self, model: &Self::Model) -> String {
        let (network, steps) = (model.parts.0.describe(), self.steps.len());
        format!("{network}, and a circuit of {LOGITS} logits, {steps} steps")
    }

    fn rows(&self) -> Option<usize> {
        Some(self.train.len())
    }

    fn data(&self) -> Result<[Option<Fingerprint>; 2]> {
        Ok([Some(fingerprint(self.train)?), None])
    }

    fn loss(
        &self,
        model: &Self::Model,
        grads: Gradients<f32, Cpu>,
        rows: &[usize],
        clock: &Clock,
    ) -> Result<Loss<Cpu>> {
        let mut codes = Vec::new();
        self.train.read(rows, &mut codes)?;
        model.check(self.train, &codes)?;
        let mut rng = clock.seed.stream("noise", clock.step);
        let (n, start) = (rows.len(), rng.random::<f64>());
        let (mut noisy, mut shown) = (Vec::new(), Vec::new());
        for (row, x0) in codes.chunks_exact(model.schema.len()).enumerate() {
            // Spread evenly over the steps.
            let share = (start + row as f64 / n as f64) % 1.0;
            let i = 1 + ((share * self.steps.len() as f64) as usize).min(self.steps.len() - 1);
            let (xt, of_step) = model.noise(&self.steps, i, x0, &mut rng);
            noisy.extend(xt);
            shown.extend(of_step);
        }
        let tape = history(&Cpu::default(), grads);
        let logs = model.log_ratio(&codes.into(), &noisy, &shown.into(), tape);
        Ok(-logs.mean() * self.steps.len() as f32)
    }
}

impl<P, N: Network<f32, Cpu>, const IN: usize, const LOGITS: usize> Trained<Cpu> for Coupled<P, N, IN, LOGITS> {
    type Module = (N, CircuitLayer<IN, LOGITS>);

    fn module(&self) -> &Self::Module {
        &self.parts
    }

    fn module_mut(&mut self) -> &mut Self::Module {
        &mut self.parts
    }
}
