//! From rows to a learned circuit.

use super::run::learn;
use crate::{
    Error, Result,
    circuits::{Circuit, Em, Graph, Heads, Leaf, RealCircuit, Structure, leaf::Leaves},
    data::{ColumnSummary, Rows, binned, blank_columns},
    random::Seed,
    train::{Fit, History, Plan, Reads, Run},
};
use serde::{Deserialize, Serialize};

/// Everything `limbeck fit` can be told of a circuit.
///
/// ```
/// # use limbeck::prelude::*;
/// let digits = shipped::digits()?.discrete();
/// let settings = FitCircuit { epochs: 2, ..FitCircuit::new(Structure::hclt(4)) };
/// let (circuit, history): (Circuit, History) = settings.fit(&digits, None, Seed(0))?;
/// assert_eq!(history.epochs().len(), 2);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitCircuit {
    /// Which circuit to build.
    pub structure: Structure,
    /// The distributions at its leaves.
    pub leaf: Leaf,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// The least scale of a leaf, where 0 stands for the usual one. Of gaussians the least deviation, in deviations of the
    /// column: one over the number of rows, at which a unit that has a single row of a column gains no more than its small
    /// weight costs. Of discretised logistics the least scale, in categories: 0.02, at which all but 3·10⁻¹¹ lies in one.
    pub least_scale: f64,
    /// How flows become parameters.
    pub em: Em,
}

impl Default for FitCircuit {
    fn default() -> Self {
        Self::new(Structure::hclt(16))
    }
}

impl FitCircuit {
    /// The usual settings for a structure.
    pub fn new(structure: Structure) -> Self {
        Self {
            structure,
            leaf: Leaf::Categorical,
            epochs: 60,
            batch: 128,
            patience: 10,
            least_scale: 0.0,
            em: Em::default(),
        }
    }

    /// The circuit before its parameters are learned: random, its leaves around how often each value is seen.
    ///
    /// # Errors
    /// As [`Structure::graph`] and [`Circuit::random`].
    pub fn start_circuit(&self, rows: &dyn Rows, seed: Seed) -> Result<Circuit> {
        self.start_heads(rows, 1, seed)
    }

    /// The same with several heads.
    ///
    /// # Errors
    /// As [`Self::start_circuit`]; also when there are no heads, or too many.
    pub fn start_heads(&self, rows: &dyn Rows, heads: usize, seed: Seed) -> Result<Circuit> {
        let graph = self.structure.graph(rows, seed)?.with_heads(heads)?;
        let kinds = self.structure.leaves(rows.schema(), self.leaf)?;
        self.begin(graph, rows, &kinds, seed)
    }

    fn begin(&self, graph: Graph, rows: &dyn Rows, kinds: &[Leaf], seed: Seed) -> Result<Circuit> {
        let schema = rows.schema().clone();
        let mut circuit = Circuit::randomised(self.structure.name(), graph, schema, kinds, seed.child("circuit", 0))?;
        let spread = matches!(self.structure, Structure::Hclt { shared: 1.., .. });
        circuit.init_from_counts(rows, spread, seed.child("circuit", 1))?;
        if spread {
            circuit.order_states();
        }
        if self.least_scale > 0.0 {
            circuit.leaves.iter_mut().for_each(|leaves| leaves.frame.floor = self.least_scale);
        }
        Ok(circuit)
    }

    /// The same for columns of real numbers, with Gaussian leaves whatever [`Self::leaf`] says.
    ///
    /// A structure that is learned is learned from the columns cut into eight bins.
    pub fn reals(mut self) -> FitReals {
        self.leaf = Leaf::Gaussian;
        FitReals(self)
    }

    fn check_settings(&self) -> Result<()> {
        for (name, value) in [("epochs", self.epochs), ("batch", self.batch as u64)] {
            if value == 0 {
                return Err(Error::out_of_range(name, value, "1 ≤ value"));
            }
        }
        if !(self.least_scale >= 0.0 && self.least_scale.is_finite()) {
            return Err(Error::out_of_range("least_scale", self.least_scale, "0 ≤ least_scale < ∞"));
        }
        self.structure.check()?;
        self.em.check()
    }

