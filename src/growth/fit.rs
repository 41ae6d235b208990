//! Growing by its settings, on any rows: `limbeck fit grown`.

use super::{Expand, Growing, Learn, More, Select};
use crate::{
    Error, Result,
    circuits::{Circuit, Em, FitCircuit, Structure},
    data::{Rows, Schema, Spilled, Subset, load},
    model::{AnyFit, Entry, Setting},
    train::{Fit, History, Reads, Run},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A circuit over rows of any kind that grows a head for each cluster of features that the user gives: what another model, whichever
/// it is, has to say of them.
///
/// What is fitted is the mixture of the heads, which then learns as a whole. Source: Liu et al. 2023 (LVD-PG), §4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitGrown {
    /// A file of numbers, a row for each row of the data; where it is empty the values themselves count, each within 0 and 1.
    pub features: String,
    /// Heads that the circuit begins with.
    pub start_heads: usize,
    /// Heads that it grows.
    pub heads: usize,
    /// States of a latent before it grows.
    pub states: usize,
    /// Passes over the rows, in each round.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Edges with less flow than this, of a row, are pruned after each round.
    pub unused: f64,
    /// By how many nats a head must be better than a row's own.
    pub reluctance: f64,
    /// The share of the rows whose clusters are divided in a round.
    pub share: f64,
    /// Rounds without gain on the validation rows before growing ends; 0 to grow to the last head.
    pub rounds: usize,
    /// Passes of the mixture over the rows; 0 to leave it as it is.
    pub tune_epochs: u64,
    /// Epochs of the mixture without improvement on the validation rows before it ends; 0 to train to the last epoch.
    pub patience: u64,
}

impl Default for FitGrown {
    fn default() -> Self {
        Self {
            features: String::new(),
            start_heads: 1,
            heads: 8,
            states: 8,
            epochs: 20,
            batch: 128,
            unused: 1e-4,
            reluctance: 0.0,
            share: 0.4,
            rounds: 2,
            tune_epochs: 60,
            patience: 10,
        }
    }
}

const NAME: &str = "grown";

const SETTINGS: &[Setting] = &[
    Setting { key: "features", help: "numbers for each row of the data, by which rows are alike: .npy or .csv" },
    Setting { key: "start_heads", help: "heads that the circuit begins with" },
    Setting { key: "heads", help: "heads that it grows" },
    Setting { key: "states", help: "states of a latent before it grows" },
    Setting { key: "epochs", help: "passes over the rows, in each round of growing" },
    Setting { key: "batch", help: "rows in a batch" },
    Setting { key: "unused", help: "edges with less flow than this, of a row, are pruned after each round; 0: none" },
    Setting { key: "reluctance", help: "nats by which a head must be better than a row's own for it to move there" },
    Setting { key: "share", help: "share of the rows whose clusters are divided in a round, the least likely first" },
    Setting { key: "rounds", help: "rounds without gain on the validation rows before growing ends; 0: to the last" },
    Setting { key: "tune_epochs", help: "passes of the mixture of heads over the rows; 0: it stays as it is" },
    Setting { key: "patience", help: "epochs of it without improvement on the validation rows; 0: to the last" },
];

/// What `limbeck fit` can fit by growing.
pub fn entries() -> Vec<Entry> {
    let parse = |table: toml::Table| -> Result<Box<dyn AnyFit>> {
        Ok(Box::new(table.try_into::<FitGrown>().map_err(Error::invalid)?))
    };
    let about = "a circuit that grows a head for each cluster of features you give (LVD-PG on any table)";
    vec![Entry::new(NAME, about, &FitGrown::default(), SETTINGS, parse)]
}

