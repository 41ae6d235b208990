//! The command line from end to end, on files a user might bring.

use serde_json::Value;
use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

fn limbeck(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_limbeck")).args(line.split_whitespace()).current_dir(folder).output().unwrap()
}

/// The JSON of a command that succeeds.
fn json(folder: &Path, line: &str) -> Value {
    let output = limbeck(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command that succeeds prints.
fn text(folder: &Path, line: &str) -> String {
    let output = limbeck(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that fails with this status, in one line.
fn failure(folder: &Path, line: &str, status: i32) -> String {
    let output = limbeck(folder, line);
    let message = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
    assert_eq!(output.status.code(), Some(status), "{line}: {message}");
    message
}

/// A table with words, a pattern between its columns, and holes.
fn write_table(folder: &Path, rows: usize) {
    let mut text = String::from("weather,ground,season\n");
    for i in 0..rows {
        let weather = ["rain", "sun", "snow"][i % 3];
        let ground = if i % 7 == 0 { "" } else { ["wet", "dry", "white"][i % 3] };
        text += &format!("{weather},{ground},{}\n", (i / 3) % 4);
    }
    std::fs::write(folder.join("table.csv"), text).unwrap();
}

#[test]
fn a_table_is_fitted_scored_sampled_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 300);
    let fit = json(folder, "fit hclt --data table.csv --out model --states 8 --epochs 60 --seed 3 --json");
    assert_eq!((fit["rows"].as_u64(), fit["variables"].as_u64()), (Some(300), Some(3)));
    let shown = json(folder, "show model --json");
    assert_eq!((&shown["model"], &shown["parameters"]), (&fit["model"], &fit["parameters"]));
    assert_eq!((&shown["settings"]["structure"]["states"], &shown["seed"]), (&Value::from(8), &Value::from(3)));
    assert_eq!((&shown["epochs"], &shown["rows"]), (&fit["epochs"], &Value::from(300)));
    assert_eq!(Value::from(shown["losses"].as_array().unwrap().len()), shown["epochs"]);
    assert_eq!(shown["variables"][1]["name"], "ground");
    let score = json(folder, "score model --data table.csv --json --per-sample each.npy");
    assert!(failure(folder, "score model --data table.csv --draws 3", 2).contains("leave out --draws"));
    assert_eq!(score["n"], 300);
    assert_eq!((score["evidence"].as_str(), score["space"].as_str()), (Some("exact"), Some("raw")));
    let mean = score["mean_log_prob"].as_f64().unwrap();
    // The weather and the season are uniform and independent; the ground follows from the weather.
    let best = -(3.0_f64.ln() + 4.0_f64.ln());
    assert!(mean < best + 0.02 && mean > best - 0.3, "{mean} where {best} is the best");
    let each: ndarray::Array1<f64> = ndarray_npy::read_npy(folder.join("each.npy")).unwrap();
    assert!((each.mean().unwrap() - mean).abs() < 1e-12);

    let asked = json(folder, "query model conditional --given weather=snow --variable ground --json");
    assert_eq!(asked["distributions"][0]["categories"][2], "white");
    assert!(asked["distributions"][0]["probabilities"][2].as_f64().unwrap() > 0.9, "{asked}");
    json(folder, "sample model --n 50 --out drawn.csv --json");
    assert_eq!(json(folder, "score model --data drawn.csv --json")["n"], 50);
    json(folder, "query model inpaint --data table.csv --out whole.csv --json");
    let whole = std::fs::read_to_string(folder.join("whole.csv")).unwrap();
    assert!(whole.lines().nth(1).unwrap().starts_with("rain,") && !whole.contains(",,"));
    json(folder, "query model conditional --data table.csv --out all.npy --json");
    let all: ndarray::Array3<f64> = ndarray_npy::read_npy(folder.join("all.npy")).unwrap();
    assert_eq!(all.shape(), [300, 3, 4]);

    assert_eq!(std::fs::read(folder.join("model")).unwrap(), {
        json(folder, "fit hclt --data table.csv --out again --states 8 --epochs 60 --seed 3 --json");
        std::fs::read(folder.join("again")).unwrap()
    });
}

#[test]
fn scoring_what_is_missing_is_its_marginal() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 120);
    json(folder, "fit hclt --data table.csv --out model --states 3 --epochs 10 --json");
    std::fs::write(folder.join("half.csv"), "weather,ground,season\nrain,,1\n").unwrap();
    let lines: String = ["wet", "dry", "white"].map(|g| format!("rain,{g},1\n")).concat();
    std::fs::write(folder.join("all.csv"), format!("weather,ground,season\n{lines}")).unwrap();
    let marginal = json(folder, "score model --data half.csv --json")["mean_log_prob"].as_f64().unwrap();
    json(folder, "score model --data all.csv --per-sample all.npy --json");
    let joint: ndarray::Array1<f64> = ndarray_npy::read_npy(folder.join("all.npy")).unwrap();
    let sum: f64 = joint.iter().map(|p| p.exp()).sum();
    assert!((marginal - sum.ln()).abs() < 1e-5, "{marginal} against {}", sum.ln());
}

#[test]
fn arrays_of_numbers_mark_what_is_missing_their_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let value = |i: usize| (i % 2 + i / 4 % 2) as f64;
    let reals = ndarray::Array2::from_shape_fn((40, 2), |(r, c)| if r == 3 && c == 1 { f64::NAN } else { value(r) });
    let integers = reals.mapv(|v| if v.is_nan() { -1 } else { v as i64 });
    ndarray_npy::write_npy(folder.join("reals.npy"), &reals).unwrap();
    ndarray_npy::write_npy(folder.join("integers.npy"), &integers).unwrap();
    json(folder, "fit hclt --data reals.npy --out model --states 2 --epochs 5 --json");
    let score = |file: &str| json(folder, &format!("score model --data {file} --json"))["mean_log_prob"].clone();
    assert_eq!(score("reals.npy"), score("integers.npy"));
    assert_eq!(json(folder, "data show integers.npy --json")["missing"], 1);
}

#[test]
fn wrong_usage_is_2_and_wrong_input_is_1_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    failure(folder, "fit", 2);
    failure(folder, "fit hclt --data x.csv", 2);
    failure(folder, "fit vae --data x.csv --out y", 2);
    failure(folder, "query model conditional", 2);
    assert!(failure(folder, "fit hclt --data x.csv --out y", 1).starts_with("error: x.csv: No such file"));
    std::fs::write(folder.join("bad.csv"), "a,b\n1,2\n0,2.5\n").unwrap();
    let message = failure(folder, "fit hclt --data bad.csv --out y", 1);
    assert!(message.starts_with("error: bad.csv, line 3, column b: 2.5 is not a category"), "{message}");
    write_table(folder, 30);
    failure(folder, "fit hclt --data table.csv --out no/such/folder/model", 1);
    json(folder, "fit hclt --data table.csv --out model --states 2 --epochs 2 --json");
    std::fs::write(folder.join("new.csv"), "weather,ground,season\nfog,wet,1\n").unwrap();
    let message = failure(folder, "score model --data new.csv", 1);
    let wanted =
        "error: new.csv, line 2, column weather: fog is not one of the categories rain, snow, sun; `--unseen missing`";
    assert!(message.starts_with(wanted), "{message}");
    assert_eq!(json(folder, "score model --data new.csv --unseen missing --json")["n"], 1);
    std::fs::write(folder.join("few.csv"), "weather,ground\nsun,dry\n").unwrap();
    assert!(failure(folder, "score model --data few.csv", 1).contains("no column called season"));
    assert!(failure(folder, "score table.csv --data table.csv", 1).contains("not a model file"));
    assert!(
        failure(folder, "query model conditional --given wether=sun", 1)
            .contains("the model has weather, ground, season")
    );
    assert!(failure(folder, "figures no-such", 2).contains("circuits-flow, digits"));
    std::fs::write(folder.join("settings.toml"), "epochs = 4\nstetas = 3\n").unwrap();
    let message = failure(folder, "fit hclt --data table.csv --out y --config settings.toml", 1);
    assert!(message.contains("settings.toml") && message.contains("stetas"), "{message}");
    assert!(!folder.join("y").exists());
    failure(folder, "fit hclt --data table.csv --out y --batch 0", 2);
    failure(folder, "fit naive-bayes --data table.csv --out y", 2);
    failure(folder, "fit hclt --data table.csv --out y --class ground", 2);
    failure(folder, "fit chow-liu --data table.csv --out y --states 3", 2);
    failure(folder, "sample model --n 99999999999999 --out x.csv", 1);
    let message = failure(folder, "query model conditional --given weather=sun,weather=snow", 1);
    assert!(message.contains("two values for weather"), "{message}");
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 50);
    let before = std::fs::read(folder.join("table.csv")).unwrap();
    for line in [
        "fit hclt --data table.csv --out table.csv",
        "fit hclt --data table.csv --out model --checkpoint ./table.csv",
        "fit hclt --data table.csv --out model --checkpoint model",
    ] {
        assert!(failure(folder, line, 1).contains("would overwrite"), "{line}");
    }
    json(folder, "fit hclt --data table.csv --out model --states 2 --epochs 2 --json");
    assert!(failure(folder, "sample model --n 3 --out model", 1).contains("would overwrite MODEL"));
    assert!(failure(folder, "score model --data table.csv --per-sample x.csv", 1).contains("written as .npy"));
    assert_eq!(std::fs::read(folder.join("table.csv")).unwrap(), before);
}

