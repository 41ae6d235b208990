//! Model files, compressed files and graphs that are not what they should be: refused when they are loaded, in one line.

use limbeck::{
    archive::Archive,
    diffusion::{DiffusionKind, FitArgmax, FitDiffusion},
    frame::FitFrame,
    model::{Model, Origin},
    models,
    prelude::*,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Circuits and a flow in files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let codes = (0..40 * 6).map(|i| (i * i % 7 % 3) as u16).collect();
        let rows = Discrete::new(Schema::uniform(&[6], 3), codes).unwrap();
        let rat = Structure::RatSpn { depth: 2, replicas: 2, units: 2, layer: limbeck::circuits::SumProduct::Tucker };
        for (name, structure) in [("hclt", Structure::hclt(2)), ("rat-spn", rat)] {
            let settings = FitCircuit { epochs: 1, ..FitCircuit::new(structure) };
            settings.fit(&rows, None, Seed(0)).unwrap().0.save(folder.path().join(name), &rows).unwrap();
        }
        for kind in DiffusionKind::ALL {
            let settings =
                FitDiffusion { width: 8, heads: 2, blocks: 1, steps: 4, epochs: 1, ..FitDiffusion::new(kind) };
            let model = settings.fit(&rows, None, Seed(0)).unwrap().0;
            (&model as &dyn Model).save(folder.path().join(kind.name()), &Origin::of(&rows).unwrap()).unwrap();
        }
        let settings = FitArgmax { width: 8, encoder_width: 8, heads: 2, epochs: 1, ..FitArgmax::default() };
        let model = settings.fit(&rows, None, Seed(0)).unwrap().0;
        (&model as &dyn Model).save(folder.path().join("argmax-flow"), &Origin::of(&rows).unwrap()).unwrap();
        let pictures = Discrete::new(Schema::uniform(&[12, 12], 3), (0..288).map(|i| i * i % 3).collect()).unwrap();
        let settings =
            FitFrame { levels: 2, filters: 2, updates: 2, side: 6, sweeps: 2, walks: 2, ..FitFrame::default() };
        let texture = settings.fit(&pictures, None, Seed(0)).unwrap().0;
        (&texture as &dyn Model).save(folder.path().join("frame"), &Origin::of(&pictures).unwrap()).unwrap();
        let moons = Oracle::Moons.sample(60, Seed(0)).unwrap();
        let settings = FitFlow { layers: 1, hidden: 4, epochs: 1, ..FitFlow::new(FlowKind::Rbig) };
        settings.fit(&moons, None, Seed(0)).unwrap().0.save(folder.path().join("rbig"), &moons).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The message of loading a model whose header and arrays were changed, checksum and all.
    fn refused(&self, name: &str, change: impl FnOnce(&mut Value, &mut Archive)) -> String {
        let mut archive = Archive::load(self.path(name)).unwrap();
        let mut header: Value = archive.header().unwrap();
        change(&mut header, &mut archive);
        archive.set_header(&header).unwrap();
        let path = self.path("changed");
        archive.save(&path).unwrap();
        let message = models::load(&path).err().unwrap_or_else(|| panic!("{name} was loaded")).to_string();
        assert!(message.contains("changed") && !message.contains('\n'), "{message}");
        message
    }
}

/// The blocks of a graph whose kind is this.
fn blocks<'a>(header: &'a mut Value, kind: &'a str) -> impl Iterator<Item = &'a mut Value> {
    let blocks = header["body"]["graph"]["blocks"].as_array_mut().unwrap();
    blocks.iter_mut().filter(move |block| block["kind"].get(kind).is_some())
}

