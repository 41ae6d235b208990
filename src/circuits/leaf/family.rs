//! What a family of leaves is: a new one is a file beside this, and a line in [`Leaf`](super::Leaf).

use super::Leaves;
use crate::{circuits::Scalar, random::Stream};

/// A family of distributions of one variable.
pub(crate) trait Family<T: Scalar>: Sync {
    /// What a variable with `k` categories must have and has not, where it cannot have such leaves; `units` of them.
    fn unfit(&self, k: usize, units: usize) -> Option<String>;

    /// Numbers that a unit is determined by, where it is not by its row of probabilities.
    fn numbers(&self) -> usize {
        0
    }

    /// Numbers that flows are summed in, for all units.
    fn statistics(&self, leaves: &Leaves<T>) -> usize {
        leaves.table.len()
    }

    /// Parameters to learn, of which a row of probabilities determines its last.
    fn parameters(&self, leaves: &Leaves<T>) -> usize {
        leaves.numbers.len()
    }

    /// Random leaves.
    fn randomise(&self, leaves: &mut Leaves<T>, rng: &mut Stream);

    /// Random leaves around what is seen: the share of each category, smoothed, and perturbed for each unit.
    ///
    /// Where a value is almost always the same, all units then agree on it. Otherwise chance would decide there which unit
    /// explains all rows, and the others would be lost to learning.
    fn init_from_counts(&self, _leaves: &mut Leaves<T>, _seen: &[f64], _rng: &mut Stream) {}

    /// The M-step: `flows` are `Σ F` by category, `(categories + 1, units)`, the last row over rows without a value; of real
    /// numbers their statistics.
    ///
    /// ```text
    /// θ ← (1 − step) θ + step θ_new
    /// ```
    /// on the probabilities, or on the parameters that the mean is. A unit without flow and without pseudocount stays.
    fn maximise(&self, leaves: &mut Leaves<T>, flows: &[T], pseudocount: f64, step: f64);

    /// The same from counts in double precision, in which missing values are counted as what their unit expects.
    fn maximise_expected(&self, leaves: &mut Leaves<T>, counts: &[f64], pseudocount: f64, step: f64) {
        let counts: Vec<T> = counts.iter().map(|count| T::of(*count)).collect();
        self.maximise(leaves, &counts, pseudocount, step);
    }

    /// Whether every number is in its range, and every row of probabilities sums to one.
    fn is_valid(&self, leaves: &Leaves<T>) -> bool;

    /// Fills in the log-probabilities of the categories of all units, `(K, units)`, in double precision, where the numbers
    /// determine them.
    fn log_table(&self, _numbers: &[f64], _logs: &mut [f64]) {}

    /// How many units lie at the floor of their scale.
    fn at_floor(&self, _leaves: &Leaves<T>) -> usize {
        0
    }

    /// The same for a family of densities of real numbers.
    fn density(&self) -> Option<&dyn Density<T>> {
        None
    }
}

/// A family of densities of a real number.
pub(crate) trait Density<T: Scalar>: Family<T> {
    /// `log p(x | unit)`, in the units of the data.
    fn log_density(&self, leaves: &Leaves<T>, unit: usize, x: f64) -> f64;

    /// Densities of every unit, each column divided by a power of two that is added to `exponents`; one where a value is missing.
    fn fill(&self, leaves: &Leaves<T>, values: &[f64], block: &mut [T], exponents: &mut [i32]);

    /// Adds the flows of a tile, `(units, TILE)`, to the statistics.
    fn count(&self, leaves: &Leaves<T>, values: &[f64], flows: &[T], sums: &mut [T]);

    /// Adds the flow of one value over one unit to the statistics, through `add(place, amount)`.
    fn count_one(&self, leaves: &Leaves<T>, unit: usize, x: f64, flow: f64, add: &mut dyn FnMut(usize, f64));

    /// The flows as counts for [`Family::maximise_expected`]: missing values counted as what their unit expects.
    fn expected(&self, leaves: &Leaves<T>, flows: &[f64]) -> Vec<f64>;

    /// The counts of units that expect `mass` rows each, of which nothing is known.
    fn missing(&self, leaves: &Leaves<T>, mass: &[f64]) -> Vec<f64>;

    /// Mean and mean square of a unit, in the units of the data.
    fn moments(&self, leaves: &Leaves<T>, unit: usize) -> [f64; 2];

    /// A draw, in the units of the data.
    fn draw(&self, leaves: &Leaves<T>, unit: usize, rng: &mut Stream) -> f64;
}
