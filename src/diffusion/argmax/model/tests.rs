use super::*;
use crate::{
    diffusion::LiftKind,
    model::Origin,
    train::{Fit, Run, quiet},
};
use std::ops::ControlFlow;

/// Maps of 4 × 8 cells of three categories, a border that wanders.
fn maps(n: usize) -> Discrete {
    let cell = |i: usize| {
        let (map, row, column) = (i / 32, i / 8 % 4, i % 8);
        (usize::from(column > map % 7) + usize::from(row > map % 3)) as u16
    };
    Discrete::new(Schema::uniform(&[4, 8], 3), (0..n * 32).map(cell).collect()).unwrap()
}

fn settings(lift: LiftKind, density: DensityKind) -> FitArgmax {
    FitArgmax {
        density,
        width: 8,
        encoder_width: 8,
        heads: 2,
        couplings: 2,
        epochs: 6,
        batch: 16,
        draws: 2,
        ..FitArgmax::new(lift)
    }
}

#[test]
fn every_density_and_lift_learns_and_comes_back_from_a_file() {
    let rows = maps(64);
    let folder = tempfile::tempdir().unwrap();
    let densities = [DensityKind::Coupling, DensityKind::Autoregressive, DensityKind::Map];
    let all = LiftKind::ALL.into_iter().zip(densities.into_iter().cycle());
    for (lift, density) in all {
        let settings = settings(lift, density);
        let (model, history) = settings.fit(&rows, None, Seed(1)).unwrap();
        let losses: Vec<f64> = history.records().iter().map(|record| record.loss).collect();
        assert!(losses.last() < losses.first(), "{lift:?}, {density:?}: {losses:?}");
        let path = folder.path().join("model");
        (&model as &dyn Model).save(&path, &Origin::of(&rows).unwrap()).unwrap();
        let again = load(&ModelFile::open(&path).unwrap()).unwrap();
        let bound = model.score(&rows, Seed(2)).unwrap();
        assert_eq!(again.score(&rows, Seed(2)).unwrap().log_probs(), bound.log_probs(), "{lift:?}, {density:?}");
        assert_eq!(again.to_string(), model.to_string());
        assert_eq!(again.parameters(), model.parameters());
        let elbo = model.bound(&rows, 1, Seed(2)).unwrap().mean();
        assert!(model.bound(&rows, 16, Seed(2)).unwrap().mean() > elbo, "{lift:?}, {density:?}");
        // Sampling throws away what stands for nothing, and a flow that has hardly learned has much of that.
        if !matches!(lift, LiftKind::Uniform | LiftKind::Variational | LiftKind::Bits) {
            assert_eq!(model.rows(3, Seed(3)).unwrap().schema(), rows.schema());
            assert_eq!(model.unused(64, Seed(3)), (0.0, 0.0));
        }
    }
}

