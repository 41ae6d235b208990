//! Structures: graphs from a few settings, and from data where they are learned from it.

mod hclt;
mod image;
mod random;
mod regions;
mod simple;
#[cfg(test)]
mod tests;
mod tree;

pub use regions::SumProduct;
pub use tree::{Tree, mutual_information};

use super::{Graph, Leaf};
use crate::{
    Error, Result,
    data::{Rows, Schema, Variable},
    random::Seed,
};
use serde::{Deserialize, Serialize};

/// Which circuit to build.
///
/// All are smooth and decomposable, so every marginal is exact. Those that are deterministic, too, have exact maxima,
/// entropies and divergences: see [`Structure::is_deterministic`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Structure {
    /// One latent for all variables.
    Mixture {
        /// Its states.
        components: usize,
    },
    /// All variables independent given one of them, which is seen. Deterministic.
    NaiveBayes {
        /// That variable: its name, or its number.
        class: String,
    },
    /// A chain of latents in the order of the variables.
    Hmm {
        /// States of each latent.
        states: usize,
        /// The same transitions and emissions everywhere.
        #[serde(default)]
        homogeneous: bool,
    },
    /// A hidden Chow-Liu tree: a latent for each variable, in the tree of most mutual information.
    Hclt {
        /// States of each latent.
        states: usize,
        /// Variables without children have no latent of their own.
        #[serde(default)]
        joined: bool,
        /// Distributions of a value that all variables share: a state mixes them. 0 where each state has one of its own.
        #[serde(default)]
        shared: usize,
    },
    /// The tree of most mutual information over the variables themselves, without latents. Deterministic.
    ChowLiu,
    /// Random splits, several times over, mixed at the root.
    RatSpn {
        /// Levels of splits.
        depth: usize,
        /// How many times over.
        replicas: usize,
        /// Nodes of a region.
        units: usize,
        /// How two halves become one region.
        #[serde(default = "tucker")]
        layer: SumProduct,
    },
    /// All rectangles of a picture on a grid, each split in every way.
    PoonDomingos {
        /// Pixels from one line of the grid to the next.
        step: usize,
        /// Nodes of a region.
        units: usize,
        /// How two parts become one region.
        #[serde(default)]
        layer: SumProduct,
    },
    /// A picture in quadrants, down to its pixels.
    QuadTree {
        /// Nodes of a region.
        units: usize,
        /// How the quadrants become one region.
        #[serde(default)]
        layer: SumProduct,
        /// Regions of one size share their weights.
        #[serde(default)]
        tied: bool,
    },
    /// A picture in halves by rows and by columns, both of which meet in the same quadrants.
    QuadGraph {
        /// Nodes of a region.
        units: usize,
        /// How the halves become one region.
        #[serde(default)]
        layer: SumProduct,
        /// Regions of one size share their weights.
        #[serde(default)]
        tied: bool,
    },
    /// Random halves, down to single variables.
    RandomTree {
        /// Nodes of a region.
        units: usize,
        /// How two halves become one region.
        #[serde(default)]
        layer: SumProduct,
    },
}

fn tucker() -> SumProduct {
    SumProduct::Tucker
}

impl Structure {
    /// The names of all structures, as `limbeck fit` knows them.
    pub const NAMES: [&'static str; 10] = [
        "mixture",
        "naive-bayes",
        "hmm",
        "hclt",
        "chow-liu",
        "rat-spn",
        "poon-domingos",
        "quad-tree",
        "quad-graph",
        "random-tree",
    ];

    /// A hidden Chow-Liu tree with that many states a latent.
    pub fn hclt(states: usize) -> Self {
        Self::Hclt { states, joined: false, shared: 0 }
    }