#[test]
fn a_compressed_file_comes_back_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 400);
    json(folder, "fit hclt --data table.csv --out model --states 4 --epochs 20 --json");
    let sizes = json(folder, "compress model --data table.csv --out small --json");
    assert!(sizes["bytes"].as_u64().unwrap() * 5 < sizes["bytes_before"].as_u64().unwrap(), "{sizes}");
    json(folder, "decompress model --data small --out again.csv --json");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("again.csv"), read("table.csv"));
    let quoted = String::from_utf8(read("table.csv")).unwrap().replace("sun", "\"sun\"");
    std::fs::write(folder.join("quoted.csv"), quoted).unwrap();
    assert!(failure(folder, "compress model --data quoted.csv --out small", 1).contains("--values"));
    json(folder, "compress model --data quoted.csv --out values --values --json");
    json(folder, "decompress model --data values --out values.csv --json");
    assert_eq!(read("values.csv"), read("table.csv"));
    assert!(failure(folder, "decompress model --data table.csv --out x.csv", 1).contains("limbeck compress"));

    let values: Vec<f32> = (0..300).map(|i| if i % 11 == 0 { f32::NAN } else { (i % 4) as f32 }).collect();
    limbeck::data::load::write_npy(folder.join("reals.npy"), &[50, 6], &values).unwrap();
    json(folder, "fit mixture --data reals.npy --out mixture --states 2 --epochs 5 --json");
    json(folder, "compress mixture --data reals.npy --out small --json");
    json(folder, "decompress mixture --data small --out again.npy --json");
    assert_eq!(read("again.npy"), read("reals.npy"));
}

#[test]
fn what_is_missing_is_completed_and_what_is_useful_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 400);
    for (structure, evidence) in [("hclt", "lower_bound"), ("chow-liu", "exact")] {
        json(folder, &format!("fit {structure} --data table.csv --out model --epochs 20 --json"));
        let best = json(folder, "query model map --given weather=snow --out best.csv --json");
        assert_eq!(best["evidence"], evidence);
        assert!(std::fs::read_to_string(folder.join("best.csv")).unwrap().contains("snow,white"));
        let next = json(folder, "query model next --given season=0 --target ground --json");
        assert_eq!(next["gains"][0]["variable"], "weather", "{next}");
        match structure {
            "chow-liu" => {
                let entropy = json(folder, "query model entropy --json")["entropy"].as_f64().unwrap();
                let same = json(folder, "query model divergence model --json");
                assert!((same["cross_entropy"].as_f64().unwrap() - entropy).abs() < 1e-6, "{same}");
                assert!(same["kl"].as_f64().unwrap().abs() < 1e-6, "{same}");
            }
            _ => assert!(failure(folder, "query model entropy", 1).contains("deterministic")),
        }
        let known = limbeck(folder, "query model moments --given weather=snow,ground=white,season=1");
        assert!(String::from_utf8_lossy(&known.stdout).starts_with("nothing is missing"), "{known:?}");
        let moments = json(folder, "query model moments --given weather=snow,ground=white --json");
        assert_eq!(moments["moments"][0]["variable"], "season");
    }
}

#[test]
fn real_numbers_are_fitted_scored_sampled_and_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = String::from("height,weight\n");
    for i in 0..400 {
        let height = 150.0 + f64::from(i * 37 % 400) / 10.0;
        text += &format!("{height},{}\n", 0.5 * height + f64::from(i * 13 % 7) / 10.0);
    }
    std::fs::write(folder.join("people.csv"), text).unwrap();
    let fit = json(folder, "fit hclt --leaf gaussian --data people.csv --out model --states 8 --epochs 60 --json");
    assert_eq!(fit["variables"], 2);
    let score = json(folder, "score model --data people.csv --json");
    assert_eq!(score["space"], "continuous");
    json(folder, "sample model --n 20 --out drawn.csv --json");
    assert_eq!(json(folder, "score model --data drawn.csv --json")["n"], 20);
    let asked = json(folder, "query model moments --given height=170 --json");
    let mean = asked["moments"][0]["mean"].as_f64().unwrap();
    assert!((mean - 85.3).abs() < 2.0, "{asked}");
    json(folder, "query model inpaint --given height=170 --draws 5 --out whole.csv --json");
    assert!(std::fs::read_to_string(folder.join("whole.csv")).unwrap().lines().skip(1).all(|l| l.starts_with("170,")));
    failure(folder, "query model next --given height=170 --target weight", 2);
    assert!(failure(folder, "compress model --data people.csv --out small", 2).contains("does not answer compress"));
    assert!(failure(folder, "query model moments --given height=tall", 1).contains("tall is not a number"));
    let message = failure(folder, "fit naive-bayes --class 0 --leaf gaussian --data people.csv --out y", 1);
    assert!(message.contains("naive-bayes makes every value a node: it needs categories"), "{message}");
}

#[test]
fn every_structure_is_fitted_scored_and_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pixels: Vec<u8> = (0..40 * 16).map(|i| (i * i % 5 % 3) as u8).collect();
    limbeck::data::load::write_npy(folder.join("images.npy"), &[40, 4, 4], &pixels).unwrap();
    for structure in limbeck::circuits::Structure::NAMES {
        let class = if structure == "naive-bayes" { " --class x3" } else { "" };
        json(folder, &format!("fit {structure} --data images.npy --out {structure} --epochs 2 --json{class}"));
        let score = json(folder, &format!("score {structure} --data images.npy --json"));
        assert!(score["bits_per_dim"].as_f64().unwrap() < 3.0, "{structure}: {score}");
        json(folder, &format!("sample {structure} --n 5 --out drawn.npy --json"));
    }
    let binomial = json(folder, "fit mixture --data images.npy --out binomial --leaf binomial --states 3 --json");
    assert_eq!(binomial["parameters"], 3 + 16 * 3);
}

/// Runs a command and kills it a while after a file of its is there.
fn kill_once(folder: &Path, line: &str, file: &str, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_limbeck"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !folder.join(file).exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{line}: no {file} in a minute");
        sleep(Duration::from_millis(1));
    }
    sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_run_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 900);
    let fit = "fit hclt --data table.csv --states 8 --epochs 80 --batch 64 --valid 0 --seed 5";
    json(folder, &format!("{fit} --out whole --json"));
    for (i, delay) in [20, 60, 150].into_iter().enumerate() {
        let line = format!("{fit} --out part{i} --checkpoint point{i} --checkpoint-every 0 --resume");
        kill_once(folder, &line, &format!("point{i}"), Duration::from_millis(delay));
        assert!(!folder.join(format!("part{i}")).exists(), "killed before its end");
        std::fs::write(folder.join(format!(".point{i}.killed.part")), "half a checkpoint").unwrap();
        json(folder, &format!("{line} --json"));
        let (whole, part) = (std::fs::read(folder.join("whole")), std::fs::read(folder.join(format!("part{i}"))));
        assert!(whole.unwrap() == part.unwrap(), "killed {delay} ms after its first checkpoint");
        let left = std::fs::read_dir(folder).unwrap().filter(|f| f.as_ref().unwrap().path().extension().is_some());
        assert_eq!(left.count(), 1, "only table.csv: what was half written is gone");
    }
}

