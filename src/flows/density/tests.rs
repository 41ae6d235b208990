//! Flows of tables, learned: densities whose entropy is known, runs taken up again, outliers, heavy tails, columns without a
//! density.

use super::*;
use crate::{
    archive::Archive,
    data::{self, Continuous, Oracle},
    flows::{AffineCoupling, BatchNorm, FitFlow, Flow, FlowKind, FlowModel, Maf, Mask, Permute, Rescale, TableBase},
    nn::{
        load_params,
        optim::{AdamConfig, Schedule},
        params,
    },
    random::Seed,
    train::{Clock, Fit, History, Learner, Plan, quiet, train},
};
use dfdx::{
    shapes::Const,
    tensor::{Cpu, TensorFromVec},
};
use rand::RngExt;

type D2 = Const<2>;

fn device() -> Cpu {
    Cpu::seed_from_u64(3)
}

#[test]
fn a_flow_learns_a_density_and_never_beats_its_entropy() {
    let d = device();
    let pair = || {
        let couplings = [Mask::Even, Mask::Odd].map(|mask| AffineCoupling::<D2>::new(&d, Const, 32, mask).unwrap());
        let [even, odd] = couplings;
        (even, odd)
    };
    let oracle = Oracle::Moons;
    let (rows, test) = (oracle.sample(2000, Seed(1)).unwrap(), oracle.sample(4000, Seed(2)).unwrap());
    let adam = AdamConfig { rate: Schedule::constant(3e-3), clip: Some(5.0), ..Default::default() };
    let mut learner =
        FlowLearner::new(&d, Flow::normal((pair(), pair(), pair())), Const::<2>, &rows, None, adam).unwrap();
    let before = oracle.gap(&learner.model().evidence(&test).unwrap());
    train(&mut learner, &Plan::new(40, 200, Seed(3)), &mut quiet).unwrap();
    let evidence = learner.model().evidence(&test).unwrap();
    let gap = oracle.gap(&evidence);
    assert!(gap < 0.25 && gap < before / 3.0, "{before} before, {gap} after");
    assert!(gap > -4.0 * evidence.standard_error(), "better than the best: {gap}");
}

#[test]
fn a_run_that_is_taken_up_again_ends_where_the_whole_one_does() {
    let rows = Oracle::Ring.sample(200, Seed(5)).unwrap();
    let start = || {
        let device = Cpu::seed_from_u64(9);
        let flow = Flow::normal((
            Maf::<D2>::new(&device, Const, 8).unwrap(),
            BatchNorm::<D2>::new(&device, Const).unwrap(),
            Permute::<D2>::reversed(&device, Const).unwrap(),
        ));
        FlowLearner::new(&device, flow, Const::<2>, &rows, None, AdamConfig::default()).unwrap()
    };
    let batch: Vec<usize> = (0..100).collect();
    let clock = |step| Clock { step, steps: 40, epoch: 1, seed: Seed(1) };
    let (mut whole, mut again) = (start(), start());
    for step in 1..=20 {
        whole.step(&batch, &clock(step)).unwrap();
    }
    let mut archive = Archive::default();
    Learner::save(&whole, &mut archive);
    // A look at the model in between settles its statistics; the step after is one of learning all the same.
    again.end().unwrap();
    again.load(&archive).unwrap();
    whole.end().unwrap();
    for learner in [&mut whole, &mut again] {
        learner.step(&batch, &clock(21)).unwrap();
        learner.end().unwrap();
    }
    assert_eq!(params(&whole.model().flow().bijection), params(&again.model().flow().bijection));
    assert_eq!(whole.model().evidence(&rows).unwrap().mean(), again.model().evidence(&rows).unwrap().mean());

    let mut damaged = Archive::default();
    Learner::save(&whole, &mut damaged);
    let order =
        damaged.names().find(|name| name.starts_with("module/") && name.ends_with("order")).unwrap().to_string();
    damaged.put(&order, &[2], &[1.0_f32, 1e20]);
    assert_eq!(again.load(&damaged).unwrap_err().to_string(), "a permutation that is not an order of the columns");
}

