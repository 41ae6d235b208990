//! Normalizing flows: on densities whose entropy is known, layer by layer, their cost, and on tables.

pub(super) mod distillation;
pub(super) mod images;
pub(super) mod mint;
pub(super) mod sound;

use super::{Claim, Lab, published};
use crate::{
    Error, Result,
    data::{Oracle, Split, Table as Rows, shipped},
    evidence::{Evidence, Exact, Space},
    flows::{
        AdditiveCoupling, AffineCoupling, Base, Bijection, FitFlow, Flow, FlowKind, FlowLearner, FlowModel, Maf, Moves,
        Normal, Permute, Stack, to_points, to_rows,
    },
    nn::optim::{AdamConfig, Schedule},
    notebook::Scale,
    plot::{Axis, Dots, Lines, Planes, Series, Table},
    random::Seed,
    train::{Plan, quiet, train},
};
use dfdx::{nn::TensorCollection, shapes::Const, tensor::Cpu};
use rand::RngExt;
use std::time::Instant;

type D2 = Const<2>;

/// How far a panel of a density reaches.
fn reach(oracle: Oracle) -> f64 {
    match oracle {
        Oracle::Moons => 2.2,
        Oracle::Checkerboard => 5.0,
        _ => 3.5,
    }
}

/// Training, validation and test rows.
fn rows(lab: &Lab, oracle: Oracle, seed: Seed) -> Result<[Rows; 3]> {
    let train = lab.scale.pick(3000, 20_000);
    Ok([
        oracle.sample(train, seed.child("train", 0))?,
        oracle.sample(train / 5, seed.child("valid", 0))?,
        oracle.sample(10_000, seed.child("test", 0))?,
    ])
}

fn settings(lab: &Lab, kind: FlowKind) -> FitFlow {
    let epochs = if kind == FlowKind::Gaussianization { lab.scale.pick(15, 100) } else { lab.scale.pick(40, 300) };
    FitFlow { epochs, ..FitFlow::new(kind) }
}

/// How far a flow is from the entropy of what it has learned, and the standard error of that.
fn gap(oracle: Oracle, flow: &FlowModel, test: &Rows) -> Result<(f64, f64)> {
    let evidence = flow.evidence(test)?;
    Ok((oracle.gap(&evidence), evidence.standard_error()))
}

/// Every flow on every density of the plane.
pub(super) fn plane(lab: &mut Lab) -> Result<()> {
    let mut pictures = Planes::new("Densities, and what flows have learned of them", Oracle::ALL.len());
    for oracle in Oracle::ALL {
        pictures = pictures
            .density(oracle.name(), reach(oracle), |cells| cells.iter().map(|cell| oracle.log_prob(*cell)).collect());
    }
    let mut found = Vec::new();
    for kind in FlowKind::ALL {
        for oracle in Oracle::ALL {
            lab.say(format!("{}, {}", kind.name(), oracle.name()));
            let [train, valid, test] = rows(lab, oracle, lab.seed)?;
            let (flow, _) = settings(lab, kind).fit(&train, Some(&valid), lab.seed)?;
            let (gap, error) = gap(oracle, &flow, &test)?;
            found.push((kind.name(), oracle.name(), flow.parameters(), oracle.entropy(), gap, error));
            let cells = Rows::new(flow.names().to_vec(), Planes::cells(reach(oracle)).concat())?;
            let log_probs = flow.evidence(&cells)?.log_probs().to_vec();
            pictures = pictures.density(kind.name(), reach(oracle), |_| log_probs);
        }
    }
    lab.figure("flows-plane", &pictures)?;
    let table = Table::new()
        .text("flow", found.iter().map(|r| r.0))?
        .text("density", found.iter().map(|r| r.1))?
        .counts("parameters", found.iter().map(|r| r.2))?
        .numbers("entropy (nats)", found.iter().map(|r| r.3))?
        .numbers("gap to it (nats)", found.iter().map(|r| r.4))?
        .numbers("standard error", found.iter().map(|r| r.5))?;
    lab.table("flows-gaps", table);
    couplings(lab)?;
    gaussianization(lab)
}