/// An IDX file of zeros, compressed.
fn write_idx(folder: &Path, name: &str, shape: &[u32]) {
    let mut file =
        flate2::write::GzEncoder::new(std::fs::File::create(folder.join(name)).unwrap(), flate2::Compression::fast());
    file.write_all(&[0, 0, 8, shape.len() as u8]).unwrap();
    shape.iter().for_each(|size| file.write_all(&size.to_be_bytes()).unwrap());
    file.write_all(&vec![0; shape.iter().product::<u32>() as usize]).unwrap();
    file.finish().unwrap();
}

#[test]
fn fashion_mnist_is_installed_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, home) = (folder.path(), folder.path().join("home"));
    let get = || {
        let line = ["data", "get", "fashion-mnist", "--from", "."];
        Command::new(env!("CARGO_BIN_EXE_limbeck"))
            .args(line)
            .current_dir(folder)
            .env("LIMBECK_DATA", &home)
            .output()
            .unwrap()
    };
    write_idx(folder, "train-images-idx3-ubyte.gz", &[60_000, 28, 28]);
    write_idx(folder, "train-labels-idx1-ubyte.gz", &[60_000]);
    write_idx(folder, "t10k-images-idx3-ubyte.gz", &[9_999, 28, 28]);
    let missing = get();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("Fashion-MNIST has [10000, 28, 28]"), "{missing:?}");
    write_idx(folder, "t10k-images-idx3-ubyte.gz", &[10_000, 28, 28]);
    let missing = get();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no t10k-labels-idx1-ubyte"), "{missing:?}");
    assert!(!home.exists(), "nothing is installed before everything is checked");
    write_idx(folder, "t10k-labels-idx1-ubyte.gz", &[10_000]);
    assert!(get().status.success());
    assert_eq!(std::fs::read_dir(home.join("fashion-mnist")).unwrap().count(), 4);
}

#[test]
fn figures_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = json(folder.path(), "figures --list --json");
    assert_eq!(list["figures"][1]["name"], "digits");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_flow_is_fitted_scored_and_sampled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..400)
        .map(|i| {
            let (t, u) = (i as f64 * 0.37, (i * 7 % 40) as f64 / 40.0);
            format!("{:.4},{:.4},{:.4}\n", 100.0 + 10.0 * t.sin(), 5.0 * t.cos() + u, u)
        })
        .collect();
    std::fs::write(folder.join("people.csv"), format!("height,weight,age\n{rows}")).unwrap();
    let fit = json(folder, "fit maf --data people.csv --out model --layers 2 --hidden 16 --epochs 120 --seed 3 --json");
    assert_eq!((fit["rows"].as_u64(), fit["variables"].as_u64()), (Some(400), Some(3)));
    let shown = json(folder, "show model --json");
    assert_eq!((&shown["model"], &shown["parameters"]), (&fit["model"], &fit["parameters"]));
    let score = json(folder, "score model --data people.csv --json");
    // Beside independent normal distributions, deviations 7.1, 3.5 and 0.29: −3.3 −2.7 −0.2 nats.
    assert!(score["mean_log_prob"].as_f64().unwrap() > -6.0, "{score}");
    assert_eq!((score["evidence"].as_str(), score["space"].as_str()), (Some("exact"), Some("continuous")));
    json(folder, "sample model --n 200 --out drawn.csv --json");
    let drawn = std::fs::read_to_string(folder.join("drawn.csv")).unwrap();
    assert!(drawn.starts_with("height,weight,age\n") && drawn.lines().count() == 201);
    std::fs::write(folder.join("settings.toml"), "kind = \"spline\"\nlayers = 1\nhidden = 8\nepochs = 2\n").unwrap();
    json(folder, "fit spline --data people.csv --out spline --config settings.toml --json");
    std::fs::write(folder.join("few.toml"), "layers = 1\nepochs = 1\n").unwrap();
    json(folder, "fit gaussianization --data people.csv --out few --config few.toml --json");
    let shown = json(folder, "show few --json");
    assert_eq!(shown["settings"]["rate"], 0.01, "what is usual for the kind stays: {shown}");
    assert!(shown["settings"].get("hidden").is_none(), "what it has no use for is not shown: {shown}");
    json(folder, "fit rbig --data people.csv --out rbig --json");
    assert!(String::from_utf8(limbeck(folder, "show rbig").stdout).unwrap().starts_with("rbig: 20 layers"));
    let message = failure(folder, "fit maf --data people.csv --out y --config settings.toml", 1);
    assert!(message.contains("kind is \"spline\", and maf is to be fitted"), "{message}");
    failure(folder, "fit maf --data people.csv --out y --states 3", 2);
    failure(folder, "fit hclt --data people.csv --out y --hidden 3", 2);
    failure(folder, "fit maf --data people.csv --out y --layers 0", 2);
    let message = failure(folder, "query model entropy", 2);
    assert!(message.contains("maf is there for `score` and `sample` alone"), "{message}");
    std::fs::write(folder.join("holes.csv"), "height,weight,age\n1,,3\n").unwrap();
    let message = failure(folder, "score model --data holes.csv", 1);
    assert!(message.contains("row 0, column weight: a flow has no missing values"), "{message}");
    std::fs::write(folder.join("two.csv"), "height,weight\n1,2\n").unwrap();
    assert!(failure(folder, "score model --data two.csv", 1).contains("no column called age, which the model has"));
    // The same rows with their columns in another order, and one more: by name.
    let text = std::fs::read_to_string(folder.join("people.csv")).unwrap();
    let turned: String = text
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},{},{},{}\n", cells[2], if i == 0 { "town" } else { "7" }, cells[1], cells[0])
        })
        .collect();
    std::fs::write(folder.join("turned.csv"), turned).unwrap();
    assert_eq!(json(folder, "score model --data turned.csv --json")["mean_log_prob"], score["mean_log_prob"]);
    let output = limbeck(folder, "score model --data turned.csv");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not used, as the model has no such column: town"));
}

#[test]
fn a_model_shows_its_own_settings_and_prints_them_as_a_file_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let help = |model: &str| String::from_utf8(limbeck(folder, &format!("fit {model} --help")).stdout).unwrap();
    assert!(help("hclt").contains("--pseudocount") && !help("hclt").contains("--hidden"));
    assert!(help("maf").contains("--hidden") && !help("maf").contains("--pseudocount"));
    let list = String::from_utf8(limbeck(folder, "fit --help").stdout).unwrap();
    assert!(!list.contains("What every model is told"), "each model says what it is: {list}");
    let printed = limbeck(folder, "fit hclt --states 5 --print-config");
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(
        text.contains("[structure]\nkind = \"hclt\"  # what is fitted\nstates = 5  # states of each latent"),
        "{text}"
    );
    assert!(text.contains("pseudocount") && !text.contains("memory") && !text.contains("least_scale"), "{text}");
    std::fs::write(folder.join("settings.toml"), &text).unwrap();
    assert_eq!(limbeck(folder, "fit hclt --config settings.toml --print-config").stdout, text.as_bytes());
    let json = json(folder, "fit hclt --config settings.toml --epochs 7 --print-config --json");
    assert_eq!((&json["epochs"], &json["structure"]["states"]), (&Value::from(7), &Value::from(5)));
    failure(folder, "fit hclt --data x.csv --out y --rule none", 2);
    failure(folder, "fit hclt --data x.csv --out y --states -3", 2);
    std::fs::write(folder.join("layers.toml"), "layers = 3\n").unwrap();
    let message = failure(folder, "fit hclt --data x.csv --out y --config layers.toml", 1);
    assert!(message.contains("hclt has no setting layers; it has structure.states"), "{message}");
    std::fs::write(folder.join("same.toml"), "least_scale = 0\nem.memory = 10_000").unwrap();
    let same = limbeck(folder, "fit hclt --config same.toml --print-config").stdout;
    assert_eq!(same, limbeck(folder, "fit hclt --print-config").stdout, "what is as usual does no harm");
    for (model, settings, says) in [
        ("hclt", "epochs = -1", "epochs is -1, and a whole number, not negative, is expected"),
        ("hclt", "em.rule = 3", "em.rule is 3, and a name is expected"),
        ("maf", "rate = \"fast\"", "rate is \"fast\", and a number is expected"),
        ("maf", "kind = \"nice\"", "kind is \"nice\", and maf is to be fitted"),
        ("made", "layers = 2", "made has no setting layers; it has hidden"),
    ] {
        std::fs::write(folder.join("other.toml"), settings).unwrap();
        let message = failure(folder, &format!("fit {model} --data x.csv --out y --config other.toml"), 1);
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn what_the_command_line_cannot_take_is_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    for line in
        ["score --json", "fit hclt --json --data x.csv --out y --epochs x", "query model next --target a --json"]
    {
        let message = failure(folder.path(), line, 2);
        let error: Value = serde_json::from_str(&message).unwrap();
        assert!(!error["error"].as_str().unwrap().contains('\n'), "{message}");
        assert!(!line.contains("next") || message.contains("--data") && message.contains("--given"), "{message}");
    }
}

