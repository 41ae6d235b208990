//! Pictures that several experiments draw of a circuit.

use crate::{
    Result,
    circuits::Circuit,
    data::Discrete,
    evidence::bits_per_dim,
    plot::{Lines, Series, Tiles},
    random::Seed,
    train::History,
};

/// Loss on the training and the validation rows by epoch, in bits per dimension.
pub(super) fn learning(title: &str, history: &History, dims: usize) -> Lines {
    let bits = |nats: f64| bits_per_dim(nats, dims);
    let epochs = history.epochs();
    Lines::new(title, "epoch", "bits per dimension")
        .with(Series::new("train", epochs.iter().map(|e| (e.0 as f64, bits(e.1)))))
        .with(Series::new("validation", epochs.iter().filter_map(|e| Some((e.0 as f64, bits(e.2?))))))
}

/// Twelve pictures of the data, each `tile` pixels wide, above twenty-four of the circuit's own.
pub(super) fn samples(title: &str, tile: u32, circuit: &Circuit, test: &Discrete, seed: Seed) -> Result<Tiles> {
    let drawn = circuit.sample(24, seed)?;
    let second = drawn.select(&(12..24).collect::<Vec<_>>());
    Tiles::new(title, 12, tile).with("data", test)?.with("samples", &drawn)?.with("", &second)
}

/// Pictures whose right half is hidden, and three ways the circuit paints it.
pub(super) fn inpainting(circuit: &Circuit, test: &Discrete, width: usize, seed: Seed) -> Result<Tiles> {
    let some = test.select(&(0..12).collect::<Vec<_>>());
    let hidden = some.mask(|_, v| v % width >= width / 2);
    let mut tiles = Tiles::new("The right half hidden, and painted three times", 12, 44)
        .with("data", &some)?
        .with("known", &hidden)?;
    for (i, name) in ["painted", "again", "again"].iter().enumerate() {
        tiles = tiles.with(name, &circuit.complete(&hidden, seed.child("inpainting", i as u64))?)?;
    }
    Ok(tiles)
}