#[test]
fn what_a_flow_cannot_read_is_named() {
    let flow = || Flow::normal(Maf::<D2>::new(&device(), Const, 8).unwrap());
    let rows = Oracle::Ring.sample(20, Seed(5)).unwrap();
    let learn = |rows: &Continuous| {
        FlowLearner::new(&device(), flow(), Const::<2>, rows, None, AdamConfig::default()).map(|_| ())
    };
    let error = learn(&rows.columns(&[0])).unwrap_err().to_string();
    assert_eq!(error, "a table of 1 columns; the flow is of 2 coordinates");
    let error = learn(&rows.mask(|row, column| (row, column) == (3, 1))).unwrap_err().to_string();
    assert_eq!(error, "row 3, column y: a flow has no missing values");
}

/// Rows, some for validation, and a flow of few epochs.
fn fitted(kind: FlowKind, rows: &Continuous, valid: Option<&Continuous>, base: TableBase) -> (FlowModel, History) {
    let settings = FitFlow { layers: 3, hidden: 24, epochs: 40, base, ..FitFlow::new(kind) };
    let valid = valid.map(|rows| rows as &dyn data::Rows);
    settings.fit(rows, valid, Seed(4)).unwrap()
}

#[test]
fn one_outlier_among_the_validation_rows_does_not_decide_which_epoch_is_the_best() {
    let (rows, valid, test) = (
        Oracle::Ring.sample(1500, Seed(1)).unwrap(),
        Oracle::Ring.sample(200, Seed(2)).unwrap(),
        Oracle::Ring.sample(2000, Seed(3)).unwrap(),
    );
    let with = |more: &[f64]| {
        let values = (0..valid.len()).flat_map(|i| valid.row(i).to_vec()).chain(more.iter().copied()).collect();
        let valid = Continuous::new(valid.names().to_vec(), values).unwrap();
        let (flow, history) = fitted(FlowKind::Maf, &rows, Some(&valid), TableBase::Normal);
        (flow.evidence(&test).unwrap().mean(), history)
    };
    let ((clean, _), (odd, history)) = (with(&[]), with(&[30.0, -30.0]));
    assert!(odd > clean - 0.15, "{odd} with the outlier, {clean} without");
    assert!(history.epochs().len() > 20, "{}", history.epochs().len());
}

#[test]
fn heavy_tails_are_learned_and_drawn_without_a_number_that_is_none() {
    let mut rng = Seed(6).stream("tails", 0);
    let mut normal = || -> f64 { rng.sample(rand_distr::StandardNormal) };
    let lognormal: Vec<f64> = (0..4 * 500).map(|_| (1.5 * normal()).exp()).collect();
    let student: Vec<f64> =
        (0..4 * 500).map(|_| normal() / ((normal().powi(2) + normal().powi(2)) / 2.0).sqrt()).collect();
    let names: Vec<String> = (0..4).map(|i| format!("x{i}")).collect();
    for values in [lognormal, student] {
        let table = Continuous::new(names.clone(), values).unwrap();
        let (rows, test) = (table.select(&(0..400).collect::<Vec<_>>()), table.select(&(400..500).collect::<Vec<_>>()));
        for (kind, base) in [
            (FlowKind::Maf, TableBase::Normal),
            (FlowKind::MafMog, TableBase::Normal),
            (FlowKind::Maf, TableBase::Student),
            (FlowKind::Made, TableBase::Logistic),
        ] {
            let (flow, _) = fitted(kind, &rows, None, base);
            let drawn = flow.sample(3000, Seed(7)).unwrap();
            assert!((0..drawn.len()).all(|i| drawn.row(i).iter().all(|x| x.is_finite())), "{kind:?}, {base:?}");
            let impossible = flow.evidence(&test).unwrap().log_probs().iter().filter(|p| !p.is_finite()).count();
            assert_eq!(impossible, 0, "{kind:?}, {base:?}");
        }
    }
}

