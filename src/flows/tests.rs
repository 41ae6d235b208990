//! Every bijection through one gate: round trips into the tails, log-determinants against numerical Jacobians, densities that
//! integrate to one, finite gradients.

use super::*;
use crate::{
    archive::Archive,
    data::{Oracle, Table},
    nn::{
        Real, load_params,
        optim::{AdamConfig, Schedule},
        params,
    },
    random::Seed,
    train::{Clock, Learner, Plan, quiet, train},
};
use dfdx::{
    nn::TensorCollection,
    prelude::{Backward, SumTo},
    shapes::{Const, HasShape, Rank0},
    tensor::{Cpu, Tensor, TensorFromVec, Trace},
};
use rand::RngExt;

type Points<const D: usize> = Tensor<(usize, Const<D>), f64, Cpu>;

fn points<const D: usize>(n: usize, reach: f64, seed: u64) -> Points<D> {
    let mut rng = Seed(seed).stream("points", 0);
    let values = (0..n * D).map(|_| reach * (2.0 * rng.random::<f64>() - 1.0)).collect();
    Cpu::default().tensor_from_vec(values, (n, Const))
}

/// `log |det|` of a matrix by elimination with pivots.
fn log_abs_det(mut a: Vec<Vec<f64>>) -> f64 {
    let n = a.len();
    let mut log = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|i, j| a[*i][k].abs().total_cmp(&a[*j][k].abs())).unwrap();
        a.swap(k, pivot);
        log += a[k][k].abs().ln();
        let (above, below) = a.split_at_mut(k + 1);
        let pivot = &above[k];
        for row in below {
            let factor = row[k] / pivot[k];
            row.iter_mut().zip(pivot).skip(k).for_each(|(x, p)| *x -= factor * p);
        }
    }
    log
}

fn moved<const D: usize, B: Bijection<D, f64, Cpu>>(b: &B, x: &[f64]) -> Vec<f64> {
    b.forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, Const::<D>))).0.as_vec()
}

/// `∂z/∂x` at a point, by central differences.
fn jacobian<const D: usize, B: Bijection<D, f64, Cpu>>(b: &B, x: &[f64]) -> Vec<Vec<f64>> {
    let mut rows = vec![vec![0.0; D]; D];
    for j in 0..D {
        let step = 1e-6 * (1.0 + x[j].abs());
        let at = |by: f64| {
            let mut x = x.to_vec();
            x[j] += by;
            moved::<D, B>(b, &x)
        };
        let (up, down) = (at(step), at(-step));
        (0..D).for_each(|i| rows[i][j] = (up[i] - down[i]) / (2.0 * step));
    }
    rows
}

/// What every bijection in three dimensions must pass.
fn gate<B: Bijection<3, f64, Cpu> + TensorCollection<f64, Cpu>>(name: &str, mut b: B) {
    for reach in [1.0, 5.0, 20.0, 60.0] {
        let x = points::<3>(40, reach, 1);
        let (z, there) = b.forward(x.clone());
        let (again, back) = b.inverse(z);
        for (a, b) in again.as_vec().iter().zip(x.as_vec()) {
            assert!((a - b).abs() <= 1e-7 * reach, "{name}, reach {reach}: {b} comes back as {a}");
        }
        for (there, back) in there.as_vec().iter().zip(back.as_vec()) {
            assert!((there + back).abs() <= 1e-8 * (1.0 + there.abs()), "{name}: {there} there, {back} back");
        }
    }
    let x = points::<3>(12, 3.0, 2);
    let log_dets = b.forward(x.clone()).1.as_vec();
    for (x, log_det) in x.as_vec().chunks_exact(3).zip(log_dets) {
        let numeric = log_abs_det(jacobian::<3, B>(&b, x));
        assert!((numeric - log_det).abs() < 1e-6, "{name}: log-determinant {log_det}, numerically {numeric}");
    }
    // The gradients of the density at points near and far are finite.
    let x = points::<3>(64, 60.0, 3);
    let (z, log_det) = b.forward(x.leaky_trace());
    let grads = (Normal.log_prob(z) + log_det).sum::<Rank0, _>().backward();
    assert!(grads.get(&x).as_vec().iter().all(|g| g.is_finite()), "{name}: a gradient that is not finite");
    // So are those near the middle what finite differences say: the tapes of both results are joined.
    let x = points::<3>(4, 2.0, 6);
    let (z, log_det) = b.forward(x.leaky_trace());
    let grads = (Normal.log_prob(z) + log_det).sum::<Rank0, _>().backward();
    let value = |x: Vec<f64>| -> f64 {
        let (z, log_det) = b.forward(Cpu::default().tensor_from_vec(x, (4, Const)));
        (Normal.log_prob(z) + log_det).as_vec().iter().sum()
    };
    for (i, found) in grads.get(&x).as_vec().into_iter().enumerate() {
        let at = |by: f64| {
            let mut moved = x.as_vec();
            moved[i] += by;
            value(moved)
        };
        let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!(
            (found - numeric).abs() < 1e-5 * (1.0 + numeric.abs()),
            "{name}: gradient {found}, numerically {numeric}"
        );
    }
    // What was saved comes back into a bijection that has forgotten it, as far as files of single precision can tell.
    let before = b.forward(points::<3>(5, 2.0, 4)).0.as_vec();
    let arrays = params(&b);
    let mut zeros = arrays.clone();
    zeros.iter_mut().for_each(|(_, _, values)| values.fill(0.0));
    load_params(&mut b, &zeros).unwrap();
    assert_ne!(b.forward(points::<3>(5, 2.0, 4)).0.as_vec(), before, "{name} without parameters");
    load_params(&mut b, &arrays).unwrap();
    let after = b.forward(points::<3>(5, 2.0, 4)).0.as_vec();
    for (a, b) in before.iter().zip(after) {
        assert!((a - b).abs() < 1e-6, "{name}: {a} before, {b} after");
    }
}

