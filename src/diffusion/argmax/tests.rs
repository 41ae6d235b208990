//! Lifts against their definitions, exact values and finite differences; flows that learn.

use super::*;
use crate::{
    data::{Discrete, Schema},
    diffusion::{Transformer, TransformerConfig},
    flows::{Bijection, Coupling, Grid, Mask, Mixture, Normal, Rotation},
    math::log_sum_exp_of,
    nn::{
        SequenceConfig,
        ops::testing::numbers,
        optim::{AdamConfig, Schedule},
    },
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::tensor::{Cpu, TensorFromVec};
use rand::RngExt;
use std::f64::consts::{PI, TAU};

fn close(found: f64, want: f64, tolerance: f64) {
    assert!((found - want).abs() <= tolerance, "{found} for {want}");
}

/// Gauss and Hermite: nodes and weights of a mean over a standard normal number.
fn hermite(n: usize) -> Vec<(f64, f64)> {
    // By the eigenvectors of the Jacobi matrix of the recursion.
    let mut jacobi = nalgebra::DMatrix::<f64>::zeros(n, n);
    for i in 1..n {
        let b = (i as f64).sqrt();
        (jacobi[(i, i - 1)], jacobi[(i - 1, i)]) = (b, b);
    }
    let eigen = jacobi.symmetric_eigen();
    (0..n).map(|i| (eigen.eigenvalues[i], eigen.eigenvectors[(0, i)].powi(2))).collect()
}

fn all_lifts(
    check: impl Fn(
        &dyn Fn(usize, &[f64], &[f64], &mut [f64]) -> f64,
        &dyn Fn(usize, &[f64], &[f64], &[f64], f64, &mut [f64]),
        &dyn Fn(&[f64]) -> Option<usize>,
        [usize; 3],
        &dyn Fn(&mut crate::random::Stream) -> f64,
        &str,
    ),
) {
    macro_rules! one {
        ($lift:expr) => {
            let l = $lift;
            check(
                &|x, p, e, v| l.lift(x, p, e, v),
                &|x, p, e, dv, dq, into| l.slopes(x, p, e, dv, dq, into),
                &|v| l.category(v),
                [l.categories(), l.numbers(), l.parameters()],
                &|rng| l.noise(rng),
                l.name(),
            );
        };
    }
    one!(SoftplusThreshold { categories: 4 });
    one!(Gumbel { categories: 4 });
    one!(GumbelThreshold { categories: 4 });
    one!(Binary { categories: 5 });
    one!(Digits { digit: SoftplusThreshold { categories: 3 }, categories: 7 });
    one!(Digits { digit: Gumbel { categories: 4 }, categories: 4 });
    one!(OneHot { categories: 4, noise: NoiseOf::Uniform });
    one!(OneHot { categories: 4, noise: NoiseOf::Variational });
}

#[test]
fn every_number_stands_for_its_category_and_slopes_are_right() {
    all_lifts(|lift, slopes, category, [k, n, width], noise, name| {
        let mut rng = Seed(3).stream("test", 0);
        for case in 0..40 {
            let x = case % k;
            let p: Vec<f64> = (0..width).map(|_| rng.random_range(-1.5..1.5)).collect();
            let e: Vec<f64> = (0..n).map(|_| noise(&mut rng)).collect();
            let mut v = vec![0.0; n];
            let log_q = lift(x, &p, &e, &mut v);
            assert_eq!(category(&v), Some(x), "{name}");
            assert!(log_q.is_finite());
            let (dv, dq): (Vec<f64>, f64) = (numbers(n, case as u64), 0.7);
            let loss = |p: &[f64]| {
                let mut v = vec![0.0; n];
                let log_q = lift(x, p, &e, &mut v);
                v.iter().zip(&dv).map(|(v, d)| v * d).sum::<f64>() + dq * log_q
            };
            let mut found = vec![0.5; width];
            slopes(x, &p, &e, &dv, dq, &mut found);
            for i in 0..width {
                let at = |d: f64| {
                    let mut p = p.clone();
                    p[i] += d;
                    loss(&p)
                };
                close(found[i], 0.5 + (at(1e-5) - at(-1e-5)) / 2e-5, 1e-7 * (1.0 + found[i].abs()));
            }
        }
    });
}

#[test]
fn densities_of_lifts_integrate_to_one() {
    // Two numbers on a grid: the map from noise to numbers is inverted by what the density claims about its volume. By Monte Carlo,
    // the mean of 1 / q over noise is the volume that numbers cover: a smooth test density h has ∫ h = E[h / q].
    let h = |v: &[f64]| v.iter().map(|v| (-0.5 * v * v).exp() / TAU.sqrt()).product::<f64>();
    let lift = SoftplusThreshold { categories: 2 };
    let mut rng = Seed(5).stream("test", 0);
    let n = 200_000;
    let mean = |p: &[f64],
                l: &dyn Fn(&[f64], &mut [f64]) -> f64,
                rng: &mut crate::random::Stream,
                noise: &dyn Fn(&mut crate::random::Stream) -> f64| {
        let mut sum = 0.0;
        for _ in 0..n {
            let e: Vec<f64> = (0..2).map(|_| noise(rng)).collect();
            let mut v = vec![0.0; 2];
            let log_q = l(&e, &mut v);
            sum += h(&v) / log_q.exp();
        }
        let _ = p;
        sum / n as f64
    };
    // Half of the plane has v_0 above v_1.
    let p = [0.6, -0.1, 0.3, 0.2];
    close(mean(&p, &|e, v| lift.lift(0, &p, e, v), &mut rng, &|rng| lift.noise(rng)), 0.5, 0.02);
    let gumbel = Gumbel { categories: 2 };
    let phi = [0.2, 0.4];
    close(mean(&phi, &|e, v| gumbel.lift(0, &phi, e, v), &mut rng, &|rng| gumbel.noise(rng)), 0.5, 0.02);
    let learned = GumbelThreshold { categories: 2 };
    let p = [0.1, -0.2, 0.7, 0.6, 0.2, 0.4];
    close(mean(&p, &|e, v| learned.lift(0, &p, e, v), &mut rng, &|rng| learned.noise(rng)), 0.5, 0.02);
    let binary = Binary { categories: 4 };
    let p = [0.6, -0.1, 0.3, 0.2];
    close(mean(&p, &|e, v| binary.lift(2, &p, e, v), &mut rng, &|rng| binary.noise(rng)), 0.25, 0.02);
}

#[test]
fn gumbel_is_tight_under_a_product_of_gumbels() {
    let phi = [0.2, -0.5, 1.1];
    let want = [-1.375281040267, -2.075281040267, -0.475281040267];
    let (lift, mut rng) = (Gumbel { categories: 3 }, Seed(1).stream("test", 0));
    for (x, want) in want.into_iter().enumerate() {
        for _ in 0..50 {
            let g: Vec<f64> = (0..3).map(|_| lift.noise(&mut rng)).collect();
            let mut v = vec![0.0; 3];
            let log_q = lift.lift(x, &phi, &g, &mut v);
            let log_p: f64 = v.iter().zip(phi).map(|(v, phi)| phi - v - (phi - v).exp()).sum();
            close(log_p - log_q, want, 1e-11);
        }
    }
    // With noise whose sigmoid is uniform, thresholding is the same.
    let learned = GumbelThreshold { categories: 3 };
    let w = [0.3, -1.2, 2.0];
    let p: Vec<f64> = w.iter().copied().chain([-40.0; 3]).chain(phi).collect();
    let (mut a, mut b) = (vec![0.0; 3], vec![0.0; 3]);
    learned.lift(1, &p, &[0.0; 3], &mut a);
    let g: Vec<f64> = w.iter().map(|w: &f64| (-w).exp().ln_1p()).collect();
    let log_q = lift.lift(1, &phi, &g, &mut b);
    a.iter().zip(&b).for_each(|(a, b)| close(*a, *b, 1e-12));
    // log q of the two differ by the densities of their noise: log N(w) against log σ′(w).
    let log_normal: f64 = 3.0 * (40.0 - 0.5 * TAU.ln());
    let log_logistic: f64 = w.iter().map(|w| -(-w).exp().ln_1p() - w.exp().ln_1p()).sum();
    close(learned.lift(1, &p, &[0.0; 3], &mut a) - log_normal, log_q - log_logistic, 1e-10);
}

#[test]
fn bounds_of_one_bit_are_those_of_the_reference() {
    // p(v) = N(0.3, 1); x is the sign.
    let lift = Binary { categories: 2 };
    let table: [([f64; 2], [f64; 2]); 3] = [
        ([0.0, 1.0], [-0.569864382773, -1.053499892781]),
        ([0.4, 1.2], [-0.535273866681, -1.174631886946]),
        ([0.1, 1.3], [-0.510946370791, -1.065917063773]),
    ];
    let nodes = hermite(200);
    for ([mean, deviation], want) in table {
        for (x, want) in [(1, want[0]), (0, want[1])] {
            let mut bound = 0.0;
            for (e, weight) in &nodes {
                let mut v = [0.0];
                let log_q = lift.lift(x, &[mean, deviation.ln()], &[*e], &mut v);
                let log_p = -0.5 * (v[0] - 0.3).powi(2) - 0.5 * TAU.ln();
                bound += weight * (log_p - log_q);
            }
            close(bound, want, 1e-8);
        }
    }
}

#[test]
fn bounds_of_two_classes_are_those_of_the_reference_and_more_draws_come_closer() {
    // p(v) = N((.5, −.2), [[1, .3], [.3, .8]]); P(0) = Φ((μ0 − μ1) / √(Σ00 + Σ11 − 2 Σ01)).
    let lift = SoftplusThreshold { categories: 2 };
    let log_p = |v: &[f64]| {
        let (a, b, det) = (v[0] - 0.5, v[1] + 0.2, 1.0 * 0.8 - 0.09);
        -0.5 * (0.8 * a * a - 0.6 * a * b + b * b) / det - 0.5 * f64::ln(det) - TAU.ln()
    };
    let nodes = hermite(80);
    let table: [([f64; 4], [f64; 2]); 2] = [
        ([0.0, 0.0, 0.0, 0.0], [-0.8230118822, -1.7990165349]),
        ([0.6, -0.1, 0.9_f64.ln(), 0.0], [-0.4244609561, -1.8095025634]),
    ];
    for (p, want) in table {
        for (x, want) in want.into_iter().enumerate() {
            let mut bound = 0.0;
            for (e0, w0) in &nodes {
                for (e1, w1) in &nodes {
                    let mut v = [0.0; 2];
                    let log_q = lift.lift(x, &p, &[*e0, *e1], &mut v);
                    bound += w0 * w1 * (log_p(&v) - log_q);
                }
            }
            close(bound, want, 1e-6);
        }
    }
    // IWBO(k) rises towards the exact value.
    let exact = -0.303010050604;
    let mut rng = Seed(2).stream("test", 0);
    let mut iwbo = |k: usize| {
        let one = |rng: &mut crate::random::Stream| {
            let e = [lift.noise(rng), lift.noise(rng)];
            let mut v = [0.0; 2];
            let log_q = lift.lift(0, &[0.0; 4], &e, &mut v);
            log_p(&v) - log_q
        };
        let draws = 40_000 / k;
        (0..draws)
            .map(|_| log_sum_exp_of(&(0..k).map(|_| one(&mut rng)).collect::<Vec<_>>()) - (k as f64).ln())
            .sum::<f64>()
            / draws as f64
    };
    let (one, ten, many) = (iwbo(1), iwbo(10), iwbo(400));
    assert!(one < ten && ten < many && many < exact + 0.02, "{one} {ten} {many}");
    close(many, exact, 0.02);
    close(one, -0.8230118822, 0.03);
}

#[test]
fn two_correlated_signs_have_their_exact_likelihood() {
    // P(++) = ¼ + asin ρ / 2π: by a bound with so many draws that nothing is left of the gap.
    let rho: f64 = 0.6;
    let (exact, other) = (0.25 + rho.asin() / TAU, 0.25 - rho.asin() / TAU);
    close(exact, 0.352416382350, 1e-12);
    close(other, 0.147583617650, 1e-12);
    let lift = Binary { categories: 4 };
    let log_p = |v: &[f64]| {
        let det = 1.0 - rho * rho;
        -0.5 * (v[0] * v[0] - 2.0 * rho * v[0] * v[1] + v[1] * v[1]) / det - 0.5 * det.ln() - (2.0 * PI).ln()
    };
    let mut rng = Seed(4).stream("test", 0);
    for (x, want) in [(3, exact), (2, other)] {
        let draw = |_| {
            let e = [lift.noise(&mut rng), lift.noise(&mut rng)];
            let mut v = [0.0; 2];
            let log_q = lift.lift(x, &[0.0; 4], &e, &mut v);
            log_p(&v) - log_q
        };
        let logs: Vec<f64> = (0..200_000).map(draw).collect();
        close((log_sum_exp_of(&logs) - (logs.len() as f64).ln()).exp(), want, 0.004);
    }
}

/// Rows of two positions of three categories of which the second is the first and one more, most of the time.
fn pairs(n: usize) -> Discrete {
    let mut rng = Seed(8).stream("pairs", 0);
    let row = |_| {
        let first = rng.random_range(0..3_u16);
        [first, if rng.random::<f64>() < 0.9 { (first + 1) % 3 } else { rng.random_range(0..3) }]
    };
    Discrete::new(Schema::uniform(&[2], 3), (0..n).flat_map(row).collect()).unwrap()
}

type Flow = crate::flows::Stack<(Rotation<usize>, Coupling<usize, Mixture<crate::flows::Logistic, 4>>)>;

fn bijection(device: &Cpu, dims: usize) -> Flow {
    let layer = |i: u64| {
        let mask = if i.is_multiple_of(2) { Mask::First } else { Mask::Second };
        (Rotation::random(device, dims, Seed(i)).unwrap(), Coupling::new(device, dims, 32, mask).unwrap())
    };
    crate::flows::Stack::new((0..4).map(layer).collect())
}

#[test]
fn every_lift_learns_with_a_flow_and_its_bound_is_one() {
    let (p, q): (f64, f64) = (0.9 + 0.1 / 3.0, 0.1 / 3.0);
    let entropy = 3_f64.ln() - p * p.ln() - 2.0 * q * q.ln();
    fn learned<L: Lift>(lift: L, entropy: f64) {
        let (device, rows) = (Cpu::seed_from_u64(1), pairs(600));
        let config = TransformerConfig { length: 2, width: 16, heads: 2, blocks: 1 };
        let encoder = Transformer::<usize, usize>::new(&device, (lift.parameters(), 3), &config).unwrap();
        let (name, dims) = (lift.name(), 2 * lift.numbers());
        let model = ArgmaxFlow::new(&device, 2, lift, encoder, bijection(&device, dims), Normal);
        let adam = AdamConfig { rate: Schedule::constant(5e-3), clip: Some(5.0), ..AdamConfig::default() };
        let mut learner = ArgmaxLearner::new(model, &rows, None, adam, Seed(0)).unwrap();
        train(&mut learner, &Plan::new(30, 60, Seed(0)), &mut quiet).unwrap();
        let (model, test) = (learner.into_model(), pairs(200));
        let bound = |k: usize| -model.evidence(&test, k, Seed(3)).unwrap().mean();
        let (elbo, iwbo) = (bound(1), bound(30));
        assert!(iwbo < elbo, "{name}: {iwbo} {elbo}");
        assert!(iwbo > entropy - 0.15 && iwbo < entropy + 0.8, "{name}: {iwbo} for {entropy}");
        let (unused, _) = model.unused(256, Seed(1));
        assert!((0.0..0.9).contains(&unused), "{name}: {unused}");
        let all = model.evidence(&test, 30, Seed(3)).unwrap();
        let among = model.among_used(&all, 256, Seed(1)).unwrap().mean() - all.mean();
        assert!(among >= 0.0 && among <= -(-unused).ln_1p() + 1e-12, "{name}: {among} for {unused}");
        assert!(unused < 0.05 || among > 0.0, "{name}: {among} for {unused}");
        let drawn = model.sample(200, Seed(5)).unwrap();
        let follow = drawn.codes().chunks_exact(2).filter(|row| row[1] == (row[0] + 1) % 3).count();
        assert!(follow > 100, "{name}: {follow}");
    }
    learned(SoftplusThreshold { categories: 3 }, entropy);
    learned(Gumbel { categories: 3 }, entropy);
    learned(GumbelThreshold { categories: 3 }, entropy);
    learned(Binary { categories: 3 }, entropy);
    learned(Digits { digit: SoftplusThreshold { categories: 2 }, categories: 3 }, entropy);
    learned(OneHot { categories: 3, noise: NoiseOf::Variational }, entropy);
}

#[test]
fn flows_of_texts_and_maps_are_bijections_and_refuse_what_they_cannot_be() {
    fn gate<B: crate::flows::Bijection<usize, f32, Cpu>>(flow: &B, numbers: usize) {
        let device = Cpu::default();
        let x = numbers_of(3 * numbers);
        let (z, there) = flow.forward(device.tensor_from_vec(x.clone(), (3, numbers)));
        // Neighbours in a batch are of no consequence, and rows come back.
        let first = flow.forward(device.tensor_from_vec(x[..numbers].to_vec(), (1, numbers))).0;
        first.as_vec().iter().zip(z.as_vec()).for_each(|(a, b)| assert!((a - b).abs() < 1e-4));
        assert!(z.as_vec().iter().zip(&x).any(|(a, b)| (a - b).abs() > 1e-3));
        let (again, back) = flow.inverse(z);
        again.as_vec().iter().zip(&x).for_each(|(a, b)| assert!((a - b).abs() < 2e-3, "{a} for {b}"));
        there
            .as_vec()
            .iter()
            .zip(back.as_vec())
            .for_each(|(a, b)| assert!((a + b).abs() < 1e-2, "{a} there, {b} back"));
        flow.check().unwrap();
    }
    fn numbers_of(n: usize) -> Vec<f32> {
        numbers(n, 4).into_iter().map(|x: f64| x as f32).collect()
    }
    let device = Cpu::seed_from_u64(2);
    let config = SequenceConfig { length: 5, channels: 3, width: 16, heads: 2, blocks: 1 };
    gate(&sequence_flow::<3>(&device, &config, 3, Seed(1)).unwrap(), 15);
    let text = text_flow::<3>(&device, &config).unwrap();
    gate(&text, 15);
    // No position sees those after it.
    let mut x = numbers_of(15);
    let z = text.forward(device.tensor_from_vec(x.clone(), (1, 15))).0.as_vec();
    x[9] += 1.0;
    let moved = text.forward(device.tensor_from_vec(x, (1, 15))).0.as_vec();
    assert_eq!(z[..9], moved[..9]);
    assert!(z[9..].iter().zip(&moved[9..]).all(|(a, b)| a != b));
    let grid = Grid { channels: 3, height: 4, width: 8 };
    gate(&map_flow(&device, grid, (3, 2), 8, Seed(1)).unwrap(), grid.dims());
    let message = |text: String, want: &str| assert!(text.contains(want), "{text}");
    message(map_flow(&device, grid, (4, 2), 8, Seed(1)).unwrap_err().to_string(), "cannot be squeezed");
    message(map_flow(&device, grid, (0, 2), 8, Seed(1)).unwrap_err().to_string(), "1 ≤ layers");
    let one = SequenceConfig { channels: 1, ..config };
    message(sequence_flow::<3>(&device, &one, 3, Seed(1)).unwrap_err().to_string(), "one stays and one moves");
    let odd = SequenceConfig { heads: 3, ..config };
    message(text_flow::<3>(&device, &odd).unwrap_err().to_string(), "3 heads");
}