#[test]
fn a_run_that_is_cut_off_goes_on_to_the_same_bytes() {
    let (rows, folder) = (maps(32), tempfile::tempdir().unwrap());
    let settings = settings(LiftKind::Gumbel, DensityKind::Map);
    let whole = settings.fit(&rows, None, Seed(1)).unwrap().0;
    let path = folder.path().join("run");
    let checkpoint = |resume| Some(crate::train::Checkpoint { path: path.clone(), every: Default::default(), resume });
    let mut steps = 0;
    let mut stop = |_: &crate::train::Progress| {
        steps += 1;
        if steps < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let run = Run { checkpoint: checkpoint(false), ..Run::new(Seed(1), &mut stop) };
    assert_ne!(settings.fit_with(&rows, None, run).unwrap().0.arrays, whole.arrays);
    let mut watch = quiet;
    let run = Run { checkpoint: checkpoint(true), ..Run::new(Seed(1), &mut watch) };
    let resumed = settings.fit_with(&rows, None, run).unwrap().0;
    assert_eq!(resumed.arrays, whole.arrays);
}

#[test]
fn a_file_whose_flow_is_none_is_refused() {
    let settings = FitArgmax { epochs: 1, ..settings(LiftKind::Softplus, DensityKind::Coupling) };
    let model = settings.fit(&maps(16), None, Seed(1)).unwrap().0;
    let with = |name: &str, value: f32| {
        let mut arrays = model.arrays.clone();
        arrays.iter_mut().find(|array| array.0.contains(name)).unwrap().2[0] = value;
        ArgmaxModel::of(model.spec, model.schema.clone(), arrays)
    };
    assert!(with("bias", 0.5).is_ok());
    for value in [0.5, 1.0, 0.0] {
        let is_there = model.arrays.iter().find(|array| array.0.contains("mask")).unwrap().2[0] == value;
        assert_eq!(with("mask", value).is_ok(), is_there, "{value}");
    }
    assert!(with("order", 0.5).is_err());
}

#[test]
fn what_cannot_be_is_refused() {
    let rows = maps(4);
    let refused = |settings: FitArgmax, rows: &Discrete| settings.fit(rows, None, Seed(0)).err().unwrap().to_string();
    let usual = || settings(LiftKind::Softplus, DensityKind::Coupling);
    assert!(refused(FitArgmax { heads: 3, ..usual() }, &rows).contains("3 heads do not divide width = 8"));
    assert!(refused(FitArgmax { couplings: 0, ..usual() }, &rows).contains("couplings"));
    assert!(refused(FitArgmax { draws: 0, ..usual() }, &rows).contains("draws"));
    assert!(refused(FitArgmax { rate: f64::NAN, ..usual() }, &rows).contains("rate"));
    assert!(refused(FitArgmax { couplings: 1 << 40, ..usual() }, &rows).contains("couplings × blocks"));
    assert!(refused(FitArgmax { blocks: 1001, ..usual() }, &rows).contains("1 ≤ value ≤ 1000"));
    let wide = FitArgmax { density: DensityKind::Map, width: 1 << 20, couplings: 500, ..usual() };
    assert!(refused(wide, &rows).contains("the networks of the flow need"));
    let two = Discrete::new(Schema::uniform(&[8], 2), vec![1; 16]).unwrap();
    assert!(refused(FitArgmax { lift: LiftKind::Bits, ..usual() }, &two).contains("--density autoregressive"));
    let texts = Discrete::new(Schema::uniform(&[8], 3), rows.codes().to_vec()).unwrap();
    let map = FitArgmax { density: DensityKind::Map, ..usual() };
    assert!(refused(map, &texts).contains("a flow of maps is of (height, width)"));
    let odd = Discrete::new(Schema::uniform(&[2, 16], 3), rows.codes().to_vec()).unwrap();
    assert!(
        refused(FitArgmax { density: DensityKind::Map, ..usual() }, &odd)
            .contains("multiples of 4: --density coupling")
    );
    let deep = FitArgmax { density: DensityKind::Map, levels: 4, ..usual() };
    assert!(refused(deep, &rows).contains("4 × 8 cannot be halved 3 times: a smaller --levels"));
    let one = Discrete::new(Schema::uniform(&[32], 1), vec![0; 64]).unwrap();
    assert!(refused(usual(), &one).contains("nothing to learn"));
    let mut short = rows.codes().to_vec();
    short[60..64].fill(crate::data::MISSING);
    let short = Discrete::new(rows.schema().clone(), short).unwrap();
    assert!(refused(usual(), &short).contains("row 1 (from 0) ends after 28 of 32 positions"));
    let mut holes = rows.codes().to_vec();
    holes[37] = crate::data::MISSING;
    let holes = Discrete::new(rows.schema().clone(), holes).unwrap();
    assert!(refused(usual(), &holes).contains("row 1, position 5 (both from 0) is missing"));
    let mut watch = quiet;
    let run = Run { gpu: true, ..Run::new(Seed(0), &mut watch) };
    assert!(usual().fit_with(&rows, None, run).err().unwrap().to_string().contains("leave out --gpu"));
}
