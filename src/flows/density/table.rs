//! A flow of the columns of a table.

use crate::{
    Error, Result,
    data::{ColumnSummary, Continuous, Rows, Schema, fingerprint},
    evidence::{Evidence, Exact, Space},
    flows::{self, Base, Bijection, Flow, Normal},
    nn::Device,
    random::Seed,
    train::{Phase, Trained},
};
use dfdx::{nn::TensorCollection, shapes::Dim, tensor::Cpu};

/// A density over the columns of a table: a flow of `(x − mean) / deviation`, its densities given in the table's own units.
#[derive(Clone, Debug)]
pub struct TableFlow<D, B, P = Normal, Dev = Cpu> {
    pub(crate) flow: Flow<B, P>,
    dims: D,
    device: Dev,
    schema: Schema,
    names: Vec<String>,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
}

/// Rows that one call of the flow works on.
const BLOCK: usize = 4096;

/// Rows that statistics are taken of, at most: their standard error is below a hundredth of a deviation, and memory stays flat.
const SHOWN: usize = 16_384;

impl<D: Dim, B, P: Base, Dev: Device<f32>> TableFlow<D, B, P, Dev>
where
    B: Bijection<D, f32, Dev>,
{
    /// The columns are standardised as those of `rows`.
    ///
    /// # Errors
    /// When the rows have another number of columns than the flow, one of categories or without spread, or cannot be read.
    pub fn new(device: &Dev, flow: Flow<B, P>, dims: D, rows: &dyn Rows) -> Result<Self> {
        let columns = ColumnSummary::of(rows)?;
        columns.iter().try_for_each(ColumnSummary::check)?;
        let frame = columns.iter().map(|column| (column.mean, column.deviation)).collect();
        Self::framed(device, flow, dims, rows.schema().clone(), frame)
    }

    /// As [`Self::new`], and the bijection is shown the rows: [`Phase::Start`]. No more is learned.
    ///
    /// # Errors
    /// As [`Self::new`]; also when a value is missing.
    pub fn started(device: &Dev, flow: Flow<B, P>, dims: D, rows: &dyn Rows) -> Result<Self> {
        let mut model = Self::new(device, flow, dims, rows)?;
        model.adapt(rows, Phase::Start)?;
        Ok(model)
    }

    /// With columns of that schema, means and deviations.
    ///
    /// # Errors
    /// When their number is not that of the flow's coordinates, a column is of categories, or a deviation is not positive.
    pub fn framed(device: &Dev, flow: Flow<B, P>, dims: D, schema: Schema, frame: Vec<(f64, f64)>) -> Result<Self> {
        let names: Vec<String> = schema.variables.iter().map(|v| v.name.clone()).collect();
        for (what, found) in [("a table", names.len()), ("a frame", frame.len())] {
            if found != dims.size() {
                let dims = dims.size();
                return Err(Error::invalid(format!("{what} of {found} columns; the flow is of {dims} coordinates")));
            }
        }
        if let Some(v) = schema.variables.iter().find(|v| v.categories > 0) {
            return Err(Error::invalid(format!("column {} is of categories; a flow is of real numbers", v.name)));
        }
        let fits = |(mean, deviation): &(f64, f64)| mean.is_finite() && deviation.is_finite() && *deviation > 0.0;
        if let Some(i) = frame.iter().position(|column| !fits(column)) {
            return Err(Error::invalid(format!("column {}: mean and deviation are {:?}", names[i], frame[i])));
        }
        Ok(Self { flow, dims, device: device.clone(), schema, names, frame })
    }

    /// The flow, of standardised columns.
    pub fn flow(&self) -> &Flow<B, P> {
        &self.flow
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What the columns are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Mean and deviation of each column.
    pub fn frame(&self) -> &[(f64, f64)] {
        &self.frame
    }

    /// Densities of rows in the units of the table, as exact evidence, however many passes that takes. A row that overflows in
    /// single precision, far from all data, counts as impossible: −∞.
    ///
    /// # Errors
    /// When the rows have other columns than the flow, or a value is missing.
    pub fn evidence(&self, rows: &dyn Rows) -> Result<Evidence<Exact>> {
        let stretch: f64 = self.frame.iter().map(|(_, deviation)| deviation.ln()).sum();
        let log_probs = self.log_probs(rows)?.into_iter().map(|p| p - stretch).collect();
        Ok(Evidence::new(log_probs, Space::Continuous, self.dims.size())?.of_rows(fingerprint(rows)?))
    }

    /// `n` independent rows in the units of the table. However many passes that takes.
    ///
    /// # Errors
    /// When `n` is 0, or a sample is infinite or no number.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Continuous> {
        let mut values = Vec::with_capacity(n * self.dims.size());
        for (block, from) in (0..n).step_by(BLOCK).enumerate() {
            let rows = (BLOCK.min(n - from), self.dims);
            let x = self.flow.sequential().sample(rows, &self.device, seed.child("block", block as u64)).as_vec();
            if let Some(i) = x.iter().position(|x| !x.is_finite()) {
                let (row, name) = (from + i / self.frame.len(), &self.names[i % self.frame.len()]);
                return Err(Error::invalid(format!(
                    "sample {row}, column {name}: {}; the flow overflows in single precision where its base draws far out",
                    x[i]
                )));
            }
            values.extend(x.iter().zip(self.frame.iter().cycle()).map(|(x, (mean, d))| mean + d * f64::from(*x)));
        }
        Continuous::new(self.names.clone(), values)?.shaped(&self.schema.shape)
    }

    /// The rows with these indices as the flow sees them.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn standardised(&self, rows: &dyn Rows, which: &[usize]) -> Result<flows::Batch<D, f32, Dev>> {
        self.check(rows)?;
        let mut reals = Vec::new();
        rows.read_reals(which, &mut reals)?;
        let mut values = Vec::with_capacity(reals.len());
        for (row, of) in which.iter().zip(reals.chunks_exact(self.frame.len())) {
            for ((x, (mean, deviation)), name) in of.iter().zip(&self.frame).zip(&self.names) {
                if x.is_nan() {
                    let row = rows.number_of(*row);
                    return Err(Error::invalid(format!("row {row}, column {name}: a flow has no missing values")));
                }
                values.push(((x - mean) / deviation) as f32);
            }
        }
        Ok(self.device.tensor_from_vec(values, (which.len(), self.dims)))
    }

    /// What the rows with these indices become under the base: `f(x)`, `(rows, columns)`.
    ///
    /// # Errors
    /// As [`Self::evidence`].
    pub fn latents(&self, rows: &dyn Rows, which: &[usize]) -> Result<Vec<f32>> {
        let mut latents = Vec::with_capacity(which.len() * self.dims.size());
        for block in which.chunks(BLOCK) {
            let (z, _) = self.flow.bijection.forward(self.standardised(rows, block)?);
            latents.extend(z.as_vec());
        }
        Ok(latents)
    }

    /// Refuses rows of other columns.
    pub(super) fn check(&self, rows: &dyn Rows) -> Result<()> {
        let theirs = &rows.schema().variables;
        if theirs.len() != self.dims.size() {
            let (found, wanted) = (theirs.len(), self.dims.size());
            return Err(Error::invalid(format!("a table of {found} columns; the flow is of {wanted} coordinates")));
        }
        match theirs.iter().find(|v| v.categories > 0) {
            Some(v) => Err(Error::invalid(format!("column {} is of categories; the flow is of real numbers", v.name))),
            None => Ok(()),
        }
    }

    /// Log-densities of standardised rows.
    pub(super) fn log_probs(&self, rows: &dyn Rows) -> Result<Vec<f64>> {
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut log_probs = Vec::with_capacity(rows.len());
        for block in all.chunks(BLOCK) {
            log_probs.extend(self.flow.sequential().log_probs(self.standardised(rows, block)?));
        }
        Ok(log_probs)
    }

    /// Shows the bijection rows, spread evenly over all; of [`Phase::Learn`] one, as a GPU refuses to compute none.
    pub(super) fn adapt(&mut self, rows: &dyn Rows, phase: Phase) -> Result<()> {
        let n = rows.len().min(if phase == Phase::Learn { 1 } else { SHOWN });
        let shown: Vec<usize> = (0..n).map(|i| i * rows.len() / n).collect();
        let rows = self.standardised(rows, &shown)?;
        self.flow.bijection.adapt(rows, phase);
        Ok(())
    }
}

impl<D, B: TensorCollection<f32, Dev>, P, Dev: Device<f32>> Trained<Dev> for TableFlow<D, B, P, Dev> {
    type Module = B;

    fn module(&self) -> &B {
        &self.flow.bijection
    }

    fn module_mut(&mut self) -> &mut B {
        &mut self.flow.bijection
    }
}
