//! Fuzz targets: files and settings, changed at random, are read or refused in one line. No change ends in a panic.
//!
//! `LIMBECK_FUZZ=100 cargo test --release --test fuzz` tries a hundred times as many; `LIMBECK_FUZZ_SEED` tries others. A failure
//! names the target and its case, and the same seed finds it again.

use limbeck::{
    Error, Result,
    archive::Archive,
    data::{
        Coding, Loaded, Reading,
        load::{write_npy, write_npz},
        load_with,
    },
    diffusion::{DiffusionKind, FitArgmax, FitDiffusion},
    frame::FitFrame,
    model::{Model, Origin},
    models,
    prelude::*,
    random::Stream,
    train::Run,
};
use rand::RngExt;
use serde_json::Value;
use std::{
    fs,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().expect(name))
}

/// Runs a target on as many cases as are asked for. Each draws its own change.
fn fuzz(target: &str, cases: u64, mut case: impl FnMut(&mut Stream, &Path) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let seed = Seed(number("LIMBECK_FUZZ_SEED", 0));
    let (mut read, mut refused) = (0, 0);
    for i in 0..cases * number("LIMBECK_FUZZ", 1) {
        let mut rng = seed.stream(target, i);
        match catch_unwind(AssertUnwindSafe(|| case(&mut rng, folder.path()))) {
            Ok(Ok(())) => read += 1,
            Ok(Err(error)) => {
                refused += 1;
                let message = error.to_string();
                assert!(!message.is_empty() && !message.contains('\n'), "{target}, case {i}: {message:?}");
            }
            Err(_) => panic!("{target}: case {i} of seed {} panics", seed.0),
        }
    }
    assert!(read > 0 && refused > 0, "{target}: {read} read and {refused} refused: the changes reach nothing");
}

fn pick<'a, T>(from: &'a [T], rng: &mut Stream) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Numbers at which programs stumble.
const EDGES: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551615",
    "1e308",
    "-1e-320",
    "nan",
    "inf",
    "x",
];

/// A few small changes anywhere: bits, bytes, runs left out or repeated, digits replaced, the rest cut off.
fn changed(bytes: &[u8], rng: &mut Stream) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        let to = (at + rng.random_range(1..24)).min(bytes.len());
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = *pick(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b',', b'"', b'-'], rng),
            2 => drop(bytes.drain(at..to)),
            3 => {
                let run = bytes[at..to].to_vec();
                bytes.splice(at..at, run);
            }
            4 => bytes.truncate(at),
            5 => {
                let digit = (0..bytes.len()).map(|i| (at + i) % bytes.len()).find(|i| bytes[*i].is_ascii_digit());
                let digit = digit.unwrap_or(at);
                bytes.splice(digit..=digit, pick(&EDGES, rng).bytes());
            }
            _ => {
                let value: u32 = *pick(&[0, 1, u32::MAX, i32::MAX as u32, 1 << 16], rng);
                bytes[at..].iter_mut().zip(value.to_le_bytes()).for_each(|(b, v)| *b = v);
            }
        }
    }
    bytes
}

/// One value somewhere inside replaced, left out, or repeated.
fn changed_json(value: &mut Value, rng: &mut Stream) {
    let go_on = rng.random_range(0..8) > 0;
    match value {
        Value::Array(items) if go_on && !items.is_empty() => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..12) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => changed_json(&mut items[at], rng),
            }
        }
        Value::Object(map) if go_on && !map.is_empty() => {
            let key = map.keys().nth(rng.random_range(0..map.len())).cloned().unwrap();
            match rng.random_range(0..12) {
                0 => drop(map.remove(&key)),
                _ => changed_json(map.get_mut(&key).unwrap(), rng),
            }
        }
        _ => {
            let edge = *pick(&EDGES, rng);
            *value = serde_json::from_str(edge).unwrap_or_else(|_| Value::String(edge.into()));
        }
    }
}

