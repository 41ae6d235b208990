//! The model against its law, its file, and what it must refuse.

use super::*;
use crate::{
    frame::Proof,
    model::Origin,
    train::{Fit, Run, quiet},
};

/// Pictures of 3 × 3 pixels of 4 levels, of which the law has 2.
fn tiny() -> FrameModel {
    let of = |filter, least| Feature::new(filter, Bins::whole(least, 1).unwrap(), 2).unwrap();
    let features = [of(Filter::intensity(), 0), of(Filter::gradient_x(), -1)];
    let law = Frame::uniform(2, Borders::Torus).unwrap();
    let mut law = features.into_iter().fold(law, |law, feature| law.with(feature).unwrap());
    law.set_potentials(vec![vec![0.0, 0.4], vec![0.5, 0.0, 0.2]]).unwrap();
    FrameModel { law, schema: Schema::uniform(&[3, 3], 4), sweeps: 30, walks: 400, stops: 30 }
}

#[test]
fn scores_are_the_law_s_and_say_how_sure_they_are() {
    let model = tiny();
    let codes = vec![0, 1, 2, 3, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 2, 2, 2];
    let rows = Discrete::new(model.schema.clone(), codes.clone()).unwrap();
    let AnyEvidence::Estimate(found) = model.score(&rows, Seed(1)).unwrap() else { panic!("an estimate") };
    let proof = Proof::new(&model.law, [3, 3]).unwrap();
    let logs = proof.log_probs(&model.law);
    let exact = |codes: &[u16]| {
        let pixels: Vec<u8> = codes.iter().map(|c| (c / 2) as u8).collect();
        logs[proof.index_of(&pixels)] - 9.0 * 2.0_f64.ln()
    };
    let (low, high) = found.interval();
    for (row, log_prob) in found.log_probs().iter().enumerate() {
        let want = exact(&codes[row * 9..row * 9 + 9]);
        assert!((log_prob - want).abs() < 0.05, "{log_prob} for {want}");
    }
    let want = codes.chunks(9).map(exact).sum::<f64>() / 2.0;
    assert!(low <= want && want <= high && high - low < 0.3, "{want} in {low} to {high}");
}

#[test]
fn no_picture_is_likelier_than_certain_where_walks_from_noise_never_come() {
    // A law of chequerboards: two of 65,536 pictures have nearly all of the probability, and no sweep goes from one to the other.
    let of = |filter| Feature::new(filter, Bins::whole(-1, 1).unwrap(), 2).unwrap();
    let law = [Filter::gradient_x(), Filter::gradient_y()].into_iter();
    let mut law = law.fold(Frame::uniform(2, Borders::Torus).unwrap(), |law, filter| law.with(of(filter)).unwrap());
    law.set_potentials(vec![vec![0.0, 9.0, 0.0]; 2]).unwrap();
    let model = FrameModel { law, schema: Schema::uniform(&[4, 4], 2), sweeps: 5, walks: 4, stops: 5 };
    let rows = Discrete::new(model.schema.clone(), (0..16).map(|v| (v / 4 + v) % 2).collect()).unwrap();
    let exact = -(2.0_f64.ln());
    for seed in 0..20 {
        let AnyEvidence::Estimate(found) = model.score(&rows, Seed(seed)).unwrap() else { panic!("an estimate") };
        let (low, high) = found.interval();
        assert!(found.log_probs()[0] <= 0.0 && high <= 0.0, "{} in {low} to {high}", found.log_probs()[0]);
        assert!(low <= exact && exact <= high, "{low} to {high}");
    }
}

#[test]
fn all_pictures_together_have_a_probability_of_one() {
    let model = FrameModel { schema: Schema::uniform(&[3, 3], 2), ..tiny() };
    let all = (0..1 << 9).flat_map(|i| (0..9).map(move |pixel| i >> pixel & 1)).collect();
    let rows = Discrete::new(model.schema.clone(), all).unwrap();
    for seed in 0..5 {
        let AnyEvidence::Estimate(found) = model.score(&rows, Seed(seed)).unwrap() else { panic!("an estimate") };
        let sum: f64 = found.log_probs().iter().map(|log_prob| log_prob.exp()).sum();
        assert!(sum > 0.95 && sum < 1.0 + 1e-9, "{sum}");
    }
}