#[test]
fn headers_that_do_not_fit_are_refused() {
    let files = Files::new();
    for units in [5, 3, 1 << 15] {
        let message = files.refused("rat-spn", |h, _| blocks(h, "kronecker").next().unwrap()["units"] = units.into());
        assert!(message.contains("of all products of 2 and 2"), "{message}");
    }
    let message = files.refused("hclt", |h, _| {
        let sum = blocks(h, "sum").next().unwrap();
        let child = sum["kind"]["sum"]["children"][0].clone();
        sum["kind"]["sum"]["children"] = json!([child.clone(), child]);
    });
    assert!(message.contains("is its child twice"), "{message}");
    let many = 1_u64 << 40;
    let message = files.refused("hclt", |h, _| h["body"]["graph"]["variables"] = many.into());
    assert!(message.contains("1099511627776 variables"), "{message}");
    files.refused("hclt", |h, _| h["schema"]["shape"] = json!([many]));
    files.refused("hclt", |h, _| h["schema"]["shape"] = json!([many, many]));
    files.refused("hclt", |h, _| h["schema"]["variables"][0]["categories"] = many.into());
    let message = files.refused("hclt", |h, _| h["schema"]["variables"][0]["words"] = json!(["p"]));
    assert!(message.contains("3 categories and 1 words"), "{message}");
    files.refused("hclt", |h, _| drop(h["body"]["leaves"].as_array_mut().unwrap().pop()));
    files.refused("hclt", |h, _| h["body"]["leaves"][0] = "gaussian".into());
    let message = files.refused("hclt", |h, _| h["family"] = "boltzmann".into());
    assert!(message.contains("this program knows circuit, flow, frame"), "{message}");
    let message = files.refused("rbig", |h, _| h["body"]["frame"][0] = json!([0.0, 0.0]));
    assert!(message.contains("mean and deviation"), "{message}");
    files.refused("rbig", |h, _| h["body"]["layers"] = many.into());
}

#[test]
fn parameters_that_are_none_are_refused() {
    let files = Files::new();
    let damaged = files.refused("hclt", |_, a| a.put("weights/0/0", &[2, 2], &[0.9_f32, 0.9, 0.5, 0.5]));
    assert!(damaged.contains("not distributions"), "{damaged}");
    files.refused("hclt", |_, a| a.put("weights/0/0", &[2, 2], &[f32::NAN, 0.9, 0.5, 0.5]));
    files.refused("hclt", |_, a| a.put("leaves/0", &[3, 2], &[-1.0_f32, 0.0, 1.0, 0.5, 1.0, 0.5]));
    files.refused("hclt", |_, a| a.put("leaves/0", &[1 << 20, 0], &[] as &[f32]));
    files.refused("hclt", |_, a| a.put("leaves/0/frame", &[3], &[0.0, 1.0, f64::NAN]));
    let turned = files.refused("rbig", |_, a| {
        let name = "flow/0.1.matrix";
        let mut matrix: Vec<f32> = a.get(name, &[2, 2]).unwrap();
        matrix[0] *= 3.0;
        a.put(name, &[2, 2], &matrix);
    });
    assert!(turned.contains("not orthogonal"), "{turned}");
}

/// A hundred megabytes of weights, all absent, in a few kilobytes.
#[test]
fn a_file_that_promises_more_than_it_holds_is_refused_before_anything_is_made() {
    let files = Files::new();
    let units = 4096;
    let message = files.refused("hclt", |header, archive| {
        let mut blocks = vec![json!({"kind": {"input": {"variable": 0, "leaf": 0}}, "units": units})];
        *archive = Archive::default();
        archive.put("leaves/0", &[1, units], &vec![1.0_f32; units]);
        archive.put("history", &[0, 6], &[] as &[f64]);
        for set in 0..30 {
            let last = blocks.len() - 1;
            blocks.push(json!({"kind": {"sum": {"children": [last], "weights": set}}, "units": units}));
            blocks.push(json!({"kind": {"product": {"children": [last + 1]}}, "units": units}));
            archive.put(&format!("weights/{set}/0/places"), &[0], &[] as &[u64]);
            archive.put(&format!("weights/{set}/0/values"), &[0], &[] as &[f32]);
        }
        blocks.pop();
        header["schema"] = json!({"variables": [{"name": "x0", "categories": 1}], "shape": [1]});
        header["body"] = json!({"leaves": ["categorical"], "graph": {"variables": 1, "blocks": blocks}});
    });
    assert!(message.contains("most of them absent, in a file of"), "{message}");
}

