//! Circuits as models: what the registry and the command line see of them.

use super::{Circuit, Deterministic, Em, FitCircuit, Leaf, RealCircuit, Rule, Structure, file::NAME};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Dataset, Rows, Schema},
    evidence::AnyEvidence,
    model::{AnyFit, Each, Entry, Family, Model, ModelFile, Moments, Queries, Setting},
    random::Seed,
};
use std::any::Any;

/// Circuits, over categories and over real numbers.
pub const FAMILY: Family = Family { name: NAME, load, entries };

fn load(file: &ModelFile) -> Result<Box<dyn Model>> {
    let circuit = Circuit::of_file(file)?;
    Ok(if circuit.is_real() { Box::new(RealCircuit(circuit)) } else { Box::new(circuit) })
}

const SETTINGS: &[Setting] = &[
    Setting { key: "structure.components", help: "components of the mixture" },
    Setting { key: "structure.class", help: "the variable that is the class: its name, or its number from 0" },
    Setting { key: "structure.depth", help: "levels of splits" },
    Setting { key: "structure.replicas", help: "how many times over the variables are split" },
    Setting { key: "structure.step", help: "pixels from one line of the grid to the next" },
    Setting { key: "structure.states", help: "states of each latent" },
    Setting { key: "structure.units", help: "nodes of a region" },
    Setting { key: "structure.layer", help: "how parts become one region: \"cp\", \"cp-transposed\" or \"tucker\"" },
    Setting { key: "structure.homogeneous", help: "the same transitions and emissions everywhere" },
    Setting { key: "structure.joined", help: "variables without children have no latent of their own" },
    Setting {
        key: "structure.shared",
        help: "distributions of a value that all variables share, and states mix; 0: each state has one of its own",
    },
    Setting { key: "structure.tied", help: "regions of one size share their weights" },
    Setting {
        key: "leaf",
        help: "distributions at the leaves: \"categorical\", \"bernoulli\", \"binomial\", \"poisson\", \"discretised-logistic\"; \
               \"gaussian\" for real numbers",
    },
    Setting { key: "epochs", help: "passes over the training rows" },
    Setting { key: "batch", help: "rows in a batch" },
    Setting { key: "patience", help: "epochs without improvement on the validation rows; 0: to the last epoch" },
    Setting {
        key: "least_scale",
        help: "least deviation of a gaussian leaf, in deviations of its column, or scale of a discretised logistic; 0: as \
               usual, one over the rows, and 0.02",
    },
    Setting { key: "em.rule", help: "\"mini-batch\", \"full-batch\", \"slow-forgetting\" or \"anemone\"" },
    Setting {
        key: "em.pseudocount",
        help: "rows' worth of the uniform distribution, for every node; of anemone shares of a row, and usually 1e-6",
    },
    Setting {
        key: "em.first_step",
        help: "of mini-batch and anemone (usually 0.4 there); falls along a cosine to last_step",
    },
    Setting { key: "em.last_step", help: "the step of the last batch" },
    Setting { key: "em.memory", help: "rows that slow-forgetting remembers" },
    Setting { key: "em.momentum", help: "how much of the average flow anemone keeps at a batch" },
];

fn entries() -> Vec<Entry> {
    let entry = |name| {
        let settings = FitCircuit::new(Structure::named(name).expect("the names are those of structures"));
        // The values of a Chow-Liu tree are its nodes: its leaves are no choice.
        let own = |setting: &&Setting| name != "chow-liu" || !["leaf", "least_scale"].contains(&setting.key);
        let documented: Vec<Setting> = SETTINGS.iter().filter(own).copied().collect();
        Entry::new(name, Structure::about(name), &settings, &documented, parse).depending(usual).idle(idle)
    };
    Structure::NAMES.into_iter().map(entry).collect()
}

/// What is usual for a circuit depends on the rule of EM alone.
fn usual(usual: &mut toml::Table, given: &toml::Table) {
    let rule = given.get("em").and_then(|em| em.get("rule")).cloned();
    let em = rule.and_then(|rule| toml::Table::from_iter([("rule".to_string(), rule)]).try_into::<Em>().ok());
    if let Some(em) = em.and_then(|em| toml::Value::try_from(em).ok()) {
        usual.insert("em".into(), em);
    }
}

/// What does nothing beside the rule of EM and the leaves that are chosen.
fn idle(table: &toml::Table) -> Vec<(&'static str, &'static str)> {
    let Ok(FitCircuit { leaf, em, .. }) = table.clone().try_into() else { return vec![] };
    let steps = matches!(em.rule, Rule::MiniBatch | Rule::Anemone);
    let mut idle: Vec<(&str, &str)> = [
        (steps, "em.first_step", "only the rules mini-batch and anemone go a part of the way"),
        (steps, "em.last_step", "only the rules mini-batch and anemone go a part of the way"),
        (em.rule == Rule::SlowForgetting, "em.memory", "only the rule slow-forgetting has a memory"),
        (em.rule == Rule::Anemone, "em.momentum", "only the rule anemone has momentum"),
    ]
    .into_iter()
    .filter_map(|(used, key, why)| (!used).then_some((key, why)))
    .collect();
    if !matches!(leaf, Leaf::Gaussian | Leaf::DiscretisedLogistic) {
        idle.push(("least_scale", "these leaves have no scale; gaussian and discretised-logistic ones have"));
    }
    idle
}

