//! Noise that hides.

use super::{Level, Process, Schedule};
use crate::{Error, Result, nn::Size, random::Stream};
use rand::RngExt;

/// The absorbing process: a category that is lost becomes the mask, and stays it.
///
/// ```text
/// q(x_t | x_0) = ᾱ_t x_0 + (1 − ᾱ_t) mask
/// ```
///
/// The mask is state `K` of `S = K + 1`. A process without a mask, `S = K`, does not compile. What a denoiser says where there is
/// no mask does not matter: what stands there is carried over. Source: Austin et al. 2021 (D3PM), §3.1 and appendix A.3.
///
/// ```
/// # use limbeck::{dfdx::shapes::Const, diffusion::{Absorbing, Fall, Process, Schedule}};
/// let process = Absorbing::new(Const::<3>, Const::<4>, Schedule::new(Fall::Linear, 4)?)?;
/// assert_eq!(process.marginal(1, 2), [0.0, 0.0, 0.75, 0.25]);
/// # Ok::<(), limbeck::Error>(())
/// ```
///
/// ```compile_fail,E0080
/// # use limbeck::{dfdx::shapes::Const, diffusion::{Absorbing, Fall, Schedule}};
/// let no_mask = Absorbing::new(Const::<3>, Const::<3>, Schedule::new(Fall::Linear, 4)?)?;
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Absorbing<K, S> {
    categories: K,
    states: S,
    schedule: Schedule,
}

impl<K: Size, S: Size> Absorbing<K, S> {
    /// Evaluating it is what refuses sizes known to the compiler between which there is no mask.
    const HAS_A_MASK: () = if let (Some(k), Some(s)) = (K::KNOWN, S::KNOWN) {
        assert!(s == k + 1, "Absorbing: the states are the categories and one mask");
    };

    /// Of that many categories, and of one state more.
    ///
    /// # Errors
    /// When there is no category, sizes known at run time do not differ by the mask, or something is left at the end, where sampling
    /// begins with masks alone.
    pub fn new(categories: K, states: S, schedule: Schedule) -> Result<Self> {
        const { Self::HAS_A_MASK };
        let (k, s) = (categories.size(), states.size());
        match k {
            0 => Err(Error::out_of_range("categories", 0, "1 ≤ categories")),
            _ if s != k + 1 => Err(Error::invalid(format!("{s} states of {k} categories: {} are needed", k + 1))),
            _ => match schedule.at(schedule.steps()).kept {
                0.0 => Ok(Self { categories, states, schedule }),
                kept => Err(Error::invalid(format!(
                    "the last step leaves {kept:.1e} of what was, and an absorbing process has to hide all: \"linear\" and \
                     \"cosine-of-paper\" end at nothing"
                ))),
            },
        }
    }

    /// The state that hides.
    pub fn mask(&self) -> usize {
        self.categories.size()
    }

    /// What is left when.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Of what is hidden at `t`, the share that was not at `s`.
    pub(in crate::diffusion) fn revealed(&self, s: usize, t: usize) -> f64 {
        let (before, after) = (self.schedule.at(s), self.schedule.at(t));
        (after.lost - before.lost) / after.lost
    }
}

impl<K: Size, S: Size> Process for Absorbing<K, S> {
    type Categories = K;
    type States = S;

    fn categories(&self) -> K {
        self.categories
    }

    fn states(&self) -> S {
        self.states
    }

    fn steps(&self) -> usize {
        self.schedule.steps()
    }

    /// The masks that are left tell it all.
    fn time(&self, _: usize) -> f64 {
        0.0
    }

    fn forward(&self, t: usize, x0: &[f64], into: &mut [f64]) {
        let Level { kept, lost } = self.schedule.at(t);
        into.iter_mut().zip(x0).for_each(|(to, p)| *to = kept * p);
        into[x0.len()] = lost * x0.iter().sum::<f64>();
    }

    fn back(&self, t: usize, slope: &[f64], into: &mut [f64]) {
        let Level { kept, lost } = self.schedule.at(t);
        let of_mask = lost * slope[into.len()];
        into.iter_mut().zip(slope).for_each(|(to, d)| *to = kept * d + of_mask);
    }

    fn since(&self, s: usize, t: usize, state: usize, into: &mut [f64]) {
        let Level { kept, lost } = self.schedule.at(s).to(self.schedule.at(t));
        if state == self.mask() {
            into.fill(lost);
            into[state] = 1.0;
        } else {
            into.fill(0.0);
            into[state] = kept;
        }
    }

    fn last(&self, into: &mut [f64]) {
        into.fill(0.0);
        into[self.mask()] = 1.0;
    }

    fn step(&self, (s, t): (usize, usize), (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        if xt == self.mask() { -self.revealed(s, t) * log_x0[x0] } else { 0.0 }
    }

    fn step_slopes(
        &self,
        (s, t): (usize, usize),
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        if xt == self.mask() {
            let scale = scale * self.revealed(s, t);
            into.iter_mut().zip(log_x0).for_each(|(to, log)| *to += scale * crate::simd::exp(*log));
            into[x0] -= scale;
        }
    }

    fn reverse(&self, s: usize, t: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        into.fill(0.0);
        if xt == self.mask() {
            let shown = self.revealed(s, t);
            into.iter_mut().zip(log_x0).for_each(|(to, log)| *to = shown * log.exp());
            into[xt] = 1.0 - shown;
        } else {
            into[xt] = 1.0;
        }
    }

    fn seen(&self, _: usize, xt: usize, log_x0: &[f64], into: &mut [f64]) {
        match xt == self.mask() {
            true => into.iter_mut().zip(log_x0).for_each(|(to, log)| *to = log.exp()),
            false => {
                into.fill(0.0);
                into[xt] = 1.0;
            }
        }
    }

    fn noisy(&self, t: usize, x0: usize, rng: &mut Stream) -> usize {
        if rng.random::<f64>() < self.schedule.at(t).kept { x0 } else { self.mask() }
    }
}
