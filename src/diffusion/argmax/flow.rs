//! A flow of the numbers of categories.

use super::Lift;
use crate::{
    Error, Result,
    data::{Discrete, Rows, Schema, fingerprint},
    diffusion::{Network, Noisy},
    evidence::{Evidence, LowerBound, Space},
    flows::{Base, Bijection, Normal},
    math::log_sum_exp_of,
    nn::{
        Device,
        ops::{columns, rowmap},
    },
    random::{Seed, Stream},
    train::Trained,
};
use dfdx::{
    nn::TensorCollection,
    prelude::SumTo,
    shapes::Axis,
    tensor::{Cpu, NoneTape, SplitTape, Tape, Tensor},
    tensor_ops::ReshapeTo,
};
use std::sync::Arc;

/// A model of categories: a flow over numbers, and the category that they stand for. Its likelihood is bounded from below.
///
/// ```text
/// generate   v ~ p(v)                x_d = argmax_k v_dk
/// bound      v ~ q(v | x)            log p(v) − log q(v | x)                              ELBO
/// tighter    v_1, …, v_k ~ q(v | x)  log 1/k Σ_i p(v_i) / q(v_i | x)                      IWBO(k)
/// ```
///
/// `N` is the network that says the parameters of `q` from a row, `B` the bijection from numbers to the base. Source: Hoogeboom
/// et al. 2021, algorithms 1 and 2.
#[derive(Clone, Debug)]
pub struct ArgmaxFlow<L, N, B, P = Normal, Dev = Cpu> {
    lift: L,
    /// The encoder and the bijection.
    pub(super) parts: (N, B),
    base: P,
    length: usize,
    device: Dev,
}

/// Rows that one call works on.
const BLOCK: usize = 64;
/// Samples that are drawn for one that stands for a category, before it is given up.
const TRIES: usize = 1000;

