//! Flows of images: bits a dimension, and what they draw.

use crate::{
    Result,
    data::{Images, shipped},
    experiments::Lab,
    flows::{
        ActNorm, AffineCoupling, Bijection, Blocks, Elementwise, Grid, Householder, ImageFlow, ImageLearner, Inverse,
        Logistic, Mask, Mixture, Permute, Stack, mint_net, multi_scale,
    },
    nn::optim::{AdamConfig, Schedule},
    notebook::Budget,
    plot::{Table, Tiles},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::{
    nn::{NumParams, TensorCollection},
    tensor::Cpu,
};

/// A row of the table.
struct Found {
    images: &'static str,
    flow: &'static str,
    parameters: usize,
    lambda: f64,
    /// Nats in the space of the logits.
    logits: f64,
    bits: f64,
    error: f64,
}

/// Training, validation and test images, and where they come from.
struct Set<const C: usize, const H: usize, const W: usize> {
    name: &'static str,
    parts: [Images<C, H, W>; 3],
    epochs: u64,
    /// Width of the networks.
    hidden: usize,
}

/// Every flow of images on digits, and at the full scale on Fashion-MNIST.
pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut found = Vec::new();
    let digits = shipped::digits()?;
    let part = |range: std::ops::Range<usize>| digits.select(&range.collect::<Vec<_>>());
    let parts = [part(0..1297), part(1297..1497), part(1497..1797)];
    every(lab, &Set { name: "digits", parts, epochs: lab.budget.pick(15, 200), hidden: 16 }, &mut found)?;
    if lab.budget == Budget::Full {
        let (train, test) = shipped::fashion_mnist()?;
        let part = |range: std::ops::Range<usize>| train.select(&range.collect::<Vec<_>>());
        let held = train.len() / 10;
        let parts = [part(0..train.len() - held), part(train.len() - held..train.len()), test];
        every(lab, &Set { name: "fashion", parts, epochs: 20, hidden: 24 }, &mut found)?;
    }
    let table = Table::new()
        .text("images", found.iter().map(|r| r.images))?
        .text("flow", found.iter().map(|r| r.flow))?
        .counts("parameters", found.iter().map(|r| r.parameters))?
        .numbers("λ", found.iter().map(|r| r.lambda))?
        .numbers("nats in logit space", found.iter().map(|r| r.logits))?
        .numbers("bits a dimension", found.iter().map(|r| r.bits))?
        .numbers("standard error (bits)", found.iter().map(|r| r.error))?;
    lab.table("flows-images", table);
    Ok(())
}

fn every<const C: usize, const H: usize, const W: usize>(
    lab: &mut Lab,
    set: &Set<C, H, W>,
    found: &mut Vec<Found>,
) -> Result<()> {
    let device = &Cpu::seed_from_u64(lab.seed.0);
    let grid = Grid { channels: C, height: H, width: W };
    let d = grid.dims();
    let mut tiles = Tiles::new(&format!("{} and what flows draw", set.name), 12, 40);
    tiles = tiles.with("data", &set.parts[2].discrete())?;
    let norm = || ActNorm::new(device, d);
    let coupling = |mask| AffineCoupling::<usize>::new(device, d, 8 * set.hidden, mask);
    let plain = (0..4).map(|_| Ok((norm()?, coupling(Mask::Odd)?, coupling(Mask::Even)?))).collect::<Result<_>>()?;
    let plain = Stack::<(ActNorm<usize>, AffineCoupling<usize>, AffineCoupling<usize>)>::new(plain);
    tiles = one(lab, set, ("RealNVP of numbers", 0.05), plain, found, tiles)?;
    for lambda in [0.05, 1e-6] {
        let flow = multi_scale(device, grid, 2, set.hidden, 1)?;
        tiles = one(lab, set, ("RealNVP of scales", lambda), flow, found, tiles)?;
    }
    tiles = one(lab, set, ("MintNet", 0.05), (norm()?, mint_net(device, grid, 2, set.hidden)?), found, tiles)?;
    // Rotations of patches, every second of them straddling the others.
    let layer = |i: usize| {
        let patches = || Permute::patches(device, d, grid, 4, if i.is_multiple_of(2) { 0 } else { 2 });
        let rotation = Householder::new(device, 16 * C, 16 * C, lab.seed.child("rotation", i as u64))?;
        let patchwise = (patches()?, Blocks::new(16 * C, rotation), Inverse(patches()?));
        Ok((Elementwise::<usize, Mixture<Logistic, 8>>::new(device, d)?, patchwise))
    };
    let layers = Stack::new((0..6).map(layer).collect::<Result<_>>()?);
    tiles = one(lab, set, ("Gaussianization of patches", 0.05), layers, found, tiles)?;
    lab.figure(&format!("flows-images-{}", set.name), &tiles)
}

/// Learns one flow, and adds its row to the table and its images to the figure.
fn one<const C: usize, const H: usize, const W: usize, B>(
    lab: &mut Lab,
    set: &Set<C, H, W>,
    (name, lambda): (&'static str, f64),
    bijection: B,
    found: &mut Vec<Found>,
    tiles: Tiles,
) -> Result<Tiles>
where
    B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    lab.say(format!("{name}, {}, λ = {lambda}", set.name));
    let [rows, valid, test] = &set.parts;
    let parameters = bijection.num_trainable_params();
    let model = ImageFlow::new(&Cpu::default(), bijection, lambda, rows.levels())?;
    let steps = set.epochs * rows.len().div_ceil(64) as u64;
    let rate = Schedule::constant(if name.starts_with("Gauss") { 1e-2 } else { 1e-3 }).cosine(steps, 0.02);
    let adam = AdamConfig { rate, clip: Some(5.0), ..AdamConfig::default() };
    let mut learner = ImageLearner::new(model, rows, Some(valid), adam, lab.seed.child("noise", 0))?;
    let plan = Plan { patience: Some(20), ..Plan::new(set.epochs, 64, lab.seed) };
    train(&mut learner, &plan, &mut quiet)?;
    let (model, seed) = (learner.into_model(), Seed(1));
    let evidence = model.evidence(test, seed)?;
    let logits = evidence.mean();
    let bits = evidence.into_dequantised(&model.logits(test, seed)?.1)?;
    found.push(Found {
        images: set.name,
        flow: name,
        parameters,
        lambda,
        logits,
        bits: bits.bits_per_dim()?,
        error: bits.bits_per_dim_error()?,
    });
    tiles.with(&format!("{name}, λ = {lambda}"), &model.sample(12, lab.seed)?.discrete())
}
