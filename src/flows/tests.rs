//! Every bijection through one gate: round trips into the tails, log-determinants against numerical Jacobians, densities that
//! integrate to one, finite gradients.

use super::*;
use crate::{
    nn::{
        Real, SequenceConfig, Tanh, load_params,
        ops::testing::{assert_close, numbers, numeric_gradient},
        params,
    },
    random::Seed,
};
use dfdx::{
    nn::TensorCollection,
    prelude::{Backward, SumTo},
    shapes::{Const, HasShape, Rank0},
    tensor::{Cpu, Tape, Tensor, TensorFromVec, Trace},
};
use rand::RngExt;

type Points<const D: usize> = Tensor<(usize, Const<D>), f64, Cpu>;
type D2 = Const<2>;
type D3 = Const<3>;

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

fn moved<const D: usize, B: Bijection<Const<D>, f64, Cpu>>(b: &B, x: &[f64]) -> Vec<f64> {
    b.forward(Cpu::default().tensor_from_vec(x.to_vec(), (1, Const::<D>))).0.as_vec()
}

/// `∂z/∂x` at a point, by central differences.
fn jacobian<const D: usize, B: Bijection<Const<D>, f64, Cpu>>(b: &B, x: &[f64]) -> Vec<Vec<f64>> {
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
fn gate<B: Bijection<D3, f64, Cpu> + TensorCollection<f64, Cpu>>(name: &str, mut b: B) {
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
    for inverse in [false, true] {
        let (z, log_det) = if inverse { b.inverse(x.leaky_trace()) } else { b.forward(x.leaky_trace()) };
        let grads = (Normal.log_prob(z) + log_det).sum::<Rank0, _>().backward();
        let value = |x: Vec<f64>| -> f64 {
            let x: Points<3> = Cpu::default().tensor_from_vec(x, (4, Const));
            let (z, log_det) = if inverse { b.inverse(x) } else { b.forward(x) };
            (Normal.log_prob(z) + log_det).as_vec().iter().sum()
        };
        for (i, found) in grads.get(&x).as_vec().into_iter().enumerate() {
            let at = |by: f64| {
                let mut moved = x.as_vec();
                moved[i] += by;
                value(moved)
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            let near = (found - numeric).abs() < 1e-5 * (1.0 + numeric.abs());
            assert!(near, "{name}, inverse {inverse}: gradient {found}, numerically {numeric}");
        }
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
    gate("affine coupling", AffineCoupling::<D3, f64>::new(&d, Const, 8, Mask::Even).unwrap());
    gate("additive coupling", AdditiveCoupling::<D3, Tanh, f64>::new(&d, Const, 8, Mask::Odd).unwrap());
    gate("coupling of scales", Coupling::<D3, Scale, Tanh, f64>::new(&d, Const, 8, Mask::Second).unwrap());
    gate("coupling of splines", Coupling::<D3, Spline<5>, Tanh, f64>::new(&d, Const, 8, Mask::First).unwrap());
    gate("reversal", Permute::<D3, f64>::reversed(&d, Const).unwrap());
    gate("permutation", Permute::<D3, f64>::random(&d, Const, Seed(4)).unwrap());
    gate("MAF", Maf::<D3, Tanh, f64>::new(&d, Const, 8).unwrap());
    gate("bounded", Autoregressive::<D3, Bounded, Tanh, f64>::new(&d, Const, 8).unwrap());
    gate("gated", Autoregressive::<D3, Gated, Tanh, f64>::new(&d, Const, 8).unwrap());
    gate("autoregressive splines", Autoregressive::<D3, Spline, Tanh, f64>::new(&d, Const, 8).unwrap());
    gate("mixture heads", Autoregressive::<D3, Mixture<Normal, 2>, Tanh, f64>::new(&d, Const, 8).unwrap());
    let layer = || (Maf::<D3, Tanh, f64>::new(&d, Const, 8).unwrap(), Permute::<D3, f64>::reversed(&d, Const).unwrap());
    gate("WaveNet's layer", Wave::<D3, Bounded, f64>::new(&d, 2, 6).unwrap());
    gate("two MAF layers", (layer(), layer()));
    gate("rescaling", with_numbers(Rescale::<D3, f64>::new(&d, Const).unwrap(), 0.5, 1));
    gate(
        "logistic mixtures",
        with_numbers(Elementwise::<D3, Mixture<Logistic, 4>, f64>::new(&d, Const).unwrap(), 1.0, 2),
    );
    gate("activation norm", with_numbers(ActNorm::<D3, f64>::new(&d, Const).unwrap(), 1.0, 2));
    gate("LU", with_numbers(Lu::<D3, f64>::new(&d, Const, Some(Seed(3))).unwrap(), 0.7, 3));
    gate("reflections", Householder::<D3, f64>::new(&d, Const, 2, Seed(1)).unwrap());
    let mint = |grid, kernel, backwards| Mint::<D3, f64>::new(&d, Const, grid, kernel, 4, backwards).unwrap();
    gate("MintNet", with_numbers(mint(Grid::pixel(3), 1, false), 1.0, 5));
    gate("MintNet of images", with_numbers(mint(Grid { channels: 1, height: 1, width: 3 }, 3, true), 1.0, 5));
    let row = Grid { channels: 1, height: 1, width: 3 };
    gate("image coupling", ImageCoupling::<D3, f64>::new(&d, Const, row, ImageMask::Black, 4, 1).unwrap());
    let channels = ImageCoupling::<D3, f64>::new(&d, Const, Grid::pixel(3), ImageMask::LastChannels, 4, 0).unwrap();
    gate("coupling of channels", with_numbers(channels, 0.3, 4));
    let sequence = |length, channels| SequenceConfig { length, channels, width: 8, heads: 2, blocks: 1 };
    let position = sequence(1, 3);
    gate(
        "a coupling of sequences",
        SequenceCoupling::<D3, BoundedMixture<Logistic, 2>, f64>::new(&d, Const, &position, Mask::Even).unwrap(),
    );
    let inner = ConditionalAutoregressive::<usize, usize, Bounded, Tanh, f64>::new(&d, 4, 1, 8).unwrap();
    gate("a causal flow", CausalFlow::<D3, _, f64>::new(&d, Const, &sequence(3, 1), (4, inner)).unwrap());
    gate("the first coordinates", First::new(2, AffineCoupling::<usize, f64>::new(&d, 2, 8, Mask::Even).unwrap()));
    gate("blocks", Blocks::new(1, with_numbers(ActNorm::<usize, f64>::new(&d, 1).unwrap(), 1.0, 2)));
    let mut norm = BatchNorm::<D3, f64>::new(&d, Const).unwrap();
    norm.adapt(points::<3>(50, 4.0, 8), Phase::Settle);
    gate("batch norm", norm);
    gate("a width known at run time", Free(Maf::<usize, Tanh, f64>::new(&d, 3, 8).unwrap()));
}

/// The same with trained parameters moved by up to `by`.
fn with_numbers<M: TensorCollection<f64, Cpu>>(mut module: M, by: f64, seed: u64) -> M {
    let mut rng = Seed(seed).stream("numbers", 0);
    let mut arrays = params(&module);
    for (name, _, values) in &mut arrays {
        if name != "order" && name != "mask" {
            values.iter_mut().for_each(|x| *x += (by * (2.0 * rng.random::<f64>() - 1.0)) as f32);
        }
    }
    load_params(&mut module, &arrays).unwrap();
    module
}

/// A bijection whose width is known at run time, of three coordinates.
struct Free(Maf<usize, Tanh, f64>);

impl Bijection<D3, f64, Cpu> for Free {
    fn forward<T: Tape<f64, Cpu>>(&self, x: Batch<D3, f64, Cpu, T>) -> WithLogDet<D3, f64, Cpu, T> {
        let (z, log_det) = self.0.forward(bijection::free(x));
        (bijection::typed(z), log_det)
    }
    fn inverse<T: Tape<f64, Cpu>>(&self, z: Batch<D3, f64, Cpu, T>) -> WithLogDet<D3, f64, Cpu, T> {
        let (x, log_det) = self.0.inverse(bijection::free(z));
        (bijection::typed(x), log_det)
    }
}

impl TensorCollection<f64, Cpu> for Free {
    type To<E2: dfdx::dtypes::Dtype, Dev2: dfdx::tensor_ops::Device<E2>> = Maf<usize, Tanh, E2, Dev2>;
    fn iter_tensors<V: dfdx::nn::ModuleVisitor<Self, f64, Cpu>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(Self::module("0", |s| &s.0, |s| &mut s.0), |maf| maf)
    }
}

/// A row has so many parameters that a batch is more than one task.
#[test]
fn rows_of_many_parameters_are_transformed_as_if_alone() {
    const D: usize = 16 * 27;
    let config = SequenceConfig { length: 16, channels: 27, width: 8, heads: 2, blocks: 1 };
    let coupling =
        SequenceCoupling::<Const<D>, BoundedMixture<Logistic, 8>, f64>::new(&device(), Const, &config, Mask::Even);
    let coupling = coupling.unwrap();
    let through = |x: Points<D>| {
        let (z, log_det) = coupling.forward(x.leaky_trace());
        let (values, logs) = (z.as_vec(), log_det.as_vec());
        let grads = (z.square().sum::<_, dfdx::shapes::Axis<1>>() + log_det).sum::<Rank0, _>().backward();
        (values, logs, grads.get(&x).as_vec())
    };
    let x = points::<D>(20, 4.0, 3);
    let (z, logs, slopes) = through(x.clone());
    for (row, alone) in x.as_vec().chunks(D).enumerate() {
        let of_one = through(Cpu::default().tensor_from_vec(alone.to_vec(), (1, Const)));
        assert_close(&z[row * D..(row + 1) * D], &of_one.0, 1e-9);
        assert_close(&logs[row..row + 1], &of_one.1, 1e-9);
        assert_close(&slopes[row * D..(row + 1) * D], &of_one.2, 1e-9);
    }
}

#[test]
fn a_batch_norm_that_learns_makes_its_batch_standard_and_passes_gradients_through_the_statistics() {
    let mut norm = with_numbers(BatchNorm::<D3, f64>::new(&device(), Const).unwrap(), 0.0, 1);
    let x = points::<3>(6, 4.0, 8);
    norm.adapt(x.clone(), Phase::Learn);
    let z = norm.forward(x.clone()).0.as_vec();
    for i in 0..3 {
        let column: Vec<f64> = z.iter().skip(i).step_by(3).copied().collect();
        let (mean, deviation) = crate::math::mean_and_deviation(&column);
        assert!(mean.abs() < 1e-12 && (deviation - 1.0).abs() < 1e-4, "{mean} ± {deviation}");
    }
    let weights: Points<3> = Cpu::default().tensor_from_vec(numbers(18, 3), (6, Const));
    let (z, log_det) = norm.forward(x.leaky_trace());
    let loss = (z * weights.clone()).sum::<Rank0, _>() + log_det.sum::<Rank0, _>();
    let found = loss.backward().get(&x).as_vec();
    let want = numeric_gradient(&x.as_vec(), |x| {
        let (z, log_det) = norm.forward(Cpu::default().tensor_from_vec(x.to_vec(), (6, Const)));
        (z * weights.clone()).as_vec().iter().sum::<f64>() + log_det.as_vec().iter().sum::<f64>()
    });
    assert_close(&found, &want, 1e-6);
}

#[test]
fn a_maf_is_triangular_and_its_inverse_the_same_type_turned_round() {
    let maf = Maf::<D3, Tanh, f64>::new(&device(), Const, 16).unwrap();
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
fn slopes_of_each_coordinate_add_up_to_the_log_determinant_and_are_those_of_the_map() {
    let device = device();
    let layer = || Autoregressive::<D3, Gated, Tanh, f64>::new(&device, Const, 12).unwrap();
    affine_in_order(&Stack::new(vec![layer(), layer()]));
    let wave = || Wave::<D3, Bounded, f64>::new(&device, 2, 6).unwrap();
    affine_in_order(&Stack::new(vec![wave(), wave()]));
}

fn affine_in_order<B: AffineInOrder<D3, f64, Cpu>>(flow: &B) {
    let x = points::<3>(4, 2.0, 9);
    let (z, log_det) = flow.forward(x.clone());
    let (again, each) = flow.forward_each(bijection::free(x.clone()));
    assert_close(&again.as_vec(), &z.as_vec(), 1e-12);
    let sums: Vec<f64> = each.as_vec().chunks_exact(3).map(|row| row.iter().sum()).collect();
    assert_close(&sums, &log_det.as_vec(), 1e-12);
    // One coordinate moved, however far, moves its image by the slope times as much.
    for i in 0..3 {
        let mut moved = x.as_vec();
        moved[i] += 5.0;
        let there = flow.forward(Cpu::default().tensor_from_vec(moved, (4, Const))).0.as_vec()[i];
        assert!((there - z.as_vec()[i] - 5.0 * each.as_vec()[i].exp()).abs() < 1e-9);
    }
}

#[test]
fn a_volume_preserving_flow_has_no_log_determinant() {
    let nice = AdditiveCoupling::<Const<4>, Tanh, f64>::new(&device(), Const, 8, Mask::Even).unwrap();
    assert!(nice.forward(points::<4>(7, 9.0, 1)).1.as_vec().iter().all(|l| *l == 0.0));
    assert!(AdditiveCoupling::<Const<1>, Tanh, f64>::new(&device(), Const, 8, Mask::Even).is_err());
}

/// `∫ p` over the square of side `2 reach`, by the midpoint rule.
fn integral<B: Bijection<D2, f64, Cpu>, P: Base>(flow: &Flow<B, P>, reach: f64) -> f64 {
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
        AffineCoupling::<D2, f64>::new(&d, Const, 8, Mask::Even).unwrap(),
        AffineCoupling::<D2, f64>::new(&d, Const, 8, Mask::Odd).unwrap(),
    );
    let maf = (Maf::<D2, Tanh, f64>::new(&d, Const, 8).unwrap(), Permute::<D2, f64>::reversed(&d, Const).unwrap());
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
    let at: Points<1> = Cpu::default().tensor_from_vec(vec![0.0, 0.5, 1.0, -0.1], (4, Const));
    assert_eq!(Uniform.log_prob(at).as_vec(), [0.0, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY]);
    let modes = Modes::new(&[1.0, 3.0], vec![vec![-2.0, 0.0], vec![1.0, 1.0]], vec![0.5, 1.0]).unwrap();
    let total = integral(
        &Flow { bijection: Permute::<D2, f64>::reversed(&Cpu::default(), Const).unwrap(), base: modes.clone() },
        9.0,
    );
    assert!((total - 1.0).abs() < 1e-6, "{total}");
    let x = points::<2>(5, 3.0, 2);
    let found = modes.log_prob(x.leaky_trace()).sum::<Rank0, _>().backward().get(&x).as_vec();
    let value = |x: &[f64]| -> f64 {
        let x: Points<2> = Cpu::default().tensor_from_vec(x.to_vec(), (5, Const));
        modes.log_prob(x).as_vec().iter().sum()
    };
    assert_close(&found, &numeric_gradient(&x.as_vec(), value), 1e-7);
    let drawn: Points<2> = modes.sample((20_000, Const), &Cpu::default(), &mut Seed(1).stream("modes", 0));
    let mean = drawn.as_vec().iter().step_by(2).sum::<f64>() / 20_000.0;
    assert!((mean - 0.25).abs() < 0.05, "{mean}");
    assert!(Modes::new(&[1.0], vec![], vec![1.0]).is_err() && Modes::new(&[0.0], vec![vec![0.0]], vec![1.0]).is_err());
    let mut rng = Seed(1).stream("base", 0);
    let n = 40_000;
    let square = |draws: Vec<f64>| draws.iter().map(|x| x * x).sum::<f64>() / n as f64;
    let normal: Points<1> = Normal.sample((n, Const), &Cpu::default(), &mut rng);
    let logistic: Points<1> = Logistic.sample((n, Const), &Cpu::default(), &mut rng);
    assert!((square(normal.as_vec()) - 1.0).abs() < 0.04);
    assert!((square(logistic.as_vec()) - std::f64::consts::PI.powi(2) / 3.0).abs() < 0.15);
    assert_eq!(normal.shape().0, n);
    assert_eq!(f64::of(0.5).wide(), 0.5);
}

#[test]
fn a_bijection_that_is_none_is_refused() {
    fn tampered<B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu>>(
        mut b: B,
        name: &str,
        at: usize,
        value: f32,
    ) -> bool {
        assert!(b.check().is_ok());
        let mut arrays = params(&b);
        arrays.iter_mut().find(|a| a.0.contains(name)).unwrap().2[at] = value;
        load_params(&mut b, &arrays).unwrap();
        b.check().is_err()
    }
    let d = &Cpu::seed_from_u64(3);
    assert!(tampered(Rotation::random(d, 3, Seed(1)).unwrap(), "matrix", 0, 2.0));
    assert!(tampered(Permute::reversed(d, 3).unwrap(), "order", 0, 1.0));
    assert!(tampered(Lu::new(d, 3, Some(Seed(2))).unwrap(), "order", 0, 0.5));
    assert!(tampered(BatchNorm::new(d, 3).unwrap(), "variance", 1, -1.0));
    assert!(tampered(Coupling::<usize, Shift>::new(d, 3, 4, Mask::Even).unwrap(), "mask", 0, 0.5));
    assert!(tampered(Autoregressive::<usize, Affine>::new(d, 3, 6).unwrap(), "first.weight", 2, 1.0));
    let config = SequenceConfig { length: 2, channels: 3, width: 4, heads: 2, blocks: 1 };
    let coupling = || SequenceCoupling::<usize, Affine>::new(d, 6, &config, Mask::Even).unwrap();
    assert!(tampered(coupling(), "mask", 0, 0.0) && tampered(coupling(), "mask", 1, 1.0));
    let stack = Stack::new(vec![(Permute::reversed(d, 3).unwrap(), Inverse(Rotation::random(d, 3, Seed(1)).unwrap()))]);
    assert!(tampered(stack, "matrix", 4, 3.0));
}
