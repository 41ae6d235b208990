//! FRAME: textures, and energies that are learned by chains.

mod few_shot;
mod scores;
mod stability;
mod textures;

use super::Experiment;
/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("frame-textures", "Textures by the number of filters pursued", textures::run),
    Experiment::new("frame-stability", "FRAME and wFRAME, too fast and slow enough", stability::run).only_named(),
    Experiment::new("few-shot", "Energies and a DCGAN that see five pictures", few_shot::run).only_named(),
    Experiment::new("frame-published", "Published scores of FRAME and its rivals", scores::run),
];
