//! Against definitions, finite differences and enumeration.

use super::{
    quantise::{Quantised, nearest, quantised},
    *,
};
use crate::{
    archive::Archive,
    circuits::{FitCircuit, Structure},
    data::{Split, shipped},
    nn::{
        ops::testing::{assert_close, numbers, numeric_gradient},
        optim::{AdamConfig, Schedule},
    },
    random::Seed,
    teachers::{Bernoulli, DiscretisedLogistic, MixtureOfLogistics},
    train::{Fit, Learner, Plan, quiet, train},
};
use dfdx::{
    prelude::Backward,
    shapes::Rank0,
    tensor::{TensorFromVec, Trace},
    tensor_ops::SumTo,
};

#[test]
fn the_nearest_code_is_the_nearest() {
    let (rows, codes): (Vec<f64>, Vec<f64>) = (numbers(40, 1), numbers(12, 2));
    let found = nearest(&rows, &codes, 4);
    for (row, found) in rows.chunks(4).zip(found) {
        let distance =
            |k: usize| -> f64 { row.iter().zip(&codes[4 * k..]).map(|(a, b): (&f64, &f64)| (a - b).powi(2)).sum() };
        assert!((0..3).all(|k| distance(found) <= distance(k)));
    }
}

#[test]
fn gradients_pass_the_choice_of_a_code_as_if_it_were_none() {
    let device = Cpu::default();
    let at = |x: &[f64], rows: usize| -> Batch<usize, f64, Cpu> { device.tensor_from_vec(x.to_vec(), (rows, 3)) };
    let (rows, codes, slopes) = (numbers(12, 3), numbers(6, 4), numbers(12, 5));
    let found = nearest(&rows, &codes, 3);
    let (x, book) = (at(&rows, 4), at(&codes, 2));
    let Quantised { codes: z, commit, follow } = quantised(x.leaky_trace(), &book, &found, 0.25);
    let values: Vec<f64> = found.iter().flat_map(|k| codes[3 * k..3 * k + 3].to_vec()).collect();
    assert_close(&z.as_vec(), &values, 1e-12);
    let loss = (z * at(&slopes, 4)).sum::<Rank0, _>() + commit.sum::<Rank0, _>() + follow.sum::<Rank0, _>();
    let grads = loss.backward();
    // What draws the rows to their codes, and what comes back through them.
    let gap = |rows: &[f64], codes: &[f64], by: f64| -> f64 {
        let each = found.iter().zip(rows.chunks(3));
        each.map(|(k, row)| by * row.iter().zip(&codes[3 * k..]).map(|(h, e)| (h - e).powi(2)).sum::<f64>()).sum()
    };
    let through = |rows: &[f64]| gap(rows, &codes, 0.25) + rows.iter().zip(&slopes).map(|(h, s)| h * s).sum::<f64>();
    assert_close(&grads.get(&x).as_vec(), &numeric_gradient(&rows, through), 1e-6);
    let drawn = numeric_gradient(&codes, |codes| gap(&rows, codes, 1.0));
    assert_close(&grads.get(&book).as_vec(), &drawn, 1e-6);
}

/// All pictures of four pixels, or of four codes, that are 0 or 1.
fn squares() -> Discrete {
    let bit = |i: u16| (i / 4) >> (i % 4) & 1;
    Discrete::new(Schema::uniform(&[2, 2], 2), (0..64).map(bit).collect()).unwrap()
}

fn tiny(decoder: Decoder) -> (VqVae<Bernoulli>, Discrete) {
    let every = squares();
    let config = VqVaeConfig { side: 1, codes: 2, width: 3, hidden: 4, blocks: 1, decoder, ..VqVaeConfig::default() };
    let model = VqVae::new(&Cpu::seed_from_u64(3), every.schema(), Bernoulli, &config).unwrap();
    // Codes as the learner would set them.
    let learner = VqVaeLearner::new(model, &every, None, AdamConfig::default(), Seed(1)).unwrap();
    (learner.into_model(), every)
}

