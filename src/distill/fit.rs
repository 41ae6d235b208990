//! The whole pipeline by its settings: `limbeck fit lvd-pg`.

use super::{Student, latents};
use crate::{
    Error, Result,
    circuits::{Circuit, Em, EmLearner, FitCircuit, Structure},
    data::{MISSING, Patches, Rows, Subset},
    growth::{Expand, Growing, Learn, More},
    linalg::KMeans,
    model::{AnyFit, Entry, Setting},
    teachers::{Decoder, Teaching, VqVaeConfig},
    train::{Fit, History, Plan, Reads, Run, train},
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
    /// Codes of the teacher.
    pub codes: usize,
    /// Numbers of a code, which are what the teacher sees of a square.
    pub code_width: usize,
    /// Channels within the teacher.
    pub hidden: usize,
    /// Residual blocks of the teacher.
    pub blocks: usize,
    /// What makes the teacher's pictures of codes.
    pub decoder: Decoder,
    /// Passes of the teacher over the pictures.
    pub teacher_epochs: u64,
    /// Clusters of squares, each of which grows a circuit of its own.
    pub clusters: usize,
    /// Heads that each of them grows.
    pub heads: usize,
    /// States of a latent of a square's circuit before it grows.
    pub states: usize,
    /// Passes over the squares, in each round.
    pub epochs: u64,
    /// Squares in a batch.
    pub batch: usize,
    /// States of a latent of the circuit over which square has which head.
    pub prior_states: usize,
    /// Passes over the pictures for that circuit, with the heads as they are.
    pub prior_epochs: u64,
    /// Passes of the whole over the pictures.
    pub tune_epochs: u64,
    /// Epochs of the whole without improvement on the validation rows before it ends; 0 to train to the last epoch.
    pub patience: u64,
}

impl Default for FitStudent {
    fn default() -> Self {
        Self {
            side: 4,
            codes: 32,
            code_width: 8,
            hidden: 32,
            blocks: 1,
            decoder: Decoder::Independent,
            teacher_epochs: 40,
            clusters: 1,
            heads: 16,
            states: 8,
            epochs: 20,
            batch: 256,
            prior_states: 8,
            prior_epochs: 20,
            tune_epochs: 40,
            patience: 10,
        }
    }
}

const NAME: &str = "lvd-pg";

