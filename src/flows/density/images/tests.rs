use super::*;
use crate::{
    data::shipped,
    flows::{ActNorm, Base, BatchNorm, Blocks, Grid, Normal, Permute, Rotation, Stack},
    nn::optim::AdamConfig,
    train::{Plan, quiet, train},
};
use dfdx::tensor::TensorFromVec;

const DIGITS: Grid = Grid { channels: 1, height: 8, width: 8 };

/// The first digits.
fn digits(range: std::ops::Range<usize>) -> Images<1, 8, 8> {
    shipped::digits().unwrap().select(&range.collect::<Vec<_>>())
}

#[test]
fn a_likelihood_of_pixels_does_not_depend_on_lambda_where_the_flow_undoes_it() {
    // A flow that ends where the pixels began has the density of a cube: nothing a pixel has to say.
    struct Undo(Logit);
    impl Bijection<usize, f32, Cpu> for Undo {
        fn forward<T: dfdx::tensor::Tape<f32, Cpu>>(
            &self,
            x: crate::flows::Batch<usize, f32, Cpu, T>,
        ) -> crate::flows::WithLogDet<usize, f32, Cpu, T> {
            self.0.inverse(x)
        }
        fn inverse<T: dfdx::tensor::Tape<f32, Cpu>>(
            &self,
            z: crate::flows::Batch<usize, f32, Cpu, T>,
        ) -> crate::flows::WithLogDet<usize, f32, Cpu, T> {
            self.0.forward(z)
        }
    }
    let images = digits(0..20);
    for lambda in [1e-6, 0.05] {
        let model =
            ImageFlow::<1, 8, 8, _>::new(&Cpu::default(), Undo(Logit::new(lambda).unwrap()), lambda, 17).unwrap();
        let evidence = model.evidence(&images, Seed(1)).unwrap();
        assert_eq!(evidence.space(), &Space::Logit { lambda, levels: 17 });
        assert!(evidence.bits_per_dim().is_err());
        // A standard normal density of numbers in the unit cube: ½ log 2π + ½ x² each, and log₂ 17 bits for the levels.
        let (logits, _) = model.logits(&images, Seed(1)).unwrap();
        let cube = Logit::new(lambda).unwrap().inverse(logits).0.as_vec();
        let square: f64 = cube.iter().map(|x| f64::from(x * x)).sum::<f64>() / cube.len() as f64;
        let want = (0.5 * (std::f64::consts::TAU.ln() + square) + 17.0_f64.ln()) / std::f64::consts::LN_2;
        let found = model.dequantised(&images, Seed(1)).unwrap().bits_per_dim().unwrap();
        assert!((found - want).abs() < 1e-4, "λ = {lambda}: {found} for {want}");
    }
}

#[test]
fn a_multi_scale_flow_learns_digits_and_goes_back_to_them() {
    let flow = multi_scale(&Cpu::seed_from_u64(1), DIGITS, 2, 8, 1).unwrap();
    let model = ImageFlow::new(&Cpu::default(), flow, 0.05, 17).unwrap();
    let adam = AdamConfig { clip: Some(5.0), ..AdamConfig::default() };
    let (rows, valid) = (digits(0..400), digits(400..500));
    let mut learner = ImageLearner::new(model, &rows, Some(&valid), adam, Seed(2)).unwrap();
    let before = learner.model().dequantised(&digits(400..500), Seed(3)).unwrap().bits_per_dim().unwrap();
    train(&mut learner, &Plan::new(4, 50, Seed(4)), &mut quiet).unwrap();
    let model = learner.into_model();
    let after = model.dequantised(&digits(400..500), Seed(3)).unwrap().bits_per_dim().unwrap();
    assert!(after < before - 0.1 && after < 3.6, "{before} bits, then {after}");
    let (logits, _) = model.logits(&digits(0..5), Seed(5)).unwrap();
    let z = model.flow().bijection.forward(logits).0;
    assert_eq!(model.images(&model.flow().bijection.inverse(z).0).unwrap().pixels(), digits(0..5).pixels());
    assert_eq!(model.sample(3, Seed(6)).unwrap().len(), 3);
    assert!(model.evidence(&Images::new(vec![0; 64], vec![], 16).unwrap(), Seed(1)).is_err());
    let norm = BatchNorm::new(&Cpu::default(), 64_usize).unwrap();
    assert!(ImageFlow::<1, 8, 8, _>::new(&Cpu::default(), norm, 0.05, 17).is_err());
}

#[test]
fn mint_net_learns_digits_and_goes_back_to_them() {
    let flow = mint_net(&Cpu::seed_from_u64(1), DIGITS, 1, 8).unwrap();
    let model =
        ImageFlow::new(&Cpu::default(), (ActNorm::new(&Cpu::default(), 64_usize).unwrap(), flow), 0.05, 17).unwrap();
    let rows = digits(0..200);
    let mut learner = ImageLearner::new(model, &rows, None, AdamConfig::default(), Seed(2)).unwrap();
    let before = learner.model().dequantised(&digits(200..250), Seed(3)).unwrap().bits_per_dim().unwrap();
    train(&mut learner, &Plan::new(3, 20, Seed(4)), &mut quiet).unwrap();
    let model = learner.into_model();
    let after = model.dequantised(&digits(200..250), Seed(3)).unwrap().bits_per_dim().unwrap();
    assert!(after < before, "{before} bits, then {after}");
    let (logits, _) = model.logits(&digits(0..5), Seed(5)).unwrap();
    let z = model.flow().bijection.forward(logits).0;
    assert_eq!(model.images(&model.flow().bijection.inverse(z).0).unwrap().pixels(), digits(0..5).pixels());
}

#[test]
fn patches_are_rotated_one_by_one() {
    let device = Cpu::seed_from_u64(3);
    let patches = |offset| Permute::patches(&device, 64_usize, DIGITS, 4, offset).unwrap();
    let layer = |offset| {
        let rotation = Blocks::new(16, Rotation::<usize>::random(&device, 16, Seed(offset as u64)).unwrap());
        (patches(offset), rotation, crate::flows::Inverse(patches(offset)))
    };
    let turn = layer(0);
    let x: Batch<usize, f32, Cpu> = Normal.sample((2, 64), &device, &mut Seed(1).stream("x", 0));
    let (z, log_det) = turn.forward(x.clone());
    assert!(log_det.as_vec().iter().all(|l| *l == 0.0));
    // A pixel has an effect on its own patch alone.
    let mut moved = x.as_vec();
    moved[9] += 1.0;
    let other = turn.forward(device.tensor_from_vec(moved, (2, 64))).0.as_vec();
    for (i, (a, b)) in z.as_vec().iter().zip(other).enumerate() {
        assert_eq!(a != &b, i < 64 && i / 8 < 4 && i % 8 < 4, "pixel {i}");
    }
    let both = Stack::new(vec![layer(0), layer(2)]);
    let (z, _) = both.forward(x.clone());
    let back = both.inverse(z).0.as_vec();
    assert!(back.iter().zip(x.as_vec()).all(|(a, b)| (a - b).abs() < 1e-5));
}
