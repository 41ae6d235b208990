//! Noise that puts any category in the place of another: multinomial diffusion.

use super::{Level, Process, Schedule};
use crate::{Error, Result, nn::Size, random::Stream, simd};
use rand::RngExt;

/// The uniform process: at each step a category is drawn anew from all with probability `β_t`.
///
/// ```text
/// q(x_t | x_{t−1}) = C(α_t x_{t−1} + β_t / K)       eq 11
/// q(x_t | x_0)     = C(ᾱ_t x_0 + (1 − ᾱ_t) / K)     eq 12
/// ```
///
/// Source: Hoogeboom et al. 2021, §4.
///
/// ```
/// # use limbeck::{dfdx::shapes::Const, diffusion::{Fall, Process, Schedule, Uniform}};
/// let process = Uniform::new(Const::<3>, Schedule::new(Fall::Linear, 4)?)?;
/// let left = process.marginal(2, 0);
/// assert!((left[0] - (0.5 + 0.5 / 3.0)).abs() < 1e-15);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Uniform<K> {
    categories: K,
    schedule: Schedule,
}

impl<K: Size> Uniform<K> {
    /// Of that many categories.
    ///
    /// # Errors
    /// When there is no category.
    pub fn new(categories: K, schedule: Schedule) -> Result<Self> {
        match categories.size() {
            0 => Err(Error::out_of_range("categories", 0, "1 ≤ categories")),
            _ => Ok(Self { categories, schedule }),
        }
    }

    /// What is left when.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn share(&self) -> f64 {
        1.0 / self.categories.size() as f64
    }
}

/// `q(x_s | x_t, x_0)` and `p(x_s | x_t)` in closed form: only the states `x_0`, `x_t` and all others differ.
struct Step {
    /// At `s`.
    before: Level,
    /// From `s` to `t`.
    since: Level,
    share: f64,
    /// `q(x_s = i | x_t, x_0)`: of `x_0`, of `x_t`, and of any other.
    truth: [f64; 3],
}

impl Step {
    fn new(before: Level, since: Level, share: f64, same: bool) -> Self {
        let (m, l) = (before.lost * share, since.lost * share);
        // q(x_t | x_s) q(x_s | x_0) of each, and what they add up to.
        let (mut of_x0, of_xt) = ((before.kept + m) * l, m * (since.kept + l));
        if same {
            of_x0 = (before.kept + m) * (since.kept + l);
        }
        let others = if same { 1.0 / share - 1.0 } else { 1.0 / share - 2.0 };
        let total = of_x0 + others * m * l + if same { 0.0 } else { of_xt };
        Self { before, since, share, truth: [of_x0 / total, of_xt / total, m * l / total] }
    }

    /// `Σ_k q(x_s | x_0 = k) p(k)`
    fn mixed(&self, p: f64) -> f64 {
        self.before.kept * p + self.before.lost * self.share
    }

    /// What `q(x_t | x_s)` times that adds up to.
    fn total(&self, of_xt: f64) -> f64 {
        self.since.lost * self.share + self.since.kept * self.mixed(of_xt)
    }
}

impl<K: Size> Process for Uniform<K> {
    type Categories = K;
    type States = K;

    fn categories(&self) -> K {
        self.categories
    }

    fn states(&self) -> K {
        self.categories
    }

    fn steps(&self) -> usize {
        self.schedule.steps()
    }

    fn forward(&self, t: usize, x0: &[f64], into: &mut [f64]) {
        let Level { kept, lost } = self.schedule.at(t);
        let total: f64 = x0.iter().sum();
        into.iter_mut().zip(x0).for_each(|(to, p)| *to = kept * p + lost * self.share() * total);
    }

    fn back(&self, t: usize, slope: &[f64], into: &mut [f64]) {
        self.forward(t, slope, into);
    }

    fn since(&self, s: usize, t: usize, state: usize, into: &mut [f64]) {
        let Level { kept, lost } = self.schedule.at(s).to(self.schedule.at(t));
        into.fill(lost * self.share());
        into[state] += kept;
    }

