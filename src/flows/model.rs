//! From the columns of a table to a flow in a file.

use super::{
    Affine, AffineCoupling, Autoregressive, BatchNorm, Bijection, Coupling, Elementwise, Flow, FlowLearner,
    Householder, Logistic, Lu, Maf, Mixture, Moves, Normal, Permute, Rescale, Rotation, Shift, Spline, Stack,
    TableFlow, Transform,
};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Table, hash_rows},
    evidence::{Evidence, Exact},
    nn::{
        NamedArray, load_params,
        optim::{AdamConfig, Schedule},
        params,
    },
    notebook::Job,
    random::Seed,
    train::{Checkpoint, History, Plan, Progress, quiet, train},
};
use dfdx::{nn::TensorCollection, tensor::Cpu};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::ControlFlow, path::Path};

/// The flows of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// A single autoregressive layer with normal conditionals.
    Made,
    /// Masked autoregressive layers, batch norm between them.
    Maf,
    /// The same, and mixtures of ten normal distributions for conditionals of the last.
    MafMog,
    /// Additive couplings, and a rescaling at the end.
    Nice,
    /// Affine couplings with two networks each, batch norm between them.
    RealNvp,
    /// Autoregressive layers of rational-quadratic splines, and linear layers between them.
    Spline,
    /// Couplings of rational-quadratic splines, and linear layers between them.
    SplineCoupling,
    /// Mixtures of logistic distribution functions of each coordinate, and rotations between them.
    Gaussianization,
    /// The same with principal axes for rotations, and no learning: Gaussianization by iteration.
    Rbig,
}

impl FlowKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Made,
        Self::Maf,
        Self::MafMog,
        Self::Nice,
        Self::RealNvp,
        Self::Spline,
        Self::SplineCoupling,
        Self::Gaussianization,
        Self::Rbig,
    ];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Maf => "maf",
            Self::MafMog => "maf-mog",
            Self::Nice => "nice",
            Self::RealNvp => "real-nvp",
            Self::Spline => "spline",
            Self::SplineCoupling => "spline-coupling",
            Self::Gaussianization => "gaussianization",
            Self::Rbig => "rbig",
        }
    }

    /// Whether its parameters come from networks.
    fn has_networks(self) -> bool {
        !matches!(self, Self::Gaussianization | Self::Rbig)
    }

    /// Whether it needs two coordinates at least.
    fn couples(self) -> bool {
        matches!(self, Self::Nice | Self::RealNvp | Self::SplineCoupling)
    }
}

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

/// A density over the columns of a table, whatever the flow behind it.
pub struct FlowModel {
    kind: FlowKind,
    layers: usize,
    hidden: usize,
    data: String,
    flow: Box<dyn AnyFlow>,
}

/// A [`TableFlow`] without its type.
trait AnyFlow: Send {
    fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>>;
    fn sample(&self, n: usize, seed: Seed) -> Result<Table>;
    fn names(&self) -> &[String];
    fn frame(&self) -> &[(f64, f64)];
    fn params(&self) -> Vec<NamedArray>;
}

/// A bijection that can be learned, whatever its type.
trait Learnable: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu> + Send + 'static {}
impl<B: Bijection<usize, f32, Cpu> + TensorCollection<f32, Cpu> + Send + 'static> Learnable for B {}

impl<B: Learnable> AnyFlow for TableFlow<usize, B> {
    fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>> {
        self.evidence(rows)
    }
    fn sample(&self, n: usize, seed: Seed) -> Result<Table> {
        self.sample(n, seed)
    }
    fn names(&self) -> &[String] {
        self.names()
    }
    fn frame(&self) -> &[(f64, f64)] {
        self.frame()
    }
    fn params(&self) -> Vec<NamedArray> {
        params(&self.flow().bijection)
    }
}

/// What is done with a bijection once its type is known.
trait Use {
    type Output;
    fn with<B: Learnable>(self, bijection: B) -> Result<Self::Output>;
}

/// Which bijection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Spec {
    kind: FlowKind,
    layers: usize,
    hidden: usize,
}