#[test]
fn samples_are_as_the_law_says() {
    let model = tiny();
    let Dataset::Discrete(rows) = model.sample(4000, Seed(2)).unwrap() else { panic!("categories") };
    let proof = Proof::new(&model.law, [3, 3]).unwrap();
    let mean = proof.moments(&model.law).mean;
    let mut bright = [0.0; 4];
    (0..rows.len()).for_each(|i| rows.row(i).iter().for_each(|code| bright[usize::from(*code)] += 1.0 / 4000.0));
    // Counts of nine pixels with a deviation of some 2: the error of 4000 of them is 0.03.
    assert!((bright[2] + bright[3] - mean[1]).abs() < 0.13, "{bright:?} for {mean}");
    assert!((bright[2] - bright[3]).abs() < 0.13 && (bright[0] - bright[1]).abs() < 0.13);
}

#[test]
fn it_comes_back_from_its_file_and_a_run_goes_on_where_it_stopped() {
    let grass = crate::data::shipped::texture("grass").unwrap().discrete();
    let settings = FitFrame { filters: 3, updates: 4, side: 20, sweeps: 3, walks: 2, ..FitFrame::default() };
    let (model, history) = settings.fit(&grass, None, Seed(5)).unwrap();
    assert_eq!(history.records().len(), 12);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    (&model as &dyn Model).save(&path, &Origin::of(&grass).unwrap()).unwrap();
    let again = FrameModel::of_file(&ModelFile::open(&path).unwrap()).unwrap();
    assert_eq!(again.law, model.law);
    let point = folder.path().join("point");
    for stop in [5, 12] {
        let mut watch = |progress: &crate::train::Progress| match progress.step == stop {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        };
        let checkpoint =
            crate::train::Checkpoint { path: point.clone(), every: std::time::Duration::MAX, resume: true };
        let run = Run { checkpoint: Some(checkpoint), ..Run::new(Seed(5), &mut watch) };
        let (resumed, _) = settings.fit_with(&grass, None, run).unwrap();
        assert_eq!(resumed.law == model.law, stop == 12);
    }
    // The same numbers as another picture, or as one of more levels.
    let resumed = |shape: &[usize], categories: usize| {
        let schema = Schema::uniform(shape, categories);
        let codes = (0..grass.len()).flat_map(|row| grass.row(row).to_vec()).collect();
        let rows = Discrete::new(schema, codes).unwrap();
        let mut watch = quiet;
        let checkpoint =
            crate::train::Checkpoint { path: point.clone(), every: std::time::Duration::MAX, resume: true };
        let run = Run { checkpoint: Some(checkpoint), ..Run::new(Seed(5), &mut watch) };
        settings.fit_with(&rows, None, run).map(|_| ()).unwrap_err().to_string()
    };
    let [height, width] = size_of(grass.schema()).unwrap();
    let levels = grass.schema().variables[0].categories;
    let turned = resumed(&[height / 2, 2 * width], levels);
    assert!(turned.contains(&format!("of {} × {} pixels", height / 2, 2 * width)), "{turned}");
    assert!(resumed(&[height, width], 2 * levels).contains(&format!("of {} levels", 2 * levels)));
    let mut quiet = quiet;
    let seven = FitFrame { filters: 70, ..settings.clone() };
    assert!(seven.fit_with(&grass, None, Run::new(Seed(0), &mut quiet)).is_err());
}

#[test]
fn what_are_no_grey_pictures_is_refused() {
    let settings = FitFrame { filters: 1, updates: 1, side: 8, ..FitFrame::default() };
    let says = |shape: &[usize], categories: usize, code: u16| {
        let n = shape.iter().product();
        let rows = Discrete::new(Schema::uniform(shape, categories), vec![code; n]).unwrap();
        settings.fit(&rows, None, Seed(0)).map(|_| ()).unwrap_err().to_string()
    };
    assert!(says(&[3, 8, 8], 256, 0).contains("colour"));
    assert!(says(&[64], 256, 0).contains("not pictures"));
    assert!(says(&[8, 8], 4, 0).contains("--levels 4 or fewer"));
    assert!(says(&[8, 8], 256, MISSING).contains("pixel 0 is missing"));
    assert!(says(&[8, 8], 1, 0).contains("two levels"));
    let many = FitFrame { filters: 9, ..settings.clone() };
    let rows = Discrete::new(Schema::uniform(&[4, 4], 256), vec![0; 16]).unwrap();
    let error = many.fit(&rows, None, Seed(0)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("3 are no larger than the images"), "{error}");
    assert!(settings.fit(&rows, None, Seed(0)).is_ok());
    assert!(settings.estimate(&rows, 1).is_ok());
    let dark = Discrete::new(Schema::uniform(&[4, 4], 4), vec![0; 16]).unwrap();
    assert!(settings.estimate(&dark, 1).unwrap_err().to_string().contains("--levels 4 or fewer"));
}