fn device() -> Cpu {
    Cpu::seed_from_u64(3)
}

#[test]
fn every_bijection_passes_the_gate() {
    let d = device();
    gate("affine coupling", AffineCoupling::<3, 8, f64>::new(&d, Moves::Even).unwrap());
    gate("additive coupling", AdditiveCoupling::<3, 8, f64>::new(&d, Moves::Odd).unwrap());
    let mut rescale = Rescale::<3, f64> { log_scale: d.tensor_from_vec(vec![0.3, -1.0, 0.1], (Const,)) };
    rescale.log_scale.copy_from(&[0.3, -1.0, 0.1]);
    gate("rescaling", rescale);
    gate("reversal", Permute::<3, f64>::reversed(&d).unwrap());
    gate("permutation", Permute::<3, f64>::random(&d, Seed(4)).unwrap());
    gate("MAF", Maf::<3, 8, crate::nn::Tanh, f64>::new(&d).unwrap());
    let layer = || (Maf::<3, 8, crate::nn::Tanh, f64>::new(&d).unwrap(), Permute::<3, f64>::reversed(&d).unwrap());
    gate("two MAF layers", (layer(), layer()));
}

#[test]
fn a_maf_is_triangular_and_its_inverse_the_same_type_turned_round() {
    let maf = Maf::<3, 16, crate::nn::Tanh, f64>::new(&device()).unwrap();
    let x = [0.3, -1.2, 0.7];
    let rows = jacobian::<3, _>(&maf, &x);
    for (i, row) in rows.iter().enumerate() {
        for (j, slope) in row.iter().enumerate() {
            assert!(if j > i { *slope == 0.0 } else { slope.abs() > 1e-6 }, "∂z{i}/∂x{j} = {slope}");
        }
    }
    let x = points::<3>(10, 2.0, 5);
    let straight = maf.forward(x.clone());
    let turned = Inverse(maf).inverse(x);
    assert_eq!(straight.0.as_vec(), turned.0.as_vec());
    assert_eq!(straight.1.as_vec(), turned.1.as_vec());
}

#[test]
fn a_volume_preserving_flow_has_no_log_determinant() {
    let nice = AdditiveCoupling::<4, 8, f64>::new(&device(), Moves::Even).unwrap();
    assert!(nice.forward(points::<4>(7, 9.0, 1)).1.as_vec().iter().all(|l| *l == 0.0));
    assert!(AdditiveCoupling::<1, 8, f64>::new(&device(), Moves::Even).is_err());
}

/// `∫ p` over the square of side `2 reach`, by the midpoint rule.
fn integral<B: Bijection<2, f64, Cpu>, P: Base>(flow: &Flow<B, P>, reach: f64) -> f64 {
    const SIDE: usize = 300;
    let step = 2.0 * reach / SIDE as f64;
    let at = |i: usize| step * (i as f64 + 0.5) - reach;
    let grid: Vec<f64> = (0..SIDE * SIDE).flat_map(|i| [at(i / SIDE), at(i % SIDE)]).collect();
    let grid: Points<2> = Cpu::default().tensor_from_vec(grid, (SIDE * SIDE, Const));
    flow.sequential().log_prob(grid).as_vec().iter().map(|p| p.exp() * step * step).sum()
}