#[test]
fn names_hold_commas_and_columns_without_values_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..60).map(|i| format!("{},{},\n", ["x", "y"][i % 2], ["s", "t"][i % 2])).collect();
    std::fs::write(folder.join("odd.csv"), format!("\"a,b\",c=d,e\n{rows}")).unwrap();
    let output = limbeck(folder, "fit mixture --data odd.csv --components 2 --epochs 20 --out model --seed 1");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("column e has no value at all"));
    let given = json(folder, "query model conditional --given a,b=x,c=d=s --json");
    assert_eq!(
        given.to_string(),
        json(folder, "query model conditional --given c=d=s --given a,b=x --json").to_string()
    );
    let none = json(folder, "query model conditional --given a,b=z --unseen missing --json");
    assert_eq!(none, json(folder, "query model conditional --given c=d=z --unseen missing --json"));
    assert!(
        failure(folder, "query model conditional --given a,b=z --json", 1).contains("z is not one of its categories")
    );
    let two = json(folder, "fit mixture --data odd.csv --columns \"a,b\",e --out other --epochs 1 --json");
    assert_eq!(two["variables"].as_u64(), Some(2));
}

#[test]
fn columns_without_names_are_not_found_by_some_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = "1,0,1\n0,0,2\n1,1,0\n".repeat(20);
    std::fs::write(folder.join("plain.csv"), format!("x0,x1,x2\n{rows}")).unwrap();
    std::fs::write(folder.join("odd.csv"), format!("y,x1,x0\n{rows}")).unwrap();
    json(folder, "fit hclt --data plain.csv --out model --states 2 --epochs 2 --json");
    assert!(failure(folder, "score model --data odd.csv", 1).contains("no column called x2"));
}

#[test]
fn a_table_of_single_letters_is_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("votes.csv"), format!("first,second\n{}", "y,n\nn,y\ny,y\nn,n\n".repeat(20))).unwrap();
    json(folder, "fit hclt --data votes.csv --out model --states 2 --epochs 2 --json");
    assert!(json(folder, "score model --data votes.csv --json").get("bits_per_byte").is_none());
}

#[test]
fn a_run_is_not_continued_with_other_rows_or_settings() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 300);
    let fit = "fit hclt --data table.csv --out model --states 3 --epochs 4 --checkpoint point --resume";
    json(folder, &format!("{fit} --json"));
    let whole = std::fs::read(folder.join("model")).unwrap();
    json(folder, &format!("{fit} --json"));
    assert_eq!(std::fs::read(folder.join("model")).unwrap(), whole, "a run that has ended ends where it did");
    for (other, says) in [
        ("--seed 4", "another run (seed: 0 there, 4 here)"),
        ("--epochs 5", "length: Epochs(4) there, Epochs(5) here"),
        ("--pseudocount 0.2", "pseudocount = 0.1 there, pseudocount = 0.2 here"),
        ("--patience 3", "patience"),
        ("--batch 100", "batch: 128 there, 100 here"),
    ] {
        let message = failure(
            folder,
            &format!("{} {other}", fit.replace("--epochs 4", if other.contains("epochs") { "" } else { "--epochs 4" })),
            1,
        );
        assert!(message.contains(says) && message.contains("another run"), "{message}");
    }
    let text = std::fs::read_to_string(folder.join("table.csv")).unwrap();
    std::fs::write(folder.join("table.csv"), text.replacen("rain,wet", "rain,dry", 1)).unwrap();
    let message = failure(folder, fit, 1);
    assert!(message.contains("other training rows") || message.contains("other validation rows"), "{message}");
    let message = failure(folder, &format!("{fit} --valid 0.3"), 1);
    assert!(message.contains("(other training rows; other validation rows)"), "{message}");
    assert_eq!(std::fs::read(folder.join("model")).unwrap(), whole);
    let message = failure(folder, "fit hclt --data table.csv --out other --checkpoint point", 1);
    assert!(message.contains("point: is there already: --resume goes on with it"), "{message}");
    assert!(failure(folder, "show point", 1).contains("the checkpoint of a run, not a model"));
    let message = failure(folder, "fit hclt --data table.csv --out other --checkpoint model --resume", 1);
    assert!(message.contains("a model, not the checkpoint of a run"), "{message}");
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..60).map(|i| format!("{},{}\n", (i as f64).sin(), 1e9 + 1e-2 * f64::from(i % 7))).collect();
    std::fs::write(folder.join("reals.csv"), format!("a,b\n{rows}")).unwrap();
    for (settings, says) in [
        ("rbig --base student", "unexpected argument '--base'"),
        ("made --layers 4", "unexpected argument '--layers'"),
        ("chow-liu --leaf poisson", "unexpected argument '--leaf'"),
        ("hclt --momentum 0.5", "em.momentum does nothing: only the rule anemone has momentum"),
        ("hclt --least-scale 0.5", "least_scale does nothing: these leaves have no scale"),
        ("hclt --leaf indicator", "indicator leaves are not learned"),
        ("maf --rate 1e400", "a number is expected"),
        ("maf --layers 100000000", "1 ≤ layers ≤ 1000"),
        ("maf --rate -1", "rate is -1; it must satisfy 0 < value"),
        ("mixture --components 0", "components is 0; it must satisfy 1 ≤ value ≤ 65536"),
        ("hclt --rule anemone --first-step 0.2", "steps fall"),
        ("hclt --shared 70000", "0 ≤ shared ≤ 65536"),
    ] {
        let message = failure(folder, &format!("fit {settings} --data reals.csv --out y"), 2);
        assert!(message.contains(says), "{message}");
    }
    // A GPU needs code for it, and a model that has some.
    #[cfg(not(feature = "cuda"))]
    for model in ["hclt", "real-nvp"] {
        let message = failure(folder, &format!("fit {model} --gpu --data nowhere.csv --out y"), 2);
        assert!(message.contains("no code for a GPU") && message.contains("leave out --gpu"), "{message}");
    }
    std::fs::write(folder.join("unlike.csv"), "a,b\n0,1\n1,2\n1,0\n").unwrap();
    let message = failure(folder, "fit hclt --shared 2 --data unlike.csv --out y", 1);
    assert!(message.contains("a has 2 and b has 3") && message.contains("--shared 0"), "{message}");
    std::fs::write(folder.join("words.csv"), "a,b\nred,red\ngreen,violet\nblue,green\n").unwrap();
    let message = failure(folder, "fit hclt --shared 2 --data words.csv --out y", 1);
    assert!(message.contains("those of a and b differ: --shared 0"), "{message}");
    let message = failure(folder, "fit maf --data reals.csv --out y", 1);
    assert!(message.contains("column b") && message.contains("subtract a constant"), "{message}");
    // What a model does not use of a file is said, whatever is asked.
    write_table(folder, 60);
    json(folder, "fit hclt --data table.csv --drop season --states 2 --epochs 1 --out model --json");
    let output = limbeck(folder, "query model inpaint --data table.csv --out whole.csv");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not used, as the model has no such column: season"));
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").ok();
    let Some(stdout) = full() else { return };
    let run = |line: &str, stdout: Stdio, stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
        command.args(line.split_whitespace()).current_dir(folder.path()).stdout(stdout).stderr(stderr);
        command.status().unwrap().code()
    };
    assert_eq!(run("devices", stdout.into(), Stdio::null()), Some(1));
    assert_eq!(run("--help", full().unwrap().into(), Stdio::null()), Some(1));
    assert_eq!(run("score no-such-model --data x.csv", Stdio::null(), full().unwrap().into()), Some(1));
}

