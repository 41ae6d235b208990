//! Students against enumeration, and against the teacher that they are.

use super::*;
use crate::{
    circuits::{Circuit, Em, FitCircuit, Leaf, Structure},
    data::{Discrete, Patches, Rows, Schema},
    evidence::{Evidence, Exact, LowerBound, Space},
    nn::optim::AdamConfig,
    random::Seed,
    teachers::{Bernoulli, Decoder, VqVae, VqVaeConfig, VqVaeLearner},
    train::{Fit, Plan, Run, quiet, train},
};
use dfdx::tensor::Cpu;
use rand::RngExt;

/// Pictures of 2 × 4 pixels, each half mostly of one of three kinds, the right one mostly of the kind after the left one.
fn pictures(n: usize) -> Discrete {
    let mut rng = Seed(3).stream("pictures", 0);
    let mut codes = Vec::new();
    for _ in 0..n {
        let kind = rng.random_range(0..3_usize);
        let next = if rng.random_bool(0.8) { (kind + 1) % 3 } else { rng.random_range(0..3) };
        let mut pixel = |kind: usize, at: usize| {
            let own = [[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 1]][kind][at];
            if rng.random_bool(0.1) { 1 - own } else { own }
        };
        for y in 0..2 {
            let row: Vec<u16> = (0..4).map(|x| pixel(if x < 2 { kind } else { next }, 2 * y + x % 2)).collect();
            codes.extend(row);
        }
    }
    Discrete::new(Schema::uniform(&[2, 4], 2), codes).unwrap()
}

fn every() -> Discrete {
    Discrete::new(Schema::uniform(&[2, 4], 2), (0..256 * 8).map(|i: u16| (i / 8) >> (i % 8) & 1).collect()).unwrap()
}

fn run() -> Run<'static> {
    Run::new(Seed(1), Box::leak(Box::new(quiet)))
}

fn student(pictures: &Discrete) -> (Student, Discrete) {
    let patches = Patches::new(pictures.schema(), 2).unwrap();
    let squares = patches.of(pictures).unwrap();
    let mut rng = Seed(5).stream("labels", 0);
    let labels: Vec<u32> = (0..squares.len()).map(|_| rng.random_range(0..3)).collect();
    let part = |heads: usize, seed| {
        let graph = Structure::hclt(2).graph(&squares, Seed(0)).unwrap().with_heads(heads).unwrap();
        Circuit::random(graph, patches.schema(), Leaf::Categorical, Seed(seed)).unwrap()
    };
    let parts = vec![part(2, 7), part(1, 8)];
    let rows = latents(&patches, &labels, 3).unwrap();
    let prior = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(2)) }.fit(&rows, None, Seed(0)).unwrap().0;
    (Student::new(patches, parts, prior).unwrap(), rows)
}

#[test]
fn the_gaps_are_those_of_figure_2() {
    let rows = pictures(60);
    let (student, labels) = student(&rows);
    let lvd = student.lvd_of(&rows, &labels).unwrap();
    let likelihood = student.circuit().unwrap().evidence(&rows).unwrap();
    // The variational gap is the divergence of the labels from the student's own posterior: −log p(z | x), by enumeration.
    let z = Discrete::new(labels.schema().clone(), (0..9).flat_map(|i| [i % 3, i / 3]).collect()).unwrap();
    for row in 0..rows.len() {
        let same = rows.select(&[row; 9]);
        let joint = student.lvd_of(&same, &z).unwrap();
        let total: f64 = joint.log_probs().iter().map(|l| l.exp()).sum();
        assert!((total.ln() - likelihood.log_probs()[row]).abs() < 1e-5);
        let own = (labels.row(row)[0] + 3 * labels.row(row)[1]) as usize;
        let gap = -(joint.log_probs()[own] - total.ln());
        assert!((likelihood.log_probs()[row] - lvd.log_probs()[row] - gap).abs() < 1e-5 && gap >= 0.0);
    }
    let teacher: Vec<f64> = lvd.log_probs().iter().enumerate().map(|(i, l)| l + 0.3 * (i % 5) as f64 - 0.2).collect();
    let rows_of = lvd.rows().unwrap();
    let bound = |values| Evidence::<LowerBound>::new(values, Space::Raw, 8).unwrap();
    let account = Accounting::new(bound(teacher.clone()).of_rows(rows_of), lvd, likelihood.clone()).unwrap();
    let [lost, gained, ahead] = [account.lvd_gap().0, account.variational_gap().0, account.advantage().0];
    assert!((ahead - (gained - lost)).abs() < 1e-10, "{ahead} is not {gained} − {lost}");
    assert!((account.student().mean() - account.teacher().mean() - ahead).abs() < 1e-10);
    // Of other rows there is no account.
    let other = Evidence::<Exact>::new(vec![-1.0; 60], Space::Raw, 8).unwrap();
    assert!(Accounting::new(bound(teacher), account.lvd().clone(), other).is_err());
}

