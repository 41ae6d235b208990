//! Processes in continuous time: what steps without end cost.

use super::{Absorbing, Level, Process, Schedule, Uniform};
use crate::{Error, Result, nn::Size, random::Stream, simd};
use rand::RngExt;

/// A process whose time goes from 0 to 1 without steps.
///
/// ```text
/// −log p(x_0) ≤ ∫₀¹ E_q(x_t | x_0) Σ_d rate(t, x_0^d, x_t^d) dt + KL(q(x_1 | x_0) ‖ p(x_1))
/// ```
///
/// The integral is the limit of the bound of many steps.
pub trait Continuous: Process {
    /// What is left when; in between its steps, too.
    fn schedule(&self) -> &Schedule;

    /// # Errors
    /// When the schedule was given step by step, and says nothing of the time between them.
    fn check_continuous(&self) -> Result<()> {
        match self.schedule().at_time(0.5) {
            Some(_) => Ok(()),
            None => Err(Error::invalid("a schedule given step by step has no time between its steps")),
        }
    }

    /// The time that a denoiser is told.
    fn told(&self, time: f64) -> f64;

    /// A draw of `x_t` given `x_0`.
    fn noisy_at(&self, level: Level, x0: usize, rng: &mut Stream) -> usize;

    /// Nats that a position costs in a unit of time, where `ᾱ` falls that fast. `log_x0` is what the denoiser says.
    fn rate(&self, now: (Level, f64), states: (usize, usize), log_x0: &[f64]) -> f64;

    /// Adds `scale` times the slopes of [`Self::rate`] along the logits to `into`.
    fn rate_slopes(&self, now: (Level, f64), states: (usize, usize), log_x0: &[f64], scale: f64, into: &mut [f64]);
}

/// `−ᾱ′ / (1 − ᾱ)` nats of cross-entropy where a mask stands. Sources: Sahoo et al. 2024 (MDLM); Shi et al. 2024 (MD4).
impl<K: Size, S: Size> Continuous for Absorbing<K, S> {
    fn schedule(&self) -> &Schedule {
        Self::schedule(self)
    }

    fn told(&self, _: f64) -> f64 {
        0.0
    }

    fn noisy_at(&self, level: Level, x0: usize, rng: &mut Stream) -> usize {
        if rng.random::<f64>() < level.kept { x0 } else { self.mask() }
    }

    fn rate(&self, (level, slope): (Level, f64), (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        if xt == self.mask() { slope / level.lost * log_x0[x0] } else { 0.0 }
    }

    fn rate_slopes(
        &self,
        (level, slope): (Level, f64),
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        if xt == self.mask() {
            crate::diffusion::steps::cross_entropy_slopes(x0, log_x0, -scale * slope / level.lost, into);
        }
    }
}

/// With `x̄ = K ᾱ x_0 + 1 − ᾱ`, `x̄_θ` the same of `x̂_0`, and `i = x_t`:
///
/// ```text
/// rate = ᾱ′ / (K ᾱ) · [ K / x̄_i − K / x̄_θ,i − Σ_j x̄_j / x̄_i · log (x̄_θ,i x̄_j / (x̄_θ,j x̄_i)) ]
/// ```
/// Source: Schiff et al. 2025 (UDLM).
impl<K: Size> Continuous for Uniform<K> {
    fn schedule(&self) -> &Schedule {
        Self::schedule(self)
    }

    fn told(&self, time: f64) -> f64 {
        time
    }

    fn noisy_at(&self, level: Level, x0: usize, rng: &mut Stream) -> usize {
        match rng.random::<f64>() < level.kept {
            true => x0,
            false => rng.random_range(0..self.categories().size()),
        }
    }

    fn rate(&self, (level, slope): (Level, f64), (x0, xt): (usize, usize), log_x0: &[f64]) -> f64 {
        let Level { kept, lost } = level;
        let k = log_x0.len() as f64;
        let (data, other) = (k * kept + lost, lost);
        let at = |i: usize| if i == x0 { data } else { other };
        let model = |i: usize| k * kept * log_x0[i].exp() + lost;
        let (own, said) = (at(xt), model(xt));
        let mut sum = 0.0;
        for j in 0..log_x0.len() {
            sum += at(j) / own * ((said / model(j)).ln() + (at(j) / own).ln());
        }
        slope / (k * kept) * (k / own - k / said - sum)
    }