/// RealNVP against NICE on five seeds.
fn couplings(lab: &mut Lab) -> Result<()> {
    let mut values = Vec::new();
    for i in 0..5 {
        lab.say(format!("RealNVP and NICE, seed {i}"));
        let seed = lab.seed.child("couplings", i);
        let mut difference = 0.0;
        for oracle in Oracle::ALL {
            let [train, valid, test] = rows(lab, oracle, seed)?;
            let loss = |kind| -> Result<f64> {
                let settings = FitFlow { epochs: lab.scale.pick(15, 300), ..FitFlow::new(kind) };
                Ok(-settings.fit(&train, Some(&valid), seed)?.0.evidence(&test)?.mean())
            };
            difference += (loss(FlowKind::Nice)? - loss(FlowKind::RealNvp)?) / Oracle::ALL.len() as f64;
        }
        values.push(difference);
    }
    let measure = "loss of NICE − loss of RealNVP, mean of five densities of the plane, nats a row";
    lab.claim(Claim::new("RealNVP beats NICE", "Dinh, Sohl-Dickstein and Bengio 2017", measure, &values));
    Ok(())
}

/// The gap after every number of layers, learned and by iteration alone.
fn gaussianization(lab: &mut Lab) -> Result<()> {
    let oracle = Oracle::Moons;
    let fit = |kind, layers, seed: Seed| -> Result<f64> {
        let [train, valid, test] = rows(lab, oracle, seed)?;
        let settings = FitFlow { layers, ..settings(lab, kind) };
        Ok(gap(oracle, &settings.fit(&train, Some(&valid), seed)?.0, &test)?.0)
    };
    let curve = |kind, layers: &[usize]| -> Result<Vec<(f64, f64)>> {
        layers.iter().map(|l| Ok((*l as f64, fit(kind, *l, lab.seed)?))).collect()
    };
    let learned = curve(FlowKind::Gaussianization, &[1, 2, 3, 4, 5])?;
    let iterated = curve(FlowKind::Rbig, &[1, 2, 3, 4, 5, 10, 20, 40])?;
    let values = (0..5).map(|i| {
        let seed = lab.seed.child("gaussianization", i);
        Ok(fit(FlowKind::Rbig, 10, seed)? - fit(FlowKind::Gaussianization, 3, seed)?)
    });
    let values = values.collect::<Result<Vec<f64>>>()?;
    let lines = Lines::new("Gaussianization by learning and by iteration", "layers", "nats above the entropy of moons")
        .axes(Axis::Log, Axis::Linear)
        .markers()
        .with(Series::new("gaussianization", learned))
        .with(Series::new("rbig", iterated));
    lab.figure("flows-gaussianization", &lines)?;
    let sentence = "Gaussianization flows converge in fewer layers than iterative Gaussianization";
    let measure = "gap of 10 iterated layers − gap of 3 learned ones on moons, nats a row";
    lab.claim(Claim::new(sentence, "Meng et al. 2020", measure, &values));
    Ok(())
}

/// A flow of couplings on moons: data, a grid and samples of the base after every layer.
pub(super) fn layers(lab: &mut Lab) -> Result<()> {
    let device = Cpu::seed_from_u64(lab.seed.0);
    let side = |i: usize| if i.is_multiple_of(2) { Moves::Odd } else { Moves::Even };
    let nice = (0..6).map(|i| AdditiveCoupling::<D2>::new(&device, Const, 64, side(i))).collect::<Result<_>>()?;
    walk(lab, "NICE", "flows-layers-nice", Stack::<AdditiveCoupling<D2>>::new(nice))?;
    let real = (0..6).map(|i| AffineCoupling::<D2>::new(&device, Const, 64, side(i))).collect::<Result<_>>()?;
    walk(lab, "RealNVP", "flows-layers-realnvp", Stack::<AffineCoupling<D2>>::new(real))
}

