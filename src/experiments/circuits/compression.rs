//! The test digits in a file: by the circuit, and by what everybody has.

use super::digits;
use crate::{
    Error, Result,
    circuits::{FitCircuit, Structure},
    experiments::{Lab, xz},
    plot::Table,
    train::Fit,
};
use image::{ExtendedColorType, ImageEncoder, codecs::png};
use std::io::Write;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let [train, valid, test] = digits(lab)?;
    let settings = FitCircuit { epochs: lab.budget.pick(60, 200), ..FitCircuit::new(Structure::hclt(16)) };
    let (circuit, _) = settings.fit(&train, Some(&valid), lab.seed)?;
    let pixels: Vec<u8> = test.codes().iter().map(|code| *code as u8).collect();
    let packed = circuit.compress(&test)?;
    if circuit.decompress(&packed)? != test {
        return Err(Error::invalid("compressed digits did not come back"));
    }
    let bound = circuit.evidence(&test)?.bits_per_dim()? * pixels.len() as f64 / 8.0;
    let sizes = [
        ("bytes as they are", pixels.len() as f64),
        ("PNG", png(&pixels)?.len() as f64),
        ("gzip", gzip(&pixels)?.len() as f64),
        ("xz", xz(&pixels)?.len() as f64),
        ("the circuit, coded", packed.len() as f64),
        ("the circuit's likelihood", bound),
    ];
    let table = Table::new()
        .text("coder", sizes.iter().map(|s| s.0))?
        .counts("bytes", sizes.iter().map(|s| s.1.ceil() as usize))?
        .numbers("bits/dim", sizes.iter().map(|s| 8.0 * s.1 / pixels.len() as f64))?;
    lab.table("circuits-compression", table);
    Ok(())
}

/// One picture, eight pixels wide, the digits below each other.
fn png(pixels: &[u8]) -> Result<Vec<u8>> {
    let mut picture = Vec::new();
    let encoder =
        png::PngEncoder::new_with_quality(&mut picture, png::CompressionType::Best, png::FilterType::Adaptive);
    let (width, height) = (8, (pixels.len() / 8) as u32);
    encoder.write_image(pixels, width, height, ExtendedColorType::L8).map_err(Error::invalid)?;
    Ok(picture)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes).and_then(|()| writer.finish()).map_err(Error::invalid)
}
