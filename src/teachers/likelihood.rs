//! What a decoder's outputs say of a value, and whether that is a probability.

use crate::{
    evidence::{Certainty, LowerBound, Unnormalised},
    nn::Real,
};

/// `log p(x | outputs)` of one value, where a decoder gives `WIDTH` outputs for it.
pub trait Likelihood: Copy + Default + Send + Sync + 'static {
    /// What a bound made of it is: a lower bound where the probabilities of all values add up to one, and else no likelihood.
    type Bound: Certainty;
    /// Outputs for a value.
    const WIDTH: usize;
    /// How the values are called in reports.
    const NAME: &'static str;

    /// `log p(x | p)`, nats.
    fn log_prob<E: Real>(x: E, p: &[E]) -> E;

    /// Adds `d` times the slopes of [`Self::log_prob`] along `p` to `into`.
    fn slopes<E: Real>(x: E, p: &[E], d: E, into: &mut [E]);
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
    const WIDTH: usize = 1;
    const NAME: &'static str = "bernoulli";

    #[inline(always)]
    fn log_prob<E: Real>(x: E, p: &[E]) -> E {
        x * p[0] - p[0].softplus()
    }

    #[inline(always)]
    fn slopes<E: Real>(x: E, p: &[E], d: E, into: &mut [E]) {
        into[0] += d * (x - p[0].sigmoid());
    }
}

impl Likelihood for Grey {
    type Bound = Unnormalised;
    const WIDTH: usize = 1;
    const NAME: &'static str = "grey cross-entropy";

    #[inline(always)]
    fn log_prob<E: Real>(x: E, p: &[E]) -> E {
        Bernoulli::log_prob(x, p)
    }

    #[inline(always)]
    fn slopes<E: Real>(x: E, p: &[E], d: E, into: &mut [E]) {
        Bernoulli::slopes(x, p, d, into);
    }
}

impl<const LEVELS: usize> DiscretisedLogistic<LEVELS> {
    /// The two edges of a value in scales from the middle, and the scale.
    #[inline(always)]
    fn edges<E: Real>(x: E, p: &[E]) -> (E, E, E) {
        let half = E::of((LEVELS as f64 - 1.0) / 2.0);
        let least = E::of(LEAST_SCALE);
        let (middle, scale) = (half + half * p[0], half * if p[1] > least { p[1] } else { least }.exp());
        let half = E::of(0.5);
        ((x - half - middle) / scale, (x + half - middle) / scale, scale)
    }
}

impl<const LEVELS: usize> Likelihood for DiscretisedLogistic<LEVELS> {
    type Bound = LowerBound;
    const WIDTH: usize = 2;
    const NAME: &'static str = "discretised logistic";

    #[inline(always)]
    fn log_prob<E: Real>(x: E, p: &[E]) -> E {
        let (low, high, _) = Self::edges(x, p);
        if x <= E::default() {
            -(-high).softplus()
        } else if x >= E::of(LEVELS as f64 - 1.0) {
            -low.softplus()
        } else {
            // log (σ(b) − σ(a)) = b + log(1 − e^(a − b)) − softplus(a) − softplus(b), without a difference of nearly equal numbers.
            let gap = high - low;
            high + (-(-gap).exp()).ln_1p() - low.softplus() - high.softplus()
        }
    }

    #[inline(always)]
    fn slopes<E: Real>(x: E, p: &[E], d: E, into: &mut [E]) {
        let (low, high, scale) = Self::edges(x, p);
        // Along the two edges.
        let (a, b) = if x <= E::default() {
            (E::default(), (-high).sigmoid())
        } else if x >= E::of(LEVELS as f64 - 1.0) {
            (-low.sigmoid(), E::default())
        } else {
            let ratio = E::ONE / ((high - low).exp() - E::ONE);
            (-ratio - low.sigmoid(), E::ONE + ratio - high.sigmoid())
        };
        let half = E::of((LEVELS as f64 - 1.0) / 2.0);
        into[0] -= d * (a + b) * half / scale;
        if p[1] > E::of(LEAST_SCALE) {
            into[1] -= d * (a * low + b * high);
        }
    }
}

/// Whole numbers in `0..LEVELS`: a mixture of `M` discretised logistic distributions.
///
/// ```text
/// p(x | w, m, s) = Σ_k softmax(w)_k p(x | m_k, s_k)
/// ```
///
/// The outputs are `w_k, m_k, s_k` of each component in turn. Source: Salimans et al. 2017, §2.1.
#[derive(Clone, Copy, Debug, Default)]
pub struct MixtureOfLogistics<const LEVELS: usize, const M: usize>;

/// Outputs of a component.
const OF_COMPONENT: usize = 3;

