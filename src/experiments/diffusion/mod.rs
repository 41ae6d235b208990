//! Diffusion over categories, and flows of what categories are lifted to.

mod appearing;
mod denoising;
mod grams;
mod joint;
mod maps;
mod neighbours;
mod text;

use super::Experiment;
/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("denoising", "Few steps and many, letters in doubt, where to look", denoising::run),
    Experiment::new("appearing", "A map and a passage out of noise, moment by moment", appearing::run),
    Experiment::new("text", "One text, by every way that there is", text::run).only_named(),
    Experiment::new("maps", "One segmentation, seven ways", maps::run).only_named(),
    Experiment::new("joint", "A circuit as the output of a denoiser", joint::run).only_named(),
];