/// What no longer fits on a disk is stood in for by the most that a file may hold.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_cannot_be_written_whole_is_not_written_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 300);
    json(folder, "fit hclt --data table.csv --states 4 --epochs 1 --out model --json");
    let before = std::fs::read(folder.join("model")).unwrap();
    let limited = |line: &str| {
        let limit = format!("trap '' XFSZ; ulimit -f 2; exec \"$0\" {line}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limit, env!("CARGO_BIN_EXE_limbeck")]).current_dir(folder).output().unwrap()
    };
    for line in [
        "fit hclt --data table.csv --states 64 --epochs 1 --out model --seed 1",
        "fit hclt --data table.csv --states 64 --epochs 1 --out new --checkpoint point --checkpoint-every 0",
        "sample model --n 9000 --out new.csv",
        "sample model --n 9000 --out new.npy",
        "query model conditional --data table.csv --out new.npy",
    ] {
        let output = limited(line);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {message}");
        assert!(message.contains("File too large"), "{line}: {message}");
    }
    assert_eq!(std::fs::read(folder.join("model")).unwrap(), before);
    let mut left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["model", "table.csv"]);
}

#[test]
fn columns_and_separators_are_chosen_and_unknown_words_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..60).map(|i| format!("{};{};{i}\n", ["a", "b"][i % 2], ["x", "y", "z"][i % 3])).collect();
    std::fs::write(folder.join("semicolons.csv"), format!("one;two;id\n{rows}")).unwrap();
    std::fs::write(folder.join("bars.csv"), format!("one|two|id\n{}", rows.replace(';', "|"))).unwrap();
    let settings = "--states 2 --epochs 2 --valid 0 --json";
    let fit = json(folder, "fit mixture --data semicolons.csv --drop id --out a --components 2 --epochs 2 --json");
    assert_eq!((fit["rows"].as_u64(), fit["variables"].as_u64()), (Some(60), Some(2)));
    json(folder, &format!("fit hclt --data bars.csv --delimiter | --columns one,two --out b {settings}"));
    json(folder, &format!("fit hclt --data semicolons.csv --columns one,two --out c {settings}"));
    let score =
        |model: &str, data: &str| json(folder, &format!("score {model} --data {data} --json"))["mean_log_prob"].clone();
    assert_eq!(score("b", "semicolons.csv"), score("c", "semicolons.csv"));
    assert!(failure(folder, "fit hclt --data bars.csv --drop town --out d", 1).contains("town"));
    std::fs::write(folder.join("new.csv"), "one,two\na,x\nc,y\n").unwrap();
    let message = failure(folder, "score a --data new.csv", 1);
    assert!(
        message.contains("new.csv") && message.contains("column one") && message.contains("--unseen missing"),
        "{message}"
    );
    std::fs::write(folder.join("hole.csv"), "one,two\na,x\n,y\n").unwrap();
    let unseen = json(folder, "score a --data new.csv --unseen missing --json");
    assert_eq!(unseen["mean_log_prob"], score("a", "hole.csv"));
    // What is no category at all is an error, whatever becomes of unknown ones.
    write_table(folder, 60);
    json(folder, "fit hclt --data table.csv --states 2 --epochs 1 --out seasons --json");
    std::fs::write(folder.join("half.csv"), "weather,ground,season\nrain,wet,1.5\n").unwrap();
    let message = failure(folder, "score seasons --data half.csv --unseen missing", 1);
    assert!(message.contains("line 2, column season: 1.5 is not a category"), "{message}");
}

#[test]
fn whole_numbers_get_noise_and_samples_are_whole_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..200).map(|i| format!("{},{}\n", i * i % 17, (i * 31 % 97) as f64 / 7.0)).collect();
    std::fs::write(folder.join("counts.csv"), format!("count,size\n{rows}")).unwrap();
    let fit = "fit maf --data counts.csv --layers 2 --hidden 8 --epochs 20";
    let warned = limbeck(folder, &format!("{fit} --out plain"));
    assert!(String::from_utf8_lossy(&warned.stderr).contains("count"), "a density of whole numbers grows without end");
    json(folder, &format!("{fit} --out noisy --dequantise --json"));
    assert!(String::from_utf8(limbeck(folder, "show noisy").stdout).unwrap().contains("noise from [0, 1) on count"));
    let score = json(folder, "score noisy --data counts.csv --json");
    assert!(score["mean_log_prob"].as_f64().unwrap().is_finite());
    json(folder, "sample noisy --n 50 --out drawn.csv --json");
    let drawn = std::fs::read_to_string(folder.join("drawn.csv")).unwrap();
    assert!(drawn.lines().skip(1).all(|line| line.split(',').next().unwrap().parse::<f64>().unwrap().fract() == 0.0));
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_says_how_to_go_on_and_ends_where_it_would_have_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 600);
    let fit = "fit hclt --data table.csv --states 8 --epochs 120 --batch 32 --valid 0";
    let line = format!("{fit} --out part --checkpoint point --checkpoint-every 0");
    let mut child = Command::new(env!("CARGO_BIN_EXE_limbeck"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !folder.join("point").exists() && began.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(1));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let mut message = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut message).unwrap();
    assert_eq!(status.code(), Some(130), "{message}");
    assert!(message.contains("point holds it, and --resume goes on"), "{message}");
    json(folder, &format!("{line} --resume --json"));
    json(folder, &format!("{fit} --out whole --json"));
    assert!(std::fs::read(folder.join("part")).unwrap() == std::fs::read(folder.join("whole")).unwrap());
}

#[test]
fn questions_about_whole_numbers_that_had_noise_are_about_whole_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String =
        (0..400).map(|i| format!("{},{}\n", i % 4, 10.0 * f64::from(i % 4) + (0.7 * f64::from(i)).sin())).collect();
    std::fs::write(folder.join("steps.csv"), format!("n,x\n{rows}")).unwrap();
    json(
        folder,
        "fit mixture --leaf gaussian --components 8 --epochs 60 --data steps.csv --dequantise --out model --json",
    );
    let mean = |given: &str| {
        json(folder, &format!("query model moments --given {given} --json"))["moments"][0]["mean"].as_f64().unwrap()
    };
    for n in 0..4 {
        let (x, back) = (mean(&format!("n={n}")), mean(&format!("x={}", 10 * n)));
        assert!((x - f64::from(10 * n)).abs() < 2.0, "x is {x} where n is {n}");
        assert!((back - f64::from(n)).abs() < 0.3, "n is {back} where x is {}", 10 * n);
    }
    json(folder, "query model inpaint --given x=20 --draws 8 --out drawn.csv --json");
    let drawn = std::fs::read_to_string(folder.join("drawn.csv")).unwrap();
    assert!(drawn.lines().skip(1).all(|line| line.split(',').next().unwrap().parse::<u32>().is_ok()), "{drawn}");
    std::fs::write(folder.join("half.csv"), "n,x\n2.5,20\n").unwrap();
    for line in ["score model --data half.csv", "query model moments --given n=2.5"] {
        assert!(failure(folder, line, 1).contains("row 0 (from 0), column n: 2.5 is no whole number"));
    }
}

#[test]
fn a_divergence_is_between_models_of_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let table = |header: &str, other: &str| {
        let rows: String =
            (0..100).map(|i| if i % 10 == 0 { format!("{other},cold\n") } else { "red,hot\n".into() }).collect();
        format!("{header}\n{rows}")
    };
    for (name, text) in
        [("a", table("color,feel", "blue")), ("b", table("color,feel", "green")), ("c", table("kind,feel", "blue"))]
    {
        std::fs::write(folder.join(format!("{name}.csv")), text).unwrap();
        json(folder, &format!("fit chow-liu --data {name}.csv --epochs 5 --out {name} --json"));
    }
    let own = json(folder, "query a divergence a --json");
    assert!((0.0..1e-6).contains(&own["kl"].as_f64().unwrap()), "{own}");
    assert!(failure(folder, "query a divergence b", 1).contains("categories of color there, color here"));
    assert!(failure(folder, "query a divergence c", 1).contains("columns color there, kind here"));
}

