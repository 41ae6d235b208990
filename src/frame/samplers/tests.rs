//! Samplers against their exact laws. Closed forms: `research/frame.md` §4C.

use super::*;
use crate::{Error, frame::samplers::chains::find};

/// Independent normal numbers of these precisions.
struct Normals(Vec<f64>);

impl LogDensity for Normals {
    type Number = f64;
    fn dims(&self) -> usize {
        self.0.len()
    }
    fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
        let each = |(point, slopes): (&[f64], &mut [f64])| {
            let mut log_prob = 0.0;
            for ((x, a), slope) in point.iter().zip(&self.0).zip(slopes) {
                log_prob -= 0.5 * a * x * x;
                *slope = -a * x;
            }
            log_prob
        };
        Ok(points.chunks_exact(self.0.len()).zip(slopes.chunks_exact_mut(self.0.len())).map(each).collect())
    }
}

/// Two hills `½ N(−4, 1) + ½ N(4, 1)`, far from each other.
struct Hills;

impl LogDensity for Hills {
    type Number = f64;
    fn dims(&self) -> usize {
        1
    }
    fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
        let each = |(x, slope): (&f64, &mut f64)| {
            let (a, b) = ((-0.5 * (x + 4.0).powi(2)).exp(), (-0.5 * (x - 4.0).powi(2)).exp());
            *slope = (-(x + 4.0) * a - (x - 4.0) * b) / (a + b);
            (a + b).ln()
        };
        Ok(points.iter().zip(slopes).map(each).collect())
    }
}

/// `x⁴ / 4`, which no step is small enough for far out.
struct Quartic;

impl LogDensity for Quartic {
    type Number = f64;
    fn dims(&self) -> usize {
        1
    }
    fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
        slopes.iter_mut().zip(points).for_each(|(slope, x)| *slope = -x.powi(3));
        Ok(points.iter().map(|x| -0.25 * x.powi(4)).collect())
    }
}

const CHAINS: usize = 20_000;

fn square(chains: &Chains<f64>, dim: usize) -> f64 {
    let at = chains.points().iter().skip(dim).step_by(chains.dims());
    at.map(|x| x * x).sum::<f64>() / chains.len() as f64
}

/// A variance of 20,000 normal numbers, to four of its standard errors.
fn is_variance(found: f64, expected: f64) {
    let error = 4.0 * expected * (2.0 / CHAINS as f64).sqrt();
    assert!((found - expected).abs() < error, "{found} for {expected} ± {error}");
}

#[test]
fn ula_comes_to_the_variance_that_its_step_says() {
    let (target, h) = (Normals(vec![1.0, 2.5]), 0.5);
    let mut chains = Chains::normal(CHAINS, 2, 2.0, Seed(0)).unwrap();
    let mut ula = Ula::new(h).unwrap();
    // On the way: V_k = (1 − ha)^2k V_0 + (1 − (1 − ha)^2k) V_∞.
    for (steps, so_far) in [(1, 1), (2, 3), (40, 43)] {
        ula.steps(&target, &mut chains, steps, Seed(so_far)).unwrap();
        for (dim, a) in [1.0, 2.5].into_iter().enumerate() {
            let left = (1.0 - h * a).powi(2 * so_far as i32);
            is_variance(square(&chains, dim), left * 4.0 + (1.0 - left) / (a * (1.0 - 0.5 * h * a)));
        }
    }
}

#[test]
fn what_keeps_the_law_keeps_it() {
    let target = Normals(vec![1.0, 4.0]);
    let begin = || Chains::<f64>::normal(CHAINS, 2, 1.5, Seed(5)).unwrap();
    let check = |chains: &Chains<f64>| {
        is_variance(square(chains, 0), 1.0);
        is_variance(square(chains, 1), 0.25);
    };
    let mut chains = begin();
    let share = Mala::new(0.3).unwrap().steps(&target, &mut chains, 60, Seed(6)).unwrap();
    assert!((0.5..0.99).contains(&share), "{share}");
    check(&chains);
    let mut chains = begin();
    Hmc::new(0.35, 4).unwrap().with_mass(1.3).unwrap().steps(&target, &mut chains, 30, Seed(7)).unwrap();
    check(&chains);
    let mut moving = Moving::new(begin(), Seed(8));
    Underdamped::new(0.7, 1.0).unwrap().steps(&target, &mut moving, 60, Seed(9)).unwrap();
    check(&moving.chains);
    let powers = vec![1.0, 0.5, 0.2];
    let samplers = powers.iter().map(|p| Mala::new(0.3 / p).unwrap()).collect();
    let mut ladder = Ladder::new(begin(), 3).unwrap();
    Tempering::new(samplers, powers).unwrap().steps(&target, &mut ladder, 40, Seed(10)).unwrap();
    check(ladder.chains());
}