#[test]
fn the_bound_is_below_the_likelihood_which_sums_to_one() {
    for decoder in [Decoder::Independent, Decoder::Convolutional] {
        let (model, every) = tiny(decoder);
        let codes = model.encode(&every).unwrap();
        let prior = FitCircuit { epochs: 3, ..FitCircuit::new(Structure::hclt(2)) };
        let prior = prior.fit(&codes, None, Seed(0)).unwrap().0;
        let elbo = model.elbo_of(&every, &prior).unwrap();
        // All pictures of codes, each with every picture.
        let all = squares();
        let log_prior = prior.log_prob(&all).unwrap();
        let book = model.net.book.codes.as_vec();
        let (_, values) = model.read(&every, &(0..16).collect::<Vec<_>>()).unwrap();
        let mut likelihood = [0.0; 16];
        for (z, log_prior) in log_prior.iter().enumerate() {
            let one: Vec<f32> = all.row(z).iter().flat_map(|k| book[3 * *k as usize..][..3].to_vec()).collect();
            let z = Cpu::default().tensor_from_vec(one.repeat(16), (64, 3));
            let logs = model.log_probs(values.clone(), z).as_vec();
            for (x, logs) in logs.chunks(4).enumerate() {
                likelihood[x] += (log_prior + logs.iter().map(|l| f64::from(*l)).sum::<f64>()).exp();
            }
        }
        assert!((likelihood.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{decoder:?}");
        assert!(elbo.log_probs().iter().zip(likelihood).all(|(bound, p)| *bound <= p.ln() + 1e-5), "{decoder:?}");
    }
}

#[test]
fn a_square_has_but_its_own_code_from_an_independent_decoder() {
    for (decoder, alone) in [(Decoder::Independent, true), (Decoder::Convolutional, false)] {
        let (model, _) = tiny(decoder);
        let device = Cpu::default();
        let outputs = |z: Vec<f32>| model.net.decoded(device.tensor_from_vec(z, (4, 3)), 4).as_vec();
        let (one, mut other) = (vec![0.3; 12], vec![0.3; 12]);
        other[..3].fill(-2.0);
        let (one, other) = (outputs(one), outputs(other));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1..] == other[1..], alone, "{decoder:?}");
    }
}

/// Colours of 4, 3 and 5 levels on 4 × 4 pixels, in squares of one pixel, and two levels of codes.
#[test]
fn two_levels_of_codes_see_a_square_and_the_four_around_it() {
    let mut schema = Schema::uniform(&[3, 4, 4], 4);
    schema.variables[16..32].iter_mut().for_each(|v| v.categories = 3);
    schema.variables[32..].iter_mut().for_each(|v| v.categories = 5);
    // Each quarter of a picture has a colour; one of three pictures.
    let code = |picture: usize, place: usize| match (place / 16, place % 4 / 2 + 2 * (place % 16 / 8)) {
        (0, quarter) => (quarter + picture) % 4,
        (1, quarter) => (quarter * picture) % 3,
        (_, quarter) => (quarter + 2 * picture) % 5,
    };
    let codes = (0..24).flat_map(|row| (0..48).map(move |place| code(row % 3, place) as u16)).collect();
    let rows = Discrete::new(schema.clone(), codes).unwrap();
    let config = VqVaeConfig { side: 1, levels: 2, codes: 8, width: 4, hidden: 24, blocks: 1, ..Default::default() };
    let colours = MixtureOfLogistics::new(&[4, 3, 5], 2).unwrap();
    let model = VqVae::new(&Cpu::seed_from_u64(3), &schema, colours.clone(), &config).unwrap();
    let adam = AdamConfig { rate: Schedule::constant(3e-3), clip: Some(100.0), ..Default::default() };
    let mut learner = VqVaeLearner::new(model, &rows, None, adam, Seed(1)).unwrap();
    let mean = |model: &VqVae<_>| model.log_prob_given_codes(&rows).unwrap().iter().sum::<f64>() / 24.0;
    let before = mean(learner.model());
    train(&mut learner, &Plan::new(200, 12, Seed(0)), &mut quiet).unwrap();
    let model = learner.into_model();
    assert!(mean(&model) > before + 30.0, "{before} before, {} after", mean(&model));
    // A code for each square, then one for every four.
    let codes = model.encode(&rows).unwrap();
    assert_eq!((codes.schema().len(), codes.schema().variables[19].categories), (20, 8));
    let decoded = model.decode(&codes).unwrap();
    let wrong = decoded.codes().iter().zip(rows.codes()).filter(|(a, b)| a != b).count();
    assert!(wrong < 48 * 24 / 20, "{wrong} values are wrong");
    assert_eq!((Teacher::parts(&model), Teacher::width(&model)), (16, 8));
    let features = model.features(&rows).unwrap();
    // The upper half of the numbers is the same for the four squares of a code above.
    for [a, b] in [[0, 1], [0, 5], [10, 15]] {
        assert_eq!(features.row(a)[4..], features.row(b)[4..]);
    }
    assert_ne!(features.row(0)[4..], features.row(2)[4..]);
    assert_eq!(model.features_of(&rows, &[2]).unwrap().len(), 16 * 8);
    let prior = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(2)) };
    let prior = prior.fit(&codes, None, Seed(0)).unwrap().0;
    assert!(model.elbo_of(&rows, &prior).unwrap().mean() < mean(&model));
    assert!(model.heads().unwrap_err().to_string().contains("two codes"));
    for (height, config) in [(6, VqVaeConfig { side: 2, ..config }), (4, VqVaeConfig { levels: 3, ..config })] {
        let pictures = Schema::uniform(&[height, 4], 17);
        assert!(VqVae::new(&Cpu::default(), &pictures, DiscretisedLogistic::<17>, &config).is_err());
    }
    let grey = Schema::uniform(&[4, 4], 4);
    let error = VqVae::new(&Cpu::default(), &grey, colours, &VqVaeConfig::default()).unwrap_err().to_string();
    assert!(error.contains("pixels of 3 channels, and pictures of 1"), "{error}");
}

