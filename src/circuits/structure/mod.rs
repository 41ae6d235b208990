//! Structures: graphs from a few settings, and from data where they are learned from it.

mod hclt;

use super::{Graph, Tree};
use crate::{Result, data::Rows, random::Seed};
use serde::{Deserialize, Serialize};

/// Which circuit to build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Structure {
    /// A hidden Chow-Liu tree: a latent for each variable, in the tree of most mutual information.
    Hclt {
        /// States of each latent.
        states: usize,
        /// Variables without children have no latent of their own.
        #[serde(default)]
        joined: bool,
    },
}

impl Structure {
    /// A hidden Chow-Liu tree with that many states a latent.
    pub fn hclt(states: usize) -> Self {
        Self::Hclt { states, joined: false }
    }

    /// The name, as `limbeck fit` knows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hclt { .. } => "hclt",
        }
    }

    /// The graph over the variables of `rows`; what is learned of it is learned from them.
    ///
    /// # Errors
    /// When a setting is out of range or does not fit the data, or a row cannot be read.
    pub fn graph(&self, rows: &dyn Rows, seed: Seed) -> Result<Graph> {
        match self {
            Self::Hclt { states, joined } => hclt::hclt(&Tree::chow_liu(rows, seed)?, *states, *joined),
        }
    }
}

impl Graph {
    /// A hidden Chow-Liu tree over a given tree, with that many states a latent.
    ///
    /// # Errors
    /// When `states` is not in `1..=65536`.
    pub fn hclt(tree: &Tree, states: usize) -> Result<Self> {
        hclt::hclt(tree, states, false)
    }
}