fn walk<B>(lab: &mut Lab, title: &str, name: &str, stack: Stack<B>) -> Result<()>
where
    B: Bijection<D2, f32, Cpu> + TensorCollection<f32, Cpu>,
{
    lab.say(title);
    let rows = Oracle::Moons.sample(lab.scale.pick(3000, 20_000), lab.seed)?;
    let adam = AdamConfig { rate: Schedule::constant(2e-3), clip: Some(5.0), ..AdamConfig::default() };
    let mut learner = FlowLearner::new(Flow::normal(stack), Const::<2>, &rows, None, adam)?;
    train(&mut learner, rows.len(), &Plan::new(lab.scale.pick(40, 300), 128, lab.seed), &mut quiet)?;
    let model = learner.into_model();
    let layers = model.flow().bijection.layers();
    let frame = model.frame();
    let standard = |p: &[f64]| [0, 1].map(|i| (p[i] - frame[i].0) / frame[i].1);
    let data: Vec<[f64; 2]> = (0..300).map(|i| standard(rows.row(i))).collect();
    let base = to_points(&Normal.sample((300, Const), &Cpu::default(), &mut lab.seed.stream("base", 0)));
    let mut pictures =
        Planes::new(&format!("{title} on moons: the data forward, samples back, a grid back"), layers.len() + 1);
    let mut forward = to_rows(&data);
    let mut there = vec![to_points(&forward)];
    for layer in layers {
        forward = layer.forward(forward).0;
        there.push(to_points(&forward));
    }
    let grid = Planes::grid(3.0, 11, 51);
    let mut backward = (to_rows(&base), to_rows(&grid.concat()));
    let mut back = vec![(to_points(&backward.0), to_points(&backward.1))];
    for layer in layers.iter().rev() {
        backward = (layer.inverse(backward.0).0, layer.inverse(backward.1).0);
        back.push((to_points(&backward.0), to_points(&backward.1)));
    }
    for (i, points) in there.into_iter().enumerate() {
        let name = if i == 0 { "data".into() } else { format!("after layer {i}") };
        pictures = pictures.points(&name, 3.5, points);
    }
    back.reverse();
    for (i, (points, _)) in back.iter().enumerate() {
        let name = if i == layers.len() { "base".into() } else { format!("before layer {}", i + 1) };
        pictures = pictures.points(&name, 3.5, points.clone());
    }
    for (_, lines) in &back {
        pictures = pictures.curves("grid", 3.5, lines.chunks_exact(51).map(<[_]>::to_vec));
    }
    lab.figure(name, &pictures)
}

/// Dimensions, and milliseconds of a density, of sampling a unit at a time, and of sampling in passes.
type Times = (usize, f64, f64, f64);

/// Passes of the network, and milliseconds for 100 rows, of MAF both ways.
pub(super) fn cost(lab: &mut Lab) -> Result<()> {
    let mut rounds = Vec::new();
    for i in 0..5 {
        lab.say(format!("both ways, round {i}"));
        rounds.push(times(lab.seed.child("cost", i))?);
    }
    let first = &rounds[0];
    let line = |name: &str, of: fn(&Times) -> f64| {
        Series::new(name, first.iter().map(|r| (r.0 as f64, of(r))).collect::<Vec<_>>())
    };
    let lines = Lines::new("A masked autoregressive flow both ways", "dimensions", "milliseconds for 100 rows")
        .axes(Axis::Log, Axis::Log)
        .markers()
        .with(line("density: one pass", |r| r.1))
        .with(line("sampling: a pass a dimension", |r| r.3))
        .with(line("sampling: each unit once", |r| r.2));
    lab.figure("flows-cost", &lines)?;
    let [density, passes, units] = [|r: &Times| r.1, |r: &Times| r.3, |r: &Times| r.2]
        .map(|of| rounds.iter().map(|round| exponent(round, of)).collect::<Vec<f64>>());
    let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    let table = Table::new()
        .text("direction", ["density", "sampling, a pass a dimension", "sampling, each unit once"])?
        .text("passes of a MAF", ["1", "D", "the work of about 1"])?
        .text("passes of an IAF", ["D", "1", "1"])?
        .numbers("exponent of the time in D, mean of 5 rounds", [mean(&density), mean(&passes), mean(&units)])?;
    lab.table("flows-exponents", table);
    let differences: Vec<f64> = passes.iter().zip(&density).map(|(p, d)| p - d - 0.5).collect();
    let sentence = "A MAF takes one pass for a density and D for a sample, an IAF the reverse";
    let measure = "exponent of the time in D of sampling by passes − that of the density − ½";
    lab.claim(Claim::new(sentence, "Papamakarios et al. 2017; Kingma et al. 2016", measure, &differences));
    Ok(())
}