#[test]
fn it_learns_digits_and_uses_its_codes() {
    let digits = shipped::digits().unwrap().discrete();
    let split = Split::random(digits.len(), 0.0, 0.3, Seed(0));
    let (rows, test) = (digits.select(&split.train), digits.select(&split.test));
    let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(100.0), ..Default::default() };
    let config = VqVaeConfig { side: 4, codes: 32, width: 8, hidden: 24, blocks: 1, ..VqVaeConfig::default() };
    let fresh = |seed| {
        VqVae::<DiscretisedLogistic<17>>::new(&Cpu::seed_from_u64(seed), rows.schema(), DiscretisedLogistic, &config)
            .unwrap()
    };
    let mut learner = VqVaeLearner::new(fresh(1), &rows, Some(&test), adam, Seed(0)).unwrap();
    let bits = |model: &VqVae<_>| {
        let mean = model.log_prob_given_codes(&test).unwrap().iter().sum::<f64>() / test.len() as f64;
        -mean / 64.0 / std::f64::consts::LN_2
    };
    let before = bits(learner.model());
    train(&mut learner, &Plan::new(15, 64, Seed(0)), &mut quiet).unwrap();
    let after = bits(learner.model());
    assert!(after < 2.5 && after < before - 0.6, "{before} before, {after} after");
    let codes = learner.model().encode(&rows).unwrap();
    let used = (0..32).filter(|code| codes.codes().contains(code)).count();
    assert!(used >= 24, "{used} of 32 codes are used");
    assert_eq!(learner.model().features(&test).unwrap().len(), 4 * test.len());
    assert_eq!(learner.model().decode(&codes).unwrap().schema(), rows.schema());

    let mut archive = Archive::default();
    Learner::save(&learner, &mut archive);
    let mut again = VqVaeLearner::new(fresh(9), &rows, Some(&test), adam, Seed(0)).unwrap();
    again.load(&archive).unwrap();
    assert_eq!(again.validate().unwrap(), learner.validate().unwrap());
    assert_eq!(again.model().encode(&test).unwrap(), learner.model().encode(&test).unwrap());
}

#[test]
fn what_cannot_be_cut_or_coded_is_refused() {
    let schema = Schema::uniform(&[8, 8], 17);
    let says = |config: VqVaeConfig, what: &str| {
        let error = VqVae::<DiscretisedLogistic<17>>::new(&Cpu::default(), &schema, DiscretisedLogistic, &config)
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{error}");
    };
    says(VqVaeConfig { side: 3, ..Default::default() }, "squares of 3 pixels");
    says(VqVaeConfig { codes: 0, ..Default::default() }, "codes");
    says(VqVaeConfig { hidden: 0, ..Default::default() }, "at least 1 is needed");
    for huge in [usize::MAX, 1 << 40] {
        says(VqVaeConfig { hidden: huge, ..Default::default() }, "the parameters of the autoencoder");
        says(VqVaeConfig { width: huge, ..Default::default() }, "the parameters of the autoencoder");
        says(VqVaeConfig { blocks: huge, ..Default::default() }, "the parameters of the autoencoder");
    }
    says(VqVaeConfig { commitment: f32::NAN, ..Default::default() }, "commitment");
    let model =
        VqVae::<DiscretisedLogistic<17>>::new(&Cpu::default(), &schema, DiscretisedLogistic, &VqVaeConfig::default())
            .unwrap();
    let missing = Discrete::all_missing(schema, 2);
    assert!(model.encode(&missing).unwrap_err().to_string().contains("no missing values"));
}
