//! Categories out to files.

use super::{Discrete, MISSING, Rows, Schema, load::write_npy};
use crate::{Error, Result, archive::write_atomically};
use std::{io, path::Path};

/// Writes rows as `.npy` (`uint8`, or `int32` where a value is missing or above 255) or as `.csv` with names and words; of text as
/// `.txt`, a row a line; of pictures as `.png`, several of them on a sheet.
///
/// # Errors
/// When the extension is another, or the file cannot be written.
pub fn save_discrete(path: impl AsRef<Path>, rows: &Discrete) -> Result<()> {
    let path = path.as_ref();
    match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("npy") => {
            let shape: Vec<usize> = std::iter::once(rows.len()).chain(rows.schema().shape.iter().copied()).collect();
            let bytes: Option<Vec<u8>> = rows.codes().iter().map(|code| u8::try_from(*code).ok()).collect();
            match bytes {
                Some(bytes) => write_npy(path, &shape, &bytes),
                None => {
                    let number = |code: &u16| if *code == MISSING { -1 } else { i32::from(*code) };
                    write_npy(path, &shape, &rows.codes().iter().map(number).collect::<Vec<_>>())
                }
            }
        }
        Some("txt") if rows.schema().alphabet().is_some() => {
            let lines = (0..rows.len()).map(|row| rows.text(row).unwrap_or_default() + "\n");
            let text: String = lines.collect();
            write_atomically(path, |file| io::Write::write_all(file, text.as_bytes()))
        }
        Some("csv") => write_atomically(path, |file| io::Write::write_all(file, &csv_bytes(rows))),
        Some("png") if picture_shape(rows.schema()).is_some() => {
            let bytes = sheet(rows)?;
            write_atomically(path, |file| io::Write::write_all(file, &bytes))
        }
        _ => {
            let text = if rows.schema().alphabet().is_some() { ", .txt" } else { "" };
            let picture = if picture_shape(rows.schema()).is_some() { ", .png" } else { "" };
            let all = format!(".npy or .csv{text}{picture}");
            Err(Error::file(path, format!("rows are written as {all}: give one of these extensions")))
        }
    }
}

/// Channels (1 or 3), height and width of rows that are pictures of 256 levels at most.
fn picture_shape(schema: &Schema) -> Option<[usize; 3]> {
    let shape = match schema.shape[..] {
        [height, width] => [1, height, width],
        [channels @ (1 | 3), height, width] => [channels, height, width],
        _ => return None,
    };
    schema.variables.iter().all(|v| (1..=256).contains(&v.categories) && v.words.is_none()).then_some(shape)
}

/// White pixels between the pictures of a sheet.
const GAP: usize = 2;

/// Pictures on a sheet about as high as it is wide, as a PNG; one by itself as it is. Levels go from black to white; what is missing is
/// white.
fn sheet(rows: &Discrete) -> Result<Vec<u8>> {
    let shape = picture_shape(rows.schema()).unwrap_or([1, 0, 0]);
    let ([channels, height, width], n) = (shape, rows.len());
    let across = (1..=n).find(|columns| columns * columns * width >= n * height).unwrap_or(1);
    let down = n.div_ceil(across);
    let side = |count: usize, size: usize| u32::try_from(count * (size + GAP) - GAP);
    let (Ok(wide), Ok(high)) = (side(across, width), side(down, height)) else {
        return Err(Error::invalid("a sheet of more pixels than a PNG can have: write fewer pictures"));
    };
    let mut sheet = image::RgbImage::from_pixel(wide, high, image::Rgb([255; 3]));
    let level = |place: usize, code: u16| {
        let last = rows.schema().variables[place].categories.max(2) - 1;
        if code == MISSING { 255 } else { (usize::from(code) * 255 / last) as u8 }
    };
    for row in 0..n {
        let (codes, left, top) = (rows.row(row), row % across * (width + GAP), row / across * (height + GAP));
        for pixel in 0..height * width {
            let of =
                |c: usize| level(c % channels * height * width + pixel, codes[c % channels * height * width + pixel]);
            let place = ((left + pixel % width) as u32, (top + pixel / width) as u32);
            sheet.put_pixel(place.0, place.1, image::Rgb([of(0), of(1), of(2)]));
        }
    }
    let mut bytes = io::Cursor::new(Vec::new());
    let written = match channels {
        1 => image::DynamicImage::from(sheet).into_luma8().write_to(&mut bytes, image::ImageFormat::Png),
        _ => sheet.write_to(&mut bytes, image::ImageFormat::Png),
    };
    written.map_err(Error::invalid)?;
    Ok(bytes.into_inner())
}

/// The rows as CSV with names and words.
pub(crate) fn csv_bytes(rows: &Discrete) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let variables = &rows.schema().variables;
    let mut write = |record: Vec<String>| writer.write_record(record).expect("memory can be written to");
    write(variables.iter().map(|v| v.name.clone()).collect());
    for row in 0..rows.len() {
        let cell = |(code, variable): (&u16, &super::Variable)| match (*code, &variable.words) {
            (MISSING, _) => String::new(),
            (code, Some(words)) => words[code as usize].clone(),
            (code, None) => code.to_string(),
        };
        write(rows.row(row).iter().zip(variables).map(cell).collect());
    }
    writer.into_inner().expect("memory can be written to")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Coding, Schema, Unseen, load};

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let mut schema = Schema::uniform(&[2], 3);
        schema.variables[1].words = Some(["ash", "elm", "oak"].map(String::from).to_vec());
        let rows = Discrete::new(schema.clone(), vec![0, 2, MISSING, 1, 2, MISSING]).unwrap();
        for name in ["rows.npy", "rows.csv"] {
            let path = folder.path().join(name);
            save_discrete(&path, &rows).unwrap();
            assert_eq!(load(&path).unwrap().discrete(Coding::Use(&schema, Unseen::Error)).unwrap(), rows, "{name}");
        }
        assert!(save_discrete(folder.path().join("rows.txt"), &rows).is_err());
        assert!(
            save_discrete(folder.path().join("rows.png"), &rows).unwrap_err().to_string().contains(".npy or .csv:")
        );
    }

    #[test]
    fn pictures_are_laid_on_a_sheet() {
        let folder = tempfile::tempdir().unwrap();
        for (shape, n) in [(vec![2, 3], 1), (vec![3, 2, 3], 1), (vec![1, 2, 3], 5)] {
            let schema = Schema::uniform(&shape, 256);
            let codes: Vec<u16> = (0..n * schema.len()).map(|i| (i * 37 % 256) as u16).collect();
            let rows = Discrete::new(schema.clone(), codes).unwrap();
            let path = folder.path().join("rows.png");
            save_discrete(&path, &rows).unwrap();
            let back = load(&path).unwrap().discrete(Coding::Learn(Some(256))).unwrap();
            match n {
                1 => assert_eq!(back.codes(), rows.codes()),
                // Two across, three down.
                _ => assert_eq!(back.schema().shape[back.schema().shape.len() - 2..], [3 * 2 + 4, 2 * 3 + 2]),
            }
        }
    }
}
