//! Models of a user's rows: fitted, written, read, asked.

use super::*;
use crate::{
    data::{MISSING, Text},
    model::Origin,
    models,
    random::Seed,
    train::Fit,
};

/// A text of which every third character is decided by the two before it.
fn rows() -> Discrete {
    let text: String = (0..400).flat_map(|i: usize| ["abc", "bca", "cab"][i * i % 3].chars()).collect();
    Text::<3>::new(&text, "abc").unwrap().windows(6).unwrap()
}

fn tiny(kind: DiffusionKind) -> FitDiffusion {
    FitDiffusion { width: 16, blocks: 1, heads: 2, epochs: 12, rate: 5e-3, draws: 4, ..FitDiffusion::new(kind) }
}

fn fitted(settings: &FitDiffusion) -> DiffusionModel {
    settings.fit(&rows(), None, Seed(1)).unwrap().0
}

#[test]
fn every_kind_is_fitted_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    for kind in DiffusionKind::ALL {
        for network in [NetworkKind::Transformer, NetworkKind::Perceptron] {
            let settings = FitDiffusion { network, ..tiny(kind) };
            let model = fitted(&settings);
            let score = model.score(&rows(), Seed(2)).unwrap();
            assert_eq!(score.certainty(), "lower_bound");
            let bits = score.bits_per_dim().unwrap();
            assert!(bits < 1.4, "{} {bits}", model);
            let (low, high) = score.interval().unwrap();
            assert!(low < score.mean() && score.mean() < high);
            let path = folder.path().join("model");
            (&model as &dyn Model).save(&path, &Origin::of(&rows()).unwrap()).unwrap();
            let (read, _) = models::load(&path).unwrap();
            assert_eq!(read.score(&rows(), Seed(2)).unwrap().log_probs(), score.log_probs());
            assert_eq!(read.sample(5, Seed(3)).unwrap(), model.sample(5, Seed(3)).unwrap());
            assert_eq!((read.kind(), read.parameters()), (Model::kind(&model), model.parameters()));
        }
    }
}

#[test]
fn maps_are_fitted_by_a_u_net() {
    // Halves of maps with a border that moves.
    let map =
        |i: usize| (0..32).map(move |at| u16::from(at % 8 > i % 7) + u16::from(at / 8 > i % 4)).collect::<Vec<u16>>();
    let maps = Discrete::new(Schema::uniform(&[4, 8], 3), (0..120).flat_map(map).collect()).unwrap();
    for kind in [DiffusionKind::Multinomial, DiffusionKind::Absorbing] {
        let settings = FitDiffusion { network: NetworkKind::UNet, width: 8, blocks: 2, batch: 12, ..tiny(kind) };
        let (model, _) = settings.fit(&maps, None, Seed(1)).unwrap();
        let bits = model.score(&maps, Seed(2)).unwrap().bits_per_dim().unwrap();
        assert!(bits < 1.0, "{model} {bits}");
        assert_eq!(model.sample(2, Seed(1)).unwrap().schema().shape, [4, 8]);
    }
    let error = FitDiffusion { network: NetworkKind::UNet, ..tiny(DiffusionKind::Multinomial) };
    let error = error.fit(&rows(), None, Seed(0)).err().unwrap().to_string();
    assert!(error.contains("a U-Net is of maps"), "{error}");
}

#[test]
fn a_row_in_order_comes_back_byte_for_byte_at_the_size_it_is_likely() {
    let model = fitted(&tiny(DiffusionKind::Absorbing));
    let queries = model.queries().unwrap();
    // The last row ends before the others.
    let data = rows().mask(|row, v| row + 1 == rows().len() && v > 2);
    let dataset = Dataset::Discrete(data.clone());
    let packed = queries.compress(&dataset).unwrap();
    assert_eq!(queries.decompress(&packed).unwrap(), dataset);
    let order = crate::diffusion::Order::left_to_right(6);
    let exact = model.absorbing().unwrap().in_order(&data, &order).unwrap();
    let bits = -exact.log_probs().iter().sum::<f64>() / std::f64::consts::LN_2;
    let found = 8.0 * packed.len() as f64;
    assert!(found < bits + 8.0 * 120.0 && found > bits, "{found} for {bits}");
    // Its bound is below the likelihood of the order, on average, for a model of text that runs from left to right.
    let damaged: Vec<u8> = packed.iter().enumerate().map(|(i, b)| if i == 60 { b ^ 1 } else { *b }).collect();
    assert!(queries.decompress(&damaged).is_err());
    assert!(queries.decompress(&packed[..30]).is_err());
    let other = fitted(&FitDiffusion { epochs: 1, ..tiny(DiffusionKind::Absorbing) });
    assert!(other.queries().unwrap().decompress(&packed).unwrap_err().to_string().contains("another model"));
    let multinomial = fitted(&FitDiffusion { epochs: 1, ..tiny(DiffusionKind::Multinomial) });
    let error = multinomial.queries().unwrap().compress(&dataset).unwrap_err().to_string();
    assert!(error.contains("multinomial does not answer compress"), "{error}");
}