#[test]
fn what_a_given_row_may_leave_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..60).map(|i| format!("{},{},\"{}\"\n", i % 3, i % 2, ["v", "v,"][i % 2])).collect();
    std::fs::write(folder.join("codes.csv"), format!("a,-b,town\n{rows}")).unwrap();
    json(folder, "fit chow-liu --data codes.csv --epochs 5 --out model --json");
    let unseen = limbeck(folder, "query model conditional --given a=7 --unseen missing");
    assert!(unseen.status.success());
    assert!(String::from_utf8_lossy(&unseen.stderr).contains("a: 7 is unknown to the model, and taken for missing"));
    for given in ["a=1,bb=2", "a=1.5", "a=-1", "a=", "nope=1"] {
        failure(folder, &format!("query model conditional --given {given} --unseen missing"), 1);
    }
    let town = |given: &str| {
        let found = json(folder, &format!("query model conditional --variable -b --given {given} --json"));
        found["distributions"][0]["probabilities"][1].as_f64().unwrap()
    };
    assert!(town("town=v,") > 0.9 && town("town=v") < 0.1 && town("-b=1") > 0.9 && town("town=v,,a=1") > 0.9);
    assert!(failure(folder, "query model next --data codes.csv --target a", 2).contains("60 rows there"));
    assert!(
        failure(folder, "compress model --data codes.csv --out small --unseen missing", 2).contains("loses nothing")
    );
    let words = "fit mixture --data codes.csv --columns town --categories 5 --out y";
    assert!(failure(folder, words, 1).contains("every column is of words"));
    assert!(failure(folder, "fit hclt --data codes.csv --categories 2 --out y", 1).contains("fit with --categories 3"));
    std::fs::write(folder.join("bad.toml"), "[structure]\nstates = 0\n").unwrap();
    assert!(
        failure(folder, "fit hclt --data codes.csv --out y --config bad.toml", 1)
            .starts_with("error: bad.toml: states is 0")
    );
    std::fs::write(folder.join("good.toml"), "[structure]\nstates = 4\n").unwrap();
    let message = failure(folder, "fit hclt --data codes.csv --out y --config good.toml --momentum 0.5", 1);
    assert!(message.contains("the command line: em.momentum does nothing: only the rule anemone"), "{message}");
}

#[test]
fn a_lock_is_no_file_of_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 60);
    let fit = "fit hclt --data table.csv --states 2 --epochs 2 --out model --checkpoint point";
    std::fs::write(folder.join("point.lock"), "precious").unwrap();
    assert!(failure(folder, fit, 1).contains("point.lock: is no lock of a run's"));
    assert_eq!(std::fs::read_to_string(folder.join("point.lock")).unwrap(), "precious");
    // What a killed run leaves is taken.
    std::fs::write(folder.join("point.lock"), "").unwrap();
    json(folder, &format!("{fit} --json"));
    assert!(!folder.join("point.lock").exists());
    let reals: String = (0..60).map(|i| format!("{}\n", f64::from(i).sin())).collect();
    std::fs::write(folder.join("reals.csv"), format!("x\n{reals}")).unwrap();
    assert!(failure(folder, "fit rbig --data reals.csv --out r --checkpoint other", 2).contains("made in one go"));
}

/// Pictures in the format of CIFAR-10: two colours that meet at an edge which is somewhere else in each, with a little noise.
fn write_cifar(folder: &Path, pictures: usize) {
    let mut bytes = Vec::new();
    for i in 0..pictures {
        bytes.push((i % 10) as u8);
        for channel in 0..3 {
            for pixel in 0..32 * 32 {
                let left = pixel % 32 < 6 + i * 7 % 20;
                let level = if left == (channel == i % 3) { 200 } else { 60 };
                bytes.push((level + (i * 31 + pixel * 17 + channel * 5) % 8) as u8);
            }
        }
    }
    std::fs::write(folder.join("data_batch_1.bin"), bytes).unwrap();
}

#[test]
fn a_circuit_grows_from_a_teacher_and_goes_on_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_cifar(folder, 60);
    let sizes = "--side 8 --levels 2 --codes 6 --code-width 4 --hidden 8 --logistics 2 --heads 2 --clusters 2 \
                 --states 1 --prior-states 2";
    let lengths = "--teacher-epochs 3 --epochs 2 --prior-epochs 2 --tune-epochs 2 --valid 0.2 --seed 2";
    let fit = format!("fit lvd-pg --data data_batch_1.bin {sizes} {lengths}");
    let before = json(folder, &format!("{fit} --dry-run --json"));
    assert_eq!((before["rows"].as_u64(), before["estimate"]["parts"].as_array().unwrap().len()), (Some(48), 5));
    let whole = json(folder, &format!("{fit} --out whole --json"));
    assert_eq!(whole["variables"], 3072);
    // Killed at one of its parts, it finds what had ended; with two parts at a time nothing differs.
    let line = format!("{fit} --jobs 2 --out part --checkpoint point --checkpoint-every 0 --resume");
    kill_once(folder, &line, "point.cluster-1.round-0", Duration::ZERO);
    assert!(!folder.join("part").exists(), "killed before its end");
    json(folder, &format!("{line} --json"));
    assert!(std::fs::read(folder.join("whole")).unwrap() == std::fs::read(folder.join("part")).unwrap());
    let anew = failure(folder, &format!("{fit} --out x --checkpoint point"), 1);
    assert!(anew.contains("is there already"), "{anew}");
    // Files of another name than a part's are nobody's business.
    json(folder, &format!("{fit} --out x --checkpoint data_batch_1 --json"));

    let score = json(folder, "score whole --data data_batch_1.bin --json");
    assert_eq!((score["n"].as_u64(), score["evidence"].as_str()), (Some(60), Some("exact")));
    json(folder, "sample whole --n 1 --out drawn.npy --json");
    let drawn: ndarray::Array4<u8> = ndarray_npy::read_npy(folder.join("drawn.npy")).unwrap();
    assert_eq!(drawn.shape(), [1, 3, 32, 32]);
    json(folder, "compress whole --data drawn.npy --out small --json");
    json(folder, "decompress whole --data small --out again.npy --json");
    assert_eq!(std::fs::read(folder.join("drawn.npy")).unwrap(), std::fs::read(folder.join("again.npy")).unwrap());
    let mut holes = drawn.mapv(i32::from);
    holes.slice_mut(ndarray::s![.., .., .., 16..]).fill(-1);
    ndarray_npy::write_npy(folder.join("holes.npy"), &holes).unwrap();
    json(folder, "query whole inpaint --data holes.npy --out filled.npy --json");
    let filled: ndarray::Array4<u8> = ndarray_npy::read_npy(folder.join("filled.npy")).unwrap();
    assert!(filled.slice(ndarray::s![.., .., .., ..16]) == drawn.slice(ndarray::s![.., .., .., ..16]));

    assert!(failure(folder, "fit lvd-pg --data data_batch_1.bin --out x --side 5", 1).contains("squares of 5 pixels"));
    write_table(folder, 30);
    assert!(failure(folder, "fit lvd-pg --data table.csv --out x", 1).contains("are not pictures"));
    assert!(failure(folder, "fit lvd-pg --data data_batch_1.bin --out x --heads 0", 2).contains("heads"));
}

