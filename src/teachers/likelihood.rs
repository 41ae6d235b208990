//! What a decoder's outputs say of values, and whether that is a probability.

use crate::{
    Error, Result,
    evidence::{Certainty, LowerBound, Unnormalised},
    nn::Real,
};
use std::fmt::Debug;

/// `log p(x | outputs)` of a pixel: of one value, or of all its channels where these say something of each other.
pub trait Likelihood: Clone + Debug + Send + Sync + 'static {
    /// What a bound made of it is: a lower bound where the probabilities of all values add up to one, and else no likelihood.
    type Bound: Certainty;
    /// How the values are called in reports.
    const NAME: &'static str;

    /// Values that belong together.
    fn values(&self) -> usize {
        1
    }

    /// Outputs for these.
    fn width(&self) -> usize;

    /// `log p(x | p)`, nats. Of a pixel's first channels alone, where `x` has no more.
    fn log_prob<E: Real>(&self, x: &[E], p: &[E]) -> E;

    /// Adds `d` times the slopes of [`Self::log_prob`] along `p` to `into`.
    fn slopes<E: Real>(&self, x: &[E], p: &[E], d: E, into: &mut [E]);
}

/// The least logarithm of a scale, relative to half the range.
const LEAST_SCALE: f64 = -7.0;

/// Zeros and ones; the output is the logit of a one.
///
/// ```text
/// log p(x | l) = x l − log(1 + e^l)
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Bernoulli;

/// The same formula for grey values between 0 and 1. It is what many programs minimise and call a likelihood, but over `[0, 1]`
/// it does not integrate to one, and its type says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grey;

/// Whole numbers in `0..LEVELS`: a logistic distribution cut at the middles between them.
///
/// ```text
/// p(x | m, s) = σ((x + ½ − m) / e^s) − σ((x − ½ − m) / e^s)      the lowest and the highest value take the tails
/// ```
///
/// `m` is in units of half the range around its middle, `s` relative to it, and no less than −7 counts, as single precision has no
/// more to say of a scale. Source: Kingma et al. 2016, §4; the least scale as in Salimans et al. 2017.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiscretisedLogistic<const LEVELS: usize>;

impl Likelihood for Bernoulli {
    type Bound = LowerBound;
    const NAME: &'static str = "bernoulli";

    fn width(&self) -> usize {
        1
    }

    #[inline(always)]
    fn log_prob<E: Real>(&self, x: &[E], p: &[E]) -> E {
        x[0] * p[0] - p[0].softplus()
    }

    #[inline(always)]
    fn slopes<E: Real>(&self, x: &[E], p: &[E], d: E, into: &mut [E]) {
        into[0] += d * (x[0] - p[0].sigmoid());
    }
}

impl Likelihood for Grey {
    type Bound = Unnormalised;
    const NAME: &'static str = "grey cross-entropy";

    fn width(&self) -> usize {
        1
    }

    #[inline(always)]
    fn log_prob<E: Real>(&self, x: &[E], p: &[E]) -> E {
        Bernoulli.log_prob(x, p)
    }

    #[inline(always)]
    fn slopes<E: Real>(&self, x: &[E], p: &[E], d: E, into: &mut [E]) {
        Bernoulli.slopes(x, p, d, into);
    }
}

/// Below this the difference of an exponential from 1 is taken from its series.
const NARROW: f64 = 1e-3;

/// `(e^x − 1) / x` near zero.
#[inline(always)]
fn series<E: Real>(x: E) -> E {
    let [third, quarter] = [1.0 / 3.0, 0.25].map(E::of);
    E::ONE + x * E::of(0.5) * (E::ONE + x * third * (E::ONE + x * quarter))
}

/// A logistic distribution of whole numbers up to `last`, with a middle and the logarithm of a scale.
#[derive(Clone, Copy)]
struct Logistic<E> {
    last: E,
    middle: E,
    log_scale: E,
}

impl<E: Real> Logistic<E> {
    /// The two edges of a value in scales from the middle, and the scale.
    #[inline(always)]
    fn edges(&self, x: E) -> (E, E, E) {
        let (half, least) = (self.last * E::of(0.5), E::of(LEAST_SCALE));
        let middle = half + half * self.middle;
        let scale = half * if self.log_scale > least { self.log_scale } else { least }.exp();
        let half = E::of(0.5);
        ((x - half - middle) / scale, (x + half - middle) / scale, scale)
    }

