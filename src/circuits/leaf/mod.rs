//! Leaves: distributions of one variable, kept as tables that a pass looks up, and learned from counts.

mod begin;
mod binomial;
mod by_mean;
mod by_number;
mod categorical;
mod discretised_logistic;
mod family;
mod gaussian;
mod indicator;
mod poisson;

pub(super) use family::{Density, Family};

use super::Scalar;
use crate::{
    Error, Result,
    data::Variable,
    simd::{largest, vectorised},
};
use serde::{Deserialize, Serialize};
use std::{f64::consts::LN_2, fmt};

/// What the leaves of a variable with `K` categories are.
///
/// Every one is normalised over the categories: their probabilities sum to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaf {
    /// Any distribution over the categories.
    #[default]
    Categorical,
    /// `p` and `1 − p`, for two categories.
    Bernoulli,
    /// The number of successes in `K − 1` trials.
    Binomial,
    /// A Poisson distribution, cut off after `K − 1` and renormalised.
    Poisson,
    /// A logistic distribution by its mean and scale, whose mass is collected in bins of width one around the categories;
    /// the first and the last take its tails.
    DiscretisedLogistic,
    /// Unit `h` is category `h` for certain. Not learned; it makes a latent visible.
    Indicator,
    /// A normal distribution, for columns of real numbers.
    Gaussian,
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Leaf {
    /// The kinds that are learned, of columns of categories.
    pub const LEARNED: [Self; 5] =
        [Self::Categorical, Self::Bernoulli, Self::Binomial, Self::Poisson, Self::DiscretisedLogistic];

    /// The name, as in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Categorical => "categorical",
            Self::Bernoulli => "bernoulli",
            Self::Binomial => "binomial",
            Self::Poisson => "poisson",
            Self::DiscretisedLogistic => "discretised-logistic",
            Self::Indicator => "indicator",
            Self::Gaussian => "gaussian",
        }
    }

    /// The family's own code.
    pub(super) fn family<T: Scalar>(self) -> &'static dyn Family<T> {
        match self {
            Self::Categorical => &categorical::Categorical,
            Self::Bernoulli => &categorical::Bernoulli,
            Self::Binomial => &binomial::Binomial,
            Self::Poisson => &poisson::Poisson,
            Self::DiscretisedLogistic => &discretised_logistic::DiscretisedLogistic,
            Self::Indicator => &indicator::Indicator,
            Self::Gaussian => &gaussian::Gaussian,
        }
    }

    /// Whether a variable can have such leaves, `units` of them.
    pub(super) fn check(self, variable: &Variable, units: usize) -> Result<()> {
        let (k, name, family) = (variable.categories, &variable.name, self.family::<f64>());
        let problem = match (family.density().is_some(), k) {
            (true, 0) => None,
            (true, _) => {
                Some(format!("variable {name} has {k} categories; {self} leaves are for columns of real numbers"))
            }
            (false, 0) => Some(format!("variable {name} is a real number; {self} leaves are for categories")),
            (false, _) => family
                .unfit(k, units)
                .map(|needed| format!("variable {name} has {k} categories; {self} leaves need {needed}")),
        };
        problem.map_or(Ok(()), |problem| Err(Error::invalid(problem)))
    }
}

/// What the numbers of leaves are measured in, and how small their scale may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    /// The middle of the column.
    pub(super) shift: f64,
    /// The deviation of the column.
    pub(super) scale: f64,
    /// The least scale of a unit, in that of the column.
    pub(super) floor: f64,
}

impl Default for Frame {
    fn default() -> Self {
        Self { shift: 0.0, scale: 1.0, floor: discretised_logistic::USUAL_FLOOR }
    }
}

impl Frame {
    pub(super) fn is_valid(self) -> bool {
        let Self { shift, scale, floor } = self;
        shift.is_finite() && scale.is_finite() && scale > 0.0 && floor.is_finite() && floor > 0.0
    }
}