#[test]
fn colours_and_quarters_are_seen_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let picture = |(i, c, y, x): (usize, usize, usize, usize)| ((i * 37 + c * 80 + y * 5 + x * 3) % 256) as u8;
    let pictures = ndarray::Array4::from_shape_fn((30, 3, 4, 4), picture);
    ndarray_npy::write_npy(folder.join("pictures.npy"), &pictures).unwrap();
    let fit = "fit mixture --data pictures.npy --components 2 --epochs 5 --json";
    json(folder, &format!("{fit} --colour ycocg-r --out lossless"));
    let score = json(folder, "score lossless --data pictures.npy --json");
    assert_eq!((score["space"].as_str(), score.get("bits_lost_per_dim")), (Some("YCoCg-R"), None));
    json(folder, "sample lossless --n 3 --out drawn.npy --json");
    json(folder, "compress lossless --data pictures.npy --out small --json");
    json(folder, "decompress lossless --data small --out again.npy --json");
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(bytes("again.npy") == bytes("pictures.npy"));
    let mut holes = pictures.mapv(i32::from);
    holes.slice_mut(ndarray::s![.., .., .., 2..]).fill(-1);
    ndarray_npy::write_npy(folder.join("holes.npy"), &holes).unwrap();
    json(folder, "query lossless inpaint --data holes.npy --out filled.npy --json");
    json(folder, "query lossless map --data holes.npy --out best.npy --json");
    for name in ["filled.npy", "best.npy"] {
        let bytes = bytes(name);
        let loaded = limbeck::data::load(folder.join(name)).unwrap().discrete(limbeck::data::Coding::Learn(Some(256)));
        let filled = loaded.unwrap_or_else(|e| panic!("{name} of {} bytes: {e}", bytes.len()));
        for (i, code) in filled.codes().iter().enumerate().filter(|(i, _)| i % 4 < 2) {
            assert_eq!(*code as i32, holes.as_slice().unwrap()[i], "{name}: what was known stays");
        }
    }

    json(folder, &format!("{fit} --colour ycbcr-rounded --quarter --out lossy"));
    let score = json(folder, "score lossy --data pictures.npy --json");
    assert_eq!(score["space"], "rounded YCbCr (lossy), upper left quarter");
    assert!((score["bits_lost_per_dim"].as_f64().unwrap() - 0.677).abs() < 1e-3);
    assert!(failure(folder, "compress lossy --data pictures.npy --out x", 2).contains("would be lost"));
    json(folder, "sample lossy --n 2 --out drawn.npy --json");
    let drawn: ndarray::Array4<u8> = ndarray_npy::read_npy(folder.join("drawn.npy")).unwrap();
    assert_eq!(drawn.shape(), [2, 3, 2, 2]);
    let shown = text(folder, "show lossy");
    assert!(shown.contains("pictures seen as rounded YCbCr (lossy), upper left quarter"), "{shown}");

    let mut half = pictures.mapv(i32::from);
    half[[3, 1, 0, 2]] = -1;
    ndarray_npy::write_npy(folder.join("half.npy"), &half).unwrap();
    let error = failure(folder, "query lossless inpaint --data half.npy --out x.npy", 1);
    assert!(error.contains("row 3, pixel 2: 1 of 3 channels missing"), "{error}");
    write_table(folder, 30);
    assert!(failure(folder, "fit mixture --data table.csv --colour ycocg-r --out x", 1).contains("are not pictures"));
    assert!(failure(folder, "fit maf --data table.csv --quarter --out x", 2).contains("leave out --colour"));
    assert!(failure(folder, "fit mixture --data pictures.npy --colour red --out x", 2).contains("ycocg-r"));
}

#[test]
fn a_circuit_of_a_table_grows_by_features_that_the_user_gives() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder, 300);
    // The weather, as if another model had seen it.
    let features = ndarray::Array2::from_shape_fn((300, 2), |(row, i)| (row % 3) as f32 + 0.1 * i as f32);
    ndarray_npy::write_npy(folder.join("features.npy"), &features).unwrap();
    let fit = "fit grown --data table.csv --features features.npy --heads 3 --states 2 --epochs 10 --tune-epochs 20";
    let whole = json(folder, &format!("{fit} --out whole --json"));
    assert_eq!(whole["model"], "grown");
    // Three kinds of weather, four seasons: no less than their entropy.
    let nats = whole["valid_log_prob"].as_f64().unwrap();
    assert!((-2.9..-2.2).contains(&nats), "{nats}");
    assert!(whole["warnings"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("heads")));
    let line = format!("{fit} --out part --checkpoint point --checkpoint-every 0 --resume");
    kill_once(folder, &line, "point.heads.round-1", Duration::ZERO);
    json(folder, &format!("{line} --json"));
    assert!(std::fs::read(folder.join("whole")).unwrap() == std::fs::read(folder.join("part")).unwrap());
    json(folder, "fit grown --data table.csv --heads 2 --epochs 2 --tune-epochs 0 --out plain --json");
    json(folder, "score plain --data table.csv --json");
    let lost = failure(folder, "fit grown --data table.csv --features features.npy --out features.npy", 1);
    assert!(lost.contains("would overwrite --features"), "{lost}");
    let few = features.slice(ndarray::s![..100, ..]).to_owned();
    ndarray_npy::write_npy(folder.join("few.npy"), &few).unwrap();
    let error = failure(folder, "fit grown --data table.csv --features few.npy --out x", 1);
    assert!(error.contains("features of 100 rows"), "{error}");
    let mut holes = features.clone();
    holes[[7, 1]] = f32::NAN;
    ndarray_npy::write_npy(folder.join("holes.npy"), &holes).unwrap();
    let error = failure(folder, "fit grown --data table.csv --features holes.npy --valid 0 --out x", 1);
    assert!(error.contains("row 7 (from 0): a missing value"), "{error}");
    assert!(failure(folder, "fit grown --data table.csv --start-heads 9 --out x", 2).contains("start_heads"));
}

#[test]
fn clusters_grow_side_by_side_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let picture = |(i, y, x): (usize, usize, usize)| ((i * 7 + y * x + i % 3 * y) % 5) as u8;
    ndarray_npy::write_npy(folder.join("pictures.npy"), &ndarray::Array3::from_shape_fn((40, 4, 4), picture)).unwrap();
    let sizes =
        "--side 2 --codes 4 --code-width 2 --hidden 4 --blocks 0 --logistics 1 --clusters 3 --heads 2 --states 2";
    let lengths = "--teacher-epochs 1 --epochs 2 --prior-states 2 --prior-epochs 1 --tune-epochs 1";
    let mut models = Vec::new();
    for (threads, jobs) in [(1, 1), (1, 3), (2, 2), (4, 3)] {
        let line = format!("fit lvd-pg --data pictures.npy --out model {sizes} {lengths} --jobs {jobs}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_limbeck"));
        command.args(line.split_whitespace()).current_dir(folder).env("RAYON_NUM_THREADS", threads.to_string());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > Duration::from_secs(120) => {
                    child.kill().unwrap();
                    panic!("{threads} threads, {jobs} jobs: no end");
                }
                None => sleep(Duration::from_millis(5)),
            }
        };
        assert!(status.success());
        models.push(std::fs::read(folder.join("model")).unwrap());
    }
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
    let taken = failure(folder, "fit lvd-pg --data pictures.npy --out point.teacher --checkpoint point", 1);
    assert!(taken.contains("a part of the checkpoint"), "{taken}");
}

#[test]
fn settings_of_the_published_runs_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["cifar10", "imagenet32", "imagenet64"] {
        let path = root.join(format!("datasets/settings/lvd-pg-{name}.toml"));
        let printed = text(root, &format!("fit lvd-pg --config {} --print-config", path.display()));
        assert!(printed.contains("levels = 2") && printed.contains("logistics = 10"), "{printed}");
    }
}

/// A short book with letters of two bytes.
fn write_book(folder: &Path) {
    let verses = ["zażółć gęślą jaźń\n", "pchnąć w tę łódź jeża\n", "lub ośm skrzyń fig\n"];
    let book: String = (0..240).map(|i: usize| verses[(i * i + i / 3) % 3]).collect();
    std::fs::write(folder.join("book.txt"), book).unwrap();
}

