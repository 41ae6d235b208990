//! How categories are lost, step by step: noise processes.

mod absorbing;
mod chain;
mod continuous;
mod schedule;
mod uniform;

#[cfg(test)]
mod tests;

pub use absorbing::Absorbing;
pub use chain::Chain;
pub use continuous::Continuous;
pub use schedule::{Fall, Level, Schedule};
pub use uniform::Uniform;

use crate::{
    nn::Size,
    random::{Stream, categorical},
    simd,
};
use dfdx::shapes::Dim;

/// How a category is lost in `T` steps, each position by itself.
///
/// ```text
/// q(x_t | x_0)         forward marginal, a distribution over S states for each of K categories
/// q(x_t | x_s)         from an earlier step to a later one
/// q(x_s | x_t, x_0) ∝ q(x_t | x_s) q(x_s | x_0)                     posterior            (eq 13)
/// p(x_s | x_t)      ∝ q(x_t | x_s) Σ_k q(x_s | x_0 = k) x̂_0(k)      what a denoiser makes of it (eq 14)
/// ```
///
/// What `x̂_0` is: a denoiser that is trained to its best does not say `q(x_0 | x_t)` but the *leave-one-out* posterior
/// `q(x_0^d | x_t^{¬d})`, which does not look at what stands in its own place; [`Self::seen`] looks at it, [`Self::unseen`] looks
/// away again.
///
/// Sizes are each a [`Const`](dfdx::shapes::Const) or a `usize`; a denoiser of other categories or states does not compile.
/// Sources: Hoogeboom et al. 2021, eqs 11-15; Austin et al. 2021 (D3PM).
pub trait Process: Clone + Send + Sync + 'static {
    /// `K`: the categories that data have.
    type Categories: Size;
    /// `S`: what noise makes of them; the mask of an absorbing process is one more.
    type States: Size;

    /// `K`
    fn categories(&self) -> Self::Categories;

    /// `S`
    fn states(&self) -> Self::States;

    /// `T`
    fn steps(&self) -> usize;

    /// The time that a denoiser is told at step `t`: `t / T`. Nothing where the states themselves tell.
    fn time(&self, t: usize) -> f64 {
        t as f64 / self.steps() as f64
    }

    /// `Σ_k x_0(k) q(x_t | x_0 = k)` of every state.
    fn forward(&self, t: usize, x0: &[f64], into: &mut [f64]);

    /// `Σ_i q(x_t = i | x_0 = k) slope(i)` of every category: the adjoint of [`Self::forward`].
    fn back(&self, t: usize, slope: &[f64], into: &mut [f64]);

    /// `q(x_t = state | x_s = i)` of every state `i`.
    fn since(&self, s: usize, t: usize, state: usize, into: &mut [f64]);

    /// `p(x_T)`, from which sampling starts.
    fn last(&self, into: &mut [f64]);

    /// Nats of a step, `KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t))`, eq 15; with `s = 0` that is `−log p(x_0 | x_t)`. `log_x0` is what the
    /// denoiser says.
    fn step(&self, (s, t): (usize, usize), (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        Posterior::of(self, (s, t), xt, log_x0).nats(self, s, x0)
    }

    /// Adds `scale` times the slopes of [`Self::step`] along the logits to `into`.
    fn step_slopes(
        &self,
        (s, t): (usize, usize),
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        Posterior::of(self, (s, t), xt, log_x0).slopes(self, s, x0, scale, into);
    }

    /// `p(x_s | x_t)` of every state, given what the denoiser says: eq 14.
    fn reverse(&self, s: usize, t: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let posterior = Posterior::of(self, (s, t), xt, log_x0);
        into.iter_mut().enumerate().for_each(|(i, p)| *p = posterior.probability(i));
    }

    /// `q(x_0 | x_t)` of every category from what a denoiser says that does not look at its own place:
    /// `∝ q(x_t^d | x_0) x̂_0`.
    fn seen(&self, t: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        let mut likelihood = vec![0.0; self.states().size()];
        self.since(0, t, xt, &mut likelihood);
        into.iter_mut().zip(&likelihood).zip(log_x0).for_each(|((p, l), log)| *p = l.ln() + log);
        normalise(into);
        into.iter_mut().for_each(|p| *p = p.exp());
    }

    /// The logarithm of what a denoiser that does not look at its own place says, from `log q(x_0 | x_t)`.
    fn unseen(&self, t: usize, xt: usize, log_seen: &[f64], into: &mut [f64]) {
        let mut likelihood = vec![0.0; self.states().size()];
        self.since(0, t, xt, &mut likelihood);
        into.iter_mut().zip(&likelihood).zip(log_seen).for_each(|((p, l), log)| *p = log - l.ln());
        normalise(into);
    }

    /// `log q(x_t | x_0)` of every state.
    fn log_marginal(&self, t: usize, x0: usize) -> Vec<f64> {
        let mut p = self.marginal(t, x0);
        p.iter_mut().for_each(|p| *p = p.ln());
        p
    }

    /// `q(x_t | x_0)` of every state.
    fn marginal(&self, t: usize, x0: usize) -> Vec<f64> {
        let (mut one, mut p) = (vec![0.0; self.categories().size()], vec![0.0; self.states().size()]);
        one[x0] = 1.0;
        self.forward(t, &one, &mut p);
        p
    }

    /// `KL(q(x_T | x_0) ‖ p(x_T))`, nats: what sampling from `p(x_T)` costs. No denoiser changes it.
    fn last_nats(&self, x0: usize) -> f64 {
        let mut last = vec![0.0; self.states().size()];
        self.last(&mut last);
        kl(&self.marginal(self.steps(), x0), &last)
    }

    /// A draw of `x_t` given `x_0`, in double precision.
    fn noisy(&self, t: usize, x0: usize, rng: &mut Stream) -> usize {
        categorical(&self.marginal(t, x0), rng).expect("a distribution has some mass")
    }
}

