//! The bound as a mean over moments.

use crate::{
    Error, Result,
    data::{MISSING, Rows, fingerprint},
    diffusion::{Continuous, Denoiser, Diffusion, Level, Process, Steps, process::normalise},
    evidence::{Evidence, LowerBound, Space},
    random::{Seed, Stream},
};
use dfdx::shapes::Dim;
use rand::RngExt;
use rayon::prelude::*;

/// A bound on a likelihood that is a sum, or an integral, over moments of a process.
pub trait Bound<P: Process>: Clone + Send + Sync + 'static {
    /// A moment.
    type Moment: Copy + Send + Sync + 'static;

    /// What it is, in a line.
    fn describe(&self) -> String;

    /// Refuses a process that it is no bound for.
    ///
    /// # Errors
    /// Why not.
    fn check(&self, process: &P) -> Result<()>;

    /// How many moments there are; none in continuous time.
    fn moments(&self) -> Option<usize>;

    /// The moment at a share of all, from 0 to below 1.
    fn moment(&self, process: &P, share: f64) -> Self::Moment;

    /// Which of [`Self::moments`] it is, from 0.
    fn index(&self, moment: Self::Moment) -> usize;

    /// The time that the denoiser is told.
    fn time(&self, process: &P, moment: Self::Moment) -> f64;

    /// A draw of a state at that moment.
    fn noisy(&self, process: &P, moment: Self::Moment, x0: usize, rng: &mut Stream) -> usize;

    /// Nats of a position at that moment: as much of the bound as the whole has moments, or as a unit of time.
    fn nats(&self, process: &P, moment: Self::Moment, states: (usize, usize), log_x0: &[f64]) -> f64;

    /// Adds `scale` times the slopes of [`Self::nats`] along the logits.
    fn slopes(
        &self,
        process: &P,
        moment: Self::Moment,
        states: (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    );
}

impl<P: Process> Bound<P> for Steps {
    /// The number of the step, from 1.
    type Moment = usize;

    fn describe(&self) -> String {
        format!("{} steps, {:?} decoder", self.len(), self.decoder())
    }

    fn check(&self, process: &P) -> Result<()> {
        let (_, last) = self.step(self.len());
        match last == process.steps() {
            true => Ok(()),
            false => Err(Error::invalid(format!("steps that begin at {last}; the process has {}", process.steps()))),
        }
    }

    fn moments(&self) -> Option<usize> {
        Some(self.len())
    }

    fn moment(&self, _: &P, share: f64) -> usize {
        1 + ((share * self.len() as f64) as usize).min(self.len() - 1)
    }

    fn index(&self, moment: usize) -> usize {
        moment - 1
    }

    fn time(&self, process: &P, moment: usize) -> f64 {
        process.time(self.step(moment).1)
    }

    fn noisy(&self, process: &P, moment: usize, x0: usize, rng: &mut Stream) -> usize {
        process.noisy(self.step(moment).1, x0, rng)
    }

    fn nats(&self, process: &P, moment: usize, states: (usize, usize), log_x0: &[f64]) -> f64 {
        Self::nats(self, process, moment, states, log_x0)
    }

    fn slopes(&self, process: &P, moment: usize, states: (usize, usize), log_x0: &[f64], scale: f64, into: &mut [f64]) {
        Self::slopes(self, process, moment, states, log_x0, scale, into);
    }
}

/// The bound of steps without end: see [`Continuous`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endless;

/// A moment of continuous time.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    time: f64,
    level: Level,
    slope: f64,
}

impl<P: Continuous> Bound<P> for Endless {
    type Moment = Now;

    fn describe(&self) -> String {
        "continuous time".into()
    }

    fn check(&self, process: &P) -> Result<()> {
        process.check_continuous()
    }

    fn moments(&self) -> Option<usize> {
        None
    }

    fn moment(&self, process: &P, share: f64) -> Now {
        // Never the beginning itself, where nothing is lost and a rate would be 0 by 0.
        let time = share.max(f64::EPSILON);
        let (level, slope) = process.schedule().at_time(time).expect("checked before");
        Now { time, level, slope }
    }

    fn index(&self, _: Now) -> usize {
        0
    }

    fn time(&self, process: &P, now: Now) -> f64 {
        process.told(now.time)
    }

    fn noisy(&self, process: &P, now: Now, x0: usize, rng: &mut Stream) -> usize {
        process.noisy_at(now.level, x0, rng)
    }

    fn nats(&self, process: &P, now: Now, states: (usize, usize), log_x0: &[f64]) -> f64 {
        process.rate((now.level, now.slope), states, log_x0)
    }

    fn slopes(&self, process: &P, now: Now, states: (usize, usize), log_x0: &[f64], scale: f64, into: &mut [f64]) {
        process.rate_slopes((now.level, now.slope), states, log_x0, scale, into);
    }
}

/// Rows of noise that the denoiser sees together, at most.
const BLOCK: usize = 64;

