//! Against constants that are known.

use super::*;
use crate::frame::{
    Bins, Borders, Feature, Filter, Frame,
    samplers::{Gibbs, Hmc, LogDensity, Sampler},
};

/// `½ N(−3, 1) + ½ N(2, ½²)`, three times as high.
struct Bimodal;

impl LogDensity for Bimodal {
    type Number = f64;
    fn dims(&self) -> usize {
        1
    }
    fn log_probs(&self, points: &[f64], slopes: &mut [f64]) -> Result<Vec<f64>> {
        let root = std::f64::consts::TAU.sqrt();
        let each = |(x, slope): (&f64, &mut f64)| {
            let a = (-0.5 * (x + 3.0).powi(2)).exp() / root;
            let b = 2.0 * (-2.0 * (x - 2.0).powi(2)).exp() / root;
            *slope = (-(x + 3.0) * a - 4.0 * (x - 2.0) * b) / (a + b);
            (1.5 * (a + b)).ln()
        };
        Ok(points.iter().zip(slopes).map(each).collect())
    }
}

#[test]
fn both_directions_enclose_what_is_known() {
    let mut path = FromNormal::new(&Bimodal, 3.0, Hmc::new(0.4, 3).unwrap()).unwrap();
    let stops = Stops::slow(40, 1).unwrap();
    let mut there = path.begin(4000, Seed(0)).unwrap();
    let forwards = forwards(&mut path, &mut there, &stops, Seed(1)).unwrap();
    assert!((forwards.from_below() - 3.0_f64.ln()).abs() < 1.5 * forwards.error(false), "{}", forwards.from_below());
    // Draws of the law itself, without a walk: half of either hill.
    let mut draws = crate::frame::samplers::Chains::<f64>::normal(4000, 1, 1.0, Seed(2)).unwrap();
    let halves = draws.points_mut().chunks_exact_mut(2);
    halves.for_each(|pair| (pair[0], pair[1]) = (pair[0] - 3.0, 0.5 * pair[1] + 2.0));
    let backwards = backwards(&mut path, &mut draws, &stops, Seed(3)).unwrap();
    assert!((backwards.from_above() - 3.0_f64.ln()).abs() < 1.5 * backwards.error(true), "{}", backwards.from_above());
    let bracket = Weights::bracket(&forwards, &backwards).unwrap();
    assert!((bracket.estimate - 3.0_f64.ln()).abs() < 0.02, "{bracket:?}");
    // On average, of one walk each: what the mean of w says is below, the other above.
    let mean = |weights: &Weights| weights.log_z_at_0 + weights.logs.iter().sum::<f64>() / 4000.0;
    assert!(mean(&forwards) < 3.0_f64.ln() && mean(&backwards) > 3.0_f64.ln());
}

#[test]
fn one_step_with_exact_laws_at_both_ends_is_exact_for_normal_weights() {
    // Weights N(c − v/2, v) forwards and N(c + v/2, v) backwards: Bennett's estimate is c by symmetry.
    let quantiles = |mean: f64, deviation: f64, count: u32| -> Vec<f64> {
        let share = |i: u32| (f64::from(i) + 0.5) / f64::from(count);
        (0..count)
            .map(|i| mean + deviation * crate::linalg::normal::quantile(share(i).ln(), (1.0 - share(i)).ln()))
            .collect()
    };
    let weights = |logs| Weights { logs, log_z_at_0: 1.0 };
    let (there, back) = (weights(quantiles(0.7 - 0.5, 1.0, 999)), weights(quantiles(0.7 + 0.5, 1.0, 999)));
    let bracket = Weights::bracket(&there, &back).unwrap();
    assert!((bracket.estimate - 1.7).abs() < 1e-9, "{bracket:?}");
    assert!((bracket.low - 1.7).abs() < 0.01 && (bracket.high - 1.7).abs() < 0.01);
    // With more walks one way than the other, too.
    let few = weights(quantiles(0.7 + 0.5, 1.0, 99));
    let uneven = Weights::bracket(&there, &few).unwrap();
    assert!((uneven.estimate - 1.7).abs() < 2e-3, "{uneven:?}");
    // Alike, unlike, and one alone.
    assert_eq!(weights(vec![3.0; 5]).error(false), 0.0);
    let near: Vec<f64> = (0..400).map(|i| 1e-2 * f64::from(i % 2)).collect();
    assert!((weights(near).error(true) - 2.093 * 0.005 / 20.0).abs() < 1e-5);
    for wide in [vec![1.0], vec![0.0, 60.0], (0..9).map(|i| f64::from(10 * i)).collect()] {
        assert_eq!(weights(wide).error(false), 40.0_f64.ln());
    }
    assert!(Weights::bracket(&there, &weights(vec![])).is_err());
    assert!(Weights::bracket(&there, &weights(vec![f64::NAN])).is_err());
    assert!(Stops::even(0, 1).is_err());
}

