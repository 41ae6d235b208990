//! Expectations, and what to look at next: both from conditionals.

use crate::{
    Error, Result,
    circuits::{Circuit, Conditionals, Scalar},
    data::{Discrete, MISSING, Rows},
    model::Moments,
};

impl Conditionals {
    /// `E[f(x_v) | the values of the row]`.
    pub fn expect(&self, row: usize, variable: usize, f: impl Fn(usize) -> f64) -> f64 {
        self.get(row, variable).iter().enumerate().map(|(a, p)| p * f(a)).sum()
    }

    /// Mean and variance of a variable, its categories counting as numbers.
    pub fn moments(&self, row: usize, variable: usize) -> Moments {
        Moments::of(self.get(row, variable))
    }

    /// Entropy of a variable, nats.
    pub fn entropy(&self, row: usize, variable: usize) -> f64 {
        let terms = self.get(row, variable).iter().filter(|p| **p > 0.0).map(|p| -p * p.ln());
        terms.sum()
    }
}

/// A value that a variable may have.
struct Value {
    variable: usize,
    category: u16,
    p: f64,
}

impl Value {
    /// The possible ones of a variable with this distribution.
    fn possible(variable: usize, distribution: &[f64]) -> impl Iterator<Item = Self> + '_ {
        let values = distribution.iter().enumerate().map(move |(a, p)| Self { variable, category: a as u16, p: *p });
        values.filter(|value| value.p > 0.0)
    }
}

/// Rows whose conditionals are asked for at once.
const AT_ONCE: usize = 4096;

impl<T: Scalar> Circuit<T> {
    /// `E[x_v x_w] − E[x_v] E[x_w]` given the row, for all pairs.
    pub(crate) fn covariances(&self, row: &Discrete) -> Result<Vec<f64>> {
        let vars = self.vars();
        let given = self.all_conditionals(row)?;
        let (all, means): (Vec<usize>, Vec<f64>) = (0..vars).map(|v| (v, given.moments(0, v).mean)).unzip();
        let possible: Vec<Value> = all
            .iter()
            .filter(|v| row.row(0)[**v] == MISSING)
            .flat_map(|v| Value::possible(*v, given.get(0, *v)))
            .collect();
        let mut covariance = vec![0.0; vars * vars];
        for values in possible.chunks(AT_ONCE) {
            self.each_conditional(&self.with_each(row, values)?, &all, &mut |i, w, beside| {
                let Value { variable, category, p } = values[i];
                covariance[variable * vars + w] += p * f64::from(category) * Moments::of(beside).mean;
                Ok(())
            })?;
        }
        for v in all.iter().filter(|v| row.row(0)[**v] == MISSING) {
            all.iter().for_each(|w| covariance[v * vars + w] -= means[*v] * means[*w]);
        }
        Ok(covariance)
    }

    /// The row once with each of these values.
    fn with_each(&self, row: &Discrete, values: &[Value]) -> Result<Discrete> {
        let mut codes = row.row(0).repeat(values.len());
        for (codes, value) in codes.chunks_exact_mut(self.vars()).zip(values) {
            codes[value.variable] = value.category;
        }
        Discrete::new(self.schema.clone(), codes)
    }

    /// `I(x_v; x_t | e)` of every missing variable but `t`, nats.
    pub(crate) fn gains(&self, row: &Discrete, target: usize) -> Result<Vec<(usize, f64)>> {
        if row.len() != 1 || target >= self.vars() {
            return Err(Error::invalid(format!("one row and a variable below {} are needed", self.vars())));
        }
        if row.row(0)[target] != MISSING {
            let name = &self.schema.variables[target].name;
            return Err(Error::invalid(format!("{name} is known already: there is nothing to learn of it")));
        }
        // What `v` says of the target is what the target says of `v`: one pass for all of them, with each value of the target.
        let given = self.all_conditionals(row)?;
        let possible: Vec<Value> = Value::possible(target, given.get(0, target)).collect();
        let beside = self.all_conditionals(&self.with_each(row, &possible)?)?;
        let gain = |v: usize| {
            let then: f64 = possible.iter().enumerate().map(|(i, value)| value.p * beside.entropy(i, v)).sum();
            // It is never negative but by rounding.
            (v, (given.entropy(0, v) - then).max(0.0))
        };
        let others = (0..self.vars()).filter(|v| *v != target && row.row(0)[*v] == MISSING);
        let mut gains: Vec<(usize, f64)> = others.map(gain).collect();
        gains.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(gains)
    }
}

impl Circuit {
    /// The covariance matrix of the variables given one row, `(variables, variables)` row after row; 0 where a value is known.
    ///
    /// # Errors
    /// As [`Circuit::conditionals`]; also for another number of rows than one.
    pub fn covariance(&self, row: &Discrete) -> Result<Vec<f64>> {
        if row.len() != 1 {
            return Err(Error::invalid(format!("{} rows; the covariance is of one", row.len())));
        }
        self.covariances(row)
    }

    /// Which variable to look at next, to learn most of `target`: every other missing variable with its information gain,
    /// nats, the most useful first.
    ///
    /// ```text
    /// I(x_v; x_t | e) = H(x_t | e) − Σ_a p(x_v = a | e) H(x_t | e, x_v = a)
    /// ```
    ///
    /// # Errors
    /// As [`Circuit::conditionals`]; also when `target` is known, or there is not one row.
    pub fn next_variable(&self, row: &Discrete, target: usize) -> Result<Vec<(usize, f64)>> {
        self.gains(row, target)
    }
}