impl<P: Process, N: Denoiser<Categories = P::Categories, States = P::States>> Diffusion<P, N> {
    /// The bound of rows, each from `draws` moments, two from every part of all of them (or every moment as often as goes, and
    /// twice at least, where there are no more), and a draw of noise at each. Its interval is twice the standard error of these
    /// draws: it is about the bound of these very rows.
    ///
    /// What is missing at the end of a row makes it a shorter row. Neither the rows beside it nor their number change a row's.
    ///
    /// # Errors
    /// When the rows are of other categories, or a value is missing elsewhere; also when there are no draws, or no row.
    pub fn evidence<B: Bound<P>>(
        &self,
        rows: &dyn Rows,
        bound: &B,
        draws: usize,
        seed: Seed,
    ) -> Result<Evidence<LowerBound>> {
        bound.check(&self.process)?;
        if draws == 0 {
            return Err(Error::out_of_range("draws", 0, "1 ≤ draws"));
        }
        let (codes, lengths) = self.read(rows)?;
        let width = rows.schema().len();
        let each: Vec<[f64; 2]> = (0..lengths.len())
            .map(|row| {
                let x0 = &codes[row * width..row * width + lengths[row]];
                self.bound_of(x0, bound, draws, &mut seed.stream("bound", row as u64))
            })
            .collect();
        let known = lengths.iter().sum();
        let log_probs: Vec<f64> = each.iter().map(|[nats, _]| -nats).collect();
        let variance: f64 = each.iter().map(|[_, variance]| variance).sum();
        let error = 2.0 * variance.sqrt() / each.len() as f64;
        Evidence::new(log_probs, Space::Raw, width)?.of_known(known)?.of_rows(fingerprint(rows)?).within(error, error)
    }

    /// Nats of a row, and the variance of the estimate.
    fn bound_of<B: Bound<P>>(&self, x0: &[u16], bound: &B, draws: usize, rng: &mut Stream) -> [f64; 2] {
        let last: f64 = x0.iter().map(|x| self.process.last_nats(*x as usize)).sum();
        if x0.is_empty() {
            return [0.0, 0.0];
        }
        // So many parts of all moments, and so many draws within each; how those differ says how far all may be off.
        let exhaustive = bound.moments().is_some_and(|moments| moments <= draws);
        let (parts, each, all) = match bound.moments() {
            Some(moments) if exhaustive => (moments, (draws / moments).max(2), moments as f64),
            moments => (draws.div_ceil(2), 2, moments.unwrap_or(1) as f64),
        };
        let mut noisy = Vec::with_capacity(parts * each * x0.len());
        let mut moments = Vec::with_capacity(parts * each);
        for i in 0..parts * each {
            let within = if exhaustive { 0.5 } else { rng.random::<f64>() };
            let moment = bound.moment(&self.process, ((i / each) as f64 + within) / parts as f64);
            moments.push(moment);
            noisy.extend(x0.iter().map(|x| bound.noisy(&self.process, moment, *x as usize, rng) as u16));
        }
        let nats = self.nats_at(x0, bound, &moments, &noisy);
        let [mut sum, mut variance] = [0.0; 2];
        for nats in nats.chunks_exact(each) {
            let mean = nats.iter().sum::<f64>() / each as f64;
            sum += mean;
            variance += nats.iter().map(|nats| (nats - mean).powi(2)).sum::<f64>() / (each * (each - 1)) as f64;
        }
        let weight = all / parts as f64;
        [last + sum * weight, variance * weight * weight]
    }

    /// Nats of a row at some moments, at each with noise of its own.
    fn nats_at<B: Bound<P>>(&self, x0: &[u16], bound: &B, moments: &[B::Moment], noisy: &[u16]) -> Vec<f64> {
        let (process, length) = (&self.process, x0.len());
        let k = process.categories().size();
        let mut all = Vec::with_capacity(moments.len());
        for (moments, noisy) in moments.chunks(BLOCK).zip(noisy.chunks(BLOCK * length)) {
            let times: Vec<f64> = moments.iter().map(|m| bound.time(process, *m)).collect();
            let mut logits = self.denoiser.logits(noisy, length, &times);
            let each = moments.par_iter().zip(noisy.par_chunks(length)).zip(logits.par_chunks_mut(length * k));
            all.par_extend(each.map(|((moment, xt), logits)| {
                let each = logits.chunks_exact_mut(k).zip(x0.iter().zip(xt));
                each.map(|(log_x0, (x0, xt))| {
                    normalise(log_x0);
                    bound.nats(process, *moment, (*x0 as usize, *xt as usize), log_x0)
                })
                .sum::<f64>()
            }));
        }
        all
    }

    /// Codes row after row, and how many positions of each row are there.
    pub(in crate::diffusion) fn read(&self, rows: &dyn Rows) -> Result<(Vec<u16>, Vec<usize>)> {
        self.check_rows(rows)?;
        let (width, mut codes) = (rows.schema().len(), Vec::new());
        rows.read(&(0..rows.len()).collect::<Vec<_>>(), &mut codes)?;
        let length = |(row, codes): (usize, &[u16])| {
            let length = codes.iter().position(|code| *code == MISSING).unwrap_or(width);
            match codes[length..].iter().position(|code| *code != MISSING) {
                None => Ok(length),
                Some(after) => {
                    let (row, at) = (rows.number_of(row), length + after);
                    let problem = format!("row {row}: position {length} is missing, and {at} is not");
                    Err(Error::invalid(format!("{problem}; a diffusion model scores rows whose end alone is missing")))
                }
            }
        };
        let lengths = codes.chunks_exact(width).enumerate().map(length).collect::<Result<_>>()?;
        Ok((codes, lengths))
    }
}
