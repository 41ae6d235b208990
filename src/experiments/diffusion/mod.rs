//! Diffusion over categories, and flows of what categories are lifted to.

mod grams;
mod joint;
mod maps;
mod text;

use super::Experiment;
/// In the order of the book.
pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment::new("text", "One text, by every way that there is", text::run).only_named(),
    Experiment::new("maps", "One segmentation, seven ways", maps::run).only_named(),
    Experiment::new("joint", "A circuit as the output of a denoiser", joint::run).only_named(),
];
