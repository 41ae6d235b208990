//! Data sets with their shapes in their types, and the files they come from.

mod batches;
mod colour;
mod columns;
mod dataset;
mod discrete;
mod envelope;
mod fetch;
mod hash;
pub mod load;
mod oracle;
mod patches;
mod save;
mod sets;
pub mod shipped;
mod soft;
mod spill;
mod stream;
pub mod uci;

pub use batches::{Batches, Split};
pub use colour::Colour;
pub use columns::{ColumnSummary, blank_columns};
pub use dataset::Dataset;
pub(crate) use discrete::complete;
pub use discrete::{Coding, Discrete, MISSING, Rows, Schema, Subset, Unseen, Variable};
pub(crate) use envelope::Envelope;
pub use fetch::{data_home, fetch_fashion_mnist};
pub use hash::fingerprint;
pub use load::{Loaded, Reading, load, load_with};
pub use oracle::Oracle;
pub use patches::{PatchRows, Patches};
pub use save::save_discrete;
pub use sets::{Continuous, Images, LabelMaps, Sound, Text, binned};
pub use soft::Soft;
pub use spill::Spilled;
pub use stream::{NpyRows, open_for, open_rows};