    /// Learns on from a circuit that is there, by these settings but for those of how one begins.
    ///
    /// # Errors
    /// As [`Fit::fit_with`].
    pub fn go_on(
        &self,
        circuit: Circuit,
        rows: &dyn Rows,
        valid: Option<&dyn Rows>,
        run: Run,
    ) -> Result<(Circuit, History)> {
        let Run { seed, checkpoint, gpu, watch, .. } = run;
        let validates = valid.is_some_and(|rows| !rows.is_empty());
        let patience = (self.patience > 0 && validates).then_some(self.patience);
        let settings = toml::to_string(self).map_err(Error::invalid)?;
        let plan = Plan { patience, checkpoint, settings, ..Plan::new(self.epochs, self.batch, seed) };
        let (circuit, mut history) = learn(circuit, (rows, Heads::Only), valid, self.em, &plan, (gpu, watch))?;
        let at_floor: usize = circuit.leaves.iter().map(Leaves::at_floor).sum();
        if at_floor > 0 {
            let units: usize = circuit.leaves.iter().map(|leaves| leaves.units).sum();
            history.note(format!(
                "{at_floor} of {units} units of leaves lie at the least scale: few distinct values, or a single row each; \
                 least_scale sets it, and the likelihood may grow with any smaller one"
            ));
        }
        Ok((circuit, history))
    }
}

impl Fit for FitCircuit {
    type Model = Circuit;

    fn name(&self) -> &str {
        self.structure.name()
    }

    fn check(&self) -> Result<()> {
        if self.leaf == Leaf::Gaussian {
            let remedy = "`.reals()` of these settings fits columns of real numbers";
            return Err(Error::Usage(format!("gaussian leaves have no categories: {remedy}")));
        }
        if self.structure == Structure::ChowLiu && self.leaf != Leaf::Categorical {
            let leaf = self.leaf;
            return Err(Error::Usage(format!("chow-liu makes every value a node: it has no {leaf} leaves to choose")));
        }
        if self.leaf == Leaf::Indicator {
            return Err(Error::Usage(
                "indicator leaves are not learned: a naive Bayes model has one for its class".into(),
            ));
        }
        self.check_settings()
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(Circuit, History)> {
        self.check()?;
        let (circuit, mut history) = self.go_on(self.start_circuit(rows, run.seed)?, rows, valid, run)?;
        for name in blank_columns(rows)? {
            history
                .note(format!("column {name} has no value at all: nothing is learned of it (`--drop` leaves it out)"));
        }
        Ok((circuit, history))
    }
}

/// Settings of a circuit over columns of real numbers: [`FitCircuit::reals`].
///
/// ```
/// # use limbeck::prelude::*;
/// let rows = Oracle::Moons.sample(500, Seed(0))?;
/// let settings: FitReals = FitCircuit { epochs: 5, ..FitCircuit::new(Structure::Mixture { components: 8 }) }.reals();
/// let (circuit, _): (RealCircuit, History) = settings.fit(&rows, None, Seed(0))?;
/// assert_eq!(circuit.evidence(&rows)?.space(), &Space::Continuous);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FitReals(FitCircuit);

/// Bins a column is cut into where a structure is learned from mutual information.
const BINS: usize = 8;

impl Fit for FitReals {
    type Model = RealCircuit;

    fn name(&self) -> &str {
        self.0.structure.name()
    }

    fn check(&self) -> Result<()> {
        if let Structure::ChowLiu | Structure::NaiveBayes { .. } = self.0.structure {
            return Err(Error::invalid(format!("{} makes every value a node: it needs categories", self.name())));
        }
        if let Structure::Hclt { shared: 1.., .. } = self.0.structure {
            return Err(Error::Usage("columns of real numbers share no distributions: leave out --shared".into()));
        }
        self.0.check_settings()
    }

    fn reads(&self) -> Reads {
        Reads::Reals
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(RealCircuit, History)> {
        self.check()?;
        let columns = ColumnSummary::of(rows)?;
        columns.iter().try_for_each(ColumnSummary::check)?;
        let graph = self.0.structure.graph(&binned(rows, BINS)?, run.seed)?;
        let kinds = vec![Leaf::Gaussian; rows.schema().len()];
        let circuit = self.0.begin(graph, rows, &kinds, run.seed)?;
        let (circuit, mut history) = self.0.go_on(circuit, rows, valid, run)?;
        columns.iter().filter_map(ColumnSummary::warning).for_each(|warning| history.note(warning));
        Ok((RealCircuit(circuit), history))
    }
}
