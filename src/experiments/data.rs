//! The shipped data: a picture of each kind, and a table of all.

use super::Lab;
use crate::{
    Result,
    circuits::{Em, FitCircuit, Structure},
    data::{Coding, Discrete, Images, Rows, load, shipped},
    plot::{Table, Tiles},
    train::Fit,
};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let digits = shipped::digits()?.discrete();
    let (fashion, _) = shipped::fashion_mnist()?;
    let fashion = fashion.discrete();
    let relief = shipped::relief_tiles()?.discrete();
    let patches = shipped::photo_patches::<32>("chelsea")?.discrete();
    let satellite = load(shipped::folder()?.join("satellite.csv"))?.discrete(Coding::Learn(None))?;
    let text = shipped::addresses_text8()?.windows(64)?;

    lab.figure("data-digits", &Tiles::new("Digits, 8 × 8, 17 levels", 10, 48).with("", &spread(&digits, 10))?)?;
    lab.figure(
        "data-fashion",
        &Tiles::new("Fashion-MNIST, 28 × 28, 256 levels", 10, 56).with("", &spread(&fashion, 10))?,
    )?;
    lab.figure(
        "data-relief",
        &Tiles::new("Relief of the Earth, 32 × 64, 6 bands of height", 5, 112).with("", &spread(&relief, 5))?,
    )?;
    lab.figure(
        "data-photo",
        &Tiles::new("Patches of a photograph, 3 × 32 × 32", 10, 56).with("", &spread(&patches, 10))?,
    )?;
    let mut grid = Tiles::new("Textures, the first 128 × 128 of 256 × 256", 1, 192);
    for name in ["brick", "grass", "gravel"] {
        grid = grid.with(name, &corner(&shipped::texture(name)?)?)?;
    }
    lab.figure("data-textures", &grid)?;

    let sets = [
        ("digits", digits),
        ("fashion-mnist", fashion),
        ("relief", relief),
        ("photo patches", patches),
        ("satellite", satellite),
        ("addresses, 64 characters", text),
    ];
    lab.say("entropy of each variable by itself");
    let shape = |d: &Discrete| d.schema().shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let categories = |d: &Discrete| d.schema().variables.iter().map(|v| v.categories).max().unwrap_or(0);
    let bits = sets.iter().map(|(_, d)| independent_bits(lab, d)).collect::<Result<Vec<_>>>()?;
    let table = Table::new()
        .text("data", sets.iter().map(|s| s.0))?
        .counts("rows", sets.iter().map(|s| s.1.len()))?
        .text("shape of a row", sets.iter().map(|s| shape(&s.1)))?
        .counts("categories", sets.iter().map(|s| categories(&s.1)))?
        .numbers("bits/dim, pixels independent", bits)?;
    lab.table("data", table);
    Ok(())
}

/// The upper left quarter of a texture.
fn corner(texture: &Images<1, 256, 256>) -> Result<Discrete> {
    let pixels = texture.image(0).chunks_exact(256).take(128).flat_map(|row| row[..128].to_vec()).collect();
    Ok(Images::<1, 128, 128>::new(pixels, Vec::new(), 256)?.discrete())
}

/// `n` rows spread evenly over the data.
fn spread(rows: &Discrete, n: usize) -> Discrete {
    rows.select(&(0..n).map(|i| i * rows.len() / n).collect::<Vec<_>>())
}

/// What the data costs when every variable is coded by itself: a circuit with one latent state.
fn independent_bits(lab: &Lab, rows: &Discrete) -> Result<f64> {
    let settings = FitCircuit { epochs: 1, em: Em::exact(), ..FitCircuit::new(Structure::hclt(1)) };
    let (circuit, _) = settings.fit(rows, None, lab.seed)?;
    circuit.evidence(rows)?.bits_per_dim()
}