    fn rate_slopes(
        &self,
        (level, slope): (Level, f64),
        (x0, xt): (usize, usize),
        log_x0: &[f64],
        scale: f64,
        into: &mut [f64],
    ) {
        let Level { kept, lost } = level;
        let k = log_x0.len() as f64;
        let (data, other) = (k * kept + lost, lost);
        let at = |i: usize| if i == x0 { data } else { other };
        let own = at(xt);
        let all = (data + (k - 1.0) * other) / own;
        // Along x̄_θ,j, times ᾱ′ and x̂_0(j): the factor K ᾱ of both cancels.
        let mut mean = 0.0;
        for (j, to) in into.iter_mut().enumerate() {
            let p = simd::exp(log_x0[j]);
            let said = k * kept * p + lost;
            let along = at(j) / own / said + if j == xt { k / (said * said) - all / said } else { 0.0 };
            let part = scale * slope * p * along;
            mean += part;
            *to += part;
        }
        into.iter_mut().zip(log_x0).for_each(|(to, log)| *to -= simd::exp(*log) * mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diffusion::{Fall, process::normalise},
        random::Seed,
    };
    use dfdx::shapes::{Const, Dim};

    /// Gauss–Legendre's nodes and weights on 0..1.
    fn legendre(n: usize) -> Vec<(f64, f64)> {
        let root = |i: usize| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut p, mut before) = (1.0, 0.0);
                for j in 0..n {
                    let j = j as f64;
                    (p, before) = (((2.0 * j + 1.0) * x * p - j * before) / (j + 1.0), p);
                }
                slope = n as f64 * (x * p - before) / (x * x - 1.0);
                x -= p / slope;
            }
            (0.5 * (x + 1.0), 1.0 / ((1.0 - x * x) * slope * slope))
        };
        (0..n).map(root).collect()
    }

    fn uniform(fall: Fall, steps: usize) -> Uniform<Const<3>> {
        Uniform::new(Const, Schedule::new(fall, steps).unwrap()).unwrap()
    }

    #[test]
    fn a_denoiser_that_knows_the_marginal_costs_the_entropy() {
        let marginal = [0.5_f64, 0.3, 0.2];
        let log_x0 = marginal.map(f64::ln);
        let entropy: f64 = marginal.iter().map(|p| -p * p.ln()).sum();
        let process = uniform(Fall::Linear, 1);
        let mut total = 0.0;
        for (time, weight) in legendre(400) {
            let now = process.schedule().at_time(time).unwrap();
            for (x0, p) in marginal.iter().enumerate() {
                for xt in 0..3 {
                    let q = now.0.lost / 3.0 + if x0 == xt { now.0.kept } else { 0.0 };
                    total += weight * p * q * process.rate(now, (x0, xt), &log_x0);
                }
            }
        }
        assert!((total - 1.029_650_390).abs() < 1e-8, "{total}");
        assert!((total - entropy).abs() < 1e-5);
    }

    #[test]
    fn a_rate_is_what_many_steps_cost_and_has_its_slopes() {
        fn check<P: Continuous>(process: &P) {
            let logits = [0.3, -1.2, 0.8];
            let mut log_x0 = logits.to_vec();
            normalise(&mut log_x0);
            let (steps, states) = (process.steps(), process.states().size());
            for (x0, xt) in (0..3).flat_map(|x0| (0..states).map(move |xt| (x0, xt))) {
                if states > 3 && xt < 3 && xt != x0 {
                    continue;
                }
                for t in [steps / 5, steps / 2, steps * 9 / 10] {
                    let now = process.schedule().at_time(t as f64 / steps as f64).unwrap();
                    let step = process.step((t - 1, t), (x0, xt), &log_x0) * steps as f64;
                    let rate = process.rate(now, (x0, xt), &log_x0);
                    assert!((step - rate).abs() < 1e-3 * (1e-3 + rate.abs()), "{step} for {rate}");
                    let mut slopes = vec![1.0; 3];
                    process.rate_slopes(now, (x0, xt), &log_x0, 0.5, &mut slopes);
                    for (i, slope) in slopes.into_iter().enumerate() {
                        let at = |d: f64| {
                            let mut moved = logits.to_vec();
                            moved[i] += d;
                            normalise(&mut moved);
                            process.rate(now, (x0, xt), &moved)
                        };
                        let want = 1.0 + 0.5 * (at(1e-5) - at(-1e-5)) / 2e-5;
                        assert!((slope - want).abs() < 1e-7 * (1.0 + want.abs()), "{slope} for {want}");
                    }
                }
            }
        }
        check(&uniform(Fall::Linear, 20_000));
        check(&uniform(Fall::CosineOfPaper, 20_000));
        check(&Absorbing::new(Const::<3>, Const::<4>, Schedule::new(Fall::CosineOfPaper, 20_000).unwrap()).unwrap());
    }

    #[test]
    fn noise_at_a_time_is_that_of_its_level() {
        let process = uniform(Fall::Linear, 4);
        let mut rng = Seed(2).stream("test", 0);
        let level = process.schedule().at_time(0.5).unwrap().0;
        let kept = (0..30_000).filter(|_| process.noisy_at(level, 1, &mut rng) == 1).count() as f64 / 30_000.0;
        assert!((kept - 2.0 / 3.0).abs() < 0.011, "{kept}");
        let given = Uniform::new(Const::<3>, Schedule::of_steps(&[0.5]).unwrap()).unwrap();
        assert!(given.check_continuous().is_err());
    }
}