/// The times of a flow of each number of dimensions.
fn times(seed: Seed) -> Result<Vec<Times>> {
    const ROWS: usize = 100;
    let each = [4, 8, 16, 32, 64].into_iter().map(|d| {
        let device = Cpu::seed_from_u64(seed.0);
        let layer = || Ok::<_, Error>((Maf::<usize>::new(&device, d, 128)?, Permute::reversed(&device, d)?));
        let flow = Flow::normal(Stack::new((0..3).map(|_| layer()).collect::<Result<_>>()?));
        let x = flow.sequential().sample((ROWS, d), &device, seed);
        let density = best(|| drop(flow.log_prob(x.clone())));
        let sample = best(|| drop(flow.bijection.inverse(x.clone())));
        let passes = best(|| drop(flow.bijection.inverse(dfdx::tensor::Trace::leaky_trace(&x))));
        Ok((d, density, sample, passes))
    });
    each.collect()
}

/// The slope of a line through the logarithms of dimensions and times.
fn exponent(times: &[Times], of: fn(&Times) -> f64) -> f64 {
    let points: Vec<(f64, f64)> = times.iter().map(|r| ((r.0 as f64).ln(), of(r).ln())).collect();
    let n = points.len() as f64;
    let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}

/// Milliseconds of the fastest of some runs.
fn best(mut run: impl FnMut()) -> f64 {
    run();
    let time = |_| {
        let began = Instant::now();
        run();
        began.elapsed().as_secs_f64() * 1e3
    };
    (0..15).map(time).fold(f64::INFINITY, f64::min)
}

/// Flows on the real tables that ship, beside what others have published of other tables.
pub(super) fn tables(lab: &mut Lab) -> Result<()> {
    let mut found: Vec<(String, &str, f64, f64, String)> = Vec::new();
    for (name, rows, test) in [satellite(lab)?, patches(lab)?] {
        let split = Split::random(rows.len(), 0.1, 0.0, lab.seed);
        let (train, valid) = (rows.select(&split.train), rows.select(&split.valid));
        let normal = gaussian(&train, &test)?;
        found.push(("a normal distribution".into(), name, normal.mean(), normal.standard_error(), String::new()));
        let mut dots = Dots::new(&format!("Flows on {name}"), "nats a test row");
        dots = dots.with("normal", normal.mean(), normal.standard_error());
        let kinds = FlowKind::ALL.into_iter().filter(|k| lab.scale == Scale::Full || is_quick(*k));
        for kind in kinds.collect::<Vec<_>>() {
            lab.say(format!("{}, {name}", kind.name()));
            let settings = FitFlow { epochs: lab.scale.pick(30, 300), ..FitFlow::new(kind) };
            let (flow, _) = settings.fit(&train, Some(&valid), lab.seed)?;
            let evidence = flow.evidence(&test)?;
            let (mean, error) = (evidence.mean(), evidence.standard_error());
            dots = dots.with(kind.name(), mean, error);
            found.push((kind.name().into(), name, mean, error, flow.parameters().to_string()));
        }
        lab.figure(&format!("flows-{}", name.split(' ').next().unwrap_or(name)), &dots)?;
    }
    let published = published()?;
    let theirs: Vec<_> = published.iter().filter(|p| p.unit == "nats").collect();
    let (ours, none) = (found.len(), theirs.len());
    let table = Table::new()
        .text("model", found.iter().map(|r| r.0.as_str()).chain(theirs.iter().map(|p| p.model.as_str())))?
        .text("table", found.iter().map(|r| r.1).chain(theirs.iter().map(|p| p.data.as_str())))?
        .numbers("nats a test row", found.iter().map(|r| r.2).chain(theirs.iter().map(|p| p.value)))?
        .numbers("standard error", found.iter().map(|r| r.3).chain(std::iter::repeat_n(f64::NAN, none)))?
        .text("parameters", found.iter().map(|r| r.4.as_str()).chain(std::iter::repeat_n("", none)))?
        .text("source", std::iter::repeat_n("measured here", ours).chain(theirs.iter().map(|p| p.source.as_str())))?;
    lab.table("flows-tables", table);
    Ok(())
}

