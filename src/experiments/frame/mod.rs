//! FRAME: textures, and energies that are learned by chains.

mod few_shot;
mod scores;
mod stability;
mod textures;

use super::Experiment;
use crate::{
    frame::ConvNet,
    nn::{
        Padding, Silu, Stride, Window,
        optim::{AdamConfig, Schedule},
    },
};

/// The networks of the energies.
type Net = ConvNet<Window<5, Stride<2>, Padding<2>>, Silu>;

/// How they learn.
fn adam(rate: f64) -> AdamConfig {
    AdamConfig { rate: Schedule::constant(rate), betas: [0.5, 0.999], ..AdamConfig::default() }
}

/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("frame-textures", "Textures by the number of filters pursued", textures::run),
    Experiment::new("frame-stability", "FRAME and wFRAME, too fast and slow enough", stability::run).only_named(),
    Experiment::new("few-shot", "Energies and a DCGAN that see five pictures", few_shot::run).only_named(),
    Experiment::new("frame-published", "Published scores of FRAME and its rivals", scores::run),
];