    #[inline(always)]
    fn log_prob(&self, x: E) -> E {
        let (low, high, scale) = self.edges(x);
        if x <= E::default() {
            -(-high).softplus()
        } else if x >= self.last {
            -low.softplus()
        } else {
            // log (σ(b) − σ(a)) = b + log(1 − e^(a − b)) − softplus(a) − softplus(b), without a difference of nearly equal numbers.
            let gap = E::ONE / scale;
            let log = if gap < E::of(NARROW) { (gap * series(-gap)).ln() } else { (-(-gap).exp()).ln_1p() };
            high + log - low.softplus() - high.softplus()
        }
    }

    /// The slopes of [`Self::log_prob`] along the middle and the logarithm of the scale.
    #[inline(always)]
    fn slopes(&self, x: E) -> [E; 2] {
        let (low, high, scale) = self.edges(x);
        // Along a shift of both edges, and along their distances from the middle.
        let (shift, spread) = if x <= E::default() {
            let b = (-high).sigmoid();
            (b, b * high)
        } else if x >= self.last {
            let a = -low.sigmoid();
            (a, a * low)
        } else {
            // The slope of log(1 − e^−gap) along the gap, times the gap; along a shift there is none.
            let gap = E::ONE / scale;
            let of_gap = if gap < E::of(NARROW) { E::ONE / series(gap) } else { gap / (gap.exp() - E::ONE) };
            let [a, b] = [low, high].map(|edge| edge.sigmoid());
            (E::ONE - a - b, of_gap + high - a * low - b * high)
        };
        let along_scale = if self.log_scale > E::of(LEAST_SCALE) { -spread } else { E::default() };
        [-(shift * (self.last * E::of(0.5)) / scale), along_scale]
    }
}

impl<const LEVELS: usize> DiscretisedLogistic<LEVELS> {
    fn of<E: Real>(p: &[E]) -> Logistic<E> {
        Logistic { last: E::of(LEVELS as f64 - 1.0), middle: p[0], log_scale: p[1] }
    }
}

impl<const LEVELS: usize> Likelihood for DiscretisedLogistic<LEVELS> {
    type Bound = LowerBound;
    const NAME: &'static str = "discretised logistic";

    fn width(&self) -> usize {
        2
    }

    #[inline(always)]
    fn log_prob<E: Real>(&self, x: &[E], p: &[E]) -> E {
        Self::of(p).log_prob(x[0])
    }

    #[inline(always)]
    fn slopes<E: Real>(&self, x: &[E], p: &[E], d: E, into: &mut [E]) {
        let slopes = Self::of(p).slopes(x[0]);
        into.iter_mut().zip(slopes).for_each(|(into, slope)| *into += d * slope);
    }
}

/// Pixels of whole numbers, each channel with its own levels: a mixture of discretised logistic distributions, in whose components
/// a channel's middle depends on the values of those before.
///
/// ```text
/// p(x | w, m, s, c) = Σ_k softmax(w)_k Π_b p(x_b | m_bk + Σ_{a<b} tanh(c_abk) x̃_a, s_bk)        x̃: x within ±1
/// ```
///
/// The outputs of a component are its `w`, then of each channel `m` and `s`, then the `c` of the second channel, of the third.
/// Source: Salimans et al. 2017, §2.1 and §2.2.
#[derive(Clone, Debug, PartialEq)]
pub struct MixtureOfLogistics {
    /// The highest value of each channel.
    last: Vec<f64>,
    components: usize,
}

/// More components than this, or channels, are of no use, and have a place on the stack.
const MOST: usize = 16;

impl MixtureOfLogistics {
    /// Channels of so many levels each.
    ///
    /// # Errors
    /// When there are none, or no components, or more than 16.
    pub fn new(levels: &[usize], components: usize) -> Result<Self> {
        for (name, number) in [("channels", levels.len()), ("components", components)] {
            if !(1..=MOST).contains(&number) {
                return Err(Error::out_of_range(name, number, "1 ≤ number ≤ 16"));
            }
        }
        // A single level is never seen but lowest.
        Ok(Self { last: levels.iter().map(|levels| levels.saturating_sub(1).max(1) as f64).collect(), components })
    }

    fn of_component(&self) -> usize {
        let channels = self.last.len();
        1 + 2 * channels + channels * (channels - 1) / 2
    }