    fn last(&self, into: &mut [f64]) {
        into.fill(self.share());
    }

    fn step(&self, (s, t): (usize, usize), (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        let (before, same) = (self.schedule.at(s), x0 == xt);
        let step = Step::new(before, before.to(self.schedule.at(t)), self.share(), same);
        let total = step.total(log_x0[xt].exp());
        if s == 0 {
            let since = step.since.lost * step.share + if same { step.since.kept } else { 0.0 };
            return total.ln() - since.ln() - log_x0[x0];
        }
        let [of_x0, of_xt, other] = step.truth;
        let (l, l_xt) = (step.since.lost * step.share, step.since.kept + step.since.lost * step.share);
        let log_m = |log_x0: f64| match step.before.lost > 0.0 {
            true => step.mixed(log_x0.exp()).ln(),
            false => step.before.kept.ln() + log_x0,
        };
        let part = |w: f64, l: f64, log_m: f64| if w > 0.0 { w * (w.ln() - l.ln() - log_m) } else { 0.0 };
        let mut nats = total.ln() + part(of_x0, if same { l_xt } else { l }, log_m(log_x0[x0]));
        if !same {
            nats += part(of_xt, l_xt, log_m(log_x0[xt]));
        }
        if other > 0.0 {
            // Of every other state; those two leave the sum again.
            let (mut product, mut logs) = (1.0, 0.0);
            for (i, log) in log_x0.iter().enumerate() {
                // Eight factors above 1e-30 each stay a number.
                product *= step.mixed(simd::exp(*log));
                if i % 8 == 7 {
                    logs += product.ln();
                    product = 1.0;
                }
            }
            logs += product.ln() - log_m(log_x0[x0]) - if same { 0.0 } else { log_m(log_x0[xt]) };
            let others = log_x0.len() as f64 - if same { 1.0 } else { 2.0 };
            nats += part(other, l, 0.0) * others - other * logs;
        }
        nats
    }

    fn reverse(&self, s: usize, t: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let before = self.schedule.at(s);
        let Level { kept, lost } = before.to(self.schedule.at(t));
        let any = before.lost * self.share();
        let since = |i: usize| lost * self.share() + if i == xt { kept } else { 0.0 };
        let each = into.iter_mut().zip(log_x0).enumerate();
        each.for_each(|(i, (to, log))| *to = since(i) * (before.kept * simd::exp(*log) + any));
        let total: f64 = into.iter().sum();
        into.iter_mut().for_each(|p| *p /= total);
    }

    fn step_slopes(
        &self,
        (s, t): (usize, usize),
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        let (before, same) = (self.schedule.at(s), x0 == xt);
        let step = Step::new(before, before.to(self.schedule.at(t)), self.share(), same);
        let total = step.total(log_x0[xt].exp());
        // The slope along m_i is l_i / total − w_i / m_i; what is the same for all i does not count.
        let [of_x0, of_xt, other] = step.truth;
        let at = |i: usize| {
            let p = simd::exp(log_x0[i]);
            let w = if i == x0 {
                of_x0
            } else if i == xt {
                of_xt
            } else {
                other
            };
            let gained = if i == xt { p * before.kept * step.since.kept / total } else { 0.0 };
            gained
                - if s == 0 {
                    f64::from(u8::from(i == x0))
                } else if w > 0.0 {
                    w * p * before.kept / step.mixed(p)
                } else {
                    0.0
                }
        };
        let mut mean = 0.0;
        for (i, to) in into.iter_mut().enumerate() {
            let slope = at(i);
            mean += slope;
            *to += scale * slope;
        }
        into.iter_mut().zip(log_x0).for_each(|(to, log)| *to -= scale * simd::exp(*log) * mean);
    }

    fn noisy(&self, t: usize, x0: usize, rng: &mut Stream) -> usize {
        match rng.random::<f64>() < self.schedule.at(t).kept {
            true => x0,
            false => rng.random_range(0..self.categories.size()),
        }
    }
}
