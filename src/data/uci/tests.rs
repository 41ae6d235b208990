use super::*;
use crate::{data::load::write_npy, math::mean_and_deviation};
use std::fmt::Write;

/// A number that looks random, and comes once.
fn number(i: usize) -> f64 {
    (i as f64 * 0.754_877_666).fract() * 10.0 - 5.0
}

fn written(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn sizes(splits: &Splits) -> [usize; 4] {
    [splits.train.len(), splits.valid.len(), splits.test.len(), splits.train.names().len()]
}

#[test]
fn power_loses_two_columns_and_the_rows_with_question_marks() {
    let mut text = "Date;Time;Global_active_power;Global_reactive_power;Voltage;Global_intensity;Sub_metering_1;Sub_metering_2;Sub_metering_3\n".to_owned();
    for i in 0..100 {
        let time = format!("{:02}:{:02}:00", i % 24, i % 60);
        writeln!(
            text,
            "16/12/2006;{time};{:.3};0.418;{:.2};18.400;0.000;1.000;17.000",
            4.0 + number(i),
            240.0 + number(i + 1)
        )
        .unwrap();
    }
    text.push_str("28/4/2007;00:21:00;?;?;?;?;?;?;\n");
    let (_folder, path) = written("household_power_consumption.txt", &text);
    let splits = power(&path, Seed(1)).unwrap();
    assert_eq!(sizes(&splits), [81, 9, 10, 6]);
    assert_eq!(splits, power(&path, Seed(1)).unwrap());
    let both: Vec<f64> =
        [&splits.train, &splits.valid].iter().flat_map(|t| (0..t.len()).map(|i| t.row(i)[1])).collect();
    let (mean, deviation) = mean_and_deviation(&both);
    assert!(mean.abs() < 1e-12 && (deviation - 1.0).abs() < 1e-12);
    let (_folder, path) = written("household_power_consumption.txt", "Date;Time\n16/12/2006;17:24;4.2;x\n");
    assert!(power(&path, Seed(1)).unwrap_err().to_string().ends_with("line 2: `x` is not a number"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.npy");
    write_npy(&path, &[50, 8], &(0..400).map(number).collect::<Vec<f64>>()).unwrap();
    assert_eq!(sizes(&power(&path, Seed(1)).unwrap()), [41, 4, 5, 6]);
    write_npy(&path, &[50, 7], &(0..350).map(number).collect::<Vec<f64>>()).unwrap();
    assert!(power(&path, Seed(1)).unwrap_err().to_string().contains("7 columns; 8 are expected"));
}

#[test]
fn gas_keeps_the_last_of_twin_sensors() {
    let mut text = "Time (seconds), CO conc (ppm), Ethylene conc (ppm), sensor readings (16 channels)\n".to_owned();
    for i in 0..60 {
        write!(text, "{:.2} 0.00 0.00", i as f64 / 100.0).unwrap();
        // Sensor 1 is twice sensor 0, and sensors 3 and 4 are alike but for a little.
        let sensor = |c: usize| match c {
            1 => 2.0 * number(100 + i),
            0 => number(100 + i),
            4 => number(5000 + i) + 0.01 * number(9000 + i),
            3 => number(5000 + i),
            c => number(1000 * c + i * i),
        };
        (0..16).for_each(|c| write!(text, "  {:.4}", sensor(c)).unwrap());
        text.push('\n');
    }
    let (_folder, path) = written("ethylene_CO.txt", &text);
    let splits = gas(&path).unwrap();
    assert_eq!(sizes(&splits)[..3], [49, 5, 6]);
    assert_eq!(splits.train.names().len(), 14);
    let twice: Vec<f64> = (0..60).map(|i| 2.0 * number(100 + i)).collect();
    let (mean, deviation) = mean_and_deviation(&twice);
    let want = (twice[0] - mean) / (deviation * (60.0_f64 / 59.0).sqrt());
    assert!((splits.train.row(0)[0] - want).abs() < 1e-3, "the first twin goes");
    let (_folder, path) = written("ethylene_CO.pickle", "");
    assert!(gas(&path).unwrap_err().to_string().contains("to_csv"));
    let mut csv = "Time,Meth,Eth,R1,R2\n".to_owned();
    (0..40).for_each(|i| writeln!(csv, "{i},0,0,{},{}", number(i), number(700 + i * i)).unwrap());
    let (_folder, path) = written("ethylene_CO.csv", &csv);
    assert_eq!(sizes(&gas(&path).unwrap()), [33, 3, 4, 2]);
}

#[test]
fn hepmass_keeps_the_signal_and_columns_of_many_values() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, rows: usize, more: &str| {
        let mut text = "# label,f0,f1,f2\n".to_owned();
        for i in 0..rows {
            // The second column has two values, of which the lower comes often.
            writeln!(text, "{}.0,{:.6},{},{:.6}{more}", i % 2, number(i), i % 4 / 2, number(3 * i + 7)).unwrap();
        }
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    file("1000_train.csv", 80, "");
    file("1000_test.csv", 30, ",1000.0");
    let splits = hepmass(folder.path()).unwrap();
    assert_eq!(sizes(&splits), [36, 4, 15, 2]);
    std::fs::write(folder.path().join("1000_test.csv"), "# label,f0\n1.0,2.0\n").unwrap();
    assert!(hepmass(folder.path()).unwrap_err().to_string().contains("2 columns where the training file has 4"));
    assert!(hepmass(folder.path().join("none")).is_err());
}

#[test]
fn miniboone_keeps_electron_neutrinos_without_outliers() {
    let mut text = "    40     7\n".to_owned();
    for i in 0..47 {
        for c in 0..50 {
            let value = match c {
                0 if i == 3 => -999.0,
                5 => f64::from(i % 3 == 0),
                _ => number(i * 50 + c),
            };
            write!(text, "  {value:.6e}").unwrap();
        }
        text.push('\n');
    }
    let (_folder, path) = written("MiniBooNE_PID.txt", &text);
    assert_eq!(sizes(&miniboone(&path).unwrap()), [33, 3, 3, 49]);
    let (_folder, path) = written("MiniBooNE_PID.txt", "one two\n");
    assert!(miniboone(&path).unwrap_err().to_string().contains("line 1"));
}

#[test]
fn bsds300_is_read_as_h5py_has_written_it() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let splits = bsds300(format!("{fixtures}/bsds300.hdf5")).unwrap();
    assert_eq!(sizes(&splits), [6, 2, 3, 63]);
    assert!((splits.test.row(1)[2] - (65.0 / 1000.0 - 0.1)).abs() < 1e-12);
    let (_folder, path) = written("BSDS300.hdf5", "not that");
    assert!(bsds300(&path).is_err());
}
