//! From rows of categories to a learned diffusion model.

use super::{
    DiffusionKind, DiffusionModel, NetworkKind,
    spec::{AnyNetwork, Sizes, Spec, UseNetwork},
};
use crate::{
    Error, Result,
    data::{Rows, Schema},
    diffusion::{Absorbing, Bound, Decoder, Diffusion, DiffusionLearner, Fall, Objectives, Process, Times, Uniform},
    model::{AnyFit, Entry, Setting},
    nn::{Device, NamedArray, optim::AdamConfig, params},
    train::{Fit, History, Plan, Reads, Run, check_training, train},
};
use dfdx::tensor::Cpu;
use serde::{Deserialize, Serialize};

/// Everything `limbeck fit` can be told of a diffusion model.
///
/// ```
/// # use limbeck::{diffusion::{DiffusionKind, DiffusionModel, FitDiffusion}, prelude::*};
/// let rows = Text::<3>::new(&"abcabc".repeat(40), "abc")?.windows(6)?;
/// let settings = FitDiffusion { width: 16, blocks: 1, steps: 10, epochs: 2, ..FitDiffusion::new(DiffusionKind::Multinomial) };
/// let (model, history): (DiffusionModel, History) = settings.fit(&rows, None, Seed(0))?;
/// assert_eq!(history.epochs().len(), 2);
/// assert!(model.bound(&rows, 10, Seed(1))?.bits_per_dim()? < 2.0);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitDiffusion {
    /// How categories are lost.
    pub kind: DiffusionKind,
    /// Steps of the process; 0 for continuous time.
    pub steps: usize,
    /// How what is left falls.
    pub schedule: Fall,
    /// How the last step reads what the network says.
    pub decoder: Decoder,
    /// At which moments it is trained.
    pub times: Times,
    /// How much of the cross-entropy is added to the bound.
    pub hybrid: f64,
    /// What takes the noise away.
    pub network: NetworkKind,
    /// Numbers of a position within; of a perceptron hidden units, of a U-Net channels.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks of the network; how often a U-Net halves the map.
    pub blocks: usize,
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
    /// Moments of a row that its score is drawn from.
    pub draws: usize,
}

impl Default for FitDiffusion {
    fn default() -> Self {
        Self::new(DiffusionKind::Multinomial)
    }
}

impl FitDiffusion {
    /// The usual settings.
    pub fn new(kind: DiffusionKind) -> Self {
        let (steps, schedule) = match kind {
            DiffusionKind::Multinomial => (100, Fall::Cosine),
            DiffusionKind::Absorbing => (0, Fall::Linear),
            DiffusionKind::Gaussian => (100, Fall::Linear),
        };
        Self {
            kind,
            steps,
            schedule,
            decoder: Decoder::Posterior,
            times: Times::Stratified,
            hybrid: 0.0,
            network: NetworkKind::Transformer,
            width: 128,
            heads: 4,
            blocks: 2,
            epochs: 20,
            batch: 32,
            patience: 5,
            rate: 2e-3,
            clip: 1.0,
            draws: 16,
        }
    }

    fn spec(&self) -> Spec {
        let Self { kind, steps, schedule: fall, decoder, network, width, heads, blocks, draws, .. } = *self;
        Spec { kind, steps, fall, decoder, network, width, heads, blocks, draws }
    }
}

/// Trains a process with the network it is given.
struct Learn<'a, 'r, P, B> {
    settings: &'a FitDiffusion,
    process: P,
    bound: B,
    rows: &'a dyn Rows,
    valid: Option<&'a dyn Rows>,
    run: Run<'r>,
}

impl<P: Process<Categories = usize, States = usize>, B: Bound<P>, Dev: Device<f32>> UseNetwork<Dev>
    for Learn<'_, '_, P, B>
{
    type Output = (Vec<NamedArray>, History);

    fn with<N: AnyNetwork<Dev>>(self, network: N) -> Result<Self::Output> {
        let Self { settings, process, bound, rows, valid, run } = self;
        let steps = settings.epochs.saturating_mul(rows.len().div_ceil(settings.batch.max(1)) as u64).max(1);
        let adam = AdamConfig::over(steps, settings.rate, settings.clip);
        let what = Objectives { bound, times: settings.times, hybrid: settings.hybrid };
        let valid = valid.filter(|valid| !valid.is_empty());
        let Run { seed, checkpoint, watch, .. } = run;
        let model = Diffusion::new(process, network)?;
        let mut learner = DiffusionLearner::new(model, rows, valid, what, adam, seed.child("valid", 0))?;
        let patience = (settings.patience > 0 && valid.is_some()).then_some(settings.patience);
        let text = toml::to_string(settings).map_err(Error::invalid)?;
        let plan = Plan { patience, checkpoint, settings: text, ..Plan::new(settings.epochs, settings.batch, seed) };
        let history = train(&mut learner, &plan, watch)?;
        Ok((params(learner.into_model().denoiser()), history))
    }
}

impl Fit for FitDiffusion {
    type Model = DiffusionModel;

    fn name(&self) -> &str {
        self.kind.name()
    }