impl Spec {
    /// Builds the bijection of `d` coordinates, and gives it away.
    fn build<U: Use>(self, d: usize, seed: Seed, to: U) -> Result<U::Output> {
        let Self { kind, layers, hidden } = self;
        let device = &Cpu::seed_from_u64(seed.0);
        if layers == 0 {
            return Err(Error::out_of_range("layers", layers, "layers ≥ 1"));
        }
        if kind.couples() && d < 2 {
            return Err(Error::invalid(format!("a table of {d} column; {} needs 2 at least", kind.name())));
        }
        let reversed = || Permute::reversed(device, d);
        let norm = || BatchNorm::new(device, d);
        let linear = |i: usize| Lu::new(device, d, Some(seed.child("order", i as u64)));
        let maf = || Ok((Maf::<usize>::new(device, d, hidden)?, norm()?, reversed()?));
        fn stack<B>(layers: usize, layer: impl FnMut(usize) -> Result<B>) -> Result<Stack<B>> {
            (0..layers).map(layer).collect::<Result<_>>().map(Stack::new)
        }
        fn autoregressive<F: Transform>(device: &Cpu, d: usize, hidden: usize) -> Result<Autoregressive<usize, F>> {
            Autoregressive::new(device, d, hidden)
        }
        fn pair<F: Transform>(
            device: &Cpu,
            d: usize,
            hidden: usize,
        ) -> Result<(Coupling<usize, F>, Coupling<usize, F>)> {
            Ok((Coupling::new(device, d, hidden, Moves::Odd)?, Coupling::new(device, d, hidden, Moves::Even)?))
        }
        match kind {
            FlowKind::Made => to.with(autoregressive::<Affine>(device, d, hidden)?),
            FlowKind::Maf => to.with(stack(layers, |_| maf())?),
            FlowKind::MafMog => {
                let last = autoregressive::<Mixture<Normal, 10>>(device, d, hidden)?;
                to.with((stack(layers, |_| maf())?, last))
            }
            FlowKind::Nice => {
                to.with((stack(layers, |_| pair::<Shift>(device, d, hidden))?, Rescale::<usize>::new(device, d)?))
            }
            FlowKind::RealNvp => to.with(stack(layers, |_| {
                let coupling = |moves| AffineCoupling::new(device, d, hidden, moves);
                Ok((coupling(Moves::Odd)?, norm()?, coupling(Moves::Even)?, norm()?))
            })?),
            FlowKind::Spline => {
                to.with(stack(layers, |i| Ok((linear(i)?, autoregressive::<Spline<8, 3>>(device, d, hidden)?)))?)
            }
            FlowKind::SplineCoupling => {
                to.with(stack(layers, |i| Ok((linear(i)?, pair::<Spline<8, 3>>(device, d, hidden)?)))?)
            }
            FlowKind::Gaussianization => to.with(stack(layers, |i| {
                let rotation = Householder::new(device, d, d, seed.child("rotation", i as u64))?;
                Ok((Elementwise::<usize, Mixture<Logistic, 16>>::new(device, d)?, rotation))
            })?),
            FlowKind::Rbig => to.with(stack(layers, |_| {
                Ok((Elementwise::<usize, Mixture<Logistic, 100>>::new(device, d)?, Rotation::principal(device, d)?))
            })?),
        }
    }
}

/// Trains the bijection it is given.
struct Learn<'a> {
    settings: &'a FitFlow,
    rows: &'a Table,
    valid: Option<&'a Table>,
    seed: Seed,
    checkpoint: Option<Checkpoint>,
    watch: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl Use for Learn<'_> {
    type Output = (Box<dyn AnyFlow>, History);

    fn with<B: Learnable>(self, bijection: B) -> Result<Self::Output> {
        let Self { settings, rows, valid, seed, checkpoint, watch } = self;
        let d = rows.names().len();
        if settings.kind == FlowKind::Rbig {
            let model = TableFlow::started(Flow::normal(bijection), d, rows)?;
            return Ok((Box::new(model), History::default()));
        }
        let steps = settings.epochs.saturating_mul(rows.len().div_ceil(settings.batch.max(1)) as u64);
        let rate = Schedule::constant(settings.rate).cosine(steps.max(1), 0.01);
        let adam = AdamConfig { rate, clip: Some(settings.clip), ..AdamConfig::default() };
        let mut learner = FlowLearner::new(Flow::normal(bijection), d, rows, valid, adam)?;
        let patience = (settings.patience > 0 && valid.is_some()).then_some(settings.patience);
        let plan = Plan { epochs: settings.epochs, batch: settings.batch, seed, patience, checkpoint };
        let history = train(&mut learner, rows.len(), &plan, watch)?;
        Ok((Box::new(learner.into_model()), history))
    }
}

/// Fills the bijection it is given.
struct Restore<'a> {
    archive: &'a Archive,
    header: Header,
}

