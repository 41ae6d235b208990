//! Everything by enumeration: what a small model's likelihood is, and where its bound loses.

use super::{Denoiser, Diffusion, Process, Steps, process::normalise};
use crate::{
    Error, Result,
    data::{Discrete, Schema},
    evidence::{Evidence, Exact, LowerBound, Space},
};
use dfdx::shapes::Dim;

/// The likelihood of every row that a model can make, and its bound term by term, without sampling.
#[derive(Clone, Debug)]
pub struct Proof {
    categories: usize,
    length: usize,
    log_probs: Vec<f64>,
    terms: Vec<Vec<f64>>,
}

/// The most multiplications.
const MOST: f64 = 2e10;

impl Proof {
    /// Of rows of `length` positions, gone through in these steps.
    ///
    /// # Errors
    /// When there are too many rows to enumerate them.
    pub fn of<P, N>(model: &Diffusion<P, N>, length: usize, steps: &Steps) -> Result<Self>
    where
        P: Process,
        N: Denoiser<Categories = P::Categories, States = P::States>,
    {
        let (process, k, s) = (model.process(), model.process().categories().size(), model.process().states().size());
        let (rows, noisy) = ((k as f64).powi(length as i32), (s as f64).powi(length as i32));
        let work = noisy * noisy.max(rows) * (steps.len() * length) as f64;
        if length == 0 || work > MOST {
            let found = format!("rows of {length} positions with {s} states each, in {} steps", steps.len());
            return Err(Error::invalid(format!(
                "{found}: {work:.1e} multiplications, and {MOST:.0e} are made at most"
            )));
        }
        let (rows, noisy) = (rows as usize, noisy as usize);
        let digits = |row: usize, base: usize| -> Vec<u16> {
            (0..length).map(|d| (row / base.pow((length - 1 - d) as u32) % base) as u16).collect()
        };
        let states: Vec<u16> = (0..noisy).flat_map(|row| digits(row, s)).collect();
        // p(x_T), then back step by step.
        let mut last = vec![0.0; s];
        process.last(&mut last);
        let mut p: Vec<f64> =
            states.chunks_exact(length).map(|row| row.iter().map(|x| last[*x as usize]).product()).collect();
        let mut terms = vec![vec![0.0; steps.len() + 1]; rows];
        for i in (1..=steps.len()).rev() {
            let (_, t) = steps.step(i);
            let mut logits = model.denoiser().logits(&states, length, &vec![process.time(t); noisy]);
            logits.chunks_exact_mut(k).for_each(normalise);
            let mut before = vec![0.0; noisy];
            let (mut of_one, mut joint) = (vec![0.0; s], Vec::with_capacity(noisy));
            for ((row, mass), logits) in states.chunks_exact(length).zip(&p).zip(logits.chunks_exact(length * k)) {
                joint.clear();
                joint.push(*mass);
                for (x, log_x0) in row.iter().zip(logits.chunks_exact(k)) {
                    steps.reverse(process, i, *x as usize, log_x0, &mut of_one);
                    joint = joint.iter().flat_map(|mass| of_one.iter().map(move |p| mass * p)).collect();
                }
                before.iter_mut().zip(&joint).for_each(|(to, p)| *to += p);
            }
            p = before;
            for (row, terms) in terms.iter_mut().enumerate() {
                let x0 = digits(row, k);
                let marginals: Vec<Vec<f64>> = x0.iter().map(|x| process.marginal(t, *x as usize)).collect();
                for (xt, logits) in states.chunks_exact(length).zip(logits.chunks_exact(length * k)) {
                    let mass: f64 = xt.iter().zip(&marginals).map(|(x, q)| q[*x as usize]).product();
                    if mass > 0.0 {
                        let each = x0.iter().zip(xt).zip(logits.chunks_exact(k));
                        let nats = each.map(|((x0, xt), l)| steps.nats(process, i, (*x0 as usize, *xt as usize), l));
                        terms[i - 1] += mass * nats.sum::<f64>();
                    }
                }
            }
        }
        let last_nats: Vec<f64> = (0..k).map(|x| process.last_nats(x)).collect();
        for (row, terms) in terms.iter_mut().enumerate() {
            terms[steps.len()] = digits(row, k).iter().map(|x| last_nats[*x as usize]).sum();
        }
        let log_prob = |row: usize| {
            let at = digits(row, k).iter().fold(0, |at, x| at * s + *x as usize);
            p[at].ln()
        };
        Ok(Self { categories: k, length, log_probs: (0..rows).map(log_prob).collect(), terms })
    }

    /// All rows, counted like numbers with `length` digits.
    ///
    /// # Errors
    /// When there are no categories.
    pub fn rows(&self) -> Result<Discrete> {
        let (k, length) = (self.categories, self.length);
        let digit = |row: usize, d: usize| (row / k.pow((length - 1 - d) as u32) % k) as u16;
        let codes = (0..self.log_probs.len()).flat_map(|row| (0..length).map(move |d| digit(row, d))).collect();
        Discrete::new(Schema::uniform(&[length], k), codes)
    }

    /// `log p` of every row, nats.
    ///
    /// # Errors
    /// When one is no number.
    pub fn log_probs(&self) -> Result<Evidence<Exact>> {
        Evidence::new(self.log_probs.clone(), Space::Raw, self.length)
    }

    /// The bound of every row, nats.
    ///
    /// # Errors
    /// When one is no number.
    pub fn bound(&self) -> Result<Evidence<LowerBound>> {
        Evidence::new(self.terms.iter().map(|terms| -terms.iter().sum::<f64>()).collect(), Space::Raw, self.length)
    }

    /// `L_0, …, L_{n−1}` and `L_T` of a row, nats: what each step costs, the last step to the data first, and what the start does.
    pub fn terms(&self, row: usize) -> &[f64] {
        &self.terms[row]
    }
}
