//! A learned flow of a table, whatever its type, and its file.

use super::{Flow, TableBase, TableFlow};
use crate::{
    Error, Result,
    archive::Archive,
    data::{Continuous, Dataset, Rows, Schema},
    evidence::{AnyEvidence, Evidence, Exact},
    model::{Family, Model, ModelFile, Origin},
    nn::{Device, NamedArray, archived_params, load_params},
    random::Seed,
};
use dfdx::{nn::NumParams, tensor::Cpu};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

mod fit;
mod kind;

pub use fit::FitFlow;
pub use kind::FlowKind;
use kind::{Learnable, Spec, Use};

/// A density over the columns of a table, whatever the flow behind it.
///
/// It is kept as its numbers, and put on a device where it is asked.
pub struct FlowModel {
    spec: Spec,
    base: TableBase,
    schema: Schema,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
    arrays: Vec<NamedArray>,
    /// Number of trained parameters.
    parameters: usize,
}

/// A [`TableFlow`] without its type, on whatever device.
trait AnyFlow {
    fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>>;
    fn sample(&self, n: usize, seed: Seed) -> Result<Continuous>;
    fn latents(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>>;
    fn parameters(&self) -> usize;
}

impl<Dev: Device<f32>, B: Learnable<Dev>> AnyFlow for TableFlow<usize, B, TableBase, Dev> {
    fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        self.evidence(rows)
    }
    fn sample(&self, n: usize, seed: Seed) -> Result<Continuous> {
        self.sample(n, seed)
    }
    fn latents(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        self.latents(rows, which)
    }
    fn parameters(&self) -> usize {
        self.flow().bijection.num_trainable_params()
    }
}

/// Fills the bijection with the numbers of a model.
impl<Dev: Device<f32>> Use<Dev> for &FlowModel {
    type Output = Box<dyn AnyFlow>;

    fn with<B: Learnable<Dev>>(self, device: &Dev, mut bijection: B) -> Result<Self::Output> {
        load_params(&mut bijection, &self.arrays)?;
        bijection.check()?;
        let flow = Flow { bijection, base: self.base };
        Ok(Box::new(TableFlow::framed(device, flow, self.schema.len(), self.schema.clone(), self.frame.clone())?))
    }
}

/// The name of the family in files.
const NAME: &str = "flow";

/// Flows of tables.
pub const FAMILY: Family = Family { name: NAME, load, entries: fit::entries };

fn load(file: &ModelFile) -> Result<Box<dyn Model>> {
    FlowModel::of_file(file).map(|flow| Box::new(flow) as Box<dyn Model>)
}

/// What a file says of a flow beside its columns and its arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    spec: Spec,
    base: TableBase,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
}

impl FlowModel {
    /// Which flow it is.
    pub fn kind(&self) -> FlowKind {
        self.spec.kind
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Densities of rows in the units of the table, as exact evidence.
    ///
    /// # Errors
    /// When the table has other columns, or a value is missing.
    pub fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        self.evidence_on(&Cpu::default(), rows)
    }

    /// The same, computed on any device.
    ///
    /// # Errors
    /// As [`Self::evidence`], and when the device has no memory for it.
    pub fn evidence_on(&self, device: &impl Device<f32>, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        self.on(device)?.evidence(rows)
    }

    /// `n` independent rows in the units of the table.
    ///
    /// # Errors
    /// When `n` is 0, or a sample is infinite.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Continuous> {
        self.sample_on(&Cpu::default(), n, seed)
    }

    /// The same, computed on any device.
    ///
    /// # Errors
    /// As [`Self::sample`], and when the device has no memory for it.
    pub fn sample_on(&self, device: &impl Device<f32>, n: usize, seed: Seed) -> Result<Continuous> {
        self.on(device)?.sample(n, seed)
    }

    /// What the rows with these indices become under the base, `(rows, columns)`.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn latents(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        self.on(&Cpu::default())?.latents(rows, which)
    }

    fn on(&self, device: &impl Device<f32>) -> Result<Box<dyn AnyFlow>> {
        self.spec.build(device, self.schema.len(), Seed(0), self)
    }

    /// Writes the flow with its columns, and the hash of the `data` it was fitted to.
    ///
    /// # Errors
    /// When the data cannot be read or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, data: &dyn Rows) -> Result<()> {
        (self as &dyn Model).save(path, &Origin::of(data)?)
    }

    /// Reads a flow.
    ///
    /// # Errors
    /// When the file is not a flow, or is damaged: the message says what differs.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_file(&ModelFile::open(path)?).map_err(|e| Error::file(path, e))
    }

    fn of_file(file: &ModelFile) -> Result<Self> {
        let Body { spec, base, frame } = file.body(NAME)?;
        let Spec { kind, layers, hidden } = spec;
        // Nothing is built that is larger than what the file holds.
        let (d, held) = (file.schema.len(), file.arrays.elements());
        let network = if kind.has_networks() { hidden.saturating_mul(hidden) } else { 0 };
        if layers.saturating_mul(network.saturating_add(d.saturating_mul(d))) > held.saturating_mul(4) {
            return Err(Error::invalid(format!("{layers} layers of {hidden} units; the file holds {held} numbers")));
        }
        let arrays = archived_params(&file.arrays, ARRAYS)?;
        let mut model = Self { spec, base, schema: file.schema.clone(), frame, arrays, parameters: 0 };
        model.parameters = model.on(&Cpu::default())?.parameters();
        Ok(model)
    }
}