    /// The distribution of a channel within a component, and where the outputs that tie it to the channels before begin.
    #[inline(always)]
    fn channel<E: Real>(&self, channel: usize, x: &[E], p: &[E]) -> (Logistic<E>, usize) {
        let ties = 1 + 2 * self.last.len() + channel * channel.saturating_sub(1) / 2;
        let before = x[..channel].iter().zip(&self.last).zip(&p[ties..]);
        let drawn = before.fold(E::default(), |sum, ((x, last), c)| sum + c.tanh() * within(*x, *last));
        let [middle, log_scale] = [p[1 + 2 * channel] + drawn, p[2 + 2 * channel]];
        (Logistic { last: E::of(self.last[channel]), middle, log_scale }, ties)
    }

    /// `log Σ_k e^{w_k}`, and `w_k + log p_k(x)` of every component, with the logarithm of their sum.
    #[inline(always)]
    fn totals<E: Real>(&self, x: &[E], p: &[E]) -> (E, [E; MOST], E) {
        let (mut weights, mut logs) = ([E::default(); MOST], [E::default(); MOST]);
        for (k, p) in p.chunks_exact(self.of_component()).enumerate() {
            weights[k] = p[0];
            logs[k] = (0..x.len()).fold(p[0], |log, c| log + self.channel(c, x, p).0.log_prob(x[c]));
        }
        let total = |logs: &[E]| {
            let largest = logs.iter().fold(logs[0], |a, b| if *b > a { *b } else { a });
            largest + logs.iter().fold(E::default(), |sum, log| sum + (*log - largest).exp()).ln()
        };
        (total(&weights[..self.components]), logs, total(&logs[..self.components]))
    }
}

/// A value within ±1.
#[inline(always)]
fn within<E: Real>(x: E, last: f64) -> E {
    x * E::of(2.0 / last) - E::ONE
}

impl Likelihood for MixtureOfLogistics {
    type Bound = LowerBound;
    const NAME: &'static str = "mixture of discretised logistics";

    fn values(&self) -> usize {
        self.last.len()
    }

    fn width(&self) -> usize {
        self.components * self.of_component()
    }

    #[inline(always)]
    fn log_prob<E: Real>(&self, x: &[E], p: &[E]) -> E {
        let (weights, _, all) = self.totals(x, p);
        all - weights
    }

