//! From the columns of a table to a learned flow.

use super::{
    FlowKind, FlowModel,
    kind::{Learnable, Spec, Use},
};
use crate::{
    Error, Result,
    data::{ColumnSummary, Rows, Schema},
    flows::{Flow, FlowLearner, TableBase, TableFlow},
    model::{AnyFit, Entry, Setting},
    nn::{
        Device, NamedArray,
        optim::{AdamConfig, Schedule},
        params,
    },
    train::{Fit, History, Plan, Reads, Run, check_training, train},
};
use dfdx::{nn::NumParams, tensor::Cpu};
use serde::{Deserialize, Serialize};

/// Everything `limbeck fit` can be told of a flow.
///
/// ```
/// # use limbeck::prelude::*;
/// let rows = Oracle::Moons.sample(500, Seed(0))?;
/// let settings = FitFlow { layers: 2, hidden: 16, epochs: 3, ..FitFlow::new(FlowKind::Maf) };
/// let (flow, history): (FlowModel, History) = settings.fit(&rows, None, Seed(0))?;
/// assert!(flow.evidence(&rows)?.mean() > -4.0);
/// assert_eq!(flow.sample(10, Seed(1))?.len(), 10);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitFlow {
    /// Which flow to build.
    pub kind: FlowKind,
    /// Layers; of couplings, pairs of them.
    pub layers: usize,
    /// Units in each of the two hidden layers of a network.
    pub hidden: usize,
    /// What the data become: the tails that the flow begins with.
    pub base: TableBase,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// Adam's rate; it falls along a cosine to a hundredth.
    pub rate: f64,
    /// The largest norm of a gradient.
    pub clip: f64,
}

impl Default for FitFlow {
    fn default() -> Self {
        Self::new(FlowKind::Maf)
    }
}

/// Trains the bijection it is given.
struct Learn<'a, 'r> {
    settings: &'a FitFlow,
    rows: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    run: Run<'r>,
}

impl<Dev: Device<f32>> Use<Dev> for Learn<'_, '_> {
    type Output = (Learned, History);

    fn with<B: Learnable<Dev>>(self, device: &Dev, bijection: B) -> Result<Self::Output> {
        let Self { settings, rows, valid, run } = self;
        let d = rows.schema().len();
        let flow = Flow { bijection, base: settings.base };
        if settings.kind == FlowKind::Rbig {
            if run.checkpoint.is_some() {
                return Err(Error::Usage("rbig is made in one go: there is no checkpoint to go on from".into()));
            }
            return Ok((Learned::of(&TableFlow::started(device, flow, d, rows)?), History::default()));
        }
        let steps = settings.epochs.saturating_mul(rows.len().div_ceil(settings.batch.max(1)) as u64);
        let rate = Schedule::constant(settings.rate).cosine(steps.max(1), 0.01);
        let adam = AdamConfig { rate, clip: Some(settings.clip), ..AdamConfig::default() };
        let valid = valid.filter(|valid| !valid.is_empty());
        let mut learner = FlowLearner::new(device, flow, d, rows, valid, adam)?;
        let patience = (settings.patience > 0 && valid.is_some()).then_some(settings.patience);
        let Run { seed, checkpoint, watch, .. } = run;
        let text = toml::to_string(settings).map_err(Error::invalid)?;
        let plan = Plan { patience, checkpoint, settings: text, ..Plan::new(settings.epochs, settings.batch, seed) };
        let history = train(&mut learner, &plan, watch)?;
        Ok((Learned::of(learner.model()), history))
    }
}

/// The numbers of a flow, where the host has them.
struct Learned {
    schema: Schema,
    frame: Vec<(f64, f64)>,
    arrays: Vec<NamedArray>,
    parameters: usize,
}

impl Learned {
    fn of<Dev: Device<f32>, B: Learnable<Dev>>(flow: &TableFlow<usize, B, TableBase, Dev>) -> Self {
        let bijection = &flow.flow().bijection;
        Self {
            schema: flow.schema().clone(),
            frame: flow.frame().to_vec(),
            arrays: params(bijection),
            parameters: bijection.num_trainable_params(),
        }
    }
}

