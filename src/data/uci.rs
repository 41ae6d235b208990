//! The five tables of the MAF paper, from the files that users bring, prepared as its code prepares them.
//!
//! Source: Papamakarios, Pavlakou and Murray 2017, appendix D, and the code that goes with it. Where the paper shuffles or adds
//! noise, the random numbers are other ones. Every table leaves in units of deviations, as all published numbers are.

use super::{Table, load};
use crate::{
    Error, Result,
    data::load::{Column, Loaded, Values},
    math::mean_and_deviation,
    random::{Seed, permutation},
};
use rand::RngExt;
use std::path::Path;

/// Rows to learn from, to stop by, and to report.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// Training rows.
    pub train: Table,
    /// Validation rows.
    pub valid: Table,
    /// Test rows.
    pub test: Table,
}

/// POWER, 6 columns: `data.npy` of the MAF paper's archive, or `household_power_consumption.txt` as UCI has it (rows with missing
/// values left out, time as minutes of the day).
///
/// Rows are shuffled; reactive power and intensity are dropped; uniform noise of the width of the last digit is added to power,
/// voltage and the three meters.
///
/// # Errors
/// When the file cannot be read, or has other columns.
pub fn power(path: impl AsRef<Path>, seed: Seed) -> Result<Splits> {
    let path = path.as_ref();
    let rows = if is_npy(path) { array(path)? } else { household(path)? };
    let rows = rows.expect_width(path, 8, "power, reactive power, voltage, intensity, three meters, time")?;
    let order = permutation(rows.len(), &mut seed.stream("power", 0));
    let mut noise = seed.stream("power", 1);
    const WIDTHS: [f64; 6] = [0.001, 0.01, 1.0, 1.0, 1.0, 0.0];
    let kept = order.iter().flat_map(|i| {
        let row = rows.row(*i);
        let kept = [row[0], row[2], row[4], row[5], row[6], row[7]];
        std::array::from_fn::<f64, 6, _>(|c| kept[c] + WIDTHS[c] * noise.random::<f64>())
    });
    Matrix { width: 6, values: kept.collect() }.split(path, 0.1)?.standardised(path, false)
}

/// GAS, 8 columns: `ethylene_CO.txt` as UCI has it, or a CSV file of its sensors (`pandas.read_pickle(…).to_csv(…, index=False)` of
/// the MAF paper's pickle; columns called Time, Meth and Eth are dropped).
///
/// Of sensors that are correlated above 0.98 only the last stays. Rows keep their order in time, and mean and deviation are those
/// of all rows, the test rows among them: as in the paper's code.
///
/// # Errors
/// When the file cannot be read, or has no columns of sensors.
pub fn gas(path: impl AsRef<Path>) -> Result<Splits> {
    let path = path.as_ref();
    let mut rows = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => sensors(path)?,
        Some("pickle" | "pkl") => {
            let remedy =
                "a Python pickle is not read here; pandas.read_pickle(…).to_csv(…, index=False) makes a CSV file";
            return Err(Error::file(path, remedy));
        }
        _ => {
            let all = text(path, 1, char::is_whitespace)?.expect_width(path, 19, "time, two gases, 16 sensors")?;
            all.keep(&(3..19).collect::<Vec<_>>())
        }
    };
    while let Some(twin) = rows.first_correlated(0.98) {
        rows = rows.keep(&(0..rows.width).filter(|c| *c != twin).collect::<Vec<_>>());
    }
    let frame = rows.frame(true);
    rows.framed(&frame).split(path, 0.1)?.tables(path)
}