#[test]
fn a_texture_has_the_constant_that_enumeration_finds() {
    let law = Frame::uniform(2, Borders::Torus).unwrap();
    let of = |filter, least| Feature::new(filter, Bins::whole(least, 1).unwrap(), 2).unwrap();
    let features = [of(Filter::intensity(), 0), of(Filter::gradient_x(), -1), of(Filter::gradient_y(), -1)];
    let mut law = features.into_iter().fold(law, |law, feature| law.with(feature).unwrap());
    law.set_potentials(vec![vec![0.0, 0.3], vec![0.5, 0.0, 0.2], vec![0.1, 0.0, 0.4]]).unwrap();
    let exact = 2.622_714_076_263_047_6;
    let mut path = FromUniform::new(&law, [3, 3]);
    let stops = Stops::even(10, 1).unwrap();
    let mut there = path.begin(4000, [3, 3], Seed(0)).unwrap();
    let forwards = forwards(&mut path, &mut there, &stops, Seed(1)).unwrap();
    // Of a sweep, 0.29 is left of where a chain was.
    let mut draws = path.begin(4000, [3, 3], Seed(2)).unwrap();
    Gibbs.steps(&law, &mut draws, 12, Seed(3)).unwrap();
    let backwards = backwards(&mut path, &mut draws, &stops, Seed(4)).unwrap();
    let Bracket { low, high, estimate } = Weights::bracket(&forwards, &backwards).unwrap();
    assert!((estimate - exact).abs() < 0.02, "{estimate}");
    assert!((low - exact).abs() < 2.0 * forwards.error(false) && (high - exact).abs() < 2.0 * backwards.error(true));
}

/// `log Z` of Ising's model on a torus at `β`, without a field: the trace of a power of the matrix from row to row.
fn ising(beta: f64, [height, width]: [usize; 2]) -> f64 {
    let states = 1_usize << width;
    let agreeing = |differ: usize| width as f64 - 2.0 * f64::from(differ.count_ones());
    let turned = |row: usize| (row >> 1) | ((row & 1) << (width - 1));
    let energy =
        |a: usize, b: usize| beta * (agreeing(a ^ b) + 0.5 * (agreeing(a ^ turned(a)) + agreeing(b ^ turned(b))));
    let matrix = nalgebra::DMatrix::from_fn(states, states, |a, b| energy(a, b).exp());
    let eigenvalues = nalgebra::SymmetricEigen::new(matrix).eigenvalues;
    let most = eigenvalues.amax();
    height as f64 * most.ln() + eigenvalues.map(|e| (e / most).powi(height as i32)).sum().ln()
}

/// Pixels that differ from their right or lower neighbour cost `2β`: Ising's model, all of whose energies are `2β` a site lower.
fn iron(beta: f64) -> Frame {
    let feature = |filter| Feature::new(filter, Bins::whole(-1, 1).unwrap(), 2).unwrap();
    let law = Frame::uniform(2, Borders::Torus).unwrap();
    let mut law = [Filter::gradient_x(), Filter::gradient_y()]
        .into_iter()
        .fold(law, |law, filter| law.with(feature(filter)).unwrap());
    law.set_potentials(vec![vec![2.0 * beta, 0.0, 2.0 * beta]; 2]).unwrap();
    law
}

#[test]
fn iron_has_the_constant_of_the_transfer_matrix() {
    // At the critical temperature, where it is hardest. 15.521915458755283 is an independent program's.
    let beta = 0.440_686_793_509_771_5;
    assert!((ising(beta, [4, 4]) - 15.521_915_458_755_283).abs() < 1e-10);
    let summed = crate::frame::Proof::new(&iron(beta), [4, 4]).unwrap().moments(&iron(beta)).log_z;
    assert!((summed + 2.0 * beta * 16.0 - ising(beta, [4, 4])).abs() < 1e-9, "{summed}");
    // Beyond enumeration: 2⁶⁴ images.
    let (law, size) = (iron(beta), [8, 8]);
    let mut path = FromUniform::new(&law, size);
    let stops = Stops::even(200, 1).unwrap();
    let mut there = path.begin(200, size, Seed(1)).unwrap();
    let up = forwards(&mut path, &mut there, &stops, Seed(2)).unwrap();
    Gibbs.steps(&law, &mut there, 50, Seed(3)).unwrap();
    let down = backwards(&mut path, &mut there, &stops, Seed(4)).unwrap();
    let found = Weights::bracket(&up, &down).unwrap();
    let exact = ising(beta, size) - 2.0 * beta * 64.0;
    assert!((found.estimate - exact).abs() < 0.1, "{found:?} for {exact}");
    assert!(
        found.low - 3.0 * up.error(false) < exact && exact < found.high + 3.0 * down.error(true),
        "{found:?}, {exact}"
    );
}
