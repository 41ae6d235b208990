//! Argmax flows of rows of categories, as the command line knows them: their sizes are those of a user's file.

mod fit;
mod spec;
#[cfg(test)]
mod tests;

pub use fit::FitArgmax;
pub use spec::DensityKind;

use crate::{
    Error, Result,
    archive::Archive,
    data::{Dataset, Discrete, Rows, Schema},
    diffusion::{
        argmax::Lift,
        model::{Sizes, check_draws},
    },
    evidence::{AnyEvidence, Evidence, LowerBound},
    model::{Family, Model, ModelFile},
    nn::{NamedArray, archived_params},
    random::Seed,
};
use spec::{AnyArgmax, Filled, Spec};
use std::fmt;

/// The family.
pub const ARGMAX_FAMILY: Family = Family { name: "argmax", load, entries: fit::entries };

fn load(file: &ModelFile) -> Result<Box<dyn Model>> {
    let spec: Spec = file.body(ARGMAX_FAMILY.name)?;
    spec.check()?;
    // Nothing is built that is larger than what the file holds.
    let held = file.arrays.elements();
    let square = |width: usize| width.saturating_mul(width);
    let all = spec.networks().unwrap_or(usize::MAX).saturating_mul(square(spec.width));
    let all = all.saturating_add(square(spec.encoder_width));
    if all > held.saturating_mul(4) {
        return Err(Error::invalid(format!("networks of {all} numbers; the file holds {held}")));
    }
    let arrays = archived_params(&file.arrays, ARRAYS)?;
    Ok(Box::new(ArgmaxModel::of(spec, file.schema.clone(), arrays)?))
}

/// What the names of its arrays begin with in a file.
const ARRAYS: &str = "flow/";

/// An argmax flow that was learned from a file.
pub struct ArgmaxModel {
    spec: Spec,
    schema: Schema,
    flow: Box<dyn AnyArgmax>,
    arrays: Vec<NamedArray>,
}

impl ArgmaxModel {
    /// The model of a spec, with the numbers of its networks.
    fn of(spec: Spec, schema: Schema, arrays: Vec<NamedArray>) -> Result<Self> {
        let flow = spec.build(&schema, Seed(0), Filled(&arrays))?;
        Ok(Self { spec, schema, flow, arrays })
    }

    /// The bound of rows from so many draws: the ELBO of one, IWBO(k) of more.
    ///
    /// # Errors
    /// As [`ArgmaxFlow::evidence`](super::ArgmaxFlow::evidence).
    pub fn bound(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        self.flow.evidence(rows, draws, seed)
    }

    /// The bound among rows that stand for categories: [`ArgmaxFlow::among_used`](super::ArgmaxFlow::among_used).
    ///
    /// # Errors
    /// When no draw stands for categories.
    pub fn among_used(&self, bound: &Evidence<LowerBound>, n: usize, seed: Seed) -> Result<Evidence<LowerBound>> {
        self.flow.among_used(bound, n, seed)
    }

    /// The share of draws that stand for no category, and its standard error.
    pub fn unused(&self, n: usize, seed: Seed) -> (f64, f64) {
        self.flow.unused(n, seed)
    }

    /// `n` rows of numbers from the flow, before they become categories.
    pub fn numbers(&self, n: usize, seed: Seed) -> Vec<f64> {
        self.flow.numbers(n, seed)
    }

    /// `n` rows.
    ///
    /// # Errors
    /// When a row stands for no categories a thousand times over.
    pub fn rows(&self, n: usize, seed: Seed) -> Result<Discrete> {
        Discrete::new(self.schema.clone(), self.flow.sample(n, seed)?.codes().to_vec())
    }
}

impl fmt::Display for ArgmaxModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec { lift, density, .. } = self.spec;
        let Sizes { length, categories } = Sizes::of(&self.schema).map_err(|_| fmt::Error)?;
        let (name, parameters) = (lift.of(categories).name(), self.parameters());
        let density = match density {
            DensityKind::Coupling => "couplings of positions",
            DensityKind::Autoregressive => "autoregressive",
            DensityKind::Map => "couplings of a map",
        };
        write!(
            f,
            "flow of numbers by {name}, {density}, of rows of {length} columns of {categories} categories, {parameters} parameters"
        )
    }
}

impl Model for ArgmaxModel {
    fn family(&self) -> &'static str {
        ARGMAX_FAMILY.name
    }

    fn kind(&self) -> &str {
        fit::NAME
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn parameters(&self) -> usize {
        self.arrays.iter().map(|(_, _, values)| values.len()).sum()
    }

    fn score(&self, rows: &dyn Rows, seed: Seed) -> Result<AnyEvidence> {
        self.score_from(rows, self.spec.draws, seed)
    }

    fn score_from(&self, rows: &dyn Rows, draws: usize, seed: Seed) -> Result<AnyEvidence> {
        check_draws(draws).map_err(|e| Error::Usage(e.to_string()))?;
        Ok(self.bound(rows, draws, seed)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        if n == 0 {
            return Err(Error::out_of_range("n", 0, "1 ≤ n"));
        }
        Ok(self.rows(n, seed)?.into())
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        for (name, shape, values) in &self.arrays {
            arrays.put(&format!("{ARRAYS}{name}"), shape, values);
        }
        serde_json::to_value(self.spec).map_err(Error::invalid)
    }
}