#[test]
fn a_text_is_fitted_scored_sampled_filled_in_and_corrected() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_book(folder);
    let tiny = "--length 20 --width 32 --blocks 1 --epochs 8 --batch 8 --rate 5e-3";
    for model in ["multinomial", "absorbing"] {
        let fit = json(folder, &format!("fit {model} --data book.txt --out {model} {tiny} --json"));
        assert_eq!((fit["evidence"].as_str(), fit["variables"].as_u64()), (Some("lower_bound"), Some(20)));
        let score = json(folder, &format!("score {model} --data book.txt --json"));
        let (low, high) = (score["interval"][0].as_f64().unwrap(), score["interval"][1].as_f64().unwrap());
        let mean = score["mean_log_prob"].as_f64().unwrap();
        assert!(low < mean && mean < high && score["evidence"] == "lower_bound");
        let (character, byte) = (score["bits_per_dim"].as_f64().unwrap(), score["bits_per_byte"].as_f64().unwrap());
        assert!(byte < 0.95 * character && character < 4.9, "{character} {byte}");
        text(folder, &format!("sample {model} --n 3 --out drawn.txt --steps 10 --temperature 0.8"));
        let drawn = std::fs::read_to_string(folder.join("drawn.txt")).unwrap();
        assert!(drawn.chars().count() == 3 * 21, "{drawn:?}");
        let infill = json(folder, &format!("infill {model} --text za_ó_ć --draws 2 --json"));
        assert_eq!(infill["hidden"], 2);
        for text in infill["texts"].as_array().unwrap() {
            let text: Vec<char> = text.as_str().unwrap().chars().collect();
            assert!(text.len() == 6 && text[0] == 'z' && text[3] == 'ó' && text[5] == 'ć', "{text:?}");
        }
        std::fs::write(folder.join("wrong.txt"), "lub ośm skrzyń fig\nzażółć gęśla jaźń\n").unwrap();
        let checked = json(folder, &format!("spellcheck {model} --data wrong.txt --rate 0.03 --out right.txt --json"));
        assert_eq!(checked["characters"], 37);
        assert_eq!(std::fs::read_to_string(folder.join("right.txt")).unwrap().chars().count(), 37);
        let error = failure(folder, &format!("score {model} --data wrong.csv"), 1);
        assert!(error.contains("wrong.csv"), "{error}");
        std::fs::write(folder.join("odd.txt"), "fig\nfigura!\n").unwrap();
        let error = failure(folder, &format!("score {model} --data odd.txt"), 1);
        assert!(error.contains("odd.txt, line 2, column 7: '!' is not among the model's characters"), "{error}");
        let error = failure(folder, &format!("infill {model} --text fig!"), 1);
        assert!(error.contains("line 1, column 4: '!' is not among the model's characters"), "{error}");
        assert!(
            failure(folder, &format!("sample {model} --n 1 --out drawn.txt --sampler magic"), 2).contains("no sampler")
        );
        assert!(failure(folder, &format!("spellcheck {model} --text fig --rate 1"), 2).contains("--rate"));
    }
    // What a table says of a text comes back, blanks and all.
    json(folder, "sample absorbing --n 9 --out nine.csv --seed 5 --json");
    json(folder, "sample absorbing --n 9 --out nine.npy --seed 5 --json");
    assert_eq!(
        json(folder, "score absorbing --data nine.csv --json"),
        json(folder, "score absorbing --data nine.npy --json")
    );
    // A bound of more draws is surer; what is exact has no draws.
    let width = |draws: &str| {
        let interval = &json(folder, &format!("score absorbing --data book.txt --draws {draws} --json"))["interval"];
        interval[1].as_f64().unwrap() - interval[0].as_f64().unwrap()
    };
    assert!(width("2") > width("64"));
    assert!(failure(folder, "score absorbing --data book.txt --draws 100000", 2).contains("draws is 100000"));
    assert!(failure(folder, "score absorbing --data book.txt --draws 2 --order random", 2).contains("--draws"));
    // What an order makes exact is below the bound's bits, and compresses byte for byte.
    let exact = json(folder, "score absorbing --data book.txt --order left-to-right --json");
    assert_eq!(exact["evidence"], "exact");
    assert!(
        json(folder, "score absorbing --data book.txt --order random --orders 2 --json")["bits_per_dim"]
            .as_f64()
            .is_some()
    );
    assert!(failure(folder, "score multinomial --data book.txt --order random", 2).contains("score --order"));
    let packed = json(folder, "compress absorbing --data wrong.txt --out packed --json");
    assert_eq!(packed["rows"], 2);
    text(folder, "decompress absorbing --data packed --out back.txt");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert_eq!(read("back.txt"), read("wrong.txt"));
    assert!(
        failure(folder, "compress multinomial --data wrong.txt --out packed", 2).contains("does not answer compress")
    );
    // A score depends on its row alone: a shorter text is a shorter row.
    std::fs::write(folder.join("seven.txt"), "zażółć ").unwrap();
    let seven = json(folder, "score absorbing --data seven.txt --order left-to-right --json")["mean_log_prob"].as_f64();
    assert!(seven.unwrap() < 0.0);
}

#[test]
fn a_run_of_diffusion_that_was_killed_ends_where_the_whole_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_book(folder);
    let settings = "--length 20 --width 32 --blocks 1 --epochs 8 --steps 10 --times importance";
    let fit = |out: &str| format!("fit multinomial --data book.txt --out {out} {settings}");
    text(folder, &fit("whole"));
    let line = format!("{} --checkpoint ck --checkpoint-every 0", fit("resumed"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_limbeck"));
    let mut child = child.args(line.split_whitespace()).current_dir(folder).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !folder.join("ck").exists() && began.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(60));
    child.kill().unwrap();
    child.wait().unwrap();
    text(folder, &format!("{line} --resume"));
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(read("whole") == read("resumed"));
    let other = failure(folder, &format!("{line} --resume --seed 1"), 1);
    assert!(other.contains("seed"), "{other}");
}

#[test]
fn a_texture_is_learned_scored_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let grass = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/textures/grass.png");
    std::fs::copy(grass, folder.join("grass.png")).unwrap();
    let fit = "fit frame --data grass.png --categories 256 --filters 2 --updates 6 --side 32 --sweeps 4 --stops 4";
    let whole = json(folder, &format!("{fit} --out model --json"));
    assert_eq!((whole["evidence"].as_str(), whole["variables"].as_u64()), (Some("estimate"), Some(65_536)));
    // Stopped and gone on with it is the same model.
    kill_once(
        folder,
        &format!("{fit} --out again --checkpoint point --checkpoint-every 0"),
        "point",
        Duration::from_millis(300),
    );
    json(folder, &format!("{fit} --out again --checkpoint point --resume --json"));
    assert_eq!(std::fs::read(folder.join("model")).unwrap(), std::fs::read(folder.join("again")).unwrap());
    assert!(
        failure(folder, &format!("{fit} --out again --checkpoint point --resume --levels 4"), 1)
            .contains("levels = 8 there")
    );
    json(folder, "sample model --n 1 --out drawn.png --json");
    let drawn = json(folder, "score model --data drawn.png --draws 2 --json");
    assert_eq!(drawn["evidence"], "estimate");
    assert!(drawn["interval"][0].as_f64() < drawn["interval"][1].as_f64());
    assert!(text(folder, "show model").contains("2 filters, 8 grey levels, pictures of 256 × 256"));
    std::fs::write(folder.join("table.csv"), "a,b\n1,2\n2,3\n3,1\n").unwrap();
    assert!(failure(folder, "fit frame --data table.csv --out no", 1).contains("not pictures"));
    let other = failure(folder, "score model --data table.csv", 1);
    assert!(other.contains("table.csv") && other.contains("x7 or 65528 others"), "{other}");
    ndarray_npy::write_npy(folder.join("wide.npy"), &ndarray::Array3::<u8>::zeros((1, 128, 512))).unwrap();
    assert!(failure(folder, "score model --data wide.npy", 1).contains("[128, 512]"));
    assert!(failure(folder, &format!("{fit} --columns x0 --out no"), 1).contains("columns are chosen by name"));
    let wild = "fit frame --data grass.png --rate 1e8 --filters 1 --updates 3 --side 8 --stops 2 --out wild --json";
    assert!(json(folder, wild)["warnings"][0].as_str().unwrap().contains("a smaller rate"));
    assert!(
        failure(folder, &format!("{} --out no", fit.replace("--side 32", "--side 5000")), 2)
            .contains("side is 5000; it must be 1 to 4096")
    );
    let coffee = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/photos/coffee.png");
    std::fs::copy(coffee, folder.join("coffee.png")).unwrap();
    assert!(failure(folder, "fit frame --data coffee.png --out no", 1).contains("--colour grey"));
    let fit = fit.replace("grass.png --categories 256", "coffee.png --colour grey --quarter");
    json(folder, &format!("{fit} --out coffee --json"));
    json(folder, "sample coffee --n 1 --out drawn.png --json");
    let scored = json(folder, "score coffee --data coffee.png --draws 2 --json");
    assert_eq!(scored["space"], "grey (lossy), upper left quarter");
    assert!(failure(folder, "score coffee --data grass.png --draws 2", 1).contains("grass.png"));
}