/// Features of some rows, by the numbers that these have in the user's file; and how many rows have some.
fn features_of(path: &str, rows: &dyn Rows) -> Result<(Spilled, usize)> {
    const BLOCK: usize = 4096;
    let all: Vec<usize> = (0..rows.len()).collect();
    let width = rows.schema().len();
    if path.is_empty() {
        let names: Vec<String> = rows.schema().variables.iter().map(|v| v.name.clone()).collect();
        let last: Vec<f32> = rows.schema().variables.iter().map(|v| (v.categories.max(2) - 1) as f32).collect();
        let (mut spilled, mut codes) = (Spilled::new(Schema::reals(&names))?, Vec::new());
        for block in all.chunks(BLOCK) {
            rows.read(block, &mut codes)?;
            // What is missing lies in the middle.
            let within = |(i, code): (usize, &u16)| {
                if *code == crate::data::MISSING { 0.5 } else { f32::from(*code) / last[i % width] }
            };
            spilled.push(&codes.iter().enumerate().map(within).collect::<Vec<_>>())?;
        }
        return Ok((spilled, 0));
    }
    let given = load(path)?.continuous(None)?;
    let numbers: Vec<usize> = all.iter().map(|row| rows.number_of(*row)).collect();
    // Those of the validation rows are not asked for.
    if let Some(row) = numbers.iter().find(|row| **row >= given.len()) {
        let there = given.len();
        return Err(Error::file(path, format!("features of {there} rows, and the data has a row {row} (from 0)")));
    }
    let (chosen, mut reals) = (Subset::new(&given, numbers), Vec::new());
    let mut spilled = Spilled::new(given.schema().clone())?;
    for block in all.chunks(BLOCK) {
        chosen.read_reals(block, &mut reals)?;
        if let Some(i) = reals.iter().position(|x| !(*x as f32).is_finite()) {
            let row = format!("row {} (from 0)", rows.number_of(block[i / given.schema().len()]));
            let missing = "a missing value (NaN, −1 among whole numbers): features need all of them";
            let problem = if reals[i].is_nan() {
                missing.into()
            } else {
                format!("{}: features are in single precision", reals[i])
            };
            return Err(Error::at(path, row, problem));
        }
        spilled.push(&reals.iter().map(|x| *x as f32).collect::<Vec<_>>())?;
    }
    Ok((spilled, given.len()))
}

/// Refuses settings of growth that are out of range.
pub(crate) fn check_growth([start, heads]: [usize; 2], unused: f64, reluctance: f64, share: f64) -> Result<()> {
    if start > heads {
        return Err(Error::out_of_range("start_heads", start, "start_heads ≤ heads"));
    }
    for (name, value) in [("unused", unused), ("reluctance", reluctance)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(Error::out_of_range(name, value, "0 ≤ value"));
        }
    }
    match (0.0..=1.0).contains(&share) {
        true => Ok(()),
        false => Err(Error::out_of_range("share", share, "0 ≤ share ≤ 1")),
    }
}

impl Fit for FitGrown {
    type Model = Circuit;

    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("start_heads", self.start_heads as u64),
            ("heads", self.heads as u64),
            ("states", self.states as u64),
            ("epochs", self.epochs),
            ("batch", self.batch as u64),
        ] {
            if value == 0 {
                return Err(Error::out_of_range(name, value, "1 ≤ value"));
            }
        }
        check_growth([self.start_heads, self.heads], self.unused, self.reluctance, self.share)
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn files(&self) -> Vec<(&'static str, PathBuf)> {
        if self.features.is_empty() { vec![] } else { vec![("--features", PathBuf::from(&self.features))] }
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, mut run: Run) -> Result<(Circuit, History)> {
        self.check()?;
        run.on_cpu("a circuit that grows")?;
        if let Some(checkpoint) = &run.checkpoint {
            checkpoint.refuse_parts(&["heads", "whole"])?;
        }
        let (features, there) = features_of(&self.features, rows)?;
        let all = rows.len() + valid.map_or(0, Rows::len);
        let valid = valid.filter(|valid| !valid.is_empty());
        let growing = Growing {
            clusters: self.heads,
            learn: Learn { epochs: self.epochs, batch: self.batch, em: Em::default(), unused: self.unused },
            reluctance: self.reluctance,
            select: Select::Share(self.share),
            more: More::Double,
            expand: Expand::default(),
            patience: if valid.is_some() { self.rounds } else { 0 },
            ..Growing::default()
        };
        let seed = run.seed;
        let settings = FitCircuit { batch: self.batch, ..FitCircuit::new(Structure::hclt(self.states)) };
        let start = settings.start_heads(rows, self.start_heads, seed)?;
        let grow = |run: Run| growing.run(start, (rows, &features), valid, run);
        let grown = run.part("heads", seed.child("heads", 0), grow)?;
        let mut circuit = grown.mixed()?;
        let mut history = History::default();
        if self.tune_epochs > 0 {
            let tuning = FitCircuit { epochs: self.tune_epochs, patience: self.patience, ..settings };
            let tune = |run: Run| tuning.go_on(circuit, rows, valid, run);
            (circuit, history) = run.part("whole", seed.child("whole", 0), tune)?;
        }
        for (i, round) in grown.rounds.iter().enumerate() {
            let valid = round.valid.map(|valid| format!(", {valid:.3} on the validation rows")).unwrap_or_default();
            let (heads, relabelled) = (round.heads, round.relabelled);
            history.note(format!("round {i}: {heads} heads, {relabelled:.3} nats a row under its own{valid}"));
        }
        if there > all {
            history.note(format!(
                "{} has features of {there} rows, and there are {all}: are they of these?",
                self.features
            ));
        }
        Ok((circuit.named(NAME), history))
    }
}
