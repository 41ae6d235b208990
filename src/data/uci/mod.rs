//! The five tables of the MAF paper, from the files that users bring, prepared as its code prepares them.
//!
//! Source: Papamakarios, Pavlakou and Murray 2017, appendix D, and the code that goes with it. Where the paper shuffles or adds
//! noise, the random numbers are other ones. Every table leaves in units of deviations, as all published numbers are.

use super::Continuous;
use crate::{
    Error, Result,
    random::{Seed, permutation},
};
use matrix::{Matrix, Parts};
use rand::RngExt;
use read::{array, events, household, is_npy, sensors, text};
use std::path::Path;

mod matrix;
mod read;
#[cfg(test)]
mod tests;

/// Rows to learn from, to stop by, and to report.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// Training rows.
    pub train: Continuous,
    /// Validation rows.
    pub valid: Continuous,
    /// Test rows.
    pub test: Continuous,
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
    Matrix { width: 6, values: kept.collect() }.split(path, 0.1)?.standardised(path)
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
    rows.split(path, 0.1)?.standardised(path)
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