fn parse(settings: toml::Table) -> Result<Box<dyn AnyFit>> {
    let fit: FitCircuit = settings.try_into().map_err(Error::invalid)?;
    Ok(match fit.leaf {
        Leaf::Gaussian => Box::new(fit.reals()),
        _ => Box::new(fit),
    })
}

fn details(circuit: &Circuit) -> (String, serde_json::Value) {
    let summary = circuit.summary();
    (summary.to_string(), serde_json::to_value(&summary).unwrap_or_default())
}

impl Model for Circuit {
    fn family(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> &str {
        self.name()
    }

    fn schema(&self) -> &Schema {
        self.schema()
    }

    fn parameters(&self) -> usize {
        self.parameters()
    }

    fn score(&self, rows: &dyn Rows, _: Seed) -> Result<AnyEvidence> {
        Ok(self.evidence(rows)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        Ok(self.sample(n, seed)?.into())
    }

    fn queries(&self) -> Option<&dyn Queries> {
        Some(self)
    }

    fn details(&self) -> (String, serde_json::Value) {
        details(self)
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        self.put_into(arrays)
    }
}

/// What a circuit answers that is not deterministic.
const ANSWERS: &[&str] = &["conditional", "inpaint", "map", "next", "moments", "compress"];
const OF_DETERMINISTIC: &[&str] =
    &["conditional", "inpaint", "map", "next", "moments", "entropy", "divergence", "compress"];

impl Queries for Circuit {
    fn kind(&self) -> &str {
        self.name()
    }

    fn answers(&self) -> &'static [&'static str] {
        if Deterministic::new(self.clone()).is_ok() { OF_DETERMINISTIC } else { ANSWERS }
    }

    fn conditionals(&self, rows: &dyn Rows, variables: &[usize], each: &mut Each) -> Result<()> {
        self.conditionals_of_each(rows, variables, each)
    }

    fn moments(&self, rows: &dyn Rows) -> Result<Vec<Moments>> {
        let (all, mut moments): (Vec<usize>, _) = ((0..self.vars()).collect(), vec![]);
        self.conditionals_of_each(rows, &all, |_, _, probabilities| {
            moments.push(Moments::of(probabilities));
            Ok(())
        })?;
        Ok(moments)
    }

    fn complete(&self, rows: &Dataset, seed: Seed) -> Result<Dataset> {
        Ok(self.complete(rows.discrete()?, seed)?.into())
    }

    fn map(&self, rows: &Dataset) -> Result<(Dataset, AnyEvidence)> {
        let rows = rows.discrete()?;
        Ok(match Deterministic::new(self.clone()) {
            Ok(exact) => exact.map(rows).map(|(best, evidence)| (best.into(), evidence.any()))?,
            Err(_) => self.map(rows).map(|(best, evidence)| (best.into(), evidence.any()))?,
        })
    }

    fn next_variable(&self, row: &Dataset, target: usize) -> Result<Vec<(usize, f64)>> {
        self.next_variable(row.discrete()?, target)
    }

    fn entropy(&self) -> Result<f64> {
        Ok(Deterministic::new(self.clone())?.entropy())
    }

    fn divergence(&self, other: &dyn Model) -> Result<(f64, f64)> {
        let other: &Circuit = (other as &dyn Any).downcast_ref().ok_or_else(|| {
            let kind = other.kind();
            Error::invalid(format!("a divergence from {} to {kind} is not exact: both must be circuits", self.name()))
        })?;
        let pairs = self.schema().variables.iter().zip(&other.schema().variables);
        if let Some((ours, theirs)) = pairs.into_iter().find(|(ours, theirs)| ours != theirs) {
            let (what, ours, theirs) = match ours.name == theirs.name {
                true => ("categories of ", &ours.name, &theirs.name),
                false => ("columns ", &ours.name, &theirs.name),
            };
            return Err(Error::invalid(format!("the models are of other rows: {what}{ours} there, {theirs} here")));
        }
        let (ours, theirs) = (Deterministic::new(self.clone())?, Deterministic::new(other.clone())?);
        Ok((theirs.cross_entropy_under(&ours)?, ours.kl(&theirs)?))
    }

    fn compress(&self, rows: &Dataset) -> Result<Vec<u8>> {
        self.compress(rows.discrete()?)
    }

    fn decompress(&self, bytes: &[u8]) -> Result<Dataset> {
        Ok(self.decompress(bytes)?.into())
    }
}

impl Model for RealCircuit {
    fn family(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> &str {
        self.0.name()
    }

    fn schema(&self) -> &Schema {
        self.schema()
    }

    fn parameters(&self) -> usize {
        self.parameters()
    }

    fn score(&self, rows: &dyn Rows, _: Seed) -> Result<AnyEvidence> {
        Ok(self.evidence(rows)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        Ok(self.sample(n, seed)?.into())
    }

    fn queries(&self) -> Option<&dyn Queries> {
        Some(self)
    }

    fn details(&self) -> (String, serde_json::Value) {
        details(&self.0)
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        self.0.put_into(arrays)
    }
}

impl Queries for RealCircuit {
    fn kind(&self) -> &str {
        self.0.name()
    }

    fn answers(&self) -> &'static [&'static str] {
        &["inpaint", "moments"]
    }

    fn moments(&self, rows: &dyn Rows) -> Result<Vec<Moments>> {
        self.moments(rows)
    }

    fn complete(&self, rows: &Dataset, seed: Seed) -> Result<Dataset> {
        Ok(self.complete(rows.continuous()?, seed)?.into())
    }
}