#[test]
fn a_student_that_is_its_teacher_has_no_lvd_gap_and_beats_its_bound() {
    let rows = pictures(300);
    let config = VqVaeConfig { side: 2, codes: 3, width: 4, hidden: 16, blocks: 1, ..VqVaeConfig::default() };
    let teacher = VqVae::<Bernoulli>::new(&Cpu::seed_from_u64(2), rows.schema(), Bernoulli, &config).unwrap();
    let mut learner = VqVaeLearner::new(teacher, &rows, None, AdamConfig::default(), Seed(0)).unwrap();
    train(&mut learner, &Plan::new(20, 50, Seed(0)), &mut quiet).unwrap();
    let teacher = learner.into_model();
    let codes = teacher.encode(&rows).unwrap();
    let prior = FitCircuit { epochs: 10, ..FitCircuit::new(Structure::hclt(3)) }.fit(&codes, None, Seed(0)).unwrap().0;
    let student = Student::new(teacher.patches().clone(), vec![teacher.heads().unwrap()], prior.clone()).unwrap();
    let likelihood = student.circuit().unwrap().evidence(&rows).unwrap();
    let account =
        Accounting::new(teacher.elbo_of(&rows, &prior).unwrap(), student.lvd_of(&rows, &codes).unwrap(), likelihood);
    let account = account.unwrap();
    assert!(account.lvd_gap().0.abs() < 1e-4, "{:?}", account.lvd_gap());
    assert!(account.advantage().0 > 0.0 && account.variational_gap().0 > 0.0);
    let total: f64 = student.circuit().unwrap().log_prob(&every()).unwrap().iter().map(|l| l.exp()).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    let convolutional = VqVaeConfig { decoder: Decoder::Convolutional, ..config };
    let other = VqVae::<Bernoulli>::new(&Cpu::default(), rows.schema(), Bernoulli, &convolutional).unwrap();
    assert!(other.heads().unwrap_err().to_string().contains("convolutional"));
}

#[test]
fn a_prior_learned_from_the_pictures_themselves_raises_their_likelihood() {
    let rows = pictures(300);
    let (mut student, _) = student(&rows);
    let whole = |student: &Student| student.circuit().unwrap().log_prob(&rows).unwrap();
    let soft = student.prior().log_prob(&student.soft(&rows).unwrap()).unwrap();
    let before = whole(&student);
    assert!(soft.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-4), "soft evidence is the whole");
    student.learn_prior(&rows, Some(&rows), (Em::default(), 10, 50), run()).unwrap();
    let mean = |logs: Vec<f64>| logs.iter().sum::<f64>() / logs.len() as f64;
    let [before, after] = [mean(before), mean(whole(&student))];
    assert!(after > before + 0.01, "{before} → {after}");
    // And as a whole it learns on.
    let mut learner = crate::circuits::EmLearner::new(student.circuit().unwrap(), &rows, None, Em::default()).unwrap();
    train(&mut learner, &Plan::new(10, 50, Seed(0)), &mut quiet).unwrap();
    let tuned = mean(learner.into_circuit().log_prob(&rows).unwrap());
    assert!(tuned > after + 0.05, "{after} → {tuned}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let rows = pictures(10);
    let (student, labels) = student(&rows);
    assert!(student.lvd_of(&rows.select(&[0, 1]), &labels).unwrap_err().to_string().contains("2 pictures"));
    let patches = student.patches().clone();
    assert!(latents(&patches, &[0, 1, 3, 0], 3).unwrap_err().to_string().contains("row 1"));
    assert!(latents(&patches, &[0, 1, 2], 3).is_err());
    let one = vec![student.parts()[0].clone()];
    let error = Student::new(patches, one, student.prior().clone()).unwrap_err().to_string();
    assert!(error.contains("3 values for 2 heads"), "{error}");
    let others = Discrete::all_missing(Schema::uniform(&[2, 2], 2), 4);
    assert!(student.soft(&others).is_err());
}