/// A position whose value is known stays as it is: the state of an absorbing process that is not the mask.
pub(crate) fn settled<P: Process>(process: &P, state: usize) -> bool {
    let (k, s) = (process.categories().size(), process.states().size());
    s > k && state < k
}

/// `Σ p log (p / q)`, nats.
pub(crate) fn kl(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).filter(|(p, _)| **p > 0.0).map(|(p, q)| p * (p / q).ln()).sum()
}

/// Logits as logarithms of probabilities.
pub(crate) fn normalise(logits: &mut [f64]) {
    let most = simd::largest(logits);
    let total: f64 = logits.iter().map(|l| simd::exp(l - most)).sum();
    let log = most + total.ln();
    logits.iter_mut().for_each(|l| *l -= log);
}

/// `p(x_s | x_t)` as its factors.
struct Posterior {
    /// `q(x_t | x_s)`, of every state.
    since: Vec<f64>,
    /// `x̂_0`
    x0: Vec<f64>,
    /// `log x̂_0`
    log_x0: Vec<f64>,
    /// `Σ_k q(x_s | x_0 = k) x̂_0(k)`
    before: Vec<f64>,
    /// What `since · before` adds up to.
    total: f64,
}

impl Posterior {
    fn of<P: Process>(process: &P, (s, t): (usize, usize), xt: usize, log_x0: &[f64]) -> Self {
        let (k, states) = (process.categories().size(), process.states().size());
        let x0: Vec<f64> = log_x0.iter().map(|l| l.exp()).collect();
        debug_assert_eq!(x0.len(), k);
        let (mut since, mut before) = (vec![0.0; states], vec![0.0; states]);
        process.since(s, t, xt, &mut since);
        process.forward(s, &x0, &mut before);
        let total = since.iter().zip(&before).map(|(l, m)| l * m).sum();
        Self { since, x0, log_x0: log_x0.to_vec(), before, total }
    }

    fn probability(&self, state: usize) -> f64 {
        self.since[state] * self.before[state] / self.total
    }

    /// `q(x_s | x_t, x_0)`
    fn truth<P: Process>(&self, process: &P, s: usize, x0: usize) -> Vec<f64> {
        let (mut one, mut truth) = (vec![0.0; self.x0.len()], vec![0.0; self.since.len()]);
        one[x0] = 1.0;
        process.forward(s, &one, &mut truth);
        truth.iter_mut().zip(&self.since).for_each(|(m, l)| *m *= l);
        let total: f64 = truth.iter().sum();
        truth.iter_mut().for_each(|w| *w /= total);
        truth
    }

    fn nats<P: Process>(&self, process: &P, s: usize, x0: usize) -> f64 {
        if s == 0 {
            return self.total.ln() - self.since[x0].ln() - self.log_x0[x0];
        }
        let truth = self.truth(process, s, x0);
        let each = truth.iter().zip(self.since.iter().zip(&self.before)).filter(|(w, _)| **w > 0.0);
        each.map(|(w, (l, m))| w * (w.ln() - l.ln() - m.ln() + self.total.ln())).sum()
    }

    fn slopes<P: Process>(&self, process: &P, s: usize, x0: usize, scale: f64, into: &mut [f64]) {
        let slope: Vec<f64> = if s == 0 {
            // −log x̂_0(x_0) is linear in the logits: its part is added below.
            self.since.iter().map(|l| l / self.total).collect()
        } else {
            let truth = self.truth(process, s, x0);
            let each = truth.iter().zip(self.since.iter().zip(&self.before));
            each.map(|(w, (l, m))| l / self.total - if *w > 0.0 { w / m } else { 0.0 }).collect()
        };
        let mut along = vec![0.0; self.x0.len()];
        process.back(s, &slope, &mut along);
        let mean: f64 = along.iter().zip(&self.x0).map(|(d, p)| d * p).sum();
        into.iter_mut().zip(along.iter().zip(&self.x0)).for_each(|(to, (d, p))| *to += scale * p * (d - mean));
        if s == 0 {
            into.iter_mut().zip(&self.x0).for_each(|(to, p)| *to += scale * p);
            into[x0] -= scale;
        }
    }
}
