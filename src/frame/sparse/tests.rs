//! Against closed forms: `research/frame.md` §4C.

use super::*;
use crate::{
    frame::{
        Window,
        log_z::{FromNormal, Stops, forwards},
        samplers::{Chains, Hmc, Sampler},
    },
    linalg::normal,
    random::Seed,
};

/// A filter of norm 1 on two pixels side by side.
fn pair() -> Vec<Filter> {
    vec![Filter::linear("pair", Window::new(1, 2, [0, 0], vec![0.6, -0.8]).unwrap()).unwrap()]
}

/// Two wavelets that share no pixel of an image of 2 × 2.
fn law(weights: [f64; 2]) -> SparseFrame {
    let filters = pair();
    let wavelet = |at| Wavelet::new(&filters, 0, at, [2, 2]).unwrap();
    let mut law = SparseFrame::new([2, 2], vec![wavelet([0, 0]), wavelet([1, 0])]).unwrap();
    law.set_weights(weights.to_vec()).unwrap();
    law
}

fn log_z(weight: f64) -> f64 {
    2.0_f64.ln() + 0.5 * weight * weight + normal::log_cdf(weight)
}

fn mean_response(weight: f64) -> f64 {
    weight + (normal::log_density(weight) - normal::log_cdf(weight)).exp()
}

#[test]
fn one_wavelet_has_the_constant_and_the_mean_that_are_known() {
    for (weight, constant, mean) in [
        (0.5, 0.449_200_765_271_288_94, 1.009_160_433_837_033_5),
        (1.0, 1.020_393_401_536_495_5, 1.287_599_970_939_178_3),
        (2.0, 2.670_134_271_230_982, 2.055_247_862_678_99),
    ] {
        assert!((log_z(weight) - constant).abs() < 1e-12 && (mean_response(weight) - mean).abs() < 1e-12);
    }
    let law = law([1.0, 2.0]);
    let mut walk = Hmc::new(0.3, 5).unwrap();
    let mut chains = Chains::normal(8000, 4, 1.0, Seed(0)).unwrap();
    walk.steps(&law, &mut chains, 30, Seed(1)).unwrap();
    let mut sums = [0.0; 2];
    for image in chains.points().chunks_exact(4) {
        sums.iter_mut().zip(law.responses(image)).for_each(|(sum, r)| *sum += r / 8000.0);
    }
    // Deviations of 0.8 and 0.97: four standard errors.
    assert!((sums[0] - mean_response(1.0)).abs() < 0.036 && (sums[1] - mean_response(2.0)).abs() < 0.044, "{sums:?}");
    let mut path = FromNormal::new(&law, 1.0, walk).unwrap();
    let mut state = path.begin(4000, Seed(2)).unwrap();
    let weights = forwards(&mut path, &mut state, &Stops::even(10, 1).unwrap(), Seed(3)).unwrap();
    let found = weights.from_below() - 2.0 * std::f64::consts::TAU.ln();
    let expected = log_z(1.0) + log_z(2.0);
    assert!((found - expected).abs() < 1.5 * weights.error(false), "{found} for {expected}");
}

#[test]
fn the_weights_of_greatest_likelihood_are_found() {
    // Images whose mean responses are those of the weights 0.5 and 2.
    let responses = [mean_response(0.5), mean_response(2.0)];
    let image = |signs: [f64; 2]| {
        let mut image = vec![0.0; 4];
        let law = law([0.0; 2]);
        law.wavelets().iter().zip(responses).zip(signs).for_each(|((w, r), sign)| w.add_to(&mut image, sign * r));
        image
    };
    let images = [image([1.0, 1.0]), image([-1.0, 1.0]), image([1.0, -1.0])];
    let mut found = law([0.0; 2]);
    let how = Learning { steps: 300, rate: 1.0, chains: 1000, walk: Hmc::new(0.3, 5).unwrap(), every: 2 };
    let (chains, gaps) = learn(&mut found, &images, &how, Seed(4)).unwrap();
    assert!(
        (found.weights()[0] - 0.5).abs() < 0.06 && (found.weights()[1] - 2.0).abs() < 0.06,
        "{:?}",
        found.weights()
    );
    assert!(chains.len() == 1000 && gaps[299] < 0.1 * gaps[0]);
    assert!(learn(&mut found, &[], &how, Seed(0)).is_err());
    assert!(learn(&mut found, &images, &Learning { rate: f64::NAN, ..how }, Seed(0)).is_err());
}

#[test]
fn what_was_put_together_is_taken_apart() {
    let filters = Filter::sparse_gabor(0.25, 30.0).unwrap().to_vec();
    let size = [20, 20];
    let of = |filter, at| Wavelet::new(&filters, filter, at, size).unwrap();
    let parts = [(of(0, [5, 6]), 3.0), (of(1, [13, 12]), -2.0)];
    // In the second image everything lies one pixel lower.
    let image = |down: usize| {
        let mut image = vec![0.0; 400];
        parts.iter().for_each(|(w, c)| of(w.filter, [w.at[0] + down, w.at[1]]).add_to(&mut image, *c));
        image
    };
    let alone = sketch(&[image(0)], size, &filters, 2, 0).unwrap();
    assert!(alone.left[1] < 1e-12, "{:?}", alone.left);
    assert_eq!((alone.wavelets[0].at, alone.wavelets[1].at), ([5, 6], [13, 12]));
    assert!((alone.coefficients[0][0] - 3.0).abs() < 1e-9 && (alone.coefficients[1][0] + 2.0).abs() < 1e-9);
    let both = [image(0), image(1)];
    let rigid = sketch(&both, size, &filters, 2, 0).unwrap();
    let loose = sketch(&both, size, &filters, 2, 1).unwrap();
    assert!(loose.left[1] < 1e-12 && rigid.left[1] > 0.05, "{:?} {:?}", loose.left, rigid.left);
    assert!(sketch(&[], size, &filters, 1, 0).is_err() && sketch(&[vec![0.0; 4]], size, &filters, 1, 0).is_err());
    // Of nothing, nothing is sketched.
    assert!(sketch(&[vec![0.0; 400]], size, &filters, 3, 0).unwrap().wavelets.is_empty());
    assert!(Wavelet::new(&filters, 0, [20, 0], size).is_err());
}