/// HEPMASS, 21 columns: a folder with `1000_train.csv` and `1000_test.csv` as UCI has them.
///
/// Collisions with a new particle alone, those whose first cell is 1. Columns in which the least value comes more than five times
/// are dropped. The last tenth of the training file is for validation; mean and deviation are those of the whole of it.
///
/// # Errors
/// When a file cannot be read, or the test file has fewer columns than the training file.
pub fn hepmass(folder: impl AsRef<Path>) -> Result<Splits> {
    let folder = folder.as_ref();
    let signal = |name: &str| -> Result<Matrix> {
        let rows = text(&folder.join(name), 1, |c| c == ',')?;
        let signal = (0..rows.len()).filter(|i| rows.row(*i)[0] == 1.0);
        let values: Vec<f64> = signal.flat_map(|i| rows.row(i)[1..].iter().copied()).collect();
        Ok(Matrix { width: rows.width - 1, values })
    };
    let (train, test) = (signal("1000_train.csv")?, signal("1000_test.csv")?);
    if test.width < train.width {
        let problem = format!("{} columns where the training file has {}", test.width + 1, train.width + 1);
        return Err(Error::file(folder.join("1000_test.csv"), problem));
    }
    let kept = train.without_repeats();
    let (train, test) = (train.keep(&kept), test.keep(&kept));
    let frame = train.frame(true);
    let (train, valid) = train.framed(&frame).cut(folder, 0.1)?;
    Parts { train, valid, test: test.framed(&frame) }.tables(folder)
}

/// MINIBOONE, 43 columns: `data.npy` of the MAF paper's archive, or `MiniBooNE_PID.txt` as UCI has it.
///
/// Of the text file the electron neutrinos, which come first; rows whose first value is below −100 are dropped, and columns in
/// which the least value comes more than five times.
///
/// # Errors
/// When the file cannot be read, or the text file has other than 50 columns.
pub fn miniboone(path: impl AsRef<Path>) -> Result<Splits> {
    let path = path.as_ref();
    let rows = if is_npy(path) {
        array(path)?
    } else {
        let (signal, all) = events(path)?;
        let all = all.expect_width(path, 50, "particle identification variables")?;
        if all.len() < signal {
            return Err(Error::at(path, "line 1", format!("{signal} signal events; the file has {} rows", all.len())));
        }
        let good = (0..signal).filter(|i| all.row(*i)[0] >= -100.0).flat_map(|i| all.row(i).to_vec()).collect();
        let good = Matrix { width: 50, values: good };
        good.keep(&good.without_repeats())
    };
    rows.split(path, 0.1)?.standardised(path, false)
}

/// BSDS300, 63 columns: `BSDS300.hdf5` of the MAF paper's archive, whose patches are prepared already.
///
/// # Errors
/// When the file cannot be read, or has no tables `train`, `validation` and `test` of one width.
pub fn bsds300(path: impl AsRef<Path>) -> Result<Splits> {
    let path = path.as_ref();
    let file = hdf5_reader::Hdf5File::open(path).map_err(|e| Error::file(path, e))?;
    let part = |name: &str| -> Result<Matrix> {
        let place = || format!("table {name}");
        let table = file.dataset(name).map_err(|e| Error::at(path, place(), e))?;
        let [_, width] = *table.shape() else {
            return Err(Error::at(path, place(), format!("shape {:?}; rows of numbers are needed", table.shape())));
        };
        let values: Vec<f64> = match table.read_array::<f64>() {
            Ok(values) => values.iter().copied().collect(),
            Err(_) => table
                .read_array::<f32>()
                .map_err(|e| Error::at(path, place(), e))?
                .iter()
                .map(|x| f64::from(*x))
                .collect(),
        };
        Ok(Matrix { width: width as usize, values })
    };
    Parts { train: part("train")?, valid: part("validation")?, test: part("test")? }.tables(path)
}

/// Rows of numbers, without names.
#[derive(Clone, Debug)]
struct Matrix {
    width: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    fn column(&self, c: usize) -> Vec<f64> {
        self.values.iter().skip(c).step_by(self.width).copied().collect()
    }

    fn keep(&self, columns: &[usize]) -> Self {
        let rows = (0..self.len()).map(|i| self.row(i));
        Self { width: columns.len(), values: rows.flat_map(|row| columns.iter().map(|c| row[*c])).collect() }
    }

    fn expect_width(self, path: &Path, width: usize, what: &str) -> Result<Self> {
        if self.width == width {
            return Ok(self);
        }
        Err(Error::file(path, format!("{} columns; {width} are expected: {what}", self.width)))
    }