impl Use for Restore<'_> {
    type Output = Box<dyn AnyFlow>;

    fn with<B: Learnable>(self, mut bijection: B) -> Result<Self::Output> {
        let Self { archive, header } = self;
        let mut arrays = params(&bijection);
        for (name, shape, values) in &mut arrays {
            let start = std::mem::take(values);
            *values = archive.get(&format!("flow/{name}"), shape)?;
            if let Some(i) = values.iter().position(|x| !x.is_finite()) {
                return Err(Error::invalid(format!("array {name}: {} at element {i}: the file is damaged", values[i])));
            }
            // Weights outside the masks are zero when a network is made, and must have stayed so.
            if name.ends_with("weight") && start.iter().zip(values.iter()).any(|(a, b)| *a == 0.0 && *b != 0.0) {
                return Err(Error::invalid(format!("array {name}: a connection against the order of the coordinates")));
            }
        }
        load_params(&mut bijection, &arrays)?;
        let d = header.names.len();
        Ok(Box::new(TableFlow::framed(Flow::normal(bijection), d, header.names, header.frame)?))
    }
}

impl FitFlow {
    /// The usual settings for a flow.
    pub fn new(kind: FlowKind) -> Self {
        let rate = if kind == FlowKind::Gaussianization { 1e-2 } else { 1e-3 };
        let layers = if kind == FlowKind::Rbig { 20 } else { 5 };
        Self { kind, layers, hidden: 64, epochs: 200, batch: 128, patience: 30, rate, clip: 5.0 }
    }

    /// Learns the flow. With no `valid` rows, training goes to its last epoch.
    ///
    /// # Errors
    /// When a setting is out of its range, a value of the table is missing, or a number stops being finite.
    pub fn fit(&self, rows: &Table, valid: Option<&Table>, seed: Seed) -> Result<(FlowModel, History)> {
        self.fit_with(rows, valid, seed, None, &mut quiet)
    }

    /// As [`Self::fit`], with a checkpoint, and a watcher that hears of every step and may stop the training.
    ///
    /// # Errors
    /// As [`Self::fit`].
    pub fn fit_with(
        &self,
        rows: &Table,
        valid: Option<&Table>,
        seed: Seed,
        checkpoint: Option<Checkpoint>,
        watch: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<(FlowModel, History)> {
        let Self { kind, hidden, .. } = *self;
        let layers = if kind == FlowKind::Made { 1 } else { self.layers };
        let learn = Learn { settings: self, rows, valid, seed: seed.child("fit", 0), checkpoint, watch };
        let spec = Spec { kind, layers, hidden };
        let (flow, history) = spec.build(rows.names().len(), seed.child("flow", 0), learn)?;
        Ok((FlowModel { kind, layers, hidden, data: hash_rows(rows)?, flow }, history))
    }

    /// Starts the same in the background of a notebook, with its progress as the job's.
    pub fn start(&self, rows: Table, valid: Option<Table>, seed: Seed) -> Job<Result<(FlowModel, History)>> {
        let settings = self.clone();
        Job::spawn(settings.kind.name(), move |handle| {
            settings.fit_with(&rows, valid.as_ref(), seed, None, &mut |progress| {
                handle.report(progress.step as f64 / progress.steps as f64, progress.line());
                if handle.should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        })
    }
}

/// The kind of model in files.
const MODEL: &str = "flow";

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    model: String,
    limbeck: String,
    #[serde(flatten)]
    spec: Spec,
    names: Vec<String>,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
    /// [`hash_rows`] of the training data.
    data: String,
}

impl FlowModel {
    /// Which flow it is.
    pub fn kind(&self) -> FlowKind {
        self.kind
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        self.flow.names()
    }

    /// [`hash_rows`] of the rows it was fitted to.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        let fixed = ["matrix", "moves", "order", "mean", "variance"];
        let trained = |name: &str| fixed.iter().all(|fixed| !name.ends_with(fixed));
        self.flow.params().iter().filter(|(name, ..)| trained(name)).map(|(_, _, values)| values.len()).sum()
    }

    /// Densities of rows in the units of the table, as exact evidence.
    ///
    /// # Errors
    /// When the table has other columns, or a value is missing.
    pub fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>> {
        self.flow.evidence(rows)
    }

    /// `n` independent rows in the units of the table.
    ///
    /// # Errors
    /// When `n` is 0, or a sample is infinite.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Table> {
        self.flow.sample(n, seed)
    }

