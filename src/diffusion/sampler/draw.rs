//! Drawing rows.

use super::Sampler;
use crate::{
    Error, Result,
    data::{Discrete, MISSING, Rows},
    diffusion::{
        Denoiser, Diffusion, Process, Steps,
        process::{normalise, settled},
    },
    random::{Seed, Stream, categorical},
};
use dfdx::shapes::Dim;
use rand::RngExt;
use rayon::prelude::*;

/// Which categories may stand at a position.
pub type Allowed<'a> = dyn Fn(usize, usize) -> bool + Sync + 'a;

/// How rows are drawn, beside the sampler.
#[derive(Clone)]
pub struct Drawing<'a> {
    /// The steps in which noise is taken away.
    pub steps: Steps,
    /// What logits are divided by: below 1 likely categories become likelier.
    pub temperature: f64,
    /// Of each position the likeliest categories are drawn, which have this much of the mass together.
    pub top_p: f64,
    /// Whether a category may stand at a position.
    pub allowed: Option<&'a Allowed<'a>>,
}

impl<'a> Drawing<'a> {
    /// From what the model says, in these steps.
    pub fn new(steps: Steps) -> Self {
        Self { steps, temperature: 1.0, top_p: 1.0, allowed: None }
    }

    fn check(&self, process: &impl Process, length: usize) -> Result<()> {
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return Err(Error::out_of_range("temperature", self.temperature, "0 < temperature < ∞"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::out_of_range("top_p", self.top_p, "0 < top_p ≤ 1"));
        }
        let (_, last) = self.steps.step(self.steps.len());
        if last != process.steps() {
            return Err(Error::invalid(format!("steps that begin at {last}; the process has {}", process.steps())));
        }
        let Some(allowed) = self.allowed else { return Ok(()) };
        match (0..length).find(|d| !(0..process.categories().size()).any(|k| allowed(*d, k))) {
            None => Ok(()),
            Some(d) => Err(Error::invalid(format!("no category is allowed at position {d}"))),
        }
    }

    /// Logits as what is drawn from, as logarithms.
    pub(crate) fn sharpen(&self, position: usize, logits: &mut [f64]) {
        if let Some(allowed) = self.allowed {
            let forbidden = logits.iter_mut().enumerate().filter(|(k, _)| !allowed(position, *k));
            forbidden.for_each(|(_, l)| *l = f64::NEG_INFINITY);
        }
        if self.temperature != 1.0 {
            logits.iter_mut().for_each(|l| *l /= self.temperature);
        }
        normalise(logits);
        if self.top_p < 1.0 {
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            let mut mass = 0.0;
            for k in order {
                if mass >= self.top_p {
                    logits[k] = f64::NEG_INFINITY;
                }
                mass += logits[k].exp();
            }
            normalise(logits);
        }
    }
}

/// Rows that the denoiser sees together.
const BLOCK: usize = 64;

/// A row on its way back.
struct Row {
    known: Vec<u16>,
    state: Vec<u16>,
    rng: Stream,
}

impl Row {
    /// What is known, as it would be at `t`.
    fn put_known(&mut self, process: &impl Process, t: usize) {
        for (x, known) in self.state.iter_mut().zip(&self.known) {
            if *known != MISSING {
                let x0 = *known as usize;
                let stays = t == 0 || settled(process, x0);
                *x = if stays { *known } else { process.noisy(t, x0, &mut self.rng) as u16 };
            }
        }
    }
}

impl<P: Process, N: Denoiser<Categories = P::Categories, States = P::States>> Diffusion<P, N> {
    /// Draws what is missing of rows, given what is known of them; of rows of which nothing is known these are samples.
    ///
    /// An absorbing process begins with what is known in its place, and what is drawn follows the model's own conditional in the
    /// order in which masks fall. Another process has noise at its level of time there: the usual replacement, of which the law is
    /// near the conditional and not the same.
    ///
    /// # Errors
    /// When the rows are of other categories, a setting is out of range, or nothing is allowed somewhere.
    pub fn draw(&self, rows: &Discrete, sampler: &impl Sampler<P>, how: &Drawing, seed: Seed) -> Result<Discrete> {
        self.draw_and_watch(rows, sampler, how, seed, |_, _| ())
    }