    /// Columns whose least value comes at most five times. The paper means columns with too many equal values; this is what its
    /// code looks at, and decides which columns the published numbers are of.
    fn without_repeats(&self) -> Vec<usize> {
        let repeats = |c: usize| {
            let column = self.column(c);
            let least = column.iter().copied().fold(f64::INFINITY, f64::min);
            column.iter().filter(|x| **x == least).count()
        };
        (0..self.width).filter(|c| repeats(*c) <= 5).collect()
    }

    /// The first column that is correlated above `limit` with another.
    fn first_correlated(&self, limit: f64) -> Option<usize> {
        let columns: Vec<Vec<f64>> = (0..self.width).map(|c| self.column(c)).collect();
        let frame: Vec<(f64, f64)> = columns.iter().map(|c| mean_and_deviation(c)).collect();
        let correlation = |a: usize, b: usize| {
            let pairs = columns[a].iter().zip(&columns[b]);
            let sum: f64 = pairs.map(|(x, y)| (x - frame[a].0) * (y - frame[b].0)).sum();
            sum / (self.len() as f64 * frame[a].1 * frame[b].1)
        };
        (0..self.width).find(|a| (0..self.width).any(|b| b != *a && correlation(*a, b) > limit))
    }

    /// Mean and deviation of every column; of a sample, with one less than the number of rows, as pandas has it.
    fn frame(&self, of_sample: bool) -> Vec<(f64, f64)> {
        let n = self.len() as f64;
        let stretch = if of_sample && n > 1.0 { (n / (n - 1.0)).sqrt() } else { 1.0 };
        let column = |c: usize| {
            let (mean, deviation) = mean_and_deviation(&self.column(c));
            (mean, deviation * stretch)
        };
        (0..self.width).map(column).collect()
    }

    fn framed(&self, frame: &[(f64, f64)]) -> Self {
        let values = self.values.iter().zip(frame.iter().cycle());
        Self { width: self.width, values: values.map(|(x, (mean, deviation))| (x - mean) / deviation).collect() }
    }

    /// All but the last `share` of the rows, and these.
    fn cut(self, path: &Path, share: f64) -> Result<(Self, Self)> {
        let last = (share * self.len() as f64) as usize;
        if last == 0 {
            return Err(Error::file(path, format!("{} rows; a tenth of them would be none", self.len())));
        }
        let mut first = self;
        let rest = first.values.split_off((first.len() - last) * first.width);
        let rest = Self { width: first.width, values: rest };
        Ok((first, rest))
    }

    /// The last `share` for testing, and the last `share` of the others for validation.
    fn split(self, path: &Path, share: f64) -> Result<Parts> {
        let (rest, test) = self.cut(path, share)?;
        let (train, valid) = rest.cut(path, share)?;
        Ok(Parts { train, valid, test })
    }

    fn table(self, path: &Path) -> Result<Table> {
        let names = (0..self.width).map(|c| format!("x{c}")).collect();
        Table::new(names, self.values).map_err(|e| Error::file(path, e))
    }
}

struct Parts {
    train: Matrix,
    valid: Matrix,
    test: Matrix,
}

impl Parts {
    /// In units of the deviations of training and validation rows together.
    fn standardised(self, path: &Path, of_sample: bool) -> Result<Splits> {
        let Self { train, valid, test } = self;
        let both = Matrix { width: train.width, values: [&train.values[..], &valid.values].concat() };
        let frame = both.frame(of_sample);
        let [train, valid, test] = [train, valid, test].map(|part| part.framed(&frame));
        Self { train, valid, test }.tables(path)
    }

    fn tables(self, path: &Path) -> Result<Splits> {
        let Self { train, valid, test } = self;
        if valid.width != train.width || test.width != train.width {
            let widths = [train.width, valid.width, test.width];
            return Err(Error::file(path, format!("training, validation and test tables of {widths:?} columns")));
        }
        Ok(Splits { train: train.table(path)?, valid: valid.table(path)?, test: test.table(path)? })
    }
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "npy")
}

fn array(path: &Path) -> Result<Matrix> {
    match load(path)? {
        Loaded::Array(array) if array.shape.len() == 2 => match array.values {
            Values::Reals(values) => Ok(Matrix { width: array.shape[1], values }),
            _ => Err(Error::file(path, "real numbers are expected")),
        },
        Loaded::Array(array) => {
            Err(Error::file(path, format!("shape {:?}; rows of numbers are expected", array.shape)))
        }
        Loaded::Columns(_) => Err(Error::file(path, "an array is expected")),
    }
}