impl FitFlow {
    /// The usual settings for a flow.
    pub fn new(kind: FlowKind) -> Self {
        let rate = if kind == FlowKind::Gaussianization { 1e-2 } else { 1e-3 };
        let layers = if kind == FlowKind::Rbig { 20 } else { 5 };
        Self {
            kind,
            layers,
            hidden: 64,
            base: TableBase::Normal,
            epochs: 200,
            batch: 128,
            patience: 30,
            rate,
            clip: 5.0,
        }
    }
}

/// The most layers of a flow.
const MOST_LAYERS: usize = 1000;

impl Fit for FitFlow {
    type Model = FlowModel;

    fn name(&self) -> &str {
        self.kind.name()
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [("layers", self.layers), ("hidden", self.hidden)] {
            if value == 0 {
                return Err(Error::out_of_range(name, value, "1 ≤ value"));
            }
        }
        check_training((self.epochs, self.batch), (self.rate, self.clip))?;
        if self.layers > MOST_LAYERS {
            return Err(Error::out_of_range("layers", self.layers, "1 ≤ layers ≤ 1000"));
        }
        let makes_normal = matches!(self.kind, FlowKind::Rbig | FlowKind::Gaussianization);
        if makes_normal && self.base != TableBase::Normal {
            let name = self.name();
            return Err(Error::Usage(format!(
                "{name} makes columns normal: its base is normal; heavier tails have the others"
            )));
        }
        Ok(())
    }

    fn reads(&self) -> Reads {
        Reads::Reals
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(FlowModel, History)> {
        let seed = run.seed.child("flow", 0).0;
        if !run.gpu {
            return self.fit_on(&Cpu::seed_from_u64(seed), rows, valid, run);
        }
        #[cfg(feature = "cuda")]
        if let Some(gpu) = crate::nn::device::gpu(seed) {
            return self.fit_on(&gpu, rows, valid, run);
        }
        Err(crate::nn::device::no_gpu())
    }
}

impl FitFlow {
    /// The same on any device, from whose stream the networks start.
    ///
    /// # Errors
    /// As [`Fit::fit_with`].
    pub fn fit_on(
        &self,
        device: &impl Device<f32>,
        rows: &dyn Rows,
        valid: Option<&dyn Rows>,
        run: Run,
    ) -> Result<(FlowModel, History)> {
        self.check()?;
        let Self { kind, hidden, base, .. } = *self;
        let layers = if kind == FlowKind::Made { 1 } else { self.layers };
        let seed = run.seed;
        let learn = Learn { settings: self, rows, valid, run: Run { seed: seed.child("fit", 0), ..run } };
        let spec = Spec { kind, layers, hidden };
        let (learned, mut history) = spec.build(device, rows.schema().len(), seed.child("flow", 0), learn)?;
        ColumnSummary::of(rows)?.iter().filter_map(ColumnSummary::warning).for_each(|warning| history.note(warning));
        let Learned { schema, frame, arrays, parameters } = learned;
        Ok((FlowModel { spec, base, schema, frame, arrays, parameters }, history))
    }
}

const SETTINGS: &[Setting] = &[
    Setting { key: "layers", help: "layers; of couplings, pairs of them" },
    Setting { key: "hidden", help: "units in each of the two hidden layers of a network" },
    Setting {
        key: "base",
        help: "what the data become: \"normal\", or with heavier tails \"logistic\" or \"student\"",
    },
    Setting { key: "epochs", help: "passes over the training rows" },
    Setting { key: "batch", help: "rows in a batch" },
    Setting { key: "patience", help: "epochs without improvement on the validation rows; 0: to the last epoch" },
    Setting { key: "rate", help: "Adam's rate; it falls along a cosine to a hundredth" },
    Setting { key: "clip", help: "the largest norm of a gradient" },
];

pub(super) fn entries() -> Vec<Entry> {
    let entry = |kind: FlowKind| {
        let own: Vec<Setting> = SETTINGS.iter().filter(|setting| kind.has(setting.key)).copied().collect();
        Entry::new(kind.name(), kind.about(), &FitFlow::new(kind), &own, parse)
    };
    FlowKind::ALL.into_iter().map(entry).collect()
}

fn parse(settings: toml::Table) -> Result<Box<dyn AnyFit>> {
    let fit: FitFlow = settings.try_into().map_err(Error::invalid)?;
    Ok(Box::new(fit))
}