#[test]
fn what_is_far_out_is_finite_where_its_square_is_not() {
    // x ↦ e⁴⁴ x
    let mut stretch = Rescale::<usize>::new(&device(), 2).unwrap();
    let mut arrays = params(&stretch);
    arrays[0].2.fill(44.0);
    load_params(&mut stretch, &arrays).unwrap();
    let flow = Flow::normal(stretch);
    let x = device().tensor_from_vec(vec![10.0, 0.0, 1e30, 0.0], (2, 2));
    let found = flow.sequential().log_probs(x);
    let z = 10.0 * 44.0_f64.exp();
    let want = -z * z / 2.0;
    assert!((found[0] / want - 1.0).abs() < 1e-5, "{} for {want}", found[0]);
    assert_eq!(found[1], f64::NEG_INFINITY, "a coordinate overflows");
}

#[test]
fn a_last_batch_of_one_row_costs_nothing() {
    let test = Oracle::Moons.sample(2000, Seed(3)).unwrap();
    let loss = |n: usize| {
        let rows = Oracle::Moons.sample(n, Seed(1)).unwrap();
        let (flow, _) = fitted(FlowKind::RealNvp, &rows, None, TableBase::Normal);
        -flow.evidence(&test).unwrap().mean()
    };
    let (whole, more) = (loss(1024), loss(1025));
    assert!(more < whole + 0.04, "{whole} for 1024 rows, {more} for 1025");
    let rows = Oracle::Moons.sample(100, Seed(1)).unwrap();
    let error = FitFlow { batch: 1, ..FitFlow::new(FlowKind::Maf) }.fit(&rows, None, Seed(0)).unwrap_err();
    assert!(error.to_string().contains("batches of 1 rows, and the model's statistics need 16"), "{error}");
    FitFlow { batch: 1, epochs: 1, ..FitFlow::new(FlowKind::Spline) }.fit(&rows, None, Seed(0)).unwrap();
}

#[test]
fn columns_without_a_density_are_refused_and_those_with_hardly_one_named() {
    let table = |f: &dyn Fn(usize) -> f64| {
        let values = (0..300).flat_map(|i| [f(i), (i as f64 * 0.37).sin()]).collect();
        Continuous::new(vec!["a".into(), "b".into()], values).unwrap()
    };
    let settings = FitFlow { epochs: 1, ..FitFlow::new(FlowKind::Spline) };
    let error = settings.fit(&table(&|_| 0.1), None, Seed(0)).unwrap_err().to_string();
    assert!(error.starts_with("column a has no spread: all its values that are learned from are 0.1"), "{error}");
    let (_, history) = settings.fit(&table(&|i| (i % 7) as f64), None, Seed(0)).unwrap();
    assert!(history.warnings()[0].starts_with("column a has whole numbers, 7 different ones"), "{history:?}");
    let (_, history) = settings.fit(&table(&|i| (i as f64).cos()), None, Seed(0)).unwrap();
    assert!(history.warnings().is_empty());
}

#[test]
fn a_message_names_the_row_of_the_file_and_not_of_the_part() {
    let rows = Oracle::Ring.sample(40, Seed(5)).unwrap().mask(|row, column| (row, column) == (31, 1));
    let part = data::Subset::new(&rows, vec![7, 31, 2]);
    let flow = Flow::normal(Maf::<D2>::new(&device(), Const, 8).unwrap());
    let whole = Oracle::Ring.sample(40, Seed(5)).unwrap();
    let model = TableFlow::new(&device(), flow, Const::<2>, &whole).unwrap();
    assert_eq!(model.evidence(&part).unwrap_err().to_string(), "row 31, column y: a flow has no missing values");
}