/// Sensors of a CSV file.
fn sensors(path: &Path) -> Result<Matrix> {
    let Loaded::Columns(frame) = load(path)? else { return Err(Error::file(path, "columns are expected")) };
    let columns =
        frame.names.iter().zip(frame.columns).filter(|(name, _)| !["Time", "Meth", "Eth"].contains(&name.as_str()));
    let columns = columns.map(|(name, column)| match column {
        Column::Numbers(numbers) => Ok(numbers),
        Column::Words(_) => Err(Error::at(path, format!("column {name}"), "words where numbers are needed")),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    if columns.is_empty() {
        return Err(Error::file(path, "no column of a sensor"));
    }
    let rows = (0..frame.rows).flat_map(|i| columns.iter().map(move |column| column[i]));
    Ok(Matrix { width: columns.len(), values: rows.collect() })
}

/// Lines of numbers after `header` others, with `separator` between them. Cells beyond those of the first line are left out.
fn text(path: &Path, header: usize, separator: impl Fn(char) -> bool + Copy) -> Result<Matrix> {
    lines(path, header, |line| {
        let cells = line.split(separator).map(str::trim).filter(|cell| !cell.is_empty());
        Some(cells.map(|cell| cell.parse().map_err(|_| format!("`{cell}` is not a number"))).collect())
    })
}

/// What `cells` makes of every line after the first `header`; nothing to leave a line out.
fn lines(
    path: &Path,
    header: usize,
    cells: impl Fn(&str) -> Option<std::result::Result<Vec<f64>, String>>,
) -> Result<Matrix> {
    use std::io::BufRead;
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let (mut width, mut values) = (0, Vec::new());
    for (i, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|e| Error::at(path, format!("line {}", i + 1), e))?;
        if i < header || line.trim().is_empty() {
            continue;
        }
        let Some(row) = cells(&line) else { continue };
        let row = row.map_err(|problem| Error::at(path, format!("line {}", i + 1), problem))?;
        if width == 0 {
            width = row.len();
        }
        if row.len() < width || width == 0 {
            let problem = format!("{} cells where the line before has {width}", row.len());
            return Err(Error::at(path, format!("line {}", i + 1), problem));
        }
        values.extend_from_slice(&row[..width]);
    }
    if width == 0 {
        return Err(Error::file(path, "no row of numbers"));
    }
    Ok(Matrix { width, values })
}

/// UCI's household file: `Date;Time;` and seven numbers, a question mark where one is missing.
fn household(path: &Path) -> Result<Matrix> {
    lines(path, 1, |line| {
        let cells: Vec<&str> = line.split(';').map(str::trim).collect();
        if cells.iter().any(|cell| *cell == "?" || cell.is_empty()) {
            return None;
        }
        let time = cells.get(1).copied().unwrap_or_default();
        let minutes = || {
            let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
            Some(60.0 * parts.next()?? + parts.next()??)
        };
        let row = cells.iter().skip(2).map(|cell| cell.parse().map_err(|_| format!("`{cell}` is not a number")));
        Some(row.collect::<std::result::Result<Vec<f64>, String>>().and_then(|mut row| {
            row.push(minutes().ok_or_else(|| format!("`{time}` is not a time"))?);
            Ok(row)
        }))
    })
}

/// The number of signal events, which the first line tells, and all rows.
fn events(path: &Path) -> Result<(usize, Matrix)> {
    use std::io::BufRead;
    let file = std::fs::File::open(path).map_err(Error::io(path))?;
    let mut first = String::new();
    std::io::BufReader::new(file).read_line(&mut first).map_err(|e| Error::at(path, "line 1", e))?;
    let counts: Vec<usize> = first.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let [signal, _] = counts[..] else {
        return Err(Error::at(path, "line 1", "the numbers of signal and background events are expected"));
    };
    Ok((signal, text(path, 1, char::is_whitespace)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::load::write_npy;
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
}