#[test]
fn what_is_missing_is_filled_in_and_what_is_wrong_is_found() {
    for kind in [DiffusionKind::Multinomial, DiffusionKind::Absorbing] {
        let model = fitted(&FitDiffusion { epochs: 40, ..tiny(kind) });
        let queries = model.queries().unwrap();
        let holes = rows().mask(|_, v| v == 1);
        let filled = queries.complete(&Dataset::Discrete(holes.clone()), Seed(1)).unwrap();
        let filled = filled.discrete().unwrap();
        let right = (0..filled.len()).filter(|row| filled.row(*row) == rows().row(*row)).count();
        assert!(right * 10 > filled.len() * 6, "{kind:?}: {right} of {}", filled.len());
        // One wrong character in every row.
        let wrong: Vec<u16> =
            rows().codes().iter().enumerate().map(|(i, c)| if i % 6 == 4 { (c + 1) % 3 } else { *c }).collect();
        let wrong = Discrete::new(rows().schema().clone(), wrong).unwrap();
        let mut found = 0;
        let mut each = |row: usize, v: usize, p: &[f64]| {
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let best = (0..3).max_by(|a, b| p[*a].total_cmp(&p[*b])).unwrap();
            found += usize::from(v == 4 && best == rows().row(row)[4] as usize);
            Ok(())
        };
        queries.corrections(&Dataset::Discrete(wrong.clone()), 0.15, &mut each).unwrap();
        assert!(found * 10 > wrong.len() * 5, "{kind:?}: {found} of {}", wrong.len());
        assert!(queries.corrections(&Dataset::Discrete(wrong), 0.0, &mut |_, _, _| Ok(())).is_err());
    }
}

#[test]
fn a_conditional_of_an_absorbing_model_is_what_its_network_says() {
    let model = fitted(&tiny(DiffusionKind::Absorbing));
    let row = Discrete::new(rows().schema().clone(), vec![0, MISSING, 2, 0, 1, MISSING]).unwrap();
    let mut seen = vec![];
    let mut each = |_: usize, v: usize, p: &[f64]| {
        seen.push((v, p.to_vec()));
        Ok(())
    };
    model.queries().unwrap().conditionals(&row, &[0, 1], &mut each).unwrap();
    assert_eq!(seen[0], (0, vec![1.0, 0.0, 0.0]));
    assert!((seen[1].1.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn impossible_settings_and_rows_are_refused() {
    let kind = DiffusionKind::Multinomial;
    let says = |settings: FitDiffusion| settings.check().unwrap_err().to_string();
    assert!(says(FitDiffusion { heads: 3, ..tiny(kind) }).contains("3 heads do not divide a width of 16"));
    assert!(says(FitDiffusion { steps: 1 << 40, ..tiny(kind) }).contains("steps"));
    assert!(
        says(FitDiffusion { steps: 0, times: crate::diffusion::Times::Importance, ..tiny(kind) })
            .contains("continuous")
    );
    assert!(says(FitDiffusion { steps: 0, ..tiny(DiffusionKind::Gaussian) }).contains("steps ≥ 1"));
    assert!(says(FitDiffusion { rate: f64::NAN, ..tiny(kind) }).contains("rate"));
    assert!(says(FitDiffusion { draws: 0, ..tiny(kind) }).contains("draws"));
    let cosine = FitDiffusion { schedule: crate::diffusion::Fall::Cosine, ..tiny(DiffusionKind::Absorbing) };
    assert!(says(cosine).contains("cosine-of-paper"));
    let same = Discrete::new(Schema::uniform(&[2], 1), vec![0; 8]).unwrap();
    let error = tiny(DiffusionKind::Gaussian).fit(&same, None, Seed(0)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("every value is the same"), "{error}");
    let mut schema = Schema::uniform(&[2], 3);
    schema.variables[1].categories = 4;
    let mixed = Discrete::new(schema, vec![0, 3]).unwrap();
    let error = tiny(kind).fit(&mixed, None, Seed(0)).err().unwrap().to_string();
    assert!(error.contains("--categories"), "{error}");
    let wide = FitDiffusion { width: 1 << 40, heads: 1, ..tiny(kind) };
    assert!(wide.fit(&rows(), None, Seed(0)).is_err());
    let one = Discrete::new(Schema::uniform(&[3], 1), vec![0; 12]).unwrap();
    let model = tiny(kind).fit(&one, None, Seed(0)).unwrap().0;
    assert!(model.score(&one, Seed(0)).unwrap().mean().abs() < 1e-9);
}
