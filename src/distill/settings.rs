//! What the pipeline is told.

use crate::{
    Error, Result,
    circuits::Em,
    growth::{Expand, Growing, Learn, More, Select, check_growth},
    linalg::KMeans,
    model::{AnyFit, Entry, Setting},
    teachers::{Decoder, Teaching, VqVaeConfig},
};
use serde::{Deserialize, Serialize};

/// Progressive growing of a circuit over pictures, taught by a vector-quantised autoencoder (LVD-PG).
///
/// ```text
/// teacher → what it sees in squares → clusters → heads that grow from each → p(z) → the whole, on the pictures
/// ```
///
/// What is fitted is a circuit like any other. Source: Liu et al. 2023; that the whole is tuned on the pictures, heads and all, is
/// this project's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitStudent {
    /// Pixels along a square.
    pub side: usize,
    /// Levels of codes of the teacher.
    pub levels: usize,
    /// Codes of the teacher, at each level.
    pub codes: usize,
    /// Numbers of a code, which are what the teacher sees of a square.
    pub code_width: usize,
    /// Channels within the teacher.
    pub hidden: usize,
    /// Residual blocks of the teacher.
    pub blocks: usize,
    /// What makes the teacher's pictures of codes.
    pub decoder: Decoder,
    /// Components of what the teacher says of a pixel.
    pub logistics: usize,
    /// Passes of the teacher over the pictures.
    pub teacher_epochs: u64,
    /// Pictures in a batch of the teacher.
    pub teacher_batch: usize,
    /// The teacher's rate of Adam, once it is warm.
    pub teacher_rate: f64,
    /// Clusters of squares, each of which grows a circuit of its own.
    pub clusters: usize,
    /// Squares a round of K-means over all; 0 for all.
    pub kmeans_batch: usize,
    /// Heads that each cluster begins with.
    pub start_heads: usize,
    /// Heads that each of them grows.
    pub heads: usize,
    /// States of a latent of a square's circuit before it grows.
    pub states: usize,
    /// Distributions of a value that the states of all pixels of a square mix, before it grows; 0: each state has its own.
    pub shared: usize,
    /// Passes over the squares, in each round.
    pub epochs: u64,
    /// Squares in a batch.
    pub batch: usize,
    /// What is added to the flows of every node in all.
    pub pseudocount: f64,
    /// How far the first step of EM goes.
    pub first_step: f64,
    /// How far the last one goes.
    pub last_step: f64,
    /// Edges with less flow than this, of a row, are pruned after each round.
    pub unused: f64,
    /// By how many nats a head must be better than a square's own.
    pub reluctance: f64,
    /// The share of the squares whose clusters are divided in a round.
    pub share: f64,
    /// States of a latent of the circuit over which square has which head.
    pub prior_states: usize,
    /// Passes over the pictures for that circuit, with the heads as they are.
    pub prior_epochs: u64,
    /// Passes of the whole over the pictures; 0 to leave it as it is.
    pub tune_epochs: u64,
    /// Epochs of the whole without improvement on the validation rows before it ends; 0 to train to the last epoch.
    pub patience: u64,
}

impl Default for FitStudent {
    fn default() -> Self {
        let Em { pseudocount, first_step, last_step, .. } = Em::default();
        let teaching = Teaching::default();
        Self {
            side: 4,
            levels: 1,
            codes: 32,
            code_width: 8,
            hidden: 32,
            blocks: 1,
            decoder: Decoder::Independent,
            logistics: 5,
            teacher_epochs: teaching.epochs,
            teacher_batch: teaching.batch,
            teacher_rate: 1e-3,
            clusters: 1,
            kmeans_batch: 0,
            start_heads: 1,
            heads: 16,
            states: 8,
            shared: 0,
            epochs: 20,
            batch: 256,
            pseudocount,
            first_step,
            last_step,
            unused: 1e-4,
            reluctance: 0.0,
            share: 0.4,
            prior_states: 8,
            prior_epochs: 20,
            tune_epochs: 40,
            patience: 10,
        }
    }
}

pub(super) const NAME: &str = "lvd-pg";