#[test]
fn a_sum_does_not_have_the_same_child_twice() {
    let mut graph = Graph::new(2);
    let parts = [graph.input(0, 2).unwrap(), graph.input(1, 2).unwrap()];
    let product = graph.product(&parts).unwrap();
    assert!(graph.clone().sum(&[product, product], 2).unwrap_err().to_string().contains("sum of both weights"));
    let (a, b) = (graph.sum(&[product], 2).unwrap(), graph.clone());
    assert!(graph.sum(&[a, a], 1).is_err() && b.blocks().len() == 4);
}

fn limbeck(folder: &Path, line: &str) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_limbeck"));
    command.args(line.split_whitespace()).current_dir(folder).output().unwrap()
}

#[test]
fn every_bit_of_a_compressed_file_is_guarded() {
    let files = Files::new();
    let folder = files.0.path();
    let values: Vec<u8> = (0..60).map(|i| (i * 5 % 3) as u8).collect();
    limbeck::data::load::write_npy(files.path("rows.npy"), &[10, 6], &values).unwrap();
    let done = limbeck(folder, "compress hclt --data rows.npy --out small");
    assert!(done.status.success(), "{done:?}");
    let small = std::fs::read(files.path("small")).unwrap();
    for bit in (0..8 * small.len()).step_by(37) {
        let mut flipped = small.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(files.path("flipped"), flipped).unwrap();
        let done = limbeck(folder, "decompress hclt --data flipped --out again.npy");
        assert_eq!(done.status.code(), Some(1), "bit {bit}");
        assert!(!files.path("again.npy").exists(), "bit {bit}");
    }
}

#[test]
fn diffusion_models_that_do_not_fit_are_refused() {
    let files = Files::new();
    for kind in DiffusionKind::ALL.map(DiffusionKind::name) {
        let body = |key: &'static str, value: Value| files.refused(kind, move |header, _| header["body"][key] = value);
        for huge in [1_u64 << 40, u64::MAX] {
            ["width", "blocks", "heads", "steps", "draws"].into_iter().for_each(|key| drop(body(key, huge.into())));
        }
        for key in ["width", "blocks", "heads", "draws"] {
            assert!(body(key, 0.into()).contains(key));
        }
        body("network", "mind".into());
        body("fall", 3.into());
        body("width", 16.into());
        files.refused(kind, |h, _| {
            h["schema"]["variables"].as_array_mut().unwrap().iter_mut().for_each(|v| v["categories"] = 5.into());
        });
        files.refused(kind, |h, _| h["schema"]["variables"][0]["categories"] = 5.into());
        assert!(files.refused(kind, |_, a| a.put("network/output.scale", &[1], &[f32::NAN])).contains("NaN"));
        files.refused(kind, |_, a| a.put("network/output.scale", &[2], &[1.0_f32, 1.0]));
    }
}

#[test]
fn argmax_flows_that_do_not_fit_are_refused() {
    let files = Files::new();
    let refused = |change: &dyn Fn(&mut Value, &mut Archive)| files.refused("argmax-flow", |h, a| change(h, a));
    let body = |key: &'static str, value: Value| refused(&|header, _| header["body"][key] = value.clone());
    for key in ["width", "encoder_width", "blocks", "heads", "couplings", "draws"] {
        for huge in [1_u64 << 40, u64::MAX] {
            body(key, huge.into());
        }
        assert!(body(key, 0.into()).contains(key));
    }
    body("lift", "crane".into());
    body("lift", "bits".into());
    body("density", "map".into());
    body("width", 16.into());
    refused(&|h, _| h["schema"]["variables"][0]["categories"] = 5.into());
    let nan = |archive: &mut Archive| {
        let name = archive.names().find(|name| name.ends_with("log_det") || name.contains("scale")).map(String::from);
        let name = name.or_else(|| archive.names().find(|name| name.starts_with("flow/")).map(String::from)).unwrap();
        let (shape, n) = (archive.shape(&name).unwrap().to_vec(), archive.get_all::<f32>(&name).unwrap().len());
        archive.put(&name, &shape, &vec![f32::NAN; n]);
    };
    assert!(refused(&|_, a| nan(a)).contains("NaN"));
}