    /// The same, and `watch(t, states)` sees the states of all rows of a block at the moment `t`, from `T` to 0.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn draw_and_watch(
        &self,
        rows: &Discrete,
        sampler: &impl Sampler<P>,
        how: &Drawing,
        seed: Seed,
        mut watch: impl FnMut(usize, &[u16]),
    ) -> Result<Discrete> {
        self.check_rows(rows)?;
        let length = rows.schema().len();
        how.check(&self.process, length)?;
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut codes = Vec::with_capacity(rows.codes().len());
        for block in all.chunks(BLOCK) {
            let begin = |row: &usize| Row {
                known: rows.row(*row).to_vec(),
                state: vec![],
                rng: seed.stream("draw", *row as u64),
            };
            let drawn = self.draw_block(block.iter().map(begin).collect(), length, sampler, how, &mut watch)?;
            codes.extend(drawn);
        }
        Discrete::new(rows.schema().clone(), codes)
    }

    fn draw_block(
        &self,
        mut rows: Vec<Row>,
        length: usize,
        sampler: &impl Sampler<P>,
        how: &Drawing,
        watch: &mut impl FnMut(usize, &[u16]),
    ) -> Result<Vec<u16>> {
        let (process, k) = (&self.process, self.process.categories().size());
        let (mut last, n) = (vec![0.0; process.states().size()], how.steps.len());
        process.last(&mut last);
        for row in &mut rows {
            row.state = (0..length).map(|_| draw(&last, &mut row.rng)).collect::<Result<_>>()?;
            row.put_known(process, process.steps());
        }
        let states = |rows: &[Row]| rows.iter().flat_map(|row| row.state.iter().copied()).collect::<Vec<u16>>();
        let mut says = Says { model: self, how, length, at: vec![], time: f64::NAN, logs: vec![] };
        watch(process.steps(), &states(&rows));
        for i in (1..=n).rev() {
            let (s, t) = how.steps.step(i);
            says.hear(states(&rows), process.time(t))?;
            rows.par_iter_mut().zip(says.logs.par_chunks_exact(length * k)).try_for_each(|(row, log_x0)| {
                let mut law = vec![0.0; last.len()];
                for (x, log_x0) in row.state.iter_mut().zip(log_x0.chunks_exact(k)) {
                    sampler.law(process, &how.steps, i, *x as usize, log_x0, &mut law);
                    *x = draw(&law, &mut row.rng)?;
                }
                row.put_known(process, s);
                Ok(())
            })?;
            for _ in 0..if s == 0 { 0 } else { sampler.corrections() } {
                says.hear(states(&rows), process.time(s))?;
                let mut law = vec![0.0; last.len()];
                for (row, log_x0) in rows.iter_mut().zip(says.logs.chunks_exact(length * k)) {
                    let d = row.rng.random_range(0..length);
                    let x0: Vec<f64> = log_x0[d * k..(d + 1) * k].iter().map(|l| l.exp()).collect();
                    if row.known[d] == MISSING {
                        process.forward(s, &x0, &mut law);
                        row.state[d] = draw(&law, &mut row.rng)?;
                    }
                }
            }
            watch(s, &states(&rows));
        }
        Ok(states(&rows))
    }
}

/// What the denoiser says of the rows of a block; a row that has not changed is not asked about again, where time does not matter.
struct Says<'a, P, N> {
    model: &'a Diffusion<P, N>,
    how: &'a Drawing<'a>,
    length: usize,
    at: Vec<u16>,
    time: f64,
    logs: Vec<f64>,
}

impl<P: Process, N: Denoiser<Categories = P::Categories, States = P::States>> Says<'_, P, N> {
    fn hear(&mut self, states: Vec<u16>, time: f64) -> Result<()> {
        let (length, k) = (self.length, self.model.process.categories().size());
        let rows = states.len() / length;
        let row = |states: &[u16], i: usize| states[i * length..(i + 1) * length].to_vec();
        let fresh = |i: &usize| time != self.time || row(&states, *i) != row(&self.at, *i);
        let asked: Vec<usize> = (0..rows).filter(fresh).collect();
        self.logs.resize(rows * length * k, 0.0);
        if !asked.is_empty() {
            let noisy: Vec<u16> = asked.iter().flat_map(|i| row(&states, *i)).collect();
            let mut logits = self.model.denoiser.logits(&noisy, length, &vec![time; asked.len()]);
            if let Some(odd) = logits.iter().find(|l| l.is_nan() || **l == f64::INFINITY) {
                return Err(Error::invalid(format!("the network says {odd} of a category: its numbers are too large")));
            }
            let how = self.how;
            logits.par_chunks_exact_mut(k).enumerate().for_each(|(i, l)| how.sharpen(i % length, l));
            for (i, logits) in asked.iter().zip(logits.chunks_exact(length * k)) {
                self.logs[i * length * k..(i + 1) * length * k].copy_from_slice(logits);
            }
        }
        (self.at, self.time) = (states, time);
        Ok(())
    }
}

fn draw(law: &[f64], rng: &mut Stream) -> Result<u16> {
    let drawn = categorical(law, rng).map(|state| state as u16);
    drawn.ok_or_else(|| Error::invalid("every state of a step has probability 0: logits too far apart"))
}