/// An archive with its header or one of its arrays changed, its checksum right.
fn changed_archive(archive: &Archive, rng: &mut Stream) -> Archive {
    let mut archive = archive.clone();
    if rng.random_range(0..3) > 0 {
        let mut header: Value = archive.header().unwrap();
        changed_json(&mut header, rng);
        archive.set_header(&header).unwrap();
        return archive;
    }
    let names: Vec<String> = archive.names().map(String::from).collect();
    let name = pick(&names, rng).clone();
    let mut shape = archive.shape(&name).unwrap().to_vec();
    let odd = *pick(&[0.0, -1.0, 1.0, 1e30, f64::NAN, f64::INFINITY, 0.5], rng);
    if rng.random_range(0..4) == 0 && !shape.is_empty() {
        let axis = rng.random_range(0..shape.len());
        shape[axis] = rng.random_range(0..2 * shape[axis] + 2);
    }
    let length = shape.iter().product::<usize>();
    if let Ok(mut values) = archive.get_all::<f32>(&name) {
        values.resize(length, odd as f32);
        if let Some(last) = values.last_mut() {
            *last = odd as f32;
        }
        archive.put(&name, &shape, &values);
    } else if let Ok(mut values) = archive.get_all::<f64>(&name) {
        values.resize(length, odd);
        if let Some(last) = values.last_mut() {
            *last = odd;
        }
        archive.put(&name, &shape, &values);
    }
    archive
}

fn rows() -> Discrete {
    Discrete::new(Schema::uniform(&[6], 3), (0..40 * 6).map(|i| (i * i % 7 % 3) as u16).collect()).unwrap()
}

#[test]
fn data_files() {
    let folder = tempfile::tempdir().unwrap();
    let (npy, npz) = (folder.path().join("a.npy"), folder.path().join("a.npz"));
    let codes: Vec<u8> = (0..24).map(|i| i % 5).collect();
    write_npy(&npy, &[6, 4], &codes).unwrap();
    write_npz(&npz, &[("rows", &[6, 4], &codes)]).unwrap();
    let mut idx = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    idx.extend(&codes);
    let png = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile/palette.png")).unwrap();
    let seeds: Vec<(&str, Vec<u8>)> = vec![
        ("a.npy", fs::read(&npy).unwrap()),
        ("a.npz", fs::read(&npz).unwrap()),
        ("a.csv", b"name,age,\"in, quotes\"\nAnna,31,0.5\n\"B\"\"b\",,1e3\nC,007,-2\n".to_vec()),
        ("a.tsv", b"x\ty\n1\t2\n3\t\n".to_vec()),
        ("a.csv", b"x;y\n1,5;2\n3;4\n".to_vec()),
        ("a-idx3-ubyte", idx),
        ("a.png", png),
    ];
    fuzz("data files", 3000, |rng, folder| {
        let (name, bytes) = pick(&seeds, rng);
        let path = if *name == "a.png" {
            fs::create_dir_all(folder.join("images")).unwrap();
            fs::write(folder.join("images").join(name), changed(bytes, rng)).unwrap();
            folder.join("images")
        } else {
            fs::write(folder.join(name), changed(bytes, rng)).unwrap();
            folder.join(name)
        };
        let reading = Reading { delimiter: *pick(&[None, None, Some(b';')], rng), ..Reading::default() };
        let loaded: Loaded = load_with(&path, &reading)?;
        let reals = loaded.continuous(None);
        let coded = loaded.discrete(Coding::Learn(None));
        reals.map(drop).or(coded.map(drop))
    });
}

/// What a model that was loaded is asked.
fn ask(model: &dyn Model) -> Result<()> {
    let drawn = model.sample(3, Seed(0))?;
    model.score(&drawn, Seed(0)).map(drop)
}

