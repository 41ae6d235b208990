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