/// Whether it learns a table of dozens of columns within seconds.
fn is_quick(kind: FlowKind) -> bool {
    !matches!(kind, FlowKind::Gaussianization | FlowKind::Rbig)
}

/// Spectral values of the satellite table with uniform noise, as they are whole numbers; its training and test rows.
fn satellite(lab: &Lab) -> Result<(&'static str, Rows, Rows)> {
    let all = shipped::satellite()?;
    let spectral = all.columns(&(0..36).collect::<Vec<_>>()).dequantised(lab.seed);
    let rows = |range: std::ops::Range<usize>| spectral.select(&range.collect::<Vec<_>>());
    Ok(("satellite (36 columns)", rows(0..4435), rows(4435..all.len())))
}

/// Grey patches of 8 × 8 pixels in the manner of BSDS300: uniform noise, values in 0 to 1, the mean of a patch subtracted, the
/// last pixel left out. Patches of one photograph are for training, of the other for testing.
fn patches(lab: &Lab) -> Result<(&'static str, Rows, Rows)> {
    let of = |photo: &str| -> Result<Rows> {
        let images = shipped::photo_patches::<8>(photo)?;
        let mut rng = lab.seed.stream(photo, 0);
        let mut values = Vec::new();
        for i in 0..images.len() {
            let pixels = images.image(i);
            let grey = |p: usize| (0..3).map(|c| f64::from(pixels[c * 64 + p])).sum::<f64>() / 3.0;
            let patch: Vec<f64> = (0..64).map(|p| (grey(p) + rng.random::<f64>()) / 256.0).collect();
            let mean = patch.iter().sum::<f64>() / 64.0;
            values.extend(patch[..63].iter().map(|x| x - mean));
        }
        Rows::new((0..63).map(|i| format!("pixel {i}")).collect(), values)
    };
    Ok(("patches (63 columns)", of("chelsea")?, of("coffee")?))
}

/// Densities of `test` under the normal distribution with the mean and the covariance of `train`.
fn gaussian(train: &Rows, test: &Rows) -> Result<Evidence<Exact>> {
    use nalgebra::{DMatrix, DVector};
    let (n, d) = (train.len(), train.names().len());
    let x = DMatrix::from_fn(n, d, |i, j| train.row(i)[j]);
    let mean: DVector<f64> = x.row_mean().transpose();
    let centred = DMatrix::from_fn(n, d, |i, j| x[(i, j)] - mean[j]);
    let covariance = centred.tr_mul(&centred) / n as f64;
    let factor = covariance.cholesky().ok_or_else(|| Error::invalid("columns that depend on each other linearly"))?;
    let log_det: f64 = factor.l().diagonal().iter().map(|s| s.ln()).sum();
    let log_probs = (0..test.len()).map(|i| {
        let away = DVector::from_fn(d, |j, _| test.row(i)[j] - mean[j]);
        let square = away.dot(&factor.solve(&away));
        -0.5 * (square + d as f64 * std::f64::consts::TAU.ln()) - log_det
    });
    Evidence::new(log_probs.collect(), Space::Continuous, d)
}
