//! Whether chains have come to one law, and how many independent draws theirs are worth.

use crate::{Error, Result, linalg::normal};

/// A number along several chains of the same length.
///
/// ```
/// # use limbeck::{frame::diagnostics::Traces, random::Seed};
/// use rand::RngExt;
/// let chain = |i: u64, shift: f64| -> Vec<f64> {
///     let mut rng = Seed(0).stream("chain", i);
///     (0..500).map(|_| rng.random::<f64>() + shift).collect()
/// };
/// let alike = Traces::new(vec![chain(0, 0.0), chain(1, 0.0)])?;
/// let apart = Traces::new(vec![chain(0, 0.0), chain(1, 3.0)])?;
/// assert!(alike.split_r_hat() < 1.01 && apart.split_r_hat() > 1.5);
/// assert!(alike.bulk_ess() > 700.0 && apart.bulk_ess() < 10.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    chains: Vec<Vec<f64>>,
}

impl Traces {
    /// One sequence a chain.
    ///
    /// # Errors
    /// When there is no chain, they differ in length, have fewer than four draws, or one is not finite.
    pub fn new(chains: Vec<Vec<f64>>) -> Result<Self> {
        let draws = chains.first().map_or(0, Vec::len);
        if draws < 4 || chains.iter().any(|chain| chain.len() != draws) {
            let lengths: Vec<usize> = chains.iter().map(Vec::len).collect();
            return Err(Error::invalid(format!("chains of {lengths:?} draws: as many in each are needed, 4 at least")));
        }
        match chains.iter().flatten().find(|x| !x.is_finite()) {
            Some(x) => Err(Error::invalid(format!("a draw of {x} in a chain"))),
            None => Ok(Self { chains }),
        }
    }

    /// R̂ of the halves of all chains, by ranks: 1 where they follow one law, above 1.01 where they should go on.
    ///
    /// The greater of that of the draws' normal scores and that of the scores of how far they are from their median, which also sees
    /// chains that differ in their spread alone. Source: Vehtari et al. 2021, eqs 1–4 and 14. Draws that are all the same have 1.
    pub fn split_r_hat(&self) -> f64 {
        let halves = self.halves();
        let median = {
            let mut all: Vec<f64> = halves.iter().flatten().copied().collect();
            all.sort_by(f64::total_cmp);
            0.5 * (all[(all.len() - 1) / 2] + all[all.len() / 2])
        };
        let folded: Vec<Vec<f64>> =
            halves.iter().map(|half| half.iter().map(|x| (x - median).abs()).collect()).collect();
        r_hat(&scores(&halves)).max(r_hat(&scores(&folded)))
    }

    /// How many independent draws would know the middle of the law as well: the effective sample size of the draws' normal scores.
    ///
    /// ```text
    /// S / (1 + 2 Σ_t ρ_t)
    /// ```
    ///
    /// with autocorrelations `ρ_t` that compare chains with each other, cut off and made monotone in pairs (Geyer 1992).
    /// Source: Vehtari et al. 2021, eqs 10–11.
    pub fn bulk_ess(&self) -> f64 {
        ess(&scores(&self.halves()))
    }

    /// The first and the second half of every chain.
    fn halves(&self) -> Vec<Vec<f64>> {
        let half = self.chains[0].len() / 2;
        let both = |chain: &Vec<f64>| [chain[..half].to_vec(), chain[chain.len() - half..].to_vec()];
        self.chains.iter().flat_map(both).collect()
    }
}

/// Every draw's normal score among all: the quantile of `(rank − 3/8) / (S + 1/4)`, ties with their mean rank.
fn scores(chains: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let draws = chains[0].len();
    let mut order: Vec<(f64, usize)> = chains.iter().flatten().copied().zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = order.len() as f64;
    let mut scores = vec![vec![0.0; draws]; chains.len()];
    let mut below = 0.0;
    for ties in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = below + 0.5 * (ties.len() as f64 + 1.0);
        let share = (rank - 0.375) / (all + 0.25);
        let score = normal::quantile(share.ln(), (1.0 - share).ln());
        ties.iter().for_each(|(_, at)| scores[at / draws][at % draws] = score);
        below += ties.len() as f64;
    }
    scores
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

fn r_hat(chains: &[Vec<f64>]) -> f64 {
    let draws = chains[0].len() as f64;
    let within = mean(&chains.iter().map(|chain| variance(chain)).collect::<Vec<_>>());
    let between = variance(&chains.iter().map(|chain| mean(chain)).collect::<Vec<_>>());
    match within > 0.0 {
        true => ((between + within * (draws - 1.0) / draws) / within).sqrt(),
        false if between > 0.0 => f64::INFINITY,
        false => 1.0,
    }
}

