//! Against closed forms, quadrature and finite differences.

use super::*;
use crate::{
    archive::Archive,
    data::{Discrete, Schema, Split, shipped},
    nn::{
        ops::testing::numbers,
        optim::{AdamConfig, Schedule},
        params,
    },
    teachers::{Bernoulli, DiscretisedLogistic},
    train::{Learner, Plan, quiet, train},
};
use dfdx::{
    prelude::{Backward, SumTo},
    shapes::Rank0,
    tensor::{AsArray, TensorFromVec, Trace},
};

fn binary(rows: Vec<u16>, dims: usize) -> Discrete {
    Discrete::new(Schema::uniform(&[dims], 2), rows).unwrap()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let device = Cpu::seed_from_u64(3);
    let plain = Vae::<DiscretisedLogistic<5>, f64>::new(&device, 3, 6, 2).unwrap();
    assert_eq!(params(&plain).len(), 12);
    gradients(&plain);
    gradients(&Vae::with_flow(&device, 3, 6, 2, (2, 3)).unwrap());
}

fn gradients(vae: &Vae<DiscretisedLogistic<5>, f64>) {
    let device = Cpu::default();
    let x: Batch<usize, f64, Cpu> = device.tensor_from_vec(vec![0.0, 2.0, 4.0, 1.0, 3.0, 2.0], (2, 3));
    let noise: Batch<usize, f64, Cpu> = device.tensor_from_vec(numbers(4, 1), (2, 2));
    let grads = vae.elbo(x.leaky_trace(), noise.clone()).sum::<Rank0, _>().backward();
    let layers = vae.encoder.layers();
    let found = grads.get(&layers[0].weight).as_vec();
    for at in [0, 5, 11] {
        let value = |by: f64| {
            let mut moved = vae.clone();
            let mut weight = layers[0].weight.as_vec();
            weight[at] += by;
            let mut changed = crate::nn::fresh_copy(&moved.encoder).unwrap();
            changed.first_mut().weight.copy_from(&weight);
            moved.encoder = changed;
            moved.elbo(x.clone(), noise.clone()).sum::<Rank0, _>().array()
        };
        let numeric = (value(1e-5) - value(-1e-5)) / 2e-5;
        assert!((found[at] - numeric).abs() < 1e-6 * (1.0 + numeric.abs()), "{} for {numeric}", found[at]);
    }
}

#[test]
fn bounds_are_in_order_below_the_exact_likelihood_which_sums_to_one() {
    let device = Cpu::seed_from_u64(1);
    let digits: Vec<u16> = (0..600).map(|i| u16::from((i / 3 * 7 + i % 3 * 5) % 11 < 5)).collect();
    let rows = binary(digits, 3);
    in_order(Vae::<Bernoulli>::new(&device, 3, 16, 1).unwrap(), &rows);
    in_order(Vae::<Bernoulli>::with_flow(&device, 3, 16, 1, (2, 4)).unwrap(), &rows);
}

fn in_order(vae: Vae<Bernoulli>, rows: &Discrete) {
    let adam = AdamConfig { rate: Schedule::constant(5e-3), ..Default::default() };
    let mut learner = VaeLearner::new(vae, rows, None, adam, Seed(0)).unwrap();
    train(&mut learner, &Plan::new(30, 50, Seed(0)), &mut quiet).unwrap();
    let vae = learner.into_model();
    let every = binary((0..8_u16).flat_map(|x| [x & 1, x >> 1 & 1, x >> 2 & 1]).collect(), 3);
    let exact = vae.exact(&every, 400).unwrap();
    let total: f64 = exact.log_probs().iter().map(|l| l.exp()).sum();
    assert!((total - 1.0).abs() < 1e-5, "{total}");
    let (elbo, iwae) = (vae.elbo_of(rows, 20, Seed(1)).unwrap(), vae.iwae_of(rows, 50, Seed(1)).unwrap());
    let exact = vae.exact(rows, 400).unwrap();
    assert!(elbo.mean() <= iwae.mean() + 1e-3 && iwae.mean() <= exact.mean() + 1e-3);
    let many = vae.iwae_of(rows, 2000, Seed(1)).unwrap();
    assert!((many.mean() - exact.mean()).abs() < 5e-3, "{} for {}", many.mean(), exact.mean());
    assert!(vae.exact(rows, 1).is_err() && vae.elbo_of(&binary(vec![0, 1], 2), 1, Seed(1)).is_err());
}

#[test]
fn every_row_is_encoded_once_whatever_the_posterior() {
    let device = Cpu::seed_from_u64(2);
    let rows = binary((0..300).map(|i| i % 3 % 2).collect(), 3);
    let plain = Vae::<Bernoulli>::new(&device, 3, 8, 2).unwrap();
    let bent = Vae::<Bernoulli>::with_flow(&device, 3, 8, 2, (3, 4)).unwrap();
    for vae in [plain, bent] {
        let encoded = vae.encode(&rows).unwrap();
        assert_eq!((encoded.len(), encoded[0].len()), (100, 2));
        assert_eq!(encoded[0], encoded[2], "equal rows have equal places");
    }
}

#[test]
fn an_autoencoder_learns_digits() {
    let digits = shipped::digits().unwrap().discrete();
    let split = Split::random(digits.len(), 0.0, 0.3, Seed(0));
    let (rows, test) = (digits.select(&split.train), digits.select(&split.test));
    let adam = AdamConfig { rate: Schedule::constant(1e-3), clip: Some(100.0), ..Default::default() };
    let vae = Vae::<DiscretisedLogistic<17>>::new(&Cpu::seed_from_u64(1), 64, 64, 8).unwrap();
    let before = vae.elbo_of(&test, 1, Seed(1)).unwrap().bits_per_dim().unwrap();
    let mut learner = VaeLearner::new(vae, &rows, Some(&test), adam, Seed(0)).unwrap();
    train(&mut learner, &Plan::new(15, 64, Seed(0)), &mut quiet).unwrap();
    let after = learner.model().elbo_of(&test, 1, Seed(1)).unwrap().bits_per_dim().unwrap();
    assert!(after < 3.2 && after < before - 0.5, "{before} before, {after} after");
    let mut archive = Archive::default();
    Learner::save(&learner, &mut archive);
    let fresh = Vae::<DiscretisedLogistic<17>>::new(&Cpu::seed_from_u64(9), 64, 64, 8).unwrap();
    let mut again = VaeLearner::new(fresh, &rows, Some(&test), adam, Seed(0)).unwrap();
    again.load(&archive).unwrap();
    assert_eq!(again.validate().unwrap(), learner.validate().unwrap());
}