#[test]
fn textures_that_do_not_fit_are_refused() {
    let files = Files::new();
    let refused = |change: &dyn Fn(&mut Value, &mut Archive)| files.refused("frame", |h, a| change(h, a));
    let body = |key: &'static str, value: Value| refused(&|header, _| header["body"][key] = value.clone());
    for (key, values) in [
        ("levels", [0_u64, 1, 1 << 40]),
        ("sweeps", [0, 1 << 40, 1 << 62]),
        ("walks", [0, 1, 1 << 40]),
        ("stops", [0, 1 << 40, 1 << 62]),
    ] {
        for value in values {
            assert!(body(key, value.into()).contains(key));
        }
    }
    assert!(body("levels", 4.into()).contains("a law of 4 levels for pixels of 3"));
    body("borders", "sphere".into());
    assert!(refused(&|h, _| h["body"]["features"][0]["windows"] = 3.into()).contains("3 windows"));
    refused(&|h, _| h["body"]["features"][0]["size"] = json!([1_u64 << 40, 1_u64 << 40]));
    refused(&|h, _| h["body"]["features"][0]["origin"] = json!([9, 9]));
    refused(&|h, _| h["body"]["features"][0]["bins"] = json!({ "octaves": { "scale": 0.3 } }));
    refused(&|h, _| h["body"]["features"][0]["bins"] = json!({ "even": { "low": 0, "width": 1, "count": 1 << 20 } }));
    refused(&|h, _| h["schema"]["shape"] = json!([144]));
    assert!(refused(&|_, a| a.put("potential/0", &[31], &[f64::NAN; 31])).contains("NaN"));
    refused(&|_, a| a.put("potential/0", &[30], &[0.0; 30]));
    refused(&|_, a| a.put("filter/0/0", &[1, 1], &[f64::INFINITY]));
}

#[test]
fn settings_beyond_any_memory_are_refused_before_work_begins() {
    let files = Files::new();
    let folder = files.0.path();
    std::fs::write(folder.join("t.csv"), "a,b\n1,2\n2,4\n3,1\n0,0\n1.5,2.25\n").unwrap();
    std::fs::write(folder.join("c.csv"), "a,b\n1,2\n2,1\n0,1\n0,0\n1,2\n").unwrap();
    let pictures = Discrete::new(Schema::uniform(&[24, 24], 8), (0..576).map(|i| i % 8).collect()).unwrap();
    save_discrete(folder.join("p.npy"), &pictures).unwrap();
    let huge = "9223372036854775807";
    for line in [
        format!("fit maf --data t.csv --out m --hidden {huge}"),
        "fit maf --data t.csv --out m --hidden 65536 --layers 65536".into(),
        format!("fit maf --data t.csv --out m --layers {huge}"),
        format!("fit real-nvp --data t.csv --out m --batch {huge} --epochs {huge}"),
        format!("fit hclt --leaf gaussian --data t.csv --out m --states {huge}"),
        "fit hclt --leaf gaussian --data t.csv --out m --states 65536".into(),
        "fit hclt --leaf gaussian --data t.csv --out m --epochs 6148914691236517206 --batch 1".into(),
        format!("fit rat-spn --leaf gaussian --data t.csv --out m --depth {huge}"),
        format!("fit rat-spn --leaf gaussian --data t.csv --out m --replicas {huge}"),
        format!("fit multinomial --data c.csv --out m --width {huge}"),
        format!("fit multinomial --data c.csv --out m --blocks {huge}"),
        format!("fit absorbing --data c.csv --out m --steps {huge}"),
        format!("fit absorbing --data c.csv --out m --draws {huge}"),
        format!("fit absorbing --data c.csv --out m --network perceptron --width {huge}"),
        "fit gaussian-diffusion --data c.csv --out m --epochs 6148914691236517206 --batch 1".into(),
        format!("fit frame --data p.npy --out m --updates {huge}"),
        "fit frame --data p.npy --out m --side 4096 --chains 1024 --filters 58".into(),
    ] {
        let done = limbeck(folder, &line);
        let message = String::from_utf8_lossy(&done.stderr);
        assert!(matches!(done.status.code(), Some(1 | 2)) && message.starts_with("error: "), "{line}: {message}");
        assert!(!folder.join("m").exists());
    }
}