/// What the names of a flow's arrays begin with in a file.
const ARRAYS: &str = "flow/";

impl Model for FlowModel {
    fn family(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> &str {
        self.spec.kind.name()
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn parameters(&self) -> usize {
        self.parameters
    }

    fn score(&self, rows: &dyn Rows, _: Seed) -> Result<AnyEvidence> {
        Ok(self.evidence(rows)?.any())
    }

    fn sample(&self, n: usize, seed: Seed) -> Result<Dataset> {
        Ok(self.sample(n, seed)?.into())
    }

    fn put(&self, arrays: &mut Archive) -> Result<serde_json::Value> {
        for (name, shape, values) in &self.arrays {
            arrays.put(&format!("{ARRAYS}{name}"), shape, values);
        }
        let body = Body { spec: self.spec, base: self.base, frame: self.frame.clone() };
        serde_json::to_value(body).map_err(Error::invalid)
    }
}

impl fmt::Debug for FlowModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowModel({self})")
    }
}

impl fmt::Display for FlowModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec { kind, layers, hidden } = self.spec;
        let (parameters, columns) = (self.parameters, self.schema.len());
        let layers = if layers == 1 { "1 layer".to_owned() } else { format!("{layers} layers") };
        let units = if kind.has_networks() { format!(" of {hidden} units") } else { String::new() };
        write!(f, "{}: {layers}{units}, {parameters} parameters, {columns} columns", kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::Oracle, train::Fit};

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
            flow.save(&path, &rows).unwrap();
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
        let message_of = |kind, change: &dyn Fn(&mut serde_json::Value, &mut Vec<NamedArray>)| {
            let (flow, _) = small(kind).fit(&rows, None, Seed(3)).unwrap();
            flow.save(&path, &rows).unwrap();
            let archive = Archive::load(&path).unwrap();
            let mut header: serde_json::Value = archive.header().unwrap();
            let mut arrays = flow.arrays.clone();
            change(&mut header, &mut arrays);
            let mut changed = Archive::new(&header).unwrap();
            crate::train::History::default().save(&mut changed);
            for (name, shape, values) in &arrays {
                changed.put(&format!("flow/{name}"), shape, values);
            }
            let other = folder.path().join("other");
            changed.save(&other).unwrap();
            FlowModel::load(&other).unwrap_err().to_string()
        };
        let disorder = |_: &mut serde_json::Value, arrays: &mut Vec<NamedArray>| {
            arrays.iter_mut().filter(|a| a.0.ends_with("order")).for_each(|a| a.2[0] = 7.0);
        };
        assert!(message_of(FlowKind::Maf, &disorder).contains("not an order of the columns"));
        let message =
            |change: &dyn Fn(&mut serde_json::Value, &mut Vec<NamedArray>)| message_of(FlowKind::Made, change);
        assert!(message(&|_, arrays| arrays[0].2[1] = 3.0).contains("against the order of the coordinates"));
        assert!(message(&|_, arrays| arrays[1].2[0] = f32::NAN).contains("NaN at element 0"));
        assert!(message(&|_, arrays| drop(arrays.pop())).contains("the array `network.third.bias` is missing"));
        assert!(message(&|header, _| header["body"]["hidden"] = 1_000_000_000.into()).contains("the file holds"));
        assert!(message(&|header, _| header["body"]["layers"] = 0.into()).contains("layers ≥ 1"));
        assert!(
            message(&|header, _| header["body"]["frame"] = serde_json::json!([[0.0, 1.0]]))
                .contains("a frame of 1 columns")
        );
        assert!(message(&|header, _| header["family"] = "circuit".into()).contains("flow is expected"));
        assert!(
            message(&|header, _| header["schema"]["shape"] = serde_json::json!([1_u64 << 40]))
                .contains("2 columns for rows")
        );
        assert!(small(FlowKind::Nice).fit(&rows.columns(&[0]), None, Seed(1)).is_err());
    }
}
