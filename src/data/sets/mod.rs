//! Data sets with their shapes in their types.

mod continuous;
mod images;
mod maps;
mod sound;
mod text;

pub use continuous::{Continuous, binned};
pub use images::Images;
pub use maps::LabelMaps;
pub use sound::Sound;
pub use text::Text;

/// Codes of bytes, checked against a number of categories by [`super::Discrete::new`].
fn discrete(shape: &[usize], categories: usize, bytes: &[u8]) -> super::Discrete {
    super::Discrete::new(super::Schema::uniform(shape, categories), bytes.iter().map(|b| (*b).into()).collect())
        .expect("values are checked when the set is made")
}