/// The leaves that some input blocks share.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaves<T> {
    pub(super) kind: Leaf,
    pub(super) units: usize,
    /// `p(a | unit)`, `(categories + 1, units)`: the last row, for a missing value, is all ones.
    pub(super) table: Vec<T>,
    /// `(units, numbers)`: the success probability, the rate, the mean and the scale, or mean and deviation in the frame.
    pub(super) numbers: Vec<f64>,
    /// What the numbers are measured in.
    pub(super) frame: Frame,
    /// Where the numbers determine the table: its logarithms.
    exact: Option<Exact<T>>,
}

/// Probabilities that single precision does not reach: as logarithms, and as values with a power of two a category.
#[derive(Clone, Debug, PartialEq)]
struct Exact<T> {
    /// `log p(a | unit)`, `(categories, units)`.
    logs: Vec<f64>,
    /// `p(a | unit) / 2^power(a)`; lies as the table does, and its last row is all ones.
    scaled: Vec<T>,
    /// Of every category, and of a missing value.
    powers: Vec<i32>,
}

impl<T: Scalar> Leaves<T> {
    /// The density, where the leaves are of real numbers.
    pub(super) fn density(&self) -> Option<&'static dyn Density<T>> {
        self.kind.family().density()
    }

    /// Numbers that flows are summed in, for all units.
    pub(super) fn statistics(&self) -> usize {
        self.kind.family().statistics(self)
    }

    pub(super) fn categories(&self) -> usize {
        self.table.len() / self.units - 1
    }

    /// `log p(code | unit)`; 0 for a missing value.
    pub(super) fn log_prob(&self, unit: usize, code: u16) -> f64 {
        let place = code as usize * self.units + unit;
        match &self.exact {
            _ if code as usize >= self.categories() => 0.0,
            Some(exact) => exact.logs[place],
            None => self.table[place].f64().ln(),
        }
    }

    /// `log p(a | unit)` for each category.
    pub(super) fn log_probs(&self, unit: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        (0..self.categories()).map(move |a| self.log_prob(unit, a as u16))
    }

    /// `p(a | unit)` for each category.
    pub(super) fn distribution(&self, unit: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        let place = move |a: usize| a * self.units + unit;
        (0..self.categories()).map(move |a| match &self.exact {
            Some(exact) => exact.logs[place(a)].exp(),
            None => self.table[place(a)].f64(),
        })
    }

    /// What a pass looks up: values by category and unit, and what each category's have been divided by, as a power of two.
    pub(super) fn lookup(&self) -> (&[T], Option<&[i32]>) {
        match &self.exact {
            Some(exact) => (&exact.scaled, Some(&exact.powers)),
            None => (&self.table, None),
        }
    }

    /// Parameters to learn, of which a row of probabilities determines its last.
    pub(super) fn parameters(&self) -> usize {
        self.kind.family().parameters(self)
    }

    /// Writes the tables from the numbers, where these determine them.
    pub(super) fn tabulate(&mut self) {
        let (units, k, family) = (self.units, self.categories(), self.kind.family::<T>());
        if family.numbers() == 0 || family.density().is_some() {
            return;
        }
        let blank =
            || Exact { scaled: vec![T::ONE; self.table.len()], powers: vec![0; k + 1], logs: vec![0.0; k * units] };
        let mut exact = self.exact.take().unwrap_or_else(blank);
        family.log_table(&self.numbers, &mut exact.logs);
        let rows = exact.logs.chunks_exact(units).zip(exact.scaled.chunks_exact_mut(units));
        let rows = rows.zip(self.table.chunks_exact_mut(units)).zip(&mut exact.powers);
        for (((logs, scaled), values), power) in rows {
            *power = vectorised!(tabulate_row(logs, scaled, values));
        }
        self.exact = Some(exact);
    }

    /// The same in double precision.
    pub(super) fn widened(&self) -> Leaves<f64> {
        let wide = |values: &[T]| values.iter().map(|value| value.f64()).collect::<Vec<_>>();
        let exact = self.exact.as_ref().map(|Exact { logs, scaled, powers }| Exact {
            logs: logs.clone(),
            scaled: wide(scaled),
            powers: powers.clone(),
        });
        let (numbers, table) = (self.numbers.clone(), wide(&self.table));
        Leaves { kind: self.kind, units: self.units, table, numbers, frame: self.frame, exact }
    }

    /// Leaves whose units are these of the old ones.
    pub(super) fn of_units(&self, origins: impl Iterator<Item = usize> + Clone) -> Self {
        let (each, units) = (self.numbers.len() / self.units, origins.clone().count());
        let of_row = |row: &[T]| origins.clone().map(|unit| row[unit]).collect::<Vec<_>>();
        let table = self.table.chunks_exact(self.units).flat_map(of_row).collect();
        let of_unit = |unit: usize| &self.numbers[unit * each..(unit + 1) * each];
        let numbers = origins.flat_map(of_unit).copied().collect();
        let mut leaves = Self { kind: self.kind, units, table, numbers, frame: self.frame, exact: None };
        leaves.tabulate();
        leaves
    }

    /// The M-step: [`Family::maximise`].
    pub(super) fn maximise(&mut self, flows: &[T], pseudocount: f64, step: f64) {
        self.kind.family().maximise(self, flows, pseudocount, step);
    }

    /// The M-step from counts: [`Family::maximise_expected`].
    pub(super) fn maximise_expected(&mut self, counts: &[f64], pseudocount: f64, step: f64) {
        self.kind.family().maximise_expected(self, counts, pseudocount, step);
    }

    /// Whether every table row sums to one and no number is out of its range.
    pub(super) fn is_valid(&self) -> bool {
        self.frame.is_valid() && self.kind.family().is_valid(self)
    }

    /// How many units lie at the floor of their scale.
    pub(super) fn at_floor(&self) -> usize {
        self.kind.family().at_floor(self)
    }

    fn rows_are_distributions(&self) -> bool {
        let sums = (0..self.units).all(|unit| (self.distribution(unit).sum::<f64>() - 1.0).abs() < 1e-3);
        sums && self.table.iter().all(|p| *p >= T::ZERO)
    }
}