#[test]
fn densities_in_the_plane_integrate_to_one() {
    let d = device();
    let coupling = (
        AffineCoupling::<2, 8, f64>::new(&d, Moves::Even).unwrap(),
        AffineCoupling::<2, 8, f64>::new(&d, Moves::Odd).unwrap(),
    );
    let maf = (Maf::<2, 8, crate::nn::Tanh, f64>::new(&d).unwrap(), Permute::<2, f64>::reversed(&d).unwrap());
    let total = integral(&Flow::normal(coupling.clone()), 15.0);
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let total = integral(&Flow { bijection: coupling, base: Logistic }, 40.0);
    assert!((total - 1.0).abs() < 2e-3, "{total}");
    let total = integral(&Flow::normal(maf.clone()), 15.0);
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let total = integral(&Flow::normal(maf).inverted(), 15.0);
    assert!((total - 1.0).abs() < 1e-4, "{total}");
}

#[test]
fn bases_are_what_they_say() {
    let z: Points<1> = Cpu::default().tensor_from_vec(vec![0.0, 60.0, -800.0], (3, Const));
    let log_probs = Logistic.log_prob(z).as_vec();
    for (found, want) in log_probs.iter().zip([-2.0 * 2.0_f64.ln(), -60.0, -800.0]) {
        assert!((found - want).abs() < 1e-9, "{found} for {want}");
    }
    let mut rng = Seed(1).stream("base", 0);
    let n = 40_000;
    let square = |draws: Vec<f64>| draws.iter().map(|x| x * x).sum::<f64>() / n as f64;
    let normal: Points<1> = Normal.sample(n, &Cpu::default(), &mut rng);
    let logistic: Points<1> = Logistic.sample(n, &Cpu::default(), &mut rng);
    assert!((square(normal.as_vec()) - 1.0).abs() < 0.04);
    assert!((square(logistic.as_vec()) - std::f64::consts::PI.powi(2) / 3.0).abs() < 0.15);
    assert_eq!(normal.shape().0, n);
    assert_eq!(f64::of(0.5).wide(), 0.5);
}

#[test]
fn a_flow_learns_a_density_and_never_beats_its_entropy() {
    let d = device();
    let pair = || {
        let couplings = [Moves::Even, Moves::Odd].map(|moves| AffineCoupling::<2, 32>::new(&d, moves).unwrap());
        let [even, odd] = couplings;
        (even, odd)
    };
    let oracle = Oracle::Moons;
    let (rows, test) = (oracle.sample(2000, Seed(1)).unwrap(), oracle.sample(4000, Seed(2)).unwrap());
    let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(5.0), ..Default::default() };
    let mut learner = FlowLearner::<2, _, _>::new(Flow::normal((pair(), pair(), pair())), &rows, None, adam).unwrap();
    let before = oracle.gap(&learner.evidence(&test).unwrap());
    train(&mut learner, rows.len(), &Plan::new(40, 200, Seed(3)), &mut quiet).unwrap();
    let evidence = learner.evidence(&test).unwrap();
    let gap = oracle.gap(&evidence);
    assert!(gap < 0.25 && gap < before / 3.0, "{before} before, {gap} after");
    assert!(gap > -4.0 * evidence.standard_error(), "better than the best: {gap}");
}

#[test]
fn a_run_that_is_taken_up_again_ends_where_the_whole_one_does() {
    let rows = Oracle::Ring.sample(200, Seed(5)).unwrap();
    let start = || {
        let device = Cpu::seed_from_u64(9);
        let flow = Flow::normal((Maf::<2, 8>::new(&device).unwrap(), Permute::<2>::reversed(&device).unwrap()));
        FlowLearner::<2, _, _>::new(flow, &rows, None, AdamConfig::default()).unwrap()
    };
    let batch: Vec<usize> = (0..100).collect();
    let clock = |step| Clock { step, steps: 40, epoch: 1, seed: Seed(1) };
    let (mut whole, mut again) = (start(), start());
    for step in 1..=20 {
        whole.step(&batch, &clock(step)).unwrap();
    }
    let mut archive = Archive::default();
    Learner::save(&whole, &mut archive);
    again.load(&archive).unwrap();
    for learner in [&mut whole, &mut again] {
        learner.step(&batch, &clock(21)).unwrap();
    }
    assert_eq!(params(&whole.flow().bijection), params(&again.flow().bijection));
    assert_eq!(whole.evidence(&rows).unwrap().mean(), again.evidence(&rows).unwrap().mean());
}

#[test]
fn what_a_flow_cannot_read_is_named() {
    let flow = || Flow::normal(Maf::<2, 8>::new(&device()).unwrap());
    let rows = Oracle::Ring.sample(20, Seed(5)).unwrap();
    let learn = |rows: &Table| FlowLearner::<2, _, _>::new(flow(), rows, None, AdamConfig::default()).map(|_| ());
    let error = learn(&rows.columns(&[0])).unwrap_err().to_string();
    assert_eq!(error, "a table of 1 columns; the flow is of 2");
    let error = learn(&rows.mask(|row, column| (row, column) == (3, 1))).unwrap_err().to_string();
    assert_eq!(error, "row 3, column y: a flow has no missing values");
}