const SETTINGS: &[Setting] = &[
    Setting { key: "side", help: "pixels along a square; divides the height and the width of the pictures" },
    Setting { key: "levels", help: "levels of codes of the teacher, 1 or 2: VQ-VAE or VQ-VAE-2" },
    Setting { key: "codes", help: "codes of the teacher, a vector-quantised autoencoder, at each level" },
    Setting { key: "code_width", help: "numbers of a code" },
    Setting { key: "hidden", help: "channels within the teacher" },
    Setting { key: "blocks", help: "residual blocks of the teacher" },
    Setting { key: "decoder", help: "of the teacher: \"independent\" or \"convolutional\"" },
    Setting { key: "logistics", help: "logistic distributions of a pixel in the teacher, 1 to 16" },
    Setting { key: "teacher_epochs", help: "passes of the teacher over the pictures" },
    Setting { key: "teacher_batch", help: "pictures in a batch of the teacher" },
    Setting {
        key: "teacher_rate",
        help: "the teacher's rate of Adam, once it is warm; it falls along a cosine to a twentieth",
    },
    Setting { key: "clusters", help: "clusters of squares, each of which grows a circuit of its own" },
    Setting { key: "kmeans_batch", help: "squares a round of K-means into these clusters; 0: all" },
    Setting { key: "start_heads", help: "heads that each of them begins with" },
    Setting { key: "heads", help: "heads that each of them grows" },
    Setting { key: "states", help: "states of a latent of a square's circuit before it grows" },
    Setting { key: "shared", help: "distributions of a value that the states of all pixels mix; 0: each its own" },
    Setting { key: "epochs", help: "passes over the squares, in each round of growing" },
    Setting { key: "batch", help: "squares in a batch" },
    Setting { key: "pseudocount", help: "what EM adds to the flow of every node in all, in rows" },
    Setting { key: "first_step", help: "how far the first step of EM goes, of 1" },
    Setting { key: "last_step", help: "how far its last step goes" },
    Setting { key: "unused", help: "edges with less flow than this, of a row, are pruned after each round; 0: none" },
    Setting { key: "reluctance", help: "nats by which a head must be better than a square's own for it to move there" },
    Setting {
        key: "share",
        help: "share of the squares whose clusters are divided in a round, the least likely first",
    },
    Setting { key: "prior_states", help: "states of a latent of the circuit over which square has which head" },
    Setting { key: "prior_epochs", help: "passes over the pictures for that circuit, the heads as they are" },
    Setting { key: "tune_epochs", help: "passes of the whole over the pictures; 0: it stays as it is" },
    Setting { key: "patience", help: "epochs of the whole without improvement on the validation rows; 0: to the last" },
];

/// What `limbeck fit` can fit by distillation.
pub fn entries() -> Vec<Entry> {
    let parse = |table: toml::Table| -> Result<Box<dyn AnyFit>> {
        Ok(Box::new(table.try_into::<FitStudent>().map_err(Error::invalid)?))
    };
    let about = "a circuit over pictures that grows with clusters of what an autoencoder sees in their squares";
    vec![Entry::new(NAME, about, &FitStudent::default(), SETTINGS, parse)]
}

impl FitStudent {
    pub(super) fn checked(&self) -> Result<()> {
        for (name, value) in [
            ("side", self.side as u64),
            ("codes", self.codes as u64),
            ("code_width", self.code_width as u64),
            ("hidden", self.hidden as u64),
            ("teacher_epochs", self.teacher_epochs),
            ("teacher_batch", self.teacher_batch as u64),
            ("clusters", self.clusters as u64),
            ("start_heads", self.start_heads as u64),
            ("heads", self.heads as u64),
            ("states", self.states as u64),
            ("epochs", self.epochs),
            ("batch", self.batch as u64),
            ("prior_states", self.prior_states as u64),
            ("prior_epochs", self.prior_epochs),
        ] {
            if value == 0 {
                return Err(Error::out_of_range(name, value, "1 ≤ value"));
            }
        }
        if !(1..=16).contains(&self.logistics) {
            return Err(Error::out_of_range("logistics", self.logistics, "1 ≤ logistics ≤ 16"));
        }
        check_growth([self.start_heads, self.heads], self.unused, self.reluctance, self.share)?;
        if !(self.teacher_rate > 0.0 && self.teacher_rate.is_finite()) {
            return Err(Error::out_of_range("teacher_rate", self.teacher_rate, "0 < rate"));
        }
        self.em().check()
    }

    pub(super) fn em(&self) -> Em {
        let &Self { pseudocount, first_step, last_step, .. } = self;
        Em { pseudocount, first_step, last_step, ..Em::default() }
    }

    pub(super) fn teacher(&self) -> (Teaching, VqVaeConfig) {
        let config = VqVaeConfig {
            side: self.side,
            levels: self.levels,
            codes: self.codes,
            width: self.code_width,
            hidden: self.hidden,
            blocks: self.blocks,
            decoder: self.decoder,
            components: self.logistics,
            ..VqVaeConfig::default()
        };
        (Teaching { epochs: self.teacher_epochs, batch: self.teacher_batch, rate: self.teacher_rate }, config)
    }

    pub(super) fn kmeans(&self) -> KMeans {
        KMeans { batch: self.kmeans_batch, ..KMeans::new(self.clusters) }
    }

    pub(super) fn growing(&self) -> Growing {
        let learn = Learn { epochs: self.epochs, batch: self.batch, em: self.em(), unused: self.unused };
        Growing {
            clusters: self.heads,
            learn,
            reluctance: self.reluctance,
            select: Select::Share(self.share),
            more: More::Double,
            expand: Expand::default(),
            ..Growing::default()
        }
    }
}