#[test]
fn model_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let rows = rows();
    let rat = Structure::RatSpn { depth: 2, replicas: 2, units: 2, layer: SumProduct::Tucker };
    let mut names = Vec::new();
    for leaf in [Leaf::Categorical, Leaf::Binomial, Leaf::DiscretisedLogistic] {
        for structure in [Structure::hclt(2), rat.clone()] {
            let settings = FitCircuit { epochs: 1, leaf, ..FitCircuit::new(structure) };
            names.push(format!("circuit {}", names.len()));
            let circuit = settings.fit(&rows, None, Seed(0)).unwrap().0;
            circuit.save(at(names.last().unwrap()), &rows).unwrap();
        }
    }
    let moons = Oracle::Moons.sample(60, Seed(0)).unwrap();
    let gaussian = FitCircuit { epochs: 1, ..FitCircuit::new(Structure::hclt(2)) }.reals();
    names.push("gaussian".into());
    gaussian.fit(&moons, None, Seed(0)).unwrap().0.save(at("gaussian"), &moons).unwrap();
    for kind in FlowKind::ALL {
        let settings = FitFlow { layers: 1, hidden: 4, epochs: 1, ..FitFlow::new(kind) };
        names.push(kind.name().into());
        settings.fit(&moons, None, Seed(0)).unwrap().0.save(at(kind.name()), &moons).unwrap();
    }
    for kind in DiffusionKind::ALL {
        let settings = FitDiffusion { width: 8, heads: 2, blocks: 1, steps: 4, epochs: 1, ..FitDiffusion::new(kind) };
        let model = settings.fit(&rows, None, Seed(0)).unwrap().0;
        names.push(kind.name().into());
        (&model as &dyn Model).save(at(kind.name()), &Origin::of(&rows).unwrap()).unwrap();
    }
    let settings = FitArgmax { width: 8, encoder_width: 8, heads: 2, couplings: 2, epochs: 1, ..FitArgmax::default() };
    let model = settings.fit(&rows, None, Seed(0)).unwrap().0;
    names.push("argmax-flow".into());
    (&model as &dyn Model).save(at("argmax-flow"), &Origin::of(&rows).unwrap()).unwrap();
    let pictures = (0..3 * 144).map(|i| (i * i % 11 % 4) as u16).collect();
    let pictures = Discrete::new(Schema::uniform(&[12, 12], 4), pictures).unwrap();
    let settings = FitFrame { levels: 2, filters: 2, updates: 2, side: 6, sweeps: 2, walks: 2, ..FitFrame::default() };
    names.push("frame".into());
    let texture = settings.fit(&pictures, None, Seed(0)).unwrap().0;
    (&texture as &dyn Model).save(at("frame"), &Origin::of(&pictures).unwrap()).unwrap();
    let archives: Vec<Archive> = names.iter().map(|name| Archive::load(at(name)).unwrap()).collect();
    let files: Vec<Vec<u8>> = names.iter().map(|name| fs::read(at(name)).unwrap()).collect();
    fuzz("model files", 2000, |rng, folder| {
        let path = folder.join("model");
        match rng.random_range(0..4) {
            0 => {
                let file = pick(&files, rng);
                fs::write(&path, changed(file, rng)).unwrap();
            }
            _ => changed_archive(pick(&archives, rng), rng).save(&path)?,
        }
        ask(&*models::load(&path)?.0)
    });
}

#[test]
fn checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (rows, moons) = (rows(), Oracle::Moons.sample(60, Seed(0)).unwrap());
    let circuit = FitCircuit { epochs: 3, batch: 16, ..FitCircuit::new(Structure::hclt(2)) };
    let flow = FitFlow { layers: 1, hidden: 4, epochs: 3, batch: 32, ..FitFlow::new(FlowKind::Maf) };
    let fit = |which: usize, path: &Path, watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>| -> Result<()> {
        let checkpoint = Some(Checkpoint { path: path.into(), every: std::time::Duration::ZERO, resume: true });
        let run = Run { checkpoint, ..Run::new(Seed(0), watch) };
        match which {
            0 => circuit.fit_with(&rows, Some(&rows), run).map(drop),
            _ => flow.fit_with(&moons, Some(&moons), run).map(drop),
        }
    };
    let whole: Vec<Archive> = (0..2)
        .map(|which| {
            let path = folder.path().join(which.to_string());
            let mut stop = |p: &Progress| if p.step >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            fit(which, &path, &mut stop).unwrap();
            Archive::load(path).unwrap()
        })
        .collect();
    fuzz("checkpoints", 300, |rng, folder| {
        let (which, path) = (rng.random_range(0..2), folder.join("checkpoint"));
        changed_archive(&whole[which], rng).save(&path)?;
        fit(which, &path, &mut quiet)
    });
}

#[test]
fn compressed_files() {
    let rows = rows();
    let circuit = FitCircuit::new(Structure::hclt(2)).fit(&rows, None, Seed(0)).unwrap().0;
    let bytes = circuit.compress(&rows).unwrap();
    fuzz("compressed files", 3000, |rng, _| {
        // Now and then nothing is changed.
        let given = if rng.random_range(0..8) == 0 { bytes.clone() } else { changed(&bytes, rng) };
        let back = circuit.decompress(&given)?;
        assert!(back == rows, "other rows than were compressed");
        Ok(())
    });
}

#[test]
fn settings() {
    let entries = models::entries();
    let documents: Vec<String> = entries.iter().map(|entry| entry.document(&entry.usual)).collect();
    fuzz("settings", 2000, |rng, _| {
        let which = rng.random_range(0..entries.len());
        let text = String::from_utf8_lossy(&changed(documents[which].as_bytes(), rng)).into_owned();
        let table: toml::Table = text.parse().map_err(|_| Error::Usage("not TOML".into()))?;
        entries[which].settings(&table, &|_| "settings.toml".into()).map(drop)
    });
}