const SETTINGS: &[Setting] = &[
    Setting { key: "side", help: "pixels along a square; divides the height and the width of the pictures" },
    Setting { key: "codes", help: "codes of the teacher, a vector-quantised autoencoder" },
    Setting { key: "code_width", help: "numbers of a code" },
    Setting { key: "hidden", help: "channels within the teacher" },
    Setting { key: "blocks", help: "residual blocks of the teacher" },
    Setting { key: "decoder", help: "of the teacher: \"independent\" or \"convolutional\"" },
    Setting { key: "teacher_epochs", help: "passes of the teacher over the pictures" },
    Setting { key: "clusters", help: "clusters of squares, each of which grows a circuit of its own" },
    Setting { key: "heads", help: "heads that each of them grows" },
    Setting { key: "states", help: "states of a latent of a square's circuit before it grows" },
    Setting { key: "epochs", help: "passes over the squares, in each round of growing" },
    Setting { key: "batch", help: "squares in a batch" },
    Setting { key: "prior_states", help: "states of a latent of the circuit over which square has which head" },
    Setting { key: "prior_epochs", help: "passes over the pictures for that circuit, the heads as they are" },
    Setting { key: "tune_epochs", help: "passes of the whole over the pictures" },
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

/// Pictures in a batch of the whole and of the circuit over heads.
const PICTURES: usize = 128;

/// A part of the run with a seed by its name.
fn of<T>(run: &mut Run, name: &str, work: impl FnOnce(Run) -> Result<T>) -> Result<T> {
    let seed = run.seed.child(name, 0);
    run.part(name, seed, work)
}

impl FitStudent {
    /// The heads of the squares of pictures, and which of them each square has.
    fn heads(&self, patches: &Patches, rows: &dyn Rows, run: &mut Run) -> Result<(Vec<Circuit>, Vec<u32>)> {
        let teaching = Teaching { epochs: self.teacher_epochs, ..Teaching::default() };
        let config = VqVaeConfig {
            side: self.side,
            codes: self.codes,
            width: self.code_width,
            hidden: self.hidden,
            blocks: self.blocks,
            decoder: self.decoder,
            ..VqVaeConfig::default()
        };
        // The first part of a run keeps the settings of all.
        let settings = toml::to_string(self).map_err(Error::invalid)?;
        let teacher = of(run, "teacher", |run| Ok(teaching.vq_vae_within(&config, settings, rows, run)?.0))?;
        let (squares, features) = (patches.of(rows)?, teacher.features(rows)?);
        let clusters = KMeans::new(self.clusters).fit(&features, run.seed.child("clusters", 0))?.labels;
        let learn = Learn { epochs: self.epochs, batch: self.batch, em: Em::default(), ..Learn::default() };
        let growing = Growing {
            clusters: self.heads,
            learn,
            more: More::Double,
            expand: Expand::default(),
            ..Growing::default()
        };
        let (mut parts, mut labels, mut heads) = (Vec::new(), vec![0; squares.len()], 0);
        for cluster in 0..self.clusters as u32 {
            let own: Vec<usize> = (0..squares.len()).filter(|square| clusters[*square] == cluster).collect();
            // Where squares are alike there may be fewer clusters of them.
            if own.is_empty() {
                continue;
            }
            let (own_squares, own_features) = (Subset::new(&squares, own.clone()), Subset::new(&features, own.clone()));
            let grown = of(run, &format!("cluster-{cluster}"), |run| {
                let start = FitCircuit::new(Structure::hclt(self.states)).start_circuit(&own_squares, run.seed)?;
                growing.run(start, (&own_squares, &own_features), None, run)
            })?;
            own.iter().zip(&grown.clusters.labels).for_each(|(square, label)| labels[*square] = heads + label);
            heads += grown.circuit.graph().heads() as u32;
            parts.push(grown.circuit);
        }
        Ok((parts, labels))
    }
}

/// Refuses pictures with missing values, and names the first.
fn whole_pictures(rows: &dyn Rows) -> Result<()> {
    const BLOCK: usize = 4096;
    let (all, mut codes) = ((0..rows.len()).collect::<Vec<_>>(), Vec::new());
    let mut first: Option<usize> = None;
    for block in all.chunks(BLOCK) {
        rows.read(block, &mut codes)?;
        let pictures = codes.chunks_exact(rows.schema().len()).zip(block);
        let holed = pictures.filter(|(codes, _)| codes.contains(&MISSING)).map(|(_, row)| rows.number_of(*row));
        first = first.into_iter().chain(holed).min();
    }
    match first {
        None => Ok(()),
        Some(row) => {
            let why = "its autoencoder takes no missing values (the circuit that is fitted does)";
            Err(Error::invalid(format!(
                "row {row}: a picture with missing values; {NAME} learns from whole ones, as {why}"
            )))
        }
    }
}

impl Fit for FitStudent {
    type Model = Circuit;

    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("side", self.side as u64),
            ("codes", self.codes as u64),
            ("code_width", self.code_width as u64),
            ("hidden", self.hidden as u64),
            ("teacher_epochs", self.teacher_epochs),
            ("clusters", self.clusters as u64),
            ("heads", self.heads as u64),
            ("states", self.states as u64),
            ("epochs", self.epochs),
            ("batch", self.batch as u64),
            ("prior_states", self.prior_states as u64),
            ("prior_epochs", self.prior_epochs),
            ("tune_epochs", self.tune_epochs),
        ] {
            if value == 0 {
                return Err(Error::out_of_range(name, value, "1 ≤ value"));
            }
        }
        Ok(())
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, mut run: Run) -> Result<(Circuit, History)> {
        self.check()?;
        if let Some(checkpoint) = &run.checkpoint {
            checkpoint.refuse_parts(&["teacher", "cluster-", "labels", "prior", "whole"])?;
        }
        let patches = Patches::new(rows.schema(), self.side)?;
        whole_pictures(rows)?;
        let (parts, labels) = self.heads(&patches, rows, &mut run)?;
        let heads: usize = parts.iter().map(|part| part.graph().heads()).sum();
        let of_rows = latents(&patches, &labels, heads)?;
        let settings = FitCircuit {
            epochs: self.prior_epochs,
            batch: PICTURES,
            patience: 0,
            ..FitCircuit::new(Structure::hclt(self.prior_states))
        };
        let prior = of(&mut run, "labels", |run| Ok(settings.fit_with(&of_rows, None, run)?.0))?;
        let mut student = Student::new(patches, parts, prior)?;
        let soft = (Em::default(), self.prior_epochs, PICTURES);
        of(&mut run, "prior", |run| student.learn_prior(rows, valid, soft, run))?;

        let mut learner = EmLearner::new(student.circuit()?, rows, valid, Em::default())?;
        let patience = (self.patience > 0 && valid.is_some_and(|valid| !valid.is_empty())).then_some(self.patience);
        let mut history = of(&mut run, "whole", |Run { seed, checkpoint, watch, .. }| {
            train(&mut learner, &Plan { patience, checkpoint, ..Plan::new(self.tune_epochs, PICTURES, seed) }, watch)
        })?;
        let circuit = learner.into_circuit();
        history.note(format!("{heads} heads of squares, {} parameters", circuit.parameters()));
        Ok((circuit.named(NAME), history))
    }
}