    #[inline(always)]
    fn slopes<E: Real>(&self, x: &[E], p: &[E], d: E, into: &mut [E]) {
        let (weights, logs, all) = self.totals(x, p);
        let each = p.chunks_exact(self.of_component()).zip(into.chunks_exact_mut(self.of_component()));
        for ((p, into), log) in each.zip(logs) {
            let share = (log - all).exp();
            into[0] += d * (share - (p[0] - weights).exp());
            for channel in 0..x.len() {
                let (logistic, ties) = self.channel(channel, x, p);
                let [middle, scale] = logistic.slopes(x[channel]).map(|slope| d * share * slope);
                into[1 + 2 * channel] += middle;
                into[2 + 2 * channel] += scale;
                for before in 0..channel {
                    let tie = p[ties + before].tanh();
                    into[ties + before] += middle * (E::ONE - tie * tie) * within(x[before], self.last[before]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::numeric_gradient;

    fn slopes_are_right<L: Likelihood>(likelihood: &L, x: &[f64], p: &[f64]) {
        let mut found = vec![0.0; likelihood.width()];
        likelihood.slopes(x, p, 0.7, &mut found);
        let want = numeric_gradient(p, |p| 0.7 * likelihood.log_prob(x, p));
        for (found, want) in found.iter().zip(want) {
            assert!((found - want).abs() < 1e-6 * (1.0 + want.abs()), "{} at {x:?}: {found} for {want}", L::NAME);
        }
    }

    #[test]
    fn probabilities_add_up_to_one_and_slopes_are_right() {
        let (plain, mixture) = (DiscretisedLogistic::<17>, MixtureOfLogistics::new(&[17], 2).unwrap());
        for p in [[0.0, 0.0], [0.3, -1.0], [-2.0, 0.5], [0.9, -3.0], [0.4, 6.0]] {
            let total: f64 = (0..17).map(|x| plain.log_prob(&[f64::from(x)], &p).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            for x in [0.0, 1.0, 8.0, 15.0, 16.0] {
                slopes_are_right(&plain, &[x], &p);
            }
            let two = [0.3, p[0], p[1], -0.8, 0.5, -1.5];
            let total: f64 = (0..17).map(|x| mixture.log_prob(&[f64::from(x)], &two).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            for x in [0.0, 7.0, 16.0] {
                slopes_are_right(&mixture, &[x], &two);
                let alone = MixtureOfLogistics::new(&[17], 1).unwrap().log_prob(&[x], &[0.7, p[0], p[1]]);
                assert!((alone - plain.log_prob(&[x], &p)).abs() < 1e-12);
            }
            let both: f64 = [0.0, 1.0].iter().map(|x| Bernoulli.log_prob(&[*x], &p[..1]).exp()).sum();
            assert!((both - 1.0).abs() < 1e-12);
            slopes_are_right(&Bernoulli, &[1.0], &p[..1]);
            slopes_are_right(&Grey, &[0.3], &p[..1]);
        }
    }

    /// Colours of 3, 5 and 4 levels, whose channels draw each other.
    #[test]
    fn colours_add_up_to_one_and_so_do_their_first_channels() {
        let colours = MixtureOfLogistics::new(&[3, 5, 4], 2).unwrap();
        assert_eq!((colours.values(), colours.width()), (3, 20));
        let p: Vec<f64> = (0..20).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let mut total = [0.0; 3];
        for x in 0..60 {
            let x = [x % 3, x / 3 % 5, x / 15].map(f64::from);
            total[2] += colours.log_prob(&x, &p).exp();
            total[1] += colours.log_prob(&x[..2], &p).exp() / 4.0;
            total[0] += colours.log_prob(&x[..1], &p).exp() / 20.0;
            slopes_are_right(&colours, &x, &p);
        }
        assert!(total.iter().all(|total| (total - 1.0_f64).abs() < 1e-12), "{total:?}");
        // By hand: a component alone, its second channel drawn by the first.
        let one = MixtureOfLogistics::new(&[3, 5], 1).unwrap();
        let (m, tie) = (0.2, 0.8_f64);
        let drawn = DiscretisedLogistic::<5>.log_prob(&[3.0], &[m + tie.tanh() * 1.0, -0.5]);
        let want = DiscretisedLogistic::<3>.log_prob(&[2.0], &[-0.1, 0.3]) + drawn;
        assert!((one.log_prob(&[2.0, 3.0], &[4.0, -0.1, 0.3, m, -0.5, tie]) - want).abs() < 1e-12);
    }

    #[test]
    fn sizes_without_a_meaning_are_refused() {
        for (levels, components) in [(&[][..], 1), (&[4; 17][..], 1), (&[4], 0), (&[4], 17)] {
            assert!(MixtureOfLogistics::new(levels, components).is_err());
        }
        let same = MixtureOfLogistics::new(&[1, 0], 1).unwrap().log_prob(&[0.0_f64, 0.0], &[0.1; 6]);
        assert!(same.is_finite());
    }

    #[test]
    fn a_scale_that_vanishes_leaves_numbers_in_single_precision() {
        for (middle, log_scale) in [(0.1, -200.0), (-3.0, -1e30), (0.9, -7.0), (0.0, 15.0), (-20.0, 20.0), (1e6, 3.0)] {
            let (p, mut total) = ([middle, log_scale], 0.0);
            for x in 0..256 {
                let log = DiscretisedLogistic::<256>.log_prob(&[x as f32], &p);
                let mut slopes = [0.0_f32; 2];
                DiscretisedLogistic::<256>.slopes(&[x as f32], &p, 1.0, &mut slopes);
                assert!(log.is_finite() && slopes.iter().all(|slope| slope.is_finite()), "{x}: {log}, {slopes:?}");
                total += log.exp();
            }
            assert!((total - 1.0).abs() < 1e-4, "{total}");
        }
    }

    #[test]
    fn a_grey_cross_entropy_is_no_density() {
        let l = [2.0];
        let total: f64 = (0..1000).map(|i| Grey.log_prob(&[(f64::from(i) + 0.5) / 1000.0], &l).exp() / 1000.0).sum();
        assert!((total - 1.0).abs() > 0.3, "{total}");
        assert_eq!(<Grey as Likelihood>::Bound::NAME, "unnormalised");
    }
}
