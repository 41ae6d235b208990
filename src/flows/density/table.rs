//! A flow of the columns of a table.

use crate::{
    Error, Result,
    data::{Table, fingerprint},
    evidence::{Evidence, Exact, Space},
    flows::{Base, Bijection, Flow, Normal, Phase, Rows},
    math::mean_and_deviation,
    random::Seed,
};
use dfdx::{
    shapes::Dim,
    tensor::{Cpu, TensorFromVec},
};

/// A density over the columns of a table: a flow of `(x − mean) / deviation`, its densities given in the table's own units.
#[derive(Clone, Debug)]
pub struct TableFlow<D, B, P = Normal> {
    pub(crate) flow: Flow<B, P>,
    dims: D,
    names: Vec<String>,
    /// Mean and deviation of each column.
    frame: Vec<(f64, f64)>,
}

/// Rows that one call of the flow works on.
const BLOCK: usize = 4096;

impl<D: Dim, B: Bijection<D, f32, Cpu>, P: Base> TableFlow<D, B, P> {
    /// The columns are standardised as those of `rows`.
    ///
    /// # Errors
    /// When the table has another number of columns than the flow.
    pub fn new(flow: Flow<B, P>, dims: D, rows: &Table) -> Result<Self> {
        let column = |c: usize| {
            let values = (0..rows.len()).map(|row| rows.row(row)[c]).filter(|x| !x.is_nan());
            mean_and_deviation(&values.collect::<Vec<f64>>())
        };
        let frame = (0..rows.names().len()).map(column).collect();
        Self::framed(flow, dims, rows.names().to_vec(), frame)
    }

    /// As [`Self::new`], and the bijection is shown the rows: [`Phase::Start`]. No more is learned.
    ///
    /// # Errors
    /// As [`Self::new`]; also when a value is missing.
    pub fn started(flow: Flow<B, P>, dims: D, rows: &Table) -> Result<Self> {
        let mut model = Self::new(flow, dims, rows)?;
        let values = model.standardised(rows)?;
        model.adapt(&values, Phase::Start);
        Ok(model)
    }

    /// With columns of these names, means and deviations.
    ///
    /// # Errors
    /// When their number is not that of the flow's coordinates, or a deviation is not positive.
    pub fn framed(flow: Flow<B, P>, dims: D, names: Vec<String>, frame: Vec<(f64, f64)>) -> Result<Self> {
        if names.len() != dims.size() || frame.len() != dims.size() {
            return Err(Error::invalid(format!("a table of {} columns; the flow is of {}", names.len(), dims.size())));
        }
        let fits = |(mean, deviation): &(f64, f64)| mean.is_finite() && deviation.is_finite() && *deviation > 0.0;
        if let Some(i) = frame.iter().position(|column| !fits(column)) {
            return Err(Error::invalid(format!("column {}: mean and deviation are {:?}", names[i], frame[i])));
        }
        Ok(Self { flow, dims, names, frame })
    }

    /// The flow, of standardised columns.
    pub fn flow(&self) -> &Flow<B, P> {
        &self.flow
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Mean and deviation of each column.
    pub fn frame(&self) -> &[(f64, f64)] {
        &self.frame
    }

    /// Densities of rows in the units of the table, as exact evidence, however many passes that takes. A row that overflows in
    /// single precision, far from all data, counts as impossible: −∞.
    ///
    /// # Errors
    /// When the table has another number of columns than the flow, or a value is missing.
    pub fn evidence(&self, rows: &Table) -> Result<Evidence<Exact>> {
        let stretch: f64 = self.frame.iter().map(|(_, deviation)| deviation.ln()).sum();
        let log_probs = self.log_probs(&self.standardised(rows)?);
        let log_probs = log_probs.into_iter().map(|p| p - stretch).collect();
        Ok(Evidence::new(log_probs, Space::Continuous, self.dims.size())?.of_rows(fingerprint(rows)?))
    }

    /// `n` independent rows in the units of the table. However many passes that takes.
    ///
    /// # Errors
    /// When `n` is 0, or a sample is infinite.
    pub fn sample(&self, n: usize, seed: Seed) -> Result<Table> {
        let mut values = Vec::with_capacity(n * self.dims.size());
        for (block, from) in (0..n).step_by(BLOCK).enumerate() {
            let rows = (BLOCK.min(n - from), self.dims);
            let x = self.flow.sequential().sample(rows, &Cpu::default(), seed.child("block", block as u64)).as_vec();
            values.extend(x.iter().zip(self.frame.iter().cycle()).map(|(x, (mean, d))| mean + d * f64::from(*x)));
        }
        Table::new(self.names.clone(), values)
    }

    /// The values as the flow sees them, row after row.
    pub(crate) fn standardised(&self, rows: &Table) -> Result<Vec<f32>> {
        if rows.names().len() != self.dims.size() {
            let (found, wanted) = (rows.names().len(), self.dims.size());
            return Err(Error::invalid(format!("a table of {found} columns; the flow is of {wanted}")));
        }
        let mut values = Vec::with_capacity(rows.len() * self.frame.len());
        for row in 0..rows.len() {
            for ((x, (mean, deviation)), name) in rows.row(row).iter().zip(&self.frame).zip(rows.names()) {
                if x.is_nan() {
                    return Err(Error::invalid(format!("row {row}, column {name}: a flow has no missing values")));
                }
                values.push(((x - mean) / deviation) as f32);
            }
        }
        Ok(values)
    }

    pub(crate) fn tensor(&self, values: Vec<f32>) -> Rows<D, f32, Cpu> {
        let rows = values.len() / self.dims.size();
        Cpu::default().tensor_from_vec(values, (rows, self.dims))
    }

    /// Log-densities of standardised rows; −∞ where a row is so far out that a coordinate of it overflows on its way.
    pub(crate) fn log_probs(&self, values: &[f32]) -> Vec<f64> {
        let blocks = values.chunks(BLOCK * self.dims.size());
        let each = blocks.flat_map(|block| self.flow.sequential().log_prob(self.tensor(block.to_vec())).as_vec());
        each.map(|p| if p.is_nan() { f64::NEG_INFINITY } else { f64::from(p) }).collect()
    }

    /// Shows the bijection these rows.
    pub(crate) fn adapt(&mut self, values: &[f32], phase: Phase) {
        let rows = self.tensor(values.to_vec());
        self.flow.bijection.adapt(rows, phase);
    }
}