#[test]
fn tempering_crosses_what_langevin_does_not() {
    let begin = || Chains::new(1, vec![4.0; 2000]).unwrap();
    let left = |chains: &Chains<f64>| chains.points().iter().filter(|x| **x < 0.0).count();
    let mut chains = begin();
    Mala::new(0.8).unwrap().steps(&Hills, &mut chains, 300, Seed(1)).unwrap();
    assert!(left(&chains) < 200, "{}", left(&chains));
    let powers = vec![1.0, 0.4, 0.15, 0.05];
    let samplers = powers.iter().map(|p| Mala::new(0.8 / p).unwrap()).collect();
    let mut ladder = Ladder::new(begin(), 4).unwrap();
    Tempering::new(samplers, powers).unwrap().steps(&Hills, &mut ladder, 300, Seed(1)).unwrap();
    assert!((880..1120).contains(&left(ladder.chains())), "{}", left(ladder.chains()));
}

#[test]
fn mala_takes_as_many_steps_as_it_should() {
    let target = Normals(vec![1.7]);
    let h = 0.4;
    let log_p = |x: f64| -0.85 * x * x;
    let drift = |x: f64, y: f64| (y - x + h * 1.7 * x).powi(2);
    // The share of accepted steps in one dimension, from the law itself, by quadrature over the law and the noise.
    let (mut expected, grid) = (0.0, 801);
    let at = |i: usize| -6.0 + 12.0 * i as f64 / (grid - 1) as f64;
    let cell = 12.0 / (grid - 1) as f64;
    let normal = |z: f64| (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
    for (z, e) in (0..grid).flat_map(|i| (0..grid).map(move |j| (at(i), at(j)))) {
        let x = z / 1.7_f64.sqrt();
        let y = x - h * 1.7 * x + (2.0 * h).sqrt() * e;
        let log = log_p(y) - log_p(x) + (drift(x, y) - drift(y, x)) / (4.0 * h);
        expected += normal(z) * normal(e) * log.min(0.0).exp() * cell * cell;
    }
    let mut chains = Chains::normal(CHAINS, 1, 1.0 / 1.7_f64.sqrt(), Seed(3)).unwrap();
    let share = Mala::new(h).unwrap().step(&target, &mut chains, Seed(4)).unwrap();
    let error = 4.0 * (expected * (1.0 - expected) / CHAINS as f64).sqrt();
    assert!((share - expected).abs() < error, "{share} for {expected}");
}

#[test]
fn a_leap_comes_back_and_keeps_volume_and_its_error_is_of_second_order() {
    let target = Quartic;
    let leap = |step: f64, leaps: usize, x: f64, p: f64| {
        let (mut point, mut momentum) = ([x], [p]);
        let begin = find(&target, 1, &point).unwrap();
        let hmc = Hmc::new(step, leaps).unwrap();
        let found = hmc.leap(&target, 1, &mut point, &mut momentum, begin).unwrap();
        (point[0], momentum[0], found.log_probs[0])
    };
    let (x, p, _) = leap(0.1, 25, 0.8, 1.1);
    let (back, turned, _) = leap(0.1, 25, x, -p);
    assert!((back - 0.8).abs() < 1e-12 && (turned + 1.1).abs() < 1e-12);
    let d = 1e-6;
    let [a, b] = [leap(0.1, 25, 0.8 + d, 1.1), leap(0.1, 25, 0.8 - d, 1.1)];
    let [c, e] = [leap(0.1, 25, 0.8, 1.1 + d), leap(0.1, 25, 0.8, 1.1 - d)];
    let determinant = ((a.0 - b.0) * (c.1 - e.1) - (a.1 - b.1) * (c.0 - e.0)) / (4.0 * d * d);
    assert!((determinant - 1.0).abs() < 1e-8, "{determinant}");
    let error = |leaps: usize| {
        let (_, p, log_prob) = leap(2.0 / leaps as f64, leaps, 0.8, 1.1);
        (0.5 * p * p - log_prob - (0.5 * 1.1 * 1.1 + 0.25 * 0.8_f64.powi(4))).abs()
    };
    let ratio = error(40) / error(80);
    assert!((ratio - 4.0).abs() < 0.2, "{ratio}");
}

#[test]
fn adaptive_steps_find_the_share_that_is_wanted() {
    let target = Normals(vec![1.0; 20]);
    for start in [1e-3, 3.0] {
        let mut chains = Chains::normal(200, 20, 1.0, Seed(0)).unwrap();
        let mut adaptive = Mala::new(start).unwrap().adaptive(0.574).unwrap();
        adaptive.steps(&target, &mut chains, 400, Seed(1)).unwrap();
        let share = adaptive.fixed().steps(&target, &mut chains, 50, Seed(2)).unwrap();
        assert!((share - 0.574).abs() < 0.03, "{share}");
    }
}

#[test]
fn clipped_and_cold_steps_leave_the_law() {
    let target = Normals(vec![1.0]);
    let ula = Ula::new(0.1).unwrap();
    let mut chains = Chains::normal(CHAINS, 1, 1.0, Seed(0)).unwrap();
    Cold::new(ula, 0.25).unwrap().steps(&target, &mut chains, 80, Seed(1)).unwrap();
    is_variance(square(&chains, 0), 0.25 / 0.95);
    // Of slopes as long as they were, clipping changes nothing.
    let mut same = [(); 2].map(|()| Chains::normal(50, 1, 1.0, Seed(0)).unwrap());
    Clipped::new(ula, 1e9).unwrap().steps(&target, &mut same[0], 3, Seed(1)).unwrap();
    let mut ula = ula;
    ula.steps(&target, &mut same[1], 3, Seed(1)).unwrap();
    assert_eq!(same[0], same[1]);
    let mut chains = Chains::normal(CHAINS, 1, 1.0, Seed(0)).unwrap();
    Clipped::new(ula, 0.3).unwrap().steps(&target, &mut chains, 300, Seed(1)).unwrap();
    assert!(square(&chains, 0) > 1.5, "slopes that are too short let points go far: {}", square(&chains, 0));
}

#[test]
fn neither_threads_nor_other_chains_change_a_chain() {
    let target = Normals(vec![1.0, 3.0]);
    let walk = |chains: usize, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut chains = Chains::normal(chains, 2, 1.0, Seed(0)).unwrap();
            Mala::new(0.5).unwrap().steps(&target, &mut chains, 10, Seed(1)).unwrap();
            chains.points()[..6].to_vec()
        })
    };
    let one = walk(64, 1);
    assert_eq!(walk(64, 4), one);
    assert_eq!(walk(3, 2), one);
}

#[test]
fn a_chain_that_runs_away_is_an_error_that_says_so() {
    let mut chains = Chains::new(1, vec![0.5, 30.0]).unwrap();
    let error = Ula::new(0.5).unwrap().steps(&Quartic, &mut chains, 50, Seed(0)).unwrap_err();
    assert!(error.to_string().contains("a smaller step may help"), "{error}");
    assert!(Ula::new(0.0).is_err() && Mala::new(f64::NAN).is_err() && Hmc::new(0.1, 0).is_err());
    assert!(Tempering::new(vec![Ula::new(0.1).unwrap()], vec![0.5]).is_err());
    assert!(Chains::<f64>::new(2, vec![0.0; 3]).is_err());
    let wrong: Result<f64, Error> = Ula::new(0.1).unwrap().step(&Normals(vec![1.0; 3]), &mut chains, Seed(0));
    assert!(wrong.unwrap_err().to_string().contains("chains of 1 numbers on a density of 3"));
}
