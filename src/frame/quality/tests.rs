//! Distances that are known.

use super::*;
use crate::{data::shipped, frame::samplers::Chains, random::Seed};
use dfdx::tensor::Cpu;

fn texture(name: &str) -> Pictures {
    Pictures::of(&shipped::texture(name).unwrap().discrete()).unwrap()
}

#[test]
fn the_kernel_distance_of_normal_laws_is_its_closed_form() {
    // With a kernel of width w, E k(x, y) for x ~ N(0, 1), y ~ N(m, 1) is √(w² / (w² + 2)) exp(−m² / 2 (w² + 2)).
    let of = |seed, mean: f32| {
        let points = Chains::<f32>::normal(1500, 1, 1.0, Seed(seed)).unwrap();
        points.points().iter().map(|x| x + mean).collect::<Vec<f32>>()
    };
    let (x, y) = (of(1, 0.0), of(2, 1.0));
    let found = squared_mmd(&x, &y, 1).unwrap();
    // |x − x′|² is 2 χ²₁, whose median is 2 · 0.4549; half of that is w².
    let w2: f64 = 0.4549;
    let closed = 2.0 * (w2 / (w2 + 2.0)).sqrt() * (1.0 - (-1.0 / (2.0 * (w2 + 2.0))).exp());
    assert!((found - closed).abs() < 0.02, "{found} for {closed}");
    assert!(squared_mmd(&x, &of(3, 0.0), 1).unwrap().abs() < 0.005);
    assert!(squared_mmd(&[0.0; 4], &x, 1).is_err() && squared_mmd(&x, &[0.0], 1).is_err());
    assert!(squared_mmd(&x, &[f32::NAN, 0.0], 1).is_err() && squared_mmd(&x, &x, 0).is_err());
}

#[test]
fn histograms_of_the_same_are_alike_and_of_others_not() {
    let (grass, brick, bank) = (texture("grass"), texture("brick"), Bank::small());
    let of = |pictures: &Pictures, seed| pictures.crops(40, 6, Seed(seed)).unwrap();
    let one = of(&grass, 0);
    assert_eq!(histogram_distance(&bank, &one, &one).unwrap(), 0.0);
    let same = histogram_distance(&bank, &one, &of(&grass, 1)).unwrap();
    let other = histogram_distance(&bank, &one, &of(&brick, 1)).unwrap();
    assert!(same < 0.1 && other > 2.0 * same, "{same}, {other}");
    // One filter, by hand: black and white apart in everything.
    let flat = |value| Pictures::new(one.grid(), vec![value; one.grid().dims()]).unwrap();
    let alone = Bank::new(vec![crate::frame::Filter::intensity()]);
    assert_eq!(histogram_distance(&alone, &flat(-1.0), &flat(1.0)).unwrap(), 1.0);
    let tiny = grass.crops(1, 1, Seed(0)).unwrap();
    assert!(histogram_distance(&Bank::new(bank.filters()[40..].to_vec()), &tiny, &tiny).is_err());
}

#[test]
fn a_classifier_learns_and_scores_what_it_knows() {
    let kinds = [("brick", texture("brick")), ("grass", texture("grass")), ("gravel", texture("gravel"))];
    let classifier = Classifier::learn(&kinds, 24, 250, Seed(0)).unwrap();
    let mut all = Vec::new();
    for (class, (name, pictures)) in kinds.iter().enumerate() {
        let crops = pictures.crops(24, 60, Seed(5)).unwrap();
        let right = classifier.words(&crops).unwrap().iter().filter(|w| w[class] > 0.5).count();
        assert!(right > 45, "{name}: {right} of 60");
        // Of one kind it says always the same.
        assert!(classifier.score(&crops).unwrap() < 1.5);
        all.extend_from_slice(crops.values());
    }
    let grid = Grid { channels: 1, height: 24, width: 24 };
    let score = classifier.score(&Pictures::new(grid, all.clone()).unwrap()).unwrap();
    assert!(score > 1.6 && score <= 3.0, "{score}");
    // Its filters respond to like pictures alike.
    let (device, crops) = (Cpu::default(), |name: usize, seed| kinds[name].1.crops(24, 60, Seed(seed)).unwrap());
    let filters = classifier.filters(&device, grid).unwrap();
    let apart = |a: &Pictures, b: &Pictures| response_distance(&device, &filters, a, b).unwrap();
    assert_eq!(apart(&crops(0, 1), &crops(0, 1)), 0.0);
    assert!(apart(&crops(0, 1), &crops(1, 1)) > 3.0 * apart(&crops(0, 1), &crops(0, 2)));
    let other = kinds[0].1.crops(20, 2, Seed(0)).unwrap();
    assert!(classifier.words(&other).is_err() && response_distance(&device, &filters, &other, &other).is_err());
    assert!(Classifier::learn(&kinds[..1], 24, 1, Seed(0)).is_err());
}
