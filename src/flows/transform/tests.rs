use super::*;
use crate::flows::{Logistic, Normal};

fn numbers(n: usize, seed: u64) -> Vec<f64> {
    crate::nn::ops::testing::numbers(n, seed)
}

/// Round trips into the tails, slopes against differences, no jumps.
fn check<F: Transform>(name: &str, reach: f64) {
    for seed in 0..20 {
        let p = numbers(F::WIDTH, seed);
        let mut before: Option<(f64, f64)> = None;
        for i in 0..=2400 {
            let x = reach * (f64::from(i) / 1200.0 - 1.0);
            let (z, log_slope) = F::forward(x, &p);
            let (again, back) = F::inverse(z, &p);
            assert!((again - x).abs() <= 1e-8 * (1.0 + x.abs()), "{name}: {x} comes back as {again}");
            assert!(
                (log_slope + back).abs() <= 1e-6 * (1.0 + log_slope.abs()),
                "{name} at {x}: {log_slope}, {back} back"
            );
            if let Some((x0, z0)) = before {
                assert!(z > z0, "{name}: not increasing at {x}");
                let (_, middle) = F::forward(0.5 * (x + x0), &p);
                let rise = (z - z0) / (x - x0);
                assert!(rise < 3.0 * middle.exp() + 1.0, "{name}: a jump of {} at {x}", z - z0);
            }
            before = Some((x, z));
        }
        for x in [-0.9 * reach, -2.5, -0.31, 0.0, 0.77, 2.2, 0.9 * reach] {
            // Of `0.7 z − 0.4 log dz/dx` along x and every parameter.
            let value = |x: f64, p: &[f64]| {
                let (z, log) = F::forward(x, p);
                0.7 * z - 0.4 * log
            };
            let mut found = vec![0.0; F::WIDTH];
            let dx = F::backward(x, &p, 0.7, -0.4, &mut found);
            found.push(dx);
            let mut at = p.clone();
            at.push(x);
            let want = crate::nn::ops::testing::numeric_gradient(&at, |v| value(v[F::WIDTH], &v[..F::WIDTH]));
            for (i, (found, want)) in found.iter().zip(&want).enumerate() {
                assert!(
                    (found - want).abs() < 2e-5 * (1.0 + want.abs()),
                    "{name} at {x}, slope {i}: {found} for {want}"
                );
            }
        }
    }
}

#[test]
fn every_transform_is_a_bijection_with_its_slopes() {
    check::<Affine>("affine", 60.0);
    check::<Bounded>("bounded affine", 60.0);
    check::<Scale>("scale", 60.0);
    check::<TanhScale>("tamed scale", 60.0);
    check::<Stretch>("stretch", 60.0);
    check::<Shift>("shift", 60.0);
    check::<Gated>("gated", 60.0);
    check::<Spline<2, 1>>("spline of two bins", 4.0);
    check::<Spline>("spline", 60.0);
    check::<Mixture<Logistic, 1>>("one logistic", 60.0);
    check::<Mixture<Logistic, 5>>("five logistics", 60.0);
    check::<Mixture<Normal, 3>>("three normals", 20.0);
    check::<BoundedMixture<Normal, 3>>("three normals within bounds", 20.0);
}

#[test]
fn a_spline_with_zeros_is_the_identity() {
    let p = vec![0.0; Spline::<8, 3>::WIDTH];
    for x in [-5.0, -3.0, -2.9, -0.4, 0.0, 1.3, 2.999, 3.0, 7.0] {
        let (z, log_slope): (f64, f64) = Spline::<8, 3>::forward(x, &p);
        assert!((z - x).abs() < 1e-12 && log_slope.abs() < 1e-12, "{x}: {z}, {log_slope}");
    }
}

/// In the reference code for Gaussianization flows the logarithm of the slope has the wrong sign in the tails, and the value
/// jumps by 0.47 where its two formulas meet. Here the slope of one logistic is right at −16.9, ±20 and −30, and there is no
/// jump where `F = ½ 10⁻⁷`.
#[test]
fn the_tails_of_a_gaussianized_logistic_are_right() {
    let p = [0.0; 3];
    for x in [-16.9, -20.0, 20.0, -30.0, 60.0] {
        let at = |x: f64| Mixture::<Logistic, 1>::forward(x, &p);
        let numeric = ((at(x + 1e-5).0 - at(x - 1e-5).0) / 2e-5).ln();
        assert!((at(x).1 - numeric).abs() < 1e-6, "{x}: {} for {numeric}", at(x).1);
    }
    let edge = (0.5e-7_f64).ln() - (-0.5e-7_f64).ln_1p();
    let at = |x: f64| Mixture::<Logistic, 1>::forward(x, &p).0;
    assert!((at(edge + 1e-9) - at(edge - 1e-9)).abs() < 1e-8);
    assert!((at(edge) + 5.326_7).abs() < 1e-4, "{}", at(edge));
}

#[test]
fn single_precision_keeps_the_tails() {
    let p64 = numbers(Mixture::<Logistic, 10>::WIDTH, 3);
    let p32: Vec<f32> = p64.iter().map(|x| *x as f32).collect();
    let p64: Vec<f64> = p32.iter().map(|x| f64::from(*x)).collect();
    for i in -60..=60 {
        let x = f64::from(i);
        let (z, log): (f64, f64) = Mixture::<Logistic, 10>::forward(x, &p64);
        let (z32, log32) = Mixture::<Logistic, 10>::forward(x as f32, &p32);
        assert!((f64::from(z32) - z).abs() < 2e-6 * (1.0 + z.abs()), "{x}: {z32} for {z}");
        assert!((f64::from(log32) - log).abs() < 3e-5, "{x}: {log32} for {log}");
    }
}

#[test]
fn densities_far_out_fall_and_are_finite() {
    fn falls<F: Transform>(name: &str, p: &[f64]) {
        // Of a normal base: log p = log φ(z) + log dz/dx.
        let log_prob = |x: f64| {
            let (z, log_slope) = F::forward(x, p);
            -0.5 * z * z + log_slope
        };
        for sign in [-1.0, 1.0] {
            let mut before = f64::INFINITY;
            for i in 0..140 {
                let x = sign * 10.0 * 10.0_f64.powf(f64::from(i) / 2.0);
                let now = log_prob(x);
                assert!(now.is_finite() && now < before, "{name} at {x:e}: {now} after {before}");
                before = now;
            }
        }
    }
    falls::<Mixture<Logistic, 4>>("logistics", &numbers(12, 3));
    falls::<Mixture<Normal, 4>>("normals", &numbers(12, 4));
    falls::<BoundedMixture<Normal, 2>>("normals within bounds", &[0.0, 1.0, -2.0, 3.0, -80.0, 90.0]);
    // On either side of where hazards take over from densities.
    let p = numbers(12, 4);
    let slope = |x: f64| Mixture::<Normal, 4>::forward(x, &p);
    let edge = (2..).map(|x| -100.0 * f64::from(x)).find(|x| slope(*x).0 < -1414.3).unwrap();
    let h = 1e-3 * edge.abs();
    let numeric = ((slope(edge + h).0 - slope(edge - h).0) / (2.0 * h)).ln();
    assert!((slope(edge).1 - numeric).abs() < 1e-9, "{} for {numeric}", slope(edge).1);
}