    fn check(&self) -> Result<()> {
        check_training((self.epochs, self.batch), (self.rate, self.clip))?;
        if !(self.hybrid >= 0.0 && self.hybrid.is_finite()) {
            return Err(Error::out_of_range("hybrid", self.hybrid, "0 ≤ hybrid < ∞"));
        }
        if self.steps == 0 && self.times == Times::Importance {
            return Err(Error::Usage(
                "moments by importance are those of steps; continuous time has none: steps ≥ 1".into(),
            ));
        }
        self.spec().check()
    }

    fn reads(&self) -> Reads {
        Reads::Categories
    }

    fn fit_with(&self, rows: &dyn Rows, valid: Option<&dyn Rows>, run: Run) -> Result<(DiffusionModel, History)> {
        let seed = run.seed.child("network", 0).0;
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

impl FitDiffusion {
    /// The same on any device, from whose stream the network starts.
    ///
    /// # Errors
    /// As [`Fit::fit_with`].
    pub fn fit_on(
        &self,
        device: &impl Device<f32>,
        rows: &dyn Rows,
        valid: Option<&dyn Rows>,
        run: Run,
    ) -> Result<(DiffusionModel, History)> {
        self.check()?;
        let (spec, schema) = (self.spec(), rows.schema().clone());
        let Sizes { categories, .. } = Sizes::of(&schema)?;
        let (arrays, history) = match self.kind {
            DiffusionKind::Multinomial => {
                let process = Uniform::new(categories, spec.schedule()?)?;
                let bound = spec.bound(&process);
                self.learn((device, &schema), Learn { settings: self, process, bound, rows, valid, run })
            }
            DiffusionKind::Absorbing => {
                let process = Absorbing::new(categories, categories + 1, spec.schedule()?)?;
                let bound = spec.bound(&process);
                self.learn((device, &schema), Learn { settings: self, process, bound, rows, valid, run })
            }
            DiffusionKind::Gaussian => {
                if categories < 2 {
                    let remedy = "absorbing and multinomial diffusion take that, too";
                    return Err(Error::invalid(format!("every value is the same and has no neighbours; {remedy}")));
                }
                let process = spec.gaussian(categories)?;
                let bound = spec.steps(&process);
                self.learn((device, &schema), Learn { settings: self, process, bound, rows, valid, run })
            }
        }?;
        Ok((DiffusionModel::of(spec, schema, arrays)?, history))
    }

    fn learn<P: Process<Categories = usize, States = usize>, B: Bound<P>, Dev: Device<f32>>(
        &self,
        (device, schema): (&Dev, &Schema),
        learn: Learn<P, B>,
    ) -> Result<(Vec<NamedArray>, History)> {
        self.spec().build(device, schema, learn)
    }
}

const SETTINGS: &[Setting] = &[
    Setting { key: "steps", help: "steps of the process; 0: continuous time" },
    Setting {
        key: "schedule",
        help: "how what is left falls: \"cosine\", \"cosine-of-paper\" (whose last step keeps nothing), \"linear\"",
    },
    Setting {
        key: "decoder",
        help: "how the last step reads the network: \"posterior\" (the released code), \"direct\" (the paper's eq 14)",
    },
    Setting { key: "times", help: "at which moments it is trained: \"stratified\", \"uniform\", \"importance\"" },
    Setting { key: "hybrid", help: "how much of the cross-entropy is added to the bound (D3PM: 0.01)" },
    Setting { key: "network", help: "\"transformer\", \"u-net\" (of maps) or \"perceptron\"" },
    Setting { key: "width", help: "numbers of a position within; of a perceptron hidden units, of a U-Net channels" },
    Setting { key: "heads", help: "heads of attention, which divide the width; of a U-Net in the middle" },
    Setting { key: "blocks", help: "blocks of the network; how often a U-Net halves the map" },
    Setting { key: "epochs", help: "passes over the training rows" },
    Setting { key: "batch", help: "rows in a batch" },
    Setting { key: "patience", help: "epochs without improvement on the validation rows; 0: to the last epoch" },
    Setting { key: "rate", help: "Adam's rate; it warms up, and falls along a cosine to a hundredth" },
    Setting { key: "clip", help: "the largest norm of a gradient" },
    Setting { key: "draws", help: "moments of a row that its score is drawn from" },
];

pub(super) fn entries() -> Vec<Entry> {
    let entry = |kind: DiffusionKind| {
        let entry = Entry::new(kind.name(), kind.about(), &FitDiffusion::new(kind), SETTINGS, parse);
        entry.idle(|table| {
            let is = |key: &str, value: &str| table.get(key).and_then(toml::Value::as_str) == Some(value);
            let mut idle = vec![];
            if is("network", "perceptron") {
                idle.extend([("heads", "a perceptron has none"), ("blocks", "a perceptron has none")]);
            }
            if is("kind", "gaussian") {
                idle.push(("schedule", "its steps grow evenly, to as wide as all categories"));
            }
            idle
        })
    };
    DiffusionKind::ALL.into_iter().map(entry).collect()
}

fn parse(settings: toml::Table) -> Result<Box<dyn AnyFit>> {
    let fit: FitDiffusion = settings.try_into().map_err(Error::invalid)?;
    Ok(Box::new(fit))
}