fn ess(chains: &[Vec<f64>]) -> f64 {
    let (draws, all) = (chains[0].len(), chains.len() * chains[0].len());
    let means: Vec<f64> = chains.iter().map(|chain| mean(chain)).collect();
    let covariance = |lag: usize| {
        let of = |(chain, mean): (&Vec<f64>, &f64)| {
            chain.iter().zip(&chain[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / draws as f64
        };
        chains.iter().zip(&means).map(of).sum::<f64>() / chains.len() as f64
    };
    let biased = covariance(0);
    let within = biased * draws as f64 / (draws - 1) as f64;
    let total = biased + variance(&means);
    if total <= 0.0 {
        return all as f64;
    }
    let rho = |lag: usize| 1.0 - (within - covariance(lag)) / total;
    // Pairs of neighbours, as long as their sum is positive, and never above the pair before. Of the first pair that is left out, and
    // of the last that the draws allow, the even one alone, and once.
    let last = (draws.saturating_sub(3) | 1).saturating_sub(2);
    let (mut sum, mut before, mut rest) = (0.0, f64::INFINITY, 0.0);
    for lag in (0..).step_by(2) {
        let even = if lag == 0 { 1.0 } else { rho(lag) };
        if lag >= last || even + rho(lag + 1) <= 0.0 {
            rest = even.max(0.0);
            break;
        }
        before = before.min(even + rho(lag + 1));
        sum += before;
    }
    let time = (2.0 * sum - 1.0 + rest).max(1.0 / (all as f64).log10());
    all as f64 / time
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Autoregressive chains, each `shift` above the one before, on numbers of a generator that any language has.
    fn chains(chains: u32, draws: u32, rho: f64, shift: f64) -> Vec<Vec<f64>> {
        let mut state = 12_345_u64;
        let mut chain = |c: u32| {
            let mut x = 0.0;
            let draw = |_| {
                state = (state * 1_103_515_245 + 12_345) % (1 << 31);
                x = rho * x + state as f64 / f64::from(1_u32 << 31) - 0.5;
                x + f64::from(c) * shift
            };
            (0..draws).map(draw).collect()
        };
        (0..chains).map(&mut chain).collect()
    }

    #[test]
    fn both_numbers_are_those_of_arviz() {
        // ArviZ 0.23.4: `rhat(method="rank")`, `ess(method="bulk")`.
        let mut ties = chains(4, 100, 0.3, 0.0);
        // To quarters, halves to the even one, as NumPy rounds.
        ties.iter_mut().flatten().for_each(|x| *x = (*x * 4.0).round_ties_even() / 4.0);
        ties[1].iter_mut().for_each(|x| *x *= 3.0);
        for (chains, r_hat, ess) in [
            (chains(4, 250, 0.7, 0.0), 1.012_943_254_426_512, 201.676_857_784_429_9),
            (chains(3, 101, 0.95, 0.3), 1.248_824_693_806_359_4, 10.539_244_274_957_028),
            (chains(2, 60, -0.5, 0.0), 0.997_006_926_728_391_2, 249.501_749_525_714_96),
            (ties, 1.199_172_214_913_101_9, 251.645_446_891_557_16),
        ] {
            let traces = Traces::new(chains).unwrap();
            assert!((traces.split_r_hat() - r_hat).abs() < 1e-9, "{} for {r_hat}", traces.split_r_hat());
            assert!((traces.bulk_ess() / ess - 1.0).abs() < 1e-9, "{} for {ess}", traces.bulk_ess());
        }
    }

    #[test]
    fn chains_that_say_nothing_are_refused_or_are_alike() {
        assert!(Traces::new(vec![]).is_err() && Traces::new(vec![vec![0.0; 3]]).is_err());
        assert!(Traces::new(vec![vec![0.0; 4], vec![0.0; 5]]).is_err());
        assert!(Traces::new(vec![vec![f64::NAN; 4]]).is_err());
        let same = Traces::new(vec![vec![1.0; 10]; 2]).unwrap();
        assert_eq!((same.split_r_hat(), same.bulk_ess()), (1.0, 20.0));
        let apart = Traces::new(vec![vec![1.0; 10], vec![2.0; 10]]).unwrap();
        assert_eq!(apart.split_r_hat(), f64::INFINITY);
    }
}