impl<const LEVELS: usize, const M: usize> MixtureOfLogistics<LEVELS, M> {
    /// `log Σ_k e^{w_k}`, and `log Σ_k e^{w_k} p_k(x)`.
    #[inline(always)]
    fn totals<E: Real>(x: E, p: &[E]) -> [E; 2] {
        let logs: [[E; 2]; M] = std::array::from_fn(|k| {
            let p = &p[OF_COMPONENT * k..];
            [p[0], p[0] + DiscretisedLogistic::<LEVELS>::log_prob(x, &p[1..])]
        });
        [0, 1].map(|i| {
            let largest = logs.iter().map(|l| l[i]).fold(logs[0][i], |a, b| if b > a { b } else { a });
            largest + logs.iter().fold(E::default(), |sum, l| sum + (l[i] - largest).exp()).ln()
        })
    }
}

impl<const LEVELS: usize, const M: usize> Likelihood for MixtureOfLogistics<LEVELS, M> {
    type Bound = LowerBound;
    const WIDTH: usize = OF_COMPONENT * M;
    const NAME: &'static str = "mixture of discretised logistics";

    #[inline(always)]
    fn log_prob<E: Real>(x: E, p: &[E]) -> E {
        let [weights, all] = Self::totals(x, p);
        all - weights
    }

    #[inline(always)]
    fn slopes<E: Real>(x: E, p: &[E], d: E, into: &mut [E]) {
        let [weights, all] = Self::totals(x, p);
        for k in 0..M {
            let (p, into) = (&p[OF_COMPONENT * k..], &mut into[OF_COMPONENT * k..]);
            let share = (p[0] + DiscretisedLogistic::<LEVELS>::log_prob(x, &p[1..]) - all).exp();
            into[0] += d * (share - (p[0] - weights).exp());
            DiscretisedLogistic::<LEVELS>::slopes(x, &p[1..], d * share, &mut into[1..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ops::testing::numeric_gradient;

    fn slopes_are_right<L: Likelihood>(x: f64, p: &[f64]) {
        let mut found = vec![0.0; L::WIDTH];
        L::slopes(x, p, 0.7, &mut found);
        let want = numeric_gradient(p, |p| 0.7 * L::log_prob(x, p));
        for (found, want) in found.iter().zip(want) {
            assert!((found - want).abs() < 1e-6 * (1.0 + want.abs()), "{} at {x}: {found} for {want}", L::NAME);
        }
    }

    #[test]
    fn probabilities_add_up_to_one_and_slopes_are_right() {
        for p in [[0.0, 0.0], [0.3, -1.0], [-2.0, 0.5], [0.9, -3.0]] {
            let total: f64 = (0..17).map(|x| DiscretisedLogistic::<17>::log_prob(f64::from(x), &p).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            for x in [0.0, 1.0, 8.0, 15.0, 16.0] {
                slopes_are_right::<DiscretisedLogistic<17>>(x, &p);
            }
            let two = [0.3, p[0], p[1], -0.8, 0.5, -1.5];
            let total: f64 = (0..17).map(|x| MixtureOfLogistics::<17, 2>::log_prob(f64::from(x), &two).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
            for x in [0.0, 7.0, 16.0] {
                slopes_are_right::<MixtureOfLogistics<17, 2>>(x, &two);
                let alone = [0.7, p[0], p[1]];
                let one = DiscretisedLogistic::<17>::log_prob(x, &p);
                assert!((MixtureOfLogistics::<17, 1>::log_prob(x, &alone) - one).abs() < 1e-12);
            }
            let both: f64 = [0.0, 1.0].iter().map(|x| Bernoulli::log_prob(*x, &p[..1]).exp()).sum();
            assert!((both - 1.0).abs() < 1e-12);
            slopes_are_right::<Bernoulli>(1.0, &p[..1]);
            slopes_are_right::<Grey>(0.3, &p[..1]);
        }
    }

    #[test]
    fn a_scale_that_vanishes_leaves_numbers_in_single_precision() {
        for (middle, log_scale) in [(0.1, -200.0), (-3.0, -1e30), (0.9, -7.0)] {
            let (p, mut total) = ([middle, log_scale], 0.0);
            for x in 0..256 {
                let log = DiscretisedLogistic::<256>::log_prob(x as f32, &p);
                let mut slopes = [0.0_f32; 2];
                DiscretisedLogistic::<256>::slopes(x as f32, &p, 1.0, &mut slopes);
                assert!(log.is_finite() && slopes.iter().all(|slope| slope.is_finite()), "{x}: {log}, {slopes:?}");
                total += log.exp();
            }
            assert!((total - 1.0).abs() < 1e-4, "{total}");
        }
    }

    #[test]
    fn a_grey_cross_entropy_is_no_density() {
        let l = [2.0];
        let total: f64 = (0..1000).map(|i| Grey::log_prob((f64::from(i) + 0.5) / 1000.0, &l).exp() / 1000.0).sum();
        assert!((total - 1.0).abs() > 0.3, "{total}");
        assert_eq!(<Grey as Likelihood>::Bound::NAME, "unnormalised");
    }
}
