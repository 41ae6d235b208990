//! From rows of categories to a learned argmax flow.

use super::{
    ArgmaxModel, DensityKind,
    spec::{Spec, UseArgmax},
};
use crate::{
    Error, Result,
    data::Rows,
    diffusion::{
        Network,
        argmax::{AnyLift, ArgmaxFlow, ArgmaxLearner, LiftKind},
    },
    flows::Bijection,
    model::{AnyFit, Entry, Setting},
    nn::{NamedArray, optim::AdamConfig, params},
    train::{Fit, History, Plan, Reads, Run, Trained, check_training, train},
};
use dfdx::{nn::TensorCollection, tensor::Cpu};
use serde::{Deserialize, Serialize};

/// Everything `limbeck fit argmax-flow` can be told.
///
/// ```
/// # use limbeck::{diffusion::{ArgmaxModel, FitArgmax, LiftKind}, prelude::*};
/// let rows = Text::<3>::new(&"abcabc".repeat(40), "abc")?.windows(6)?;
/// let settings = FitArgmax { width: 8, encoder_width: 8, couplings: 2, epochs: 2, ..FitArgmax::new(LiftKind::Softplus) };
/// let (model, history): (ArgmaxModel, History) = settings.fit(&rows, None, Seed(0))?;
/// assert_eq!(history.epochs().len(), 2);
/// let (elbo, iwbo) = (model.bound(&rows, 1, Seed(1))?.mean(), model.bound(&rows, 20, Seed(1))?.mean());
/// assert!(iwbo > elbo);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitArgmax {
    /// From categories to numbers.
    pub lift: LiftKind,
    /// The flow of the numbers.
    pub density: DensityKind,
    /// Numbers of a position within the flow's networks; of maps their channels.
    pub width: usize,
    /// The same of the encoder.
    pub encoder_width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks of each transformer.
    pub blocks: usize,
    /// Couplings; of maps on each level.
    pub couplings: usize,
    /// Levels of a map, each at half the height and width of the one before.
    pub levels: usize,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Rows in a batch.
    pub batch: usize,
    /// Epochs without improvement on the validation rows before training ends; 0 to train to the last epoch.
    pub patience: u64,
    /// Adam's rate; it warms up for a twentieth of the steps and falls along a cosine to a hundredth.
    pub rate: f64,
    /// The largest norm of a gradient.
    pub clip: f64,
    /// Draws that the bound of a row is made of.
    pub draws: usize,
}

impl Default for FitArgmax {
    fn default() -> Self {
        Self::new(LiftKind::Softplus)
    }
}

impl FitArgmax {
    /// The usual settings.
    pub fn new(lift: LiftKind) -> Self {
        Self {
            lift,
            density: DensityKind::Coupling,
            width: 64,
            encoder_width: 64,
            heads: 4,
            blocks: 1,
            couplings: 4,
            levels: 2,
            epochs: 20,
            batch: 32,
            patience: 5,
            rate: 2e-3,
            clip: 100.0,
            draws: 1,
        }
    }

    fn spec(&self) -> Spec {
        let Self { lift, density, width, encoder_width, heads, blocks, couplings, levels, draws, .. } = *self;
        Spec { lift, density, width, encoder_width, heads, blocks, couplings, levels, draws }
    }
}

/// Trains the flow it is given.
struct Learn<'a, 'r> {
    settings: &'a FitArgmax,
    rows: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    run: Run<'r>,
}

impl UseArgmax for Learn<'_, '_> {
    type Output = (Vec<NamedArray>, History);