impl<L: Lift, N, B, P: Base, Dev: Device<f32>> ArgmaxFlow<L, N, B, P, Dev>
where
    N: Network<f32, Dev, Categories = usize>,
    B: Bijection<usize, f32, Dev>,
{
    /// Of rows of `length` categories. The encoder says as many numbers of a position as the lift has parameters; the bijection is
    /// of all numbers of a row.
    pub fn new(device: &Dev, length: usize, lift: L, encoder: N, bijection: B, base: P) -> Self {
        Self { lift, parts: (encoder, bijection), base, length, device: device.clone() }
    }

    /// From categories to numbers.
    pub fn lift(&self) -> &L {
        &self.lift
    }

    /// Numbers of a row.
    pub fn numbers(&self) -> usize {
        self.length * self.lift.numbers()
    }

    /// `log p(v) − log q(v | x)` of every row, nats, for one draw of noise each.
    pub(super) fn draw_bound<T: Tape<f32, Dev>>(
        &self,
        codes: &[u16],
        rng: &mut Stream,
        tape: T,
    ) -> Tensor<(usize,), f32, Dev, T> {
        let (length, n) = (self.length, self.lift.numbers());
        let rows = codes.len() / length;
        let noise: Arc<[f32]> = (0..codes.len() * n).map(|_| self.lift.noise(rng) as f32).collect();
        let codes: Arc<[u16]> = codes.into();
        let parameters = self.parts.0.forward(Noisy { states: &codes, length, times: &vec![0.0; rows] }, tape);
        let (lift, again, lifted_codes, noise_again) =
            (self.lift.clone(), self.lift.clone(), codes.clone(), noise.clone());
        let lifted = rowmap(
            parameters,
            n + 1,
            move |i, p, into| {
                let (v, log_q) = into.split_at_mut(n);
                log_q[0] = lift.lift(codes[i] as usize, p, &noise[i * n..(i + 1) * n], v);
            },
            move |i, p, d, into| {
                let noise = &noise_again[i * n..(i + 1) * n];
                again.slopes(lifted_codes[i] as usize, p, noise, &d[..n], d[n], into);
            },
        );
        let (lifted, tape) = lifted.split_tape();
        let v = columns(lifted.retaped::<T>(), (0..n).collect()).reshape_like(&(rows, length * n));
        let log_q = columns(dfdx::tensor::PutTape::put_tape(lifted, tape), [n].into()).reshape_like(&(rows, length));
        let (z, log_det) = self.parts.1.forward(v);
        self.base.log_prob(z) + log_det - log_q.sum::<_, Axis<1>>()
    }

    /// The bound of every row from `k` draws: the ELBO of one, IWBO(k) of more.
    ///
    /// # Errors
    /// When the rows are of other categories or have missing values, or there are no draws.
    pub fn evidence(&self, rows: &dyn Rows, k: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        if k == 0 {
            return Err(Error::out_of_range("draws", 0, "1 ≤ draws"));
        }
        self.check(rows)?;
        let (mut codes, mut bounds) = (Vec::new(), Vec::with_capacity(rows.len()));
        for row in 0..rows.len() {
            rows.read(&[row], &mut codes)?;
            self.whole(rows, row, &codes)?;
            let mut rng = seed.stream("lift", row as u64);
            let mut logs = Vec::with_capacity(k);
            for from in (0..k).step_by(BLOCK) {
                let repeated = codes.repeat(BLOCK.min(k - from));
                logs.extend(self.draw_bound(&repeated, &mut rng, NoneTape).as_vec().into_iter().map(f64::from));
            }
            bounds.push(log_sum_exp_of(&logs) - (k as f64).ln());
        }
        Ok(Evidence::new(bounds, Space::Raw, self.length)?.of_rows(fingerprint(rows)?))
    }

    /// Numbers of `n` rows from the flow.
    pub(super) fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64> {
        let z = self.base.sample((n, self.numbers()), &self.device, rng);
        self.parts.1.inverse(z).0.as_vec().into_iter().map(f64::from).collect()
    }

    /// `n` rows. Numbers that stand for no category are drawn anew, with their row.
    ///
    /// # Errors
    /// When a row stands for no categories a thousand times over.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Discrete> {
        let (width, mut codes) = (self.lift.numbers(), Vec::with_capacity(n * self.length));
        for row in 0..n {
            let mut rng = seed.stream("sample", row as u64);
            let found = (0..TRIES).find_map(|_| {
                let v = self.draw(1, &mut rng);
                v.chunks_exact(width).map(|v| Some(self.lift.category(v)? as u16)).collect::<Option<Vec<u16>>>()
            });
            codes.extend(found.ok_or_else(|| {
                Error::invalid(format!(
                    "row {row}: {TRIES} draws, none of which stands for categories at every position"
                ))
            })?);
        }
        Discrete::new(Schema::uniform(&[self.length], self.lift.categories()), codes)
    }

    /// The share of rows that the flow draws of which some numbers stand for no category, and its standard error: mass that a bound
    /// does not see. The likelihood among those that do is larger by `−log(1 − share)`.
    pub fn unused(&self, n: usize, seed: Seed) -> (f64, f64) {
        let mut rng = seed.stream("unused", 0);
        let width = self.lift.numbers();
        let is_lost = |row: &[f64]| row.chunks_exact(width).any(|v| self.lift.category(v).is_none());
        let lost: usize = (0..n.div_ceil(BLOCK))
            .map(|_| self.draw(BLOCK, &mut rng).chunks_exact(self.numbers()).filter(|row| is_lost(row)).count())
            .sum();
        let all = (n.div_ceil(BLOCK) * BLOCK) as f64;
        let share = lost as f64 / all;
        (share, (share * (1.0 - share) / all).sqrt())
    }

    /// The bound among rows that stand for categories: as if draws that stand for none were thrown away, as [`Self::sample`] does.
    /// Their share is taken from `n` draws at its lowest, so that with a chance of 97.5 % the result is a bound, too.
    ///
    /// ```text
    /// log P(x | used) ≥ bound − log(1 − low)      low: Wilson's lower end for the share
    /// ```
    ///
    /// # Errors
    /// When no draw stands for categories.
    pub fn among_used(&self, bound: &Evidence<LowerBound>, n: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        let (share, n) = (self.unused(n, seed).0, (n.div_ceil(BLOCK) * BLOCK) as f64);
        if share == 1.0 {
            return Err(Error::invalid(format!("{n} draws, none of which stands for categories at every position")));
        }
        let z = 1.96_f64;
        let middle = share + z * z / (2.0 * n);
        let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        let low = ((middle - half) / (1.0 + z * z / n)).max(0.0);
        let raised = bound.log_probs().iter().map(|p| p - (-low).ln_1p()).collect();
        let raised = Evidence::new(raised, bound.space().clone(), bound.dims())?;
        Ok(match bound.rows() {
            Some(rows) => raised.of_rows(rows),
            None => raised,
        })
    }

    /// Refuses rows of other categories.
    pub(super) fn check(&self, rows: &dyn Rows) -> Result<()> {
        let (k, schema) = (self.lift.categories(), rows.schema());
        if schema.len() != self.length {
            return Err(Error::invalid(format!("rows of {} columns; the flow is of {}", schema.len(), self.length)));
        }
        match schema.variables.iter().find(|v| v.categories != k) {
            None => Ok(()),
            Some(v) => {
                Err(Error::invalid(format!("variable {} has {} categories; the flow is of {k}", v.name, v.categories)))
            }
        }
    }

    /// Refuses rows with missing values.
    pub(super) fn whole(&self, rows: &dyn Rows, row: usize, codes: &[u16]) -> Result<()> {
        match codes.iter().position(|code| *code == crate::data::MISSING) {
            None => Ok(()),
            Some(at) => {
                let (row, length) = (rows.number_of(row), codes.len());
                Err(Error::invalid(match codes[at..].iter().all(|code| *code == crate::data::MISSING) {
                    true => format!(
                        "row {row} (from 0) ends after {at} of {length} positions: an argmax flow is of whole rows; leave that \
                         row out, or fit a model that reads shorter ones (absorbing, multinomial, hmm)"
                    ),
                    false => format!(
                        "row {row}, position {at} (both from 0) is missing: an argmax flow is of whole rows; leave that row \
                         out, or fit a circuit"
                    ),
                }))
            }
        }
    }
}

impl<L, N, B, P, Dev: Device<f32>> Trained<Dev> for ArgmaxFlow<L, N, B, P, Dev>
where
    N: TensorCollection<f32, Dev>,
    B: TensorCollection<f32, Dev>,
{
    type Module = (N, B);

    fn module(&self) -> &(N, B) {
        &self.parts
    }

    fn module_mut(&mut self) -> &mut (N, B) {
        &mut self.parts
    }
}