    /// The structure of that name with settings for a start.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Self> {
        let (units, layer) = (16, SumProduct::Cp);
        Ok(match name {
            "mixture" => Self::Mixture { components: units },
            "naive-bayes" => Self::NaiveBayes { class: String::new() },
            "hmm" => Self::Hmm { states: units, homogeneous: false },
            "hclt" => Self::hclt(units),
            "chow-liu" => Self::ChowLiu,
            "rat-spn" => Self::RatSpn { depth: 3, replicas: 4, units: 8, layer: SumProduct::Tucker },
            "poon-domingos" => Self::PoonDomingos { step: 2, units: 8, layer },
            "quad-tree" => Self::QuadTree { units, layer, tied: false },
            "quad-graph" => Self::QuadGraph { units, layer, tied: false },
            "random-tree" => Self::RandomTree { units, layer },
            _ => {
                let known = Self::NAMES.join(", ");
                return Err(Error::invalid(format!("no structure called {name}; there are {known}")));
            }
        })
    }

    /// What the structure of that name is, in one line.
    pub(super) fn about(name: &str) -> &'static str {
        match name {
            "mixture" => "one latent for all variables",
            "naive-bayes" => "all variables independent given one of them, the class (deterministic)",
            "hmm" => "a chain of latents in the order of the variables",
            "hclt" => "a hidden Chow-Liu tree: a latent for each variable, in the tree of most mutual information",
            "chow-liu" => "the tree of most mutual information over the variables themselves (deterministic)",
            "rat-spn" => "random splits, several times over, mixed at the root",
            "poon-domingos" => "all rectangles of a picture on a grid, each split in every way",
            "quad-tree" => "a picture in quadrants, down to its pixels",
            "quad-graph" => "a picture in halves by rows and by columns",
            _ => "random halves, down to single variables",
        }
    }

    /// Refuses settings that no data could fit.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::NaiveBayes { class } if class.is_empty() => {
                Err(Error::Usage("naive-bayes needs the variable that is its class: --class NAME".into()))
            }
            Self::RatSpn { depth, .. } if *depth > 32 => Err(Error::out_of_range("depth", depth, "0 ≤ depth ≤ 32")),
            Self::RatSpn { replicas, .. } if !(1..=1024).contains(replicas) => {
                Err(Error::out_of_range("replicas", replicas, "1 ≤ replicas ≤ 1024"))
            }
            Self::Hclt { shared, .. } if *shared > crate::circuits::graph::MOST_UNITS => {
                Err(Error::out_of_range("shared", shared, "0 ≤ shared ≤ 65536"))
            }
            Self::PoonDomingos { step: 0, .. } => Err(Error::out_of_range("step", 0, "1 ≤ step")),
            _ => Ok(()),
        }?;
        let (name, size) = match self {
            Self::Mixture { components } => ("components", *components),
            Self::Hmm { states, .. } | Self::Hclt { states, .. } => ("states", *states),
            Self::RatSpn { units, .. }
            | Self::PoonDomingos { units, .. }
            | Self::QuadTree { units, .. }
            | Self::QuadGraph { units, .. }
            | Self::RandomTree { units, .. } => ("units", *units),
            Self::NaiveBayes { .. } | Self::ChowLiu => return Ok(()),
        };
        match (1..=crate::circuits::graph::MOST_UNITS).contains(&size) {
            true => Ok(()),
            false => Err(Error::out_of_range(name, size, "1 ≤ value ≤ 65536")),
        }
    }

    /// The name, as `limbeck fit` knows it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mixture { .. } => Self::NAMES[0],
            Self::NaiveBayes { .. } => Self::NAMES[1],
            Self::Hmm { .. } => Self::NAMES[2],
            Self::Hclt { .. } => Self::NAMES[3],
            Self::ChowLiu => Self::NAMES[4],
            Self::RatSpn { .. } => Self::NAMES[5],
            Self::PoonDomingos { .. } => Self::NAMES[6],
            Self::QuadTree { .. } => Self::NAMES[7],
            Self::QuadGraph { .. } => Self::NAMES[8],
            Self::RandomTree { .. } => Self::NAMES[9],
        }
    }

    /// Whether at most one child of every sum is possible for a complete row.
    pub fn is_deterministic(&self) -> bool {
        matches!(self, Self::NaiveBayes { .. } | Self::ChowLiu)
    }

    /// The number of nodes of a block, where it is a setting.
    pub fn units_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Mixture { components: units }
            | Self::Hmm { states: units, .. }
            | Self::Hclt { states: units, .. }
            | Self::RatSpn { units, .. }
            | Self::PoonDomingos { units, .. }
            | Self::QuadTree { units, .. }
            | Self::QuadGraph { units, .. }
            | Self::RandomTree { units, .. } => Some(units),
            Self::NaiveBayes { .. } | Self::ChowLiu => None,
        }
    }

    /// The graph over the variables of `rows`; what is learned of it is learned from them.
    ///
    /// # Errors
    /// When a setting is out of range or does not fit the data, or a row cannot be read.
    pub fn graph(&self, rows: &dyn Rows, seed: Seed) -> Result<Graph> {
        let schema = rows.schema();
        let vars = schema.len();
        match self {
            Self::Mixture { components } => simple::mixture(vars, *components),
            Self::NaiveBayes { class } => simple::naive_bayes(schema, schema.index(class)?),
            Self::Hmm { states, homogeneous } => simple::hmm(schema, *states, *homogeneous),
            Self::Hclt { states, joined, shared } => {
                if *shared > 0 {
                    alike(schema)?;
                }
                hclt::hclt(&Tree::chow_liu(rows, seed)?, *states, *joined, *shared)
            }
            Self::ChowLiu => simple::chow_liu(schema, &Tree::chow_liu(rows, seed)?),
            Self::RatSpn { depth, replicas, units, layer } => {
                random::rat_spn(vars, *depth, *replicas, *units, *layer, seed)
            }
            Self::PoonDomingos { step, units, layer } => image::poon_domingos(&schema.shape, *step, *units, *layer),
            Self::QuadTree { units, layer, tied } => image::quad(&schema.shape, *units, *layer, *tied, false),
            Self::QuadGraph { units, layer, tied } => image::quad(&schema.shape, *units, *layer, *tied, true),
            Self::RandomTree { units, layer } => random::random_tree(vars, *units, *layer, seed),
        }
    }

    /// The kind of leaves of each variable: `leaf`, but where the structure makes a variable's value a node.
    ///
    /// # Errors
    /// When the variable that is the class does not exist.
    pub fn leaves(&self, schema: &Schema, leaf: Leaf) -> Result<Vec<Leaf>> {
        let mut leaves = vec![leaf; schema.len()];
        match self {
            Self::NaiveBayes { class } => leaves[schema.index(class)?] = Leaf::Indicator,
            Self::ChowLiu => leaves.fill(Leaf::Indicator),
            _ => {}
        }
        Ok(leaves)
    }
}

/// Refuses to share distributions of a value among columns of different ones.
fn alike(schema: &Schema) -> Result<()> {
    let differ = |pair: &&[Variable]| (pair[0].categories, &pair[0].words) != (pair[1].categories, &pair[1].words);
    let Some([a, b]) = schema.variables.windows(2).find(differ) else { return Ok(()) };
    let (what, remedy) = match (&a.words, &b.words) {
        (None, None) => {
            let sizes = format!("{} has {} and {} has {}", a.name, a.categories, b.name, b.categories);
            (format!("equally many values; {sizes}"), "--categories K makes them so, ")
        }
        _ => (format!("the same words; those of {} and {} differ", a.name, b.name), ""),
    };
    Err(Error::invalid(format!("distributions are shared by columns of {what}: {remedy}--shared 0 does without")))
}

impl Graph {
    /// A hidden Chow-Liu tree over a given tree, with that many states a latent.
    ///
    /// # Errors
    /// When `states` is not in `1..=65536`.
    pub fn hclt(tree: &Tree, states: usize) -> Result<Self> {
        hclt::hclt(tree, states, false, 0)
    }
}