    fn with<N, B>(self, flow: ArgmaxFlow<AnyLift, N, B>) -> Result<Self::Output>
    where
        N: Network<f32, Cpu, Categories = usize> + Send + 'static,
        B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu> + Send + 'static,
    {
        let Self { settings, rows, valid, run } = self;
        let steps = settings.epochs.saturating_mul(rows.len().div_ceil(settings.batch.max(1)) as u64).max(1);
        let adam = AdamConfig::over(steps, settings.rate, settings.clip);
        let valid = valid.filter(|valid| !valid.is_empty());
        let Run { seed, checkpoint, watch, .. } = run;
        let mut learner = ArgmaxLearner::new(flow, rows, valid, adam, seed.child("valid", 0))?;
        let patience = (settings.patience > 0 && valid.is_some()).then_some(settings.patience);
        let text = toml::to_string(settings).map_err(Error::invalid)?;
        let plan = Plan { patience, checkpoint, settings: text, ..Plan::new(settings.epochs, settings.batch, seed) };
        let history = train(&mut learner, &plan, watch)?;
        Ok((params(learner.into_model().module()), history))
    }
}

impl Fit for FitArgmax {
    type Model = ArgmaxModel;

    fn name(&self) -> &str {
        NAME
    }

    fn check(&self) -> Result<()> {
        check_training((self.epochs, self.batch), (self.rate, self.clip))?;
        self.spec().check()
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(ArgmaxModel, History)> {
        self.check()?;
        run.on_cpu("an argmax flow")?;
        let (spec, schema, seed) = (self.spec(), rows.schema().clone(), run.seed);
        let (arrays, history) = spec.build(&schema, seed, Learn { settings: self, rows, valid, run })?;
        Ok((ArgmaxModel::of(spec, schema, arrays)?, history))
    }
}

/// The name that `limbeck fit` knows it by.
pub(super) const NAME: &str = "argmax-flow";

const SETTINGS: &[Setting] = &[
    Setting {
        key: "lift",
        help: "from categories to numbers: \"softplus\", \"gumbel\", \"gumbel-threshold\", \"bits\"; \"uniform\" and \
               \"variational\" dequantisation",
    },
    Setting { key: "density", help: "the flow of the numbers: \"coupling\", \"autoregressive\", \"map\"" },
    Setting { key: "width", help: "numbers of a position within the flow's networks; of maps their channels" },
    Setting { key: "encoder_width", help: "the same of the encoder" },
    Setting { key: "heads", help: "heads of attention" },
    Setting { key: "blocks", help: "blocks of each transformer" },
    Setting { key: "couplings", help: "couplings; of maps on each level" },
    Setting { key: "levels", help: "levels of a map, each at half the height and width of the one before" },
    Setting { key: "epochs", help: "passes over the training rows" },
    Setting { key: "batch", help: "rows in a batch" },
    Setting { key: "patience", help: "epochs without improvement on the validation rows; 0: to the last epoch" },
    Setting { key: "rate", help: "Adam's rate; it warms up, and falls along a cosine to a hundredth" },
    Setting { key: "clip", help: "the largest norm of a gradient" },
    Setting { key: "draws", help: "draws that the bound of a row is made of: 1 the ELBO, more IWBO" },
];

pub(super) fn entries() -> Vec<Entry> {
    let about = "flow of numbers that stand for categories (argmax flow); its likelihood is bounded";
    let entry = Entry::new(NAME, about, &FitArgmax::default(), SETTINGS, parse);
    vec![entry.idle(|table| {
        let density = table.get("density").and_then(toml::Value::as_str).unwrap_or("coupling");
        let mut idle = match density {
            "map" => vec![("blocks", "a flow of maps has no transformer")],
            "autoregressive" => {
                vec![("couplings", "an autoregressive flow has none"), ("levels", "only maps have them")]
            }
            _ => vec![("levels", "only maps have them")],
        };
        if table.get("lift").and_then(toml::Value::as_str) == Some("uniform") {
            idle.push(("encoder_width", "uniform noise asks no encoder"));
        }
        idle
    })]
}

fn parse(settings: toml::Table) -> Result<Box<dyn AnyFit>> {
    let fit: FitArgmax = settings.try_into().map_err(Error::invalid)?;
    Ok(Box::new(fit))
}