    /// Writes the flow with its settings, its columns, and the hash of the data it was fitted to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut archive = Archive::new(&Header {
            model: MODEL.into(),
            limbeck: env!("CARGO_PKG_VERSION").into(),
            spec: Spec { kind: self.kind, layers: self.layers, hidden: self.hidden },
            names: self.names().to_vec(),
            frame: self.flow.frame().to_vec(),
            data: self.data.clone(),
        })?;
        for (name, shape, values) in self.flow.params() {
            archive.put(&format!("flow/{name}"), &shape, &values);
        }
        archive.save(path)
    }

    /// Whether the file says that it holds a flow.
    ///
    /// # Errors
    /// When it is not a model file.
    pub fn is_in(path: impl AsRef<Path>) -> Result<bool> {
        let kind: serde_json::Value = Archive::load(path)?.header()?;
        Ok(kind["model"] == MODEL)
    }

    /// Reads a flow.
    ///
    /// # Errors
    /// When the file is not a flow, or is damaged: the message says what differs.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let archive = Archive::load(path)?;
        let kind: serde_json::Value = archive.header()?;
        if kind["model"] != MODEL {
            return Err(Error::file(path, format!("a model of kind {}; {MODEL} is expected", kind["model"])));
        }
        let header: Header = archive.header()?;
        let Spec { kind, layers, hidden } = header.spec;
        let (d, data) = (header.names.len(), header.data.clone());
        // Nothing is built that is larger than what the file holds.
        let (held, d2) = (archive.elements(), d.saturating_mul(d));
        let network = if kind.has_networks() { hidden.saturating_mul(hidden) } else { 0 };
        if layers.saturating_mul(network.saturating_add(d2)) > held.saturating_mul(4) {
            return Err(Error::file(path, format!("{layers} layers of {hidden} units; the file holds {held} numbers")));
        }
        let spec = header.spec;
        let flow = spec.build(d, Seed(0), Restore { archive: &archive, header }).map_err(|e| Error::file(path, e))?;
        Ok(Self { kind, layers, hidden, data, flow })
    }
}

impl fmt::Debug for FlowModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowModel({self})")
    }
}

impl fmt::Display for FlowModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, parameters, columns) = (self.kind.name(), self.parameters(), self.names().len());
        let layers = if self.layers == 1 { "1 layer".to_owned() } else { format!("{} layers", self.layers) };
        let units = if self.kind.has_networks() { format!(" of {} units", self.hidden) } else { String::new() };
        write!(f, "{kind}: {layers}{units}, {parameters} parameters, {columns} columns")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Oracle;

    fn small(kind: FlowKind) -> FitFlow {
        FitFlow { layers: 2, hidden: 8, epochs: 2, ..FitFlow::new(kind) }
    }

    #[test]
    fn every_kind_is_learned_saved_and_loaded_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let (rows, valid) = (Oracle::Moons.sample(300, Seed(1)).unwrap(), Oracle::Moons.sample(80, Seed(2)).unwrap());
        for kind in FlowKind::ALL {
            let (flow, _) = small(kind).fit(&rows, Some(&valid), Seed(3)).unwrap();
            flow.save(&path).unwrap();
            assert!(FlowModel::is_in(&path).unwrap());
            let loaded = FlowModel::load(&path).unwrap();
            assert_eq!(loaded.to_string(), flow.to_string());
            let evidence = flow.evidence(&valid).unwrap();
            assert_eq!(loaded.evidence(&valid).unwrap().log_probs(), evidence.log_probs(), "{}", kind.name());
            assert!(Oracle::Moons.gap(&evidence) > -4.0 * evidence.standard_error(), "{}", kind.name());
            assert_eq!(loaded.sample(20, Seed(4)).unwrap(), flow.sample(20, Seed(4)).unwrap());
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let rows = Oracle::Ring.sample(100, Seed(1)).unwrap();
        let (flow, _) = small(FlowKind::Made).fit(&rows, None, Seed(3)).unwrap();
        flow.save(&path).unwrap();
        let message = |change: &dyn Fn(&mut serde_json::Value, &mut Vec<NamedArray>)| {
            let archive = Archive::load(&path).unwrap();
            let mut header: serde_json::Value = archive.header().unwrap();
            let mut arrays = flow.flow.params();
            change(&mut header, &mut arrays);
            let mut changed = Archive::new(&header).unwrap();
            for (name, shape, values) in &arrays {
                changed.put(&format!("flow/{name}"), shape, values);
            }
            let other = folder.path().join("other");
            changed.save(&other).unwrap();
            FlowModel::load(&other).unwrap_err().to_string()
        };
        assert!(message(&|_, arrays| arrays[0].2[1] = 3.0).contains("against the order of the coordinates"));
        assert!(message(&|_, arrays| arrays[1].2[0] = f32::NAN).contains("NaN at element 0"));
        assert!(message(&|_, arrays| drop(arrays.pop())).contains("no array called flow/network.third.bias"));
        assert!(message(&|header, _| header["hidden"] = 1_000_000_000.into()).contains("the file holds"));
        assert!(message(&|header, _| header["layers"] = 0.into()).contains("layers ≥ 1"));
        assert!(message(&|header, _| header["frame"] = serde_json::json!([[0.0, 1.0]])).contains("the flow is of 2"));
        assert!(message(&|header, _| header["model"] = "circuit".into()).contains("a model of kind"));
        assert!(small(FlowKind::Nice).fit(&rows.columns(&[0]), None, Seed(1)).is_err());
    }
}