/// The probabilities of a category from their logarithms, and those divided by the power of two that is given back.
#[inline(always)]
fn tabulate_row<T: Scalar>(logs: &[f64], scaled: &mut [T], values: &mut [T]) -> i32 {
    let largest = largest(logs);
    let power = if largest.is_finite() { (largest / LN_2).floor() } else { 0.0 };
    let scale = T::of(power.exp2());
    for ((log, scaled), value) in logs.iter().zip(scaled).zip(values) {
        *scaled = T::exp_of(log - power * LN_2);
        *value = *scaled * scale;
    }
    power as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Seed;

    /// `Σ counts · log p`.
    fn expected_log(counts: &[f64], leaves: &Leaves<f64>) -> f64 {
        counts.iter().zip(leaves.log_probs(0)).filter(|(n, _)| **n > 0.0).map(|(n, log)| n * log).sum()
    }

    const LEARNED: [Leaf; 4] = [Leaf::Categorical, Leaf::Binomial, Leaf::Poisson, Leaf::DiscretisedLogistic];

    fn leaves(kind: Leaf, k: usize, units: usize) -> Leaves<f64> {
        Leaves::random(kind, k, units, &mut Seed(1).stream("leaves", 0))
    }

    #[test]
    fn every_kind_is_normalised() {
        for kind in LEARNED {
            for k in [2, 9, 256] {
                let leaves = leaves(kind, k, 5);
                for unit in 0..5 {
                    let total: f64 = leaves.distribution(unit).sum();
                    assert!((total - 1.0).abs() < 1e-12, "{kind}, {k}: {total}");
                }
                assert!(leaves.is_valid());
                assert_eq!(leaves.log_prob(3, u16::MAX), 0.0);
            }
        }
        let bernoulli = leaves(Leaf::Indicator, 3, 3);
        assert_eq!(bernoulli.distribution(1).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn spread_leaves_lie_side_by_side_along_the_values_that_are_seen() {
        let mut spread = leaves(Leaf::Categorical, 12, 5);
        spread.spread(&[90.0, 1.0, 1.0, 1.0, 40.0, 40.0, 1.0, 1.0, 30.0, 30.0, 1.0, 20.0]);
        assert!(spread.is_valid());
        let mean = |unit| spread.distribution(unit).enumerate().map(|(a, p)| a as f64 * p).sum::<f64>();
        let means: Vec<f64> = (0..5).map(mean).collect();
        assert!(means.is_sorted_by(|a, b| a + 0.5 < *b), "{means:?}");
    }

    #[test]
    fn an_m_step_raises_the_expected_likelihood_and_finds_what_made_the_counts() {
        for kind in LEARNED {
            let k = 12;
            let truth = leaves(kind, k, 1);
            let counts: Vec<f64> = truth.distribution(0).map(|p| 1000.0 * p).chain([40.0]).collect();
            let mut learned = Leaves::random(kind, k, 1, &mut Seed(9).stream("leaves", 0));
            let value = |l: &Leaves<f64>| expected_log(&counts[..k], l);
            let mut before = value(&learned);
            for _ in 0..60 {
                learned.maximise(&counts, 0.0, 1.0);
                let after = value(&learned);
                assert!(after >= before - 1e-9, "{kind}: {before} → {after}");
                before = after;
            }
            let gap = value(&truth) - before;
            assert!(gap.abs() < 1e-3, "{kind}: {gap}");
        }
    }

    /// Poisson leaves of rates 1 and 250 share no category in single precision, and every one in truth.
    #[test]
    fn leaves_that_are_disjoint_by_underflow_alone_are_not() {
        use crate::{
            circuits::{Circuit, Deterministic, Graph},
            data::Schema,
        };
        let mut graph = Graph::new(1);
        let input = graph.input(0, 2).unwrap();
        graph.sum(&[input], 1).unwrap();
        let mut circuit = Circuit::random(graph, Schema::uniform(&[1], 256), Leaf::Poisson, Seed(3)).unwrap();
        circuit.set_block_parameters(input, &[1e-3, 600.0]).unwrap();
        let shared = (0..256).filter(|a| (0..2).all(|unit| circuit.leaves[0].table[a * 2 + unit] > 0.0)).count();
        assert_eq!(shared, 0, "in single precision");
        assert!(Deterministic::new(circuit).is_err());
    }

    /// Every kind at 256 categories against its logarithms in double precision, through a circuit of single precision.
    #[test]
    fn what_single_precision_does_not_reach_is_as_probable_as_it_is() {
        use crate::{
            circuits::{Circuit, Graph},
            data::{Discrete, Schema},
        };
        for kind in [Leaf::Binomial, Leaf::Poisson, Leaf::DiscretisedLogistic] {
            let mut graph = Graph::new(1);
            let input = graph.input(0, 2).unwrap();
            graph.sum(&[input], 1).unwrap();
            let schema = Schema::uniform(&[1], 256);
            let mut circuit = Circuit::random(graph, schema.clone(), kind, Seed(3)).unwrap();
            let numbers: &[f64] = match kind {
                Leaf::Binomial => &[0.47, 0.9],
                Leaf::Poisson => &[120.0, 30.0],
                _ => &[120.0, 0.8, 200.0, 0.5],
            };
            circuit.leaves[0].numbers = numbers.to_vec();
            circuit.leaves[0].tabulate();
            let rows = Discrete::new(schema, (0..256).collect()).unwrap();
            let found = circuit.log_prob(&rows).unwrap();
            let mut logs = vec![0.0; 2 * 256];
            kind.family::<f32>().log_table(numbers, &mut logs);
            let weights: Vec<f64> = circuit.weights[0][0].values.iter().map(|w| f64::from(*w)).collect();
            for (a, found) in found.into_iter().enumerate() {
                let want = crate::math::log_sum_exp((0..2).map(|unit| weights[unit].ln() + logs[2 * a + unit]));
                assert!((found - want).abs() < 1e-5 * want.abs().max(1.0), "{kind}, {a}: {found} for {want}");
            }
        }
    }
}
